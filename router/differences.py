"""What differs between two configurations, for those who asked for the change."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from router.config import Loaded
from router.validation import Section

RESTART = (("admin",), ("log", "format"), ("state_directory",))
"Where settings are read once, when the daemon starts."

Keys = tuple[str, ...]
"The keys that lead to a setting."


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not what it was."""

    path: Keys
    "The keys that lead to it."
    before: object
    "What it was; None for nothing."
    after: object
    "What it is; None for nothing. The same as before where a file was written anew."
    restart: bool
    "Whether only a restart takes it over."

    def __str__(self) -> str:
        """In one line, as it would be written."""
        where = ".".join(self.path)
        if self.before == self.after:
            return f"{where}: {self.after} was written anew"
        match self.before, self.after:
            case Section(), Section():
                return f"{where}: of another kind"
            case None, Section():
                return f"{where}: added"
            case Section(), None:
                return f"{where}: removed"
            case _:
                return f"{where}: {_shown(self.before)} -> {_shown(self.after)}"


def differences(
    before: Loaded, after: Loaded, rewritten: Collection[Path] = ()
) -> tuple[Difference, ...]:
    """All settings that differ; a listener that only one of them has is one of them.

    `rewritten` are files whose contents have changed: so did the settings that name
    them.
    """
    found = {
        path: (one, other) for path, one, other in _compare(before.config, after.config)
    }
    catalogue = ("provider", "catalogue")
    if before.catalogue != after.catalogue:
        name = after.config.provider.catalogue
        found.setdefault(catalogue, (name, name))
    found |= {
        path: (file, file)
        for path, file in _leaves(after.config)
        if file in rewritten and not any(path[: len(key)] == key for key in found)
    }
    return tuple(
        Difference(path, one, other, any(path[: len(r)] == r for r in RESTART))
        for path, (one, other) in found.items()
    )


def _compare(
    one: object, other: object, path: Keys = ()
) -> Iterator[tuple[Keys, object, object]]:
    if one == other:
        return
    ours, theirs = _parts(one), _parts(other)
    if type(one) is not type(other) or ours is None or theirs is None:
        yield path, one, other
        return
    for key in dict.fromkeys([*ours, *theirs]):
        yield from _compare(ours.get(key), theirs.get(key), (*path, key))


def _leaves(value: object, path: Keys = ()) -> Iterator[tuple[Keys, object]]:
    parts = _parts(value)
    if parts is None:
        yield path, value
        return
    for key, part in parts.items():
        yield from _leaves(part, (*path, key))


def _parts(value: object) -> Mapping[str, object] | None:
    """The settings within a section; None for a single value."""
    if isinstance(value, Section):
        return {name: getattr(value, name) for name in type(value).model_fields}
    return value if isinstance(value, dict) else None


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value)
