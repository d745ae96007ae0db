"""What the table reports when something changed, for the log to explain itself."""

import dataclasses
from collections.abc import Iterable

from protocols.target import Result, Target
from router.election import Switch
from router.health import State


@dataclasses.dataclass(frozen=True, slots=True)
class Flip:
    """A change of health, of an address, an endpoint or an edge.

    An address that was DOWN already, and may now not be used at all, is one, too.
    """

    edge: str
    "Name of the edge or the receiver."
    product: str
    """Names of the products or listeners concerned, joined by commas; empty for an edge
    as a whole."""
    targets: tuple[Target, ...]
    "The address, by each name concerned; empty for an endpoint or an edge as a whole."
    from_: State
    "Health before."
    to: State
    "Health now."
    reason: str
    "The evidence, in words."
    result: Result | None
    "The finding that brought the change about; None if none did."
    lasted: float
    "For how many seconds the old health had held."
    first: bool = False
    "Whether this is its first answer ever."


@dataclasses.dataclass(frozen=True, slots=True)
class UplinkSuspect:
    """Most edges failed at once: verdicts are suspended and home stays."""

    failing: tuple[str, ...]
    "The edges that failed."
    edges: int
    "How many edges had worked before."


@dataclasses.dataclass(frozen=True, slots=True)
class UplinkCleared:
    """Verdicts count again."""

    lasted: float
    "For how many seconds they were suspended."
    reason: str
    "What showed that the uplink works."


@dataclasses.dataclass(frozen=True, slots=True)
class RegionFailed:
    """No edge is of use any more, and it is not our own side's fault."""

    edges: int
    "How many edges there are."
    reason: str
    "What the last one of them fell by, in words."
    result: Result | None
    "The finding behind that; None if there was none."


@dataclasses.dataclass(frozen=True, slots=True)
class RegionRecovered:
    """An edge is of use again."""

    lasted: float
    "For how many seconds none was."
    edge: str
    "The first one that is."


@dataclasses.dataclass(frozen=True, slots=True)
class Stalled:
    """Our own event loop was late: what seemed to fail meanwhile does not count."""

    late: float
    "Seconds by which it was late."


@dataclasses.dataclass(frozen=True, slots=True)
class PinEnded:
    """The time is over for which an operator had pinned an edge."""

    edge: str
    "The edge."


Change = (
    Flip
    | Switch
    | UplinkSuspect
    | UplinkCleared
    | RegionFailed
    | RegionRecovered
    | Stalled
    | PinEnded
)
"Anything that the table reports."


def joined(flips: Iterable[Flip]) -> tuple[Flip, ...]:
    """Flips of one edge that differ by their product only, made one."""
    groups: dict[object, list[Flip]] = {}
    for flip in flips:
        kind = (not flip.product, flip.from_, flip.to, flip.first)
        groups.setdefault(kind, []).append(flip)
    return tuple(
        dataclasses.replace(group[0], product=listed(flip.product for flip in group))
        for group in groups.values()
    )


def listed(products: Iterable[str]) -> str:
    """Names of products in one text, each once."""
    return ", ".join(dict.fromkeys(products))
