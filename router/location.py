"""Where a name leads: an address, and what SRV records say beside it."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Sequence

from protocols.target import hostport

SLOTS = 100
"Turns of a rotation at most, so that a share is true to one in a hundred."


@dataclasses.dataclass(frozen=True, slots=True)
class Location:
    """One address to which a name leads."""

    address: str
    "IP address literal."
    port: int = 0
    "Port from an SRV record; 0 leaves it to the endpoint."
    priority: int = 0
    "Lower ones are used while any of them works."
    weight: int = 1
    "Its share among those of the same priority, against the sum of theirs."

    def __str__(self) -> str:
        if not self.port:
            return self.address
        return hostport(self.address, self.port)


def plain(addresses: Iterable[str]) -> tuple[Location, ...]:
    """Locations of addresses of which no more is known."""
    return tuple(Location(address) for address in addresses)


@functools.lru_cache(1024)
def rotation(weights: tuple[int, ...]) -> tuple[int, ...]:
    """Places of a list in the order in which to use them, over and over.

    Each comes as often as its weight asks for, and as evenly spread as can be: of two
    with 3 and 1 it is 0 0 1 0. RFC 2782 draws lots for each choice; in turn the same
    shares come about, and sooner.
    """
    slots = _slots(weights)
    total = sum(slots)
    credit = [0] * len(slots)
    turns = []
    for _ in range(total):
        credit = [have + more for have, more in zip(credit, slots, strict=True)]
        chosen = credit.index(max(credit))
        credit[chosen] -= total
        turns.append(chosen)
    return tuple(turns)


def _slots(weights: Sequence[int]) -> list[int]:
    """How often each comes in a round."""
    total, common = sum(weights), math.gcd(*weights)
    if not total:
        return [1] * len(weights)
    if min(weights) and total // common <= SLOTS:
        return [weight // common for weight in weights]
    # RFC 2782: "In the presence of records containing weights greater than 0, records
    # with weight 0 should have a very small chance of being selected."
    return [max(1, round(weight * SLOTS / total)) for weight in weights]
