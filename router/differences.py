"""What differs between two configurations, for those who asked for the change."""

import dataclasses
from collections.abc import Iterator, Mapping

from router.settings import Config
from router.validation import Section

RESTART = (("admin",), ("log", "format"), ("state_directory",))
"Where settings are read once, when the daemon starts."


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not what it was."""

    path: tuple[str, ...]
    "The keys that lead to it."
    before: object
    "What it was; None for nothing."
    after: object
    "What it is; None for nothing."
    restart: bool
    "Whether only a restart takes it over."

    def __str__(self) -> str:
        """In one line, as it would be written."""
        where = ".".join(self.path)
        if self.before is None and isinstance(self.after, Section):
            return f"{where}: added"
        if self.after is None and isinstance(self.before, Section):
            return f"{where}: removed"
        return f"{where}: {_shown(self.before)} -> {_shown(self.after)}"


def differences(before: Config, after: Config) -> tuple[Difference, ...]:
    """All settings that differ; a listener that only one of them has is one of them."""
    return tuple(
        Difference(path, one, other, any(path[: len(r)] == r for r in RESTART))
        for path, one, other in _compare(before, after, ())
    )


def _compare(
    one: object, other: object, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], object, object]]:
    if one == other:
        return
    ours, theirs = _parts(one), _parts(other)
    if type(one) is not type(other) or ours is None or theirs is None:
        yield path, one, other
        return
    for key in dict.fromkeys([*ours, *theirs]):
        yield from _compare(ours.get(key), theirs.get(key), (*path, key))


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
