"""Read YAML strictly: what two people could read in two ways is refused.

PyYAML speaks YAML 1.1, in which `no` is false, `22:22` is 1342 and `017` is 15, and
it lets the last of two equal keys win. This reader takes only its events, and decides
itself what they mean: `true`, `false` and `null` in lower case, decimal numbers, and
text. Everything else that is not quoted stays the text that was written.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, NoReturn, cast

import yaml

from router.problem import ConfigError, KeyPath, Problem, Severity, key_text, quote

MAX_CHARACTERS = 1 << 20
"Longest document, in characters."
MAX_DEPTH = 32
"Deepest nesting of mappings and lists."
MAX_VALUES = 20_000
"Most keys and values in one document."

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
_WORDS: Mapping[str, bool | None] = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
}
_ADVICE = {
    "mapping values are not allowed here": "quote a text that contains ': '",
    "found character '\\t' that cannot start any token": "indent with spaces",
    "found character": "quote a text that begins with it",
    "expected <block end>": "indent what belongs together alike",
    "expected the node content": 'quote an IPv6 address: "[::1]:443"',
    "expected ',' or": "close the bracket that begins here",
}
"What to do about a complaint of PyYAML, by how it begins."
_BEGINNINGS = {
    "expected ',' or": "a list or mapping without its end",
    "could not find expected ':'": "a key without a colon and a space behind it",
    "found unexpected end of stream": "a quoted text without its end",
}
"Complaints of PyYAML that are clearer at the beginning of what they are about."


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """A place in a document, both from 1."""

    line: int
    "Line."
    column: int
    "Column, in characters."


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """One YAML document as plain values, with the place of each."""

    name: str
    "Name of the file, for messages."
    tree: dict[str, Any]
    "The values: dict, list, str, int, float, bool and None."
    keys: Mapping[KeyPath, Position]
    "Where each key of a mapping stands."
    values: Mapping[KeyPath, Position]
    "Where each value stands."
    problems: tuple[Problem, ...] = ()
    "What was wrong and could be read past, so that all can be told at once."

    def problem(
        self,
        path: KeyPath,
        found: str,
        expected: str = "",
        hint: str = "",
        *,
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """A problem with the value at `path`; if there is none, with what holds it."""
        place = self.values.get(path) or self._holder(path)
        return Problem(
            self.name,
            place.line,
            place.column,
            key_text(path),
            found,
            expected,
            hint,
            severity,
        )

    def key_problem(
        self, path: KeyPath, found: str, expected: str, hint: str
    ) -> Problem:
        """A problem with a key itself, rather than with its value."""
        place = self._holder(path)
        return Problem(
            self.name,
            place.line,
            place.column,
            key_text(path),
            found,
            expected,
            hint,
        )

    def _holder(self, path: KeyPath) -> Position:
        while path:
            if path in self.keys:
                return self.keys[path]
            path = path[:-1]
        return self.values[()]


def parse(text: str, name: str) -> Document:
    """Read one YAML document whose root is a mapping.

    Raises ConfigError for what cannot be read at all. Duplicate keys, anchors, aliases
    and tags are kept in `Document.problems`: the rest can still be looked at.
    """
    if len(text) > MAX_CHARACTERS:
        found = f"a document of {len(text)} characters"
        raise ConfigError([Problem(name, 1, 1, "", found, f"at most {MAX_CHARACTERS}")])
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        raise ConfigError([_unreadable(text, name, error)]) from None
    composer = _Composer(loader, name)
    try:
        return composer.document()
    except yaml.MarkedYAMLError as error:
        composer.refuse(*_unlike_yaml(error))
    except (ValueError, OverflowError):
        # PyYAML turns "\UFFFFFFFF" and "%YAML 1.99999..." into numbers unchecked.
        found = "an escape or a version number out of range"
        composer.refuse(_position(loader.get_mark()), (), found)


def _unreadable(text: str, name: str, error: yaml.reader.ReaderError) -> Problem:
    before = text[: error.position]
    line = before.count("\n") + 1
    column = error.position - (before.rfind("\n") + 1) + 1
    code = f"the character U+{ord(text[error.position]):04X}"
    return Problem(name, line, column, "", code, "printable text")


def _unlike_yaml(
    error: yaml.MarkedYAMLError,
) -> tuple[Position, KeyPath, str, str, str]:
    """Where PyYAML stumbled, what it found there, and what to do about it."""
    found, mark = error.problem or "odd", error.problem_mark
    hint = _known(_ADVICE, found)
    beginning = _known(_BEGINNINGS, found)
    if beginning and error.context_mark is not None:
        found, mark = beginning, error.context_mark
    return _position(mark), (), f"not YAML: {found}", "", hint


def _known(texts: Mapping[str, str], complaint: str) -> str:
    return next((t for start, t in texts.items() if complaint.startswith(start)), "")


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


class _Composer:
    """Builds values from the events of one document; mutable until it is done."""

    def __init__(self, loader: yaml.SafeLoader, name: str) -> None:
        self._loader = loader
        self._name = name
        self._keys: dict[KeyPath, Position] = {}
        self._values: dict[KeyPath, Position] = {}
        self._problems: list[Problem] = []
        self._count = 0

    def document(self) -> Document:
        """Read the only document of the stream."""
        self._next()  # the start of the stream
        start = self._next()
        if isinstance(start, yaml.StreamEndEvent):
            self.refuse(_position(start.start_mark), (), "nothing", "a mapping")
        root = self._node(self._next(), (), 0)
        if not isinstance(root, dict):
            self.refuse(self._values[()], (), quote(root), "a mapping")
        self._next()  # the end of the document
        end = self._next()
        if not isinstance(end, yaml.StreamEndEvent):
            found, expected = "a second document", "one document per file"
            self.refuse(_position(end.start_mark), (), found, expected)
        return Document(
            self._name, root, self._keys, self._values, tuple(self._problems)
        )

    def refuse(
        self,
        place: Position,
        path: KeyPath,
        found: str,
        expected: str = "",
        hint: str = "",
    ) -> NoReturn:
        """Give up on the document, with all that was found so far."""
        self._note(place, path, found, expected, hint)
        raise ConfigError(self._problems)

    def _note(
        self, place: Position, path: KeyPath, found: str, expected: str, hint: str = ""
    ) -> None:
        self._problems.append(
            Problem(
                self._name,
                place.line,
                place.column,
                key_text(path),
                found,
                expected,
                hint,
            )
        )

    def _next(self) -> Any:
        return cast(Any, self._loader.get_event())  # type: ignore[no-untyped-call]

    def _node(self, event: Any, path: KeyPath, depth: int) -> Any:
        place = _position(event.start_mark)
        self._values[path] = place
        self._count += 1
        if self._count > MAX_VALUES:
            self.refuse(place, path, f"more than {MAX_VALUES} values", "fewer")
        if isinstance(event, yaml.AliasEvent):
            self._note(
                place, path, f"an alias ({quote(event.anchor)})", "the value itself"
            )
            return None
        self._plain(event, place, path)
        if isinstance(event, yaml.ScalarEvent):
            return event.value if event.style else _scalar(event.value)
        if depth == MAX_DEPTH:
            self.refuse(
                place, path[:4], f"nested deeper than {MAX_DEPTH}", "fewer levels"
            )
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path, depth)
        return self._mapping(path, depth)

    def _plain(self, event: Any, place: Position, path: KeyPath) -> None:
        if event.anchor is not None:
            found = f"an anchor ({quote(event.anchor)})"
            self._note(place, path, found, "no anchors and aliases")
        if event.tag is not None:
            self._note(place, path, f"a tag ({quote(event.tag)})", "no tags")

    def _list(self, path: KeyPath, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, place = self._key(event, path), _position(event.start_mark)
            inner = (*path, key)
            if key in items:
                first = self._keys[inner]
                found = f"the key a second time (first in line {first.line})"
                self._note(place, inner, found, "each key once")
                self._node(self._next(), (*path, key, "again"), depth + 1)
                continue
            self._keys[inner] = place
            items[key] = self._node(self._next(), inner, depth + 1)
            if isinstance(items[key], dict | list):
                self._values[inner] = place  # a block begins lines below its key
        return items

    def _key(self, event: Any, path: KeyPath) -> str:
        place = _position(event.start_mark)
        if not isinstance(event, yaml.ScalarEvent):
            self.refuse(place, path, "a key that is not a text", "a plain key")
        self._plain(event, place, path)
        if event.value == "<<" and not event.style:
            self._note(place, path, "a merge key (<<)", "the keys themselves")
        return str(event.value)


def _scalar(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar.

    Departs from YAML 1.1: yes, no, on, off, octal, sexagesimal and dates stay text.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text
