"""What is wrong with a file, where, and what was expected there."""

import dataclasses
import difflib
import enum
import re
from collections.abc import Iterable

KeyPath = tuple[str | int, ...]
"Where a value stands in a document: keys of mappings and indexes of lists."

_SHOWN = 60
_SECRET_KEY = re.compile(r"password|passwd|secret|token|credential", re.IGNORECASE)
_USER_INFO = re.compile(r"//[^/]*@")

EX_CONFIG = 78
"Exit code for a configuration that cannot be used (sysexits.h)."


class Severity(enum.StrEnum):
    """Whether the router starts in spite of it."""

    ERROR = "error"
    WARNING = "warning"


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One finding in one file."""

    file: str
    "Name of the file, as it was given."
    line: int
    "Line, from 1; 0 when the file as a whole is meant."
    column: int
    "Column, from 1; 0 when the file as a whole is meant."
    key: str
    "Dotted path of the key, such as `listeners.api.to[1]`; empty for the document."
    found: str
    "What is there."
    expected: str = ""
    "What should be there."
    hint: str = ""
    "What was probably meant, or what to do."
    severity: Severity = Severity.ERROR
    "Whether the router starts in spite of it."

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        parts = [
            place,
            *(["warning"] if self.severity is Severity.WARNING else []),
            *([self.key] if self.key else []),
        ]
        expected = f"expected {self.expected}" if self.expected else ""
        finding = "; ".join(filter(None, [self.found, expected, self.hint]))
        text = f"{': '.join(parts)}: {finding}"
        # What a file holds must not steer the terminal that it is shown on.
        return text if text.isprintable() else text.encode("unicode_escape").decode()


class ConfigError(Exception):
    """A configuration or catalogue that cannot be used; carries every problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def quote(value: object, key: str = "") -> str:
    """Show a value of a document on one line, short, without control characters.

    What looks like a secret is named and not shown.
    """
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    if "-----BEGIN" in value:
        return "a PEM text"
    if _SECRET_KEY.search(key):
        return "a text"
    shown = repr(_USER_INFO.sub("//...@", value))
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def key_text(path: KeyPath) -> str:
    """Write a path as an operator reads it: `listeners.api.to[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part if len(part) <= _SHOWN else f'{part[:_SHOWN]}...'}"
    return text.removeprefix(".")


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    if not isinstance(word, str) or len(word) > _SHOWN:
        return None
    found = difflib.get_close_matches(word.lower(), list(known), n=1)
    return found[0] if found else None


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """A hint with the known word that was probably meant; empty if none is near."""
    meant = nearest(word, known)
    return f"did you mean '{meant}'?" if meant is not None else ""


def one_of(words: Iterable[str]) -> str:
    """Write alternatives as a sentence does: `a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
