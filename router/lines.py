"""From an event and its fields to a line: values made safe, text, journal fields.

Peers choose many of the values. Whatever could move a cursor, forge a second line or
turn text around is shown as an escape, and no value is longer than its limit.
"""

import datetime
import functools
import json
from collections.abc import Mapping

LIMIT = 256
"Bytes of one value at most, in UTF-8."
TRACEBACK_LIMIT = 8192
"Bytes of a traceback at most; its end says most."

Fields = Mapping[str, object]
"Names and values of one event, in the order in which they are shown."


def safe(fields: Fields) -> dict[str, object]:
    """The fields with every value safe for a terminal and within its limit."""
    return {
        name: traceback(str(value)) if name == "traceback" else _safe(value)
        for name, value in fields.items()
    }


def text(value: str) -> str:
    """The text, cut to its limit, with control characters (C0, C1, bidi) escaped."""
    if value.isprintable() and (
        len(value) <= LIMIT // 4 or len(value.encode(errors="replace")) <= LIMIT
    ):
        return value
    shown = "".join(c if c.isprintable() else _escaped(c) for c in value[:LIMIT])
    encoded = shown.encode()
    if len(encoded) <= LIMIT and len(value) <= LIMIT:
        return shown
    return encoded[: LIMIT - 3].decode(errors="ignore") + "..."


def traceback(value: str) -> str:
    """A traceback's last lines, each without control characters."""
    lines = value[-TRACEBACK_LIMIT:].split("\n")
    return "\n".join(
        "".join(c if c.isprintable() else _escaped(c) for c in line) for line in lines
    )


def pairs(fields: Fields) -> str:
    """The fields as `name=value`, values quoted where a reader would lose their end."""
    return " ".join(
        f"{name}={_quoted(value)}" for name, value in fields.items() if value != ""
    )


def journal_entry(fields: Fields) -> bytes:
    """The fields as one entry of the journal's native protocol.

    https://systemd.io/JOURNAL_NATIVE_PROTOCOL/: `NAME=value`, or the name on a line of
    its own, the size as 64 bits little-endian, and the value.
    """
    parts = []
    for name, value in fields.items():
        data = str(value).encode(errors="backslashreplace")
        key = name.upper().encode()
        if b"\n" in data:
            parts.append(b"%b\n%b%b\n" % (key, len(data).to_bytes(8, "little"), data))
        else:
            parts.append(b"%b=%b\n" % (key, data))
    return b"".join(parts)


@functools.lru_cache(maxsize=4)
def _second(second: int) -> str:
    return datetime.datetime.fromtimestamp(second, datetime.UTC).isoformat()[:19]


def clock(nanoseconds: int) -> str:
    """The time since 1970 as UTC to the millisecond (RFC 3339)."""
    second, milliseconds = divmod(nanoseconds // 1_000_000, 1000)
    return f"{_second(second)}.{milliseconds:03d}Z"


def _safe(value: object) -> object:
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return text(value.decode(errors="backslashreplace"))
    if isinstance(value, tuple | list | set | frozenset):
        return text(", ".join(map(str, value)))
    return text(str(value))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode()


def _quoted(value: object) -> str:
    if value is True or value is False:
        return "yes" if value else "no"
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    if any(c in shown for c in ' "=\n'):
        return json.dumps(shown, ensure_ascii=False)
    return shown
