"""What the table reports when something changed, for the log to explain itself."""

import dataclasses

from protocols.target import Result, Target
from router.election import Switch
from router.health import State


@dataclasses.dataclass(frozen=True, slots=True)
class Flip:
    """A change of health, of an address, an endpoint or an edge."""

    edge: str
    "Name of the edge or the receiver."
    product: str
    "Name of the product or the listener; empty for an edge as a whole."
    target: Target | None
    "The address; None for an endpoint or an edge as a whole."
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
class Stalled:
    """Our own event loop was late: what seemed to fail meanwhile does not count."""

    late: float
    "Seconds by which it was late."


Change = Flip | Switch | UplinkSuspect | UplinkCleared | Stalled
"Anything that the table reports."
