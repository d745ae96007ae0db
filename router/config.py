"""Read a configuration: text in, frozen values out, or every problem at once."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from router.catalogue import Catalogue, read_catalogue
from router.consistency import check_alone
from router.crosscheck import check_with, settle
from router.document import Document, parse
from router.endpoints import endpoints, receivers
from router.problem import ConfigError, Problem, Severity
from router.saved import MAX_NAMES
from router.settings import Config
from router.validation import build


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be run."""

    config: Config
    "The settings; region, edges and default edge are filled in from the catalogue."
    catalogue: Catalogue
    "The provider."
    warnings: tuple[Problem, ...]
    "What is allowed and probably not meant."
    document: Document
    "Where each setting was written, for what is found out later."


def load(
    text: str,
    name: str,
    read_catalogue_text: Callable[[str], tuple[str, str]],
    *,
    base: Path,
) -> Loaded:
    """Read a configuration and the catalogue that it names.

    `read_catalogue_text` gives text and file name of a catalogue, and raises OSError or
    UnicodeDecodeError if there is none; relative paths start at `base`. Raises
    ConfigError with all problems of both files, and nothing else.
    """
    document = parse(text, name)
    problems = list(document.problems)
    config, complaints = build(Config, document, base)
    problems += _beside(problems, complaints)
    catalogue, complaints = _catalogue(document, read_catalogue_text)
    problems += _beside(problems, complaints)
    if config is not None:
        problems += _beside(problems, list(check_alone(config, document)))
    if config is not None and catalogue is not None:
        problems += _beside(problems, list(check_with(config, catalogue, document)))
    problems.sort(key=lambda p: (p.file != name, p.line, p.column))
    errors = any(problem.severity is Severity.ERROR for problem in problems)
    if errors or config is None or catalogue is None:
        raise ConfigError(problems)
    settled = settle(config, catalogue)
    wanted = (*endpoints(catalogue, settled), *receivers(settled))
    names = {endpoint.resolve for endpoint in wanted}
    if len(names) > MAX_NAMES:
        found, most = f"{len(names)} names to look up", f"at most {MAX_NAMES}"
        problem = document.problem(("listeners",), found, most, "use fewer edges")
        raise ConfigError([*problems, problem])
    return Loaded(settled, catalogue, tuple(problems), document)


def _catalogue(
    document: Document, read_text: Callable[[str], tuple[str, str]]
) -> tuple[Catalogue | None, list[Problem]]:
    provider = document.tree.get("provider")
    wanted = provider.get("catalogue") if isinstance(provider, dict) else None
    if not isinstance(wanted, str) or not wanted or not wanted.isprintable():
        return None, []  # the model says so
    try:
        text, name = read_text(wanted)
        return read_catalogue(parse(text, name)), []
    except (OSError, UnicodeDecodeError) as error:
        path = ("provider", "catalogue")
        return None, [document.problem(path, f"cannot be read: {cause(error)}")]
    except ConfigError as error:
        return None, list(error.problems)


def cause(error: OSError | UnicodeDecodeError) -> str:
    """Why a file could not be read, in words."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"byte {error.start + 1} is not UTF-8"


def _beside(known: Sequence[Problem], found: Sequence[Problem]) -> list[Problem]:
    """Problems at places of which nothing is known yet; one cause, one complaint."""
    places = {(problem.file, problem.line, problem.column) for problem in known}
    return [p for p in found if (p.file, p.line, p.column) not in places]
