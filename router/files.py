"""Read configurations and catalogues from disk."""

import dataclasses
import errno
import importlib.resources
import os
from collections.abc import Iterator
from pathlib import Path

from protocols.net.reading import read_file
from router.certificates import check_files
from router.config import Loaded, cause, load
from router.document import MAX_CHARACTERS
from router.presence import check_presence
from router.problem import ConfigError, Problem, Severity, did_you_mean, one_of

_BUNDLED = importlib.resources.files("router.catalogues")


def read(
    path: Path, *, verify: bool = True, elsewhere: bool = False, insist: bool = False
) -> Loaded:
    """Read a configuration file and its catalogue; `verify` looks at certificates, too.

    With `elsewhere`, the file may be meant for another machine: certificates of which
    not even the directory is there are warnings. With `insist`, so are not links that
    are not on this machine. Raises ConfigError with all problems, and nothing else.
    """
    try:
        text = _read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        found = f"cannot be read: {cause(error)}"
        raise ConfigError([Problem(str(path), 0, 0, "", found)]) from None

    def read_catalogue(wanted: str) -> tuple[str, str]:
        return _read_catalogue(wanted, path.parent)

    loaded = load(text, str(path), read_catalogue, base=path.parent.absolute())
    problems = list(loaded.warnings)
    if verify:
        problems += check_files(loaded, elsewhere=elsewhere)
        problems += [*check_presence(loaded, insist=insist), *_state(loaded)]
        problems.sort(key=lambda p: (p.file != str(path), p.line, p.column))
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise ConfigError(problems)
    return dataclasses.replace(loaded, warnings=tuple(problems))


def bundled_catalogues() -> list[str]:
    """Names of the catalogues that come with the router."""
    names = (Path(entry.name) for entry in _BUNDLED.iterdir())
    return sorted(name.stem for name in names if name.suffix == ".yaml")


def _state(loaded: Loaded) -> Iterator[Problem]:
    """Yield a warning, since the daemon does without, if no state could be saved."""
    directory = loaded.config.state_directory
    if directory is None:
        return
    # Unlike pathlib, os.path raises nothing about directories that may not be entered.
    if not os.path.isdir(directory):
        there = os.path.exists(directory)
        found = f"{directory} is no directory" if there else f"no directory {directory}"
    elif not os.access(directory, os.W_OK | os.X_OK):
        found = f"cannot write to {directory}"
    else:
        return
    yield loaded.document.problem(
        ("state_directory",),
        found,
        "a directory that the daemon may write to",
        "nothing would outlive a restart",
        severity=Severity.WARNING,
    )


def _read_catalogue(wanted: str, directory: Path) -> tuple[str, str]:
    """Text and name of a catalogue; raises OSError or UnicodeDecodeError."""
    if "/" in wanted or wanted.endswith((".yaml", ".yml")):
        path = directory / wanted
        return _read_text(path), str(path)
    bundled = bundled_catalogues()
    if wanted not in bundled:
        hint = did_you_mean(wanted, bundled)
        known = f"no bundled catalogue '{wanted}'; there is {one_of(bundled)}"
        text = "; ".join(filter(None, [known, hint, "a path contains a slash"]))
        raise FileNotFoundError(errno.ENOENT, text)
    name = f"{wanted}.yaml"
    return (_BUNDLED / name).read_text("utf-8"), f"bundled {name}"


def _read_text(path: Path) -> str:
    """The text of a file; raises OSError if it is too long to be a configuration."""
    return read_file(path, MAX_CHARACTERS).decode("utf-8")
