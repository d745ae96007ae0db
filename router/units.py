"""How times, sizes and rates are written in YAML.

Inside the router a duration is a float of seconds and a size an int of bytes. In a file
both carry their unit, because `timeout: 5` has cost too many people a night.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import pydantic
from pydantic_core import PydanticCustomError, core_schema

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_BITS = {"kbit": 125, "Mbit": 125_000, "Gbit": 125_000_000}
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
    "kbit": ("k",),
    "Mbit": ("m",),
    "Gbit": ("g",),
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


def bandwidth(octets: int) -> str:
    """Write bytes per second as those who sell lines do: `100Mbit/s`."""
    for unit in ("Gbit", "Mbit"):
        if octets % _BITS[unit] == 0:
            return f"{octets // _BITS[unit]}{unit}/s"
    return f"{octets / _BITS['kbit']:g}kbit/s"


@dataclasses.dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of quantity."""

    expected: str
    "How it is written, in words."
    units: Mapping[str, float]
    "What each unit is worth."
    usual: tuple[str, ...]
    "Units that a bare number probably lacks, the likeliest first."
    per: str = ""
    "What follows the unit."


_TIME = _Kind("a time with its unit (us, ms, s, m, h, d)", _UNITS, ("s", "ms", "m"))
_SIZE = _Kind("a size with its unit (B, KiB, MiB, GiB)", _SIZES, ("B", "KiB", "MiB"))
_RATE = _Kind("a rate with its unit (B/s, KiB/s, MiB/s)", _SIZES, ("B",), "/s")
_BANDWIDTH = _Kind(
    "a bandwidth with its unit (kbit/s, Mbit/s, Gbit/s)", _BITS, ("Mbit", "kbit"), "/s"
)


def seconds_in(value: object, least: str, most: str) -> float:
    """The seconds in a time such as `1h`, within bounds that are written like it.

    Raises ValueError that says what was expected.
    """
    low, high = _seconds(least), _seconds(most)
    try:
        seconds = _quantity(value, _TIME, low, high)
    except PydanticCustomError as error:
        context = error.context or {}
        words = [f"expected {context['expected']}", str(context["hint"])]
        raise ValueError("; ".join(filter(None, words))) from None
    if not low <= seconds <= high:
        raise ValueError(f"expected a time from {least} to {most}")
    return seconds


def _quantity(
    value: object, kind: _Kind, low: float = 0.0, high: float = math.inf
) -> float:
    """What is written; what is proposed in place of a wrong text is within bounds."""
    bare = isinstance(value, int | float) and not isinstance(value, bool)
    text = str(value) if bare else read_text(value, kind.expected)
    match = _NUMBER.fullmatch(text.strip().removesuffix(kind.per))
    if match is None:
        raise wrong(kind.expected)
    number, unit = match.groups()
    if unit in kind.units and text == number + unit + kind.per:
        return float(number) * kind.units[unit]
    for likely in _meant(unit, kind.units) if unit else kind.usual:
        if low <= float(number) * kind.units[likely] <= high:
            proposed = f"{number}{likely}{kind.per}"
            raise wrong(kind.expected, f"did you mean '{proposed}'?")
    raise wrong(kind.expected)


def _meant(unit: str, units: Iterable[str]) -> list[str]:
    """The unit that a word probably stands for, if there is one."""
    return [u for u in units if unit.lower().startswith(_MEANT[u])][:1]


def _seconds(value: object) -> float:
    return _quantity(value, _TIME)


def _octets(value: object) -> int:
    return int(_quantity(value, _SIZE))


def _rate(value: object) -> int:
    return int(_quantity(value, _RATE))


def _bandwidth(value: object) -> int:
    return int(_quantity(value, _BANDWIDTH))


def read_text(value: object, expected: str) -> str:
    """The text that must stand here."""
    if not isinstance(value, str):
        raise wrong(expected)
    return value


# Bounds read the value themselves, in place of what they are put around: only so does
# the hint know of them.


def between(least: str, most: str) -> pydantic.WrapValidator:
    """Bounds of a time, both included, written as in a file."""
    low, high = _seconds(least), _seconds(most)

    def check(value: object, _: pydantic.ValidatorFunctionWrapHandler) -> float:
        seconds = _quantity(value, _TIME, low, high)
        if not low <= seconds <= high:
            raise wrong(f"a time from {least} to {most}")
        return seconds

    return pydantic.WrapValidator(check)


def within(least: str, most: str) -> pydantic.WrapValidator:
    """Bounds of a size, both included, written as in a file."""
    low, high = _octets(least), _octets(most)

    def check(value: object, _: pydantic.ValidatorFunctionWrapHandler) -> int:
        octets = int(_quantity(value, _SIZE, low, high))
        if not low <= octets <= high:
            raise wrong(f"a size from {least} to {most}")
        return octets

    return pydantic.WrapValidator(check)


def provisioned(least: str, most: str) -> pydantic.WrapValidator:
    """Bounds of a bandwidth, both included, written as in a file."""
    low, high = _bandwidth(least), _bandwidth(most)

    def check(value: object, _: pydantic.ValidatorFunctionWrapHandler) -> int:
        octets = int(_quantity(value, _BANDWIDTH, low, high))
        if not low <= octets <= high:
            raise wrong(f"a bandwidth from {least} to {most}")
        return octets

    return pydantic.WrapValidator(check)


class Written:
    """Annotates what a file has as text, and the model as something else.

    pydantic's own annotations prepare, at each start, for models that are written out
    again; none of these is.
    """

    def __init__(
        self,
        read: Callable[[object], object]
        | Callable[[object, pydantic.ValidationInfo], object],
        *,
        informed: bool = False,
        **schema: Any,
    ) -> None:
        """`read` makes the value, and is told of what is around it if `informed`;
        `schema` is what a JSON schema says of the text."""
        self._read: Any = read
        self._informed = informed
        self._schema = {"type": "string", **schema}

    def __get_pydantic_core_schema__(
        self, source: object, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """How pydantic reads it."""
        if self._informed:
            return core_schema.with_info_plain_validator_function(self._read)
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """What an editor is told of it."""
        return dict(self._schema)


def matching(pattern: str, expected: str) -> Written:
    """A text that is as a pattern has it, taken as it is."""

    def read(value: object) -> str:
        text = read_text(value, expected)
        if not re.fullmatch(pattern, text):
            raise wrong(expected)
        return text

    return Written(read, pattern=f"^{pattern}$")


Seconds = Annotated[
    float,
    Written(
        _seconds, **{"pattern": r"^[0-9]+(\.[0-9]+)?(us|ms|s|m|h|d)$", "x-unit": "time"}
    ),
]
"A time, in seconds."
Octets = Annotated[
    int,
    Written(
        _octets, **{"pattern": r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB)$", "x-unit": "size"}
    ),
]
"A size, in bytes."
Rate = Annotated[
    int,
    Written(
        _rate, **{"pattern": r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB)/s$", "x-unit": "rate"}
    ),
]
"A rate, in bytes per second."
Bandwidth = Annotated[
    int,
    Written(
        _bandwidth,
        **{"pattern": r"^[0-9]+(\.[0-9]+)?(kbit|Mbit|Gbit)/s$", "x-unit": "bandwidth"},
    ),
]
"A bandwidth as those who sell lines write it, in bytes per second."
