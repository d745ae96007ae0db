"""What survives a restart: scores and last good addresses, as plain data."""

import dataclasses
import ipaddress
from collections.abc import Mapping

from router.location import Location
from router.names import usable

VERSION = 1
"Format of the saved data."

MAX_NAMES = 1024
"Names and edges accepted: more is not ours."

MAX_ADDRESSES = 16
"Addresses kept for one name; an edge has three or four."

_LIMITS = (65_535, 65_535, 1 << 40)
"Greatest port, priority and weight; a weight may have been divided among addresses."

MAX_OPTIONS = MAX_NAMES * MAX_ADDRESSES
"Addresses of which it is kept when they were last asked."

MAX_AGE = 3600.0
"Seconds; what is longer ago counts no more."

MAX_SCORE = 60.0
"Seconds; a round trip beyond is not ours."


class SavedError(ValueError):
    """The saved data is not what `dump` writes; the message says where."""


@dataclasses.dataclass(frozen=True, slots=True)
class Saved:
    """Knowledge from an earlier run."""

    scores: Mapping[str, float]
    "Score of each edge in seconds."
    addresses: Mapping[str, tuple[Location, ...]]
    "Where each name last led."
    options: Mapping[str, float] = dataclasses.field(default_factory=dict)
    "Seconds since the last OPTIONS to each address, where that still counts."
    ended: bool = False
    "Whether all other addresses may be asked at once: a crash leaves it False."
    calls: object = None
    "Calls on links, as whoever counts them has saved them; None if there were none."


def dump(saved: Saved) -> dict[str, object]:
    """The same as data that JSON can hold, but for calls: who counts them adds them."""
    return {
        "version": VERSION,
        "scores": dict(saved.scores),
        "addresses": {
            name: [_written(one) for one in found]
            for name, found in saved.addresses.items()
        },
        "options": dict(saved.options),
        "ended": saved.ended,
    }


def parse(data: object) -> Saved:
    """Read what `dump` wrote. Raises SavedError for anything else.

    Addresses at which no provider can be are left out, as they are of an answer.
    """
    root = _mapping(data, "the whole")
    if root.get("version") != VERSION:
        raise SavedError(f"version {root.get('version')!r:.40}, expected {VERSION}")
    scores = _mapping(root.get("scores"), "scores")
    addresses = _mapping(root.get("addresses"), "addresses")
    read = {name: _addresses(name, found) for name, found in addresses.items()}
    options = _mapping(root.get("options", {}), "options", MAX_OPTIONS)
    return Saved(
        scores={edge: _score(edge, value) for edge, value in scores.items()},
        addresses={name: found for name, found in read.items() if found},
        options={address: _age(address, value) for address, value in options.items()},
        ended=root.get("ended") is True,
        calls=root.get("calls"),
    )


def _mapping(value: object, where: str, limit: int = MAX_NAMES) -> dict[str, object]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise SavedError(f"{where}: expected names with values")
    if len(value) > limit:
        raise SavedError(f"{where}: more than {limit} names")
    return value


def _score(edge: str, value: object) -> float:
    # bool is an int to Python, and Python's JSON reader lets NaN pass.
    match value:
        case bool():
            pass
        case int() | float() if 0 <= value <= MAX_SCORE:
            return float(value)
    raise SavedError(f"scores, {edge:.80}: expected seconds up to {MAX_SCORE:.0f}")


def _written(location: Location) -> object:
    """An address alone where there is no more to tell."""
    if location == Location(location.address):
        return location.address
    return list(dataclasses.astuple(location))


def _age(address: str, value: object) -> float:
    match value:
        case int() | float() if is_address(address) and 0 <= value < MAX_AGE:
            return float(value)
    raise SavedError(f"options, {address:.80}: expected seconds of an address")


def _addresses(name: str, found: object) -> tuple[Location, ...]:
    where = f"addresses, {name:.80}"
    if not isinstance(found, list) or len(found) > MAX_ADDRESSES:
        raise SavedError(f"{where}: expected a list of up to {MAX_ADDRESSES}")
    read = [_location(one, where) for one in found]
    return tuple(one for one in read if usable(one.address) is not None)


def _location(value: object, where: str) -> Location:
    match value:
        case str() as address if is_address(address):
            return Location(str(ipaddress.ip_address(address)))
        case [str() as address, int() as port, int() as priority, int() as weight] if (
            is_address(address)
        ):
            numbers = zip((port, priority, weight), _LIMITS, strict=True)
            if all(0 <= number <= limit for number, limit in numbers):
                address = str(ipaddress.ip_address(address))
                return Location(address, port, priority, weight)
    raise SavedError(f"{where}: {value!r:.60} is no IP address")


def is_address(text: str) -> bool:
    """Whether a text is an IP address literal."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
