"""How times, sizes and rates are written in YAML.

Inside the router a duration is a float of seconds and a size an int of bytes. In a file
both carry their unit, because `timeout: 5` has cost too many people a night.
"""

import re
from typing import Annotated, Any

import pydantic
from pydantic_core import PydanticCustomError

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_NUMBER = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) *([A-Za-z]{0,12})")
_MEANT = {
    "us": ("us", "micro"),
    "ms": ("ms", "milli"),
    "s": ("s",),
    "m": ("m",),
    "h": ("h",),
    "d": ("d",),
    "KiB": ("k",),
    "MiB": ("m",),
    "GiB": ("g",),
    "B": ("b",),
}


def wrong(expected: str, hint: str = "") -> PydanticCustomError:
    """The error of a value that is not what was expected; `hint` says what to write."""
    return PydanticCustomError(
        "plain", "expected {expected}", {"expected": expected, "hint": hint}
    )


def duration(seconds: float) -> str:
    """Write seconds as a configuration file does: `250ms`, `90s`, `2m`."""
    for unit, least in (("h", 3600), ("m", 120)):
        if seconds >= least and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{seconds:g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:g}ms"


def size(octets: int) -> str:
    """Write bytes as a configuration file does: `64KiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if octets and octets % _SIZES[unit] == 0:
            return f"{octets // _SIZES[unit]}{unit}"
    return f"{octets}B"


def rate(octets: int) -> str:
    """Write bytes per second as a configuration file does: `240B/s`."""
    return f"{size(octets)}/s"


def _quantity(text: str, units: dict[str, Any], expected: str, usual: str) -> float:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise wrong(expected)
    number, unit = match.groups()
    if unit not in units or text != number + unit:
        meant = _meant(unit, units) or (usual if not unit else "")
        raise wrong(expected, f"did you mean '{number}{meant}'?" if meant else "")
    return float(number) * float(units[unit])


def _meant(unit: str, units: dict[str, Any]) -> str:
    for known in units:
        if unit.lower().startswith(_MEANT[known]):
            return known
    return ""


def _seconds(value: object) -> float:
    expected = "a time with its unit (us, ms, s, m, h, d)"
    return _quantity(read_text(value, expected, "s"), _UNITS, expected, "s")


def _octets(value: object) -> int:
    expected = "a size with its unit (B, KiB, MiB, GiB)"
    return int(_quantity(read_text(value, expected, "B"), _SIZES, expected, "B"))


def _rate(value: object) -> int:
    expected = "a rate with its unit (B/s, KiB/s, MiB/s)"
    text = read_text(value, expected, "B/s")
    if not text.endswith("/s"):
        raise wrong(expected, "add '/s'" if text[-1:].isalpha() else "")
    return int(_quantity(text.removesuffix("/s"), _SIZES, expected, "B"))


def read_text(value: object, expected: str, unit: str = "") -> str:
    """The text that must stand here; `unit` is what a bare number probably lacks."""
    if isinstance(value, str):
        return value
    bare = isinstance(value, int | float) and not isinstance(value, bool) and unit
    raise wrong(expected, f"did you mean '{value}{unit}'?" if bare else "")


def between(least: str, most: str) -> pydantic.AfterValidator:
    """Bounds of a time, both included, written as in a file."""
    low, high = _seconds(least), _seconds(most)

    def check(value: float) -> float:
        if not low <= value <= high:
            raise wrong(f"a time from {least} to {most}")
        return value

    return pydantic.AfterValidator(check)


def within(least: str, most: str) -> pydantic.AfterValidator:
    """Bounds of a size, both included, written as in a file."""
    low, high = _octets(least), _octets(most)

    def check(value: int) -> int:
        if not low <= value <= high:
            raise wrong(f"a size from {least} to {most}")
        return value

    return pydantic.AfterValidator(check)


def as_text(**schema: Any) -> pydantic.WithJsonSchema:
    """The JSON schema of what is written as text and read as something else."""
    return pydantic.WithJsonSchema({"type": "string", **schema})


Seconds = Annotated[
    float,
    pydantic.PlainValidator(_seconds),
    as_text(**{"pattern": r"^[0-9]+(\.[0-9]+)?(us|ms|s|m|h|d)$", "x-unit": "time"}),
]
"A time, in seconds."
Octets = Annotated[
    int,
    pydantic.PlainValidator(_octets),
    as_text(**{"pattern": r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB)$", "x-unit": "size"}),
]
"A size, in bytes."
Rate = Annotated[
    int,
    pydantic.PlainValidator(_rate),
    as_text(**{"pattern": r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB)/s$", "x-unit": "rate"}),
]
"A rate, in bytes per second."
