"""The immutable value that holds all of health and preference, for the data path.

The table builds a new one after every change; a decision takes the reference once. It
can be pickled, so that further processes can be fed.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from protocols.target import Target
from router.endpoint import Endpoint, Kind
from router.health import Health, State


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """How the home edge is preferred; times in seconds."""

    default_edge: str = ""
    "Edge to use until something is measured; empty: the first one configured."
    private_max_extra: float = 0.040
    "A private edge wins unless it is this much slower than the best public one."
    min_gain: float = 0.010
    "Least gain for which home moves soon."
    min_gain_ratio: float = 0.2
    "Least gain for which home moves soon, as a share of home's score."
    dwell: float = 60.0
    "For how long home is held, and a candidate must have been healthy."
    small_gain: float = 0.0005
    "Least gain for which home moves at all."
    small_gain_ratio: float = 0.04
    "Least gain for which home moves at all, as a share of home's score."
    small_gain_hold: float = 1200.0
    "For how long a small gain must last; doubled by each such move in a day."
    window: float = 120.0
    "Age at which a round trip is forgotten."
    loss_window: float = 300.0
    "Age at which a lost probe is forgotten."
    loss_cost: float = 0.200
    "What a lost packet costs a flow: the shortest retransmission time-out of TCP."
    settle: float = 5.0
    "For how long everything is measured before the first home is chosen."
    max_probation: float = 3600.0
    "Longest time that a flapping edge must be healthy before it is home again."


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """What the outer leg of an edge costs; times in seconds."""

    value: float
    "Round trip and penalty together: what edges are compared by."
    round_trip: float
    "Lower quartile of the round trips in the window."
    penalty: float = 0.0
    "What the lost share of the probes costs."
    samples: int = 0
    "Round trips in the window; 0 when the score is an old one."
    lost: int = 0
    "Probes lost in the loss window."
    probes: int = 0
    "Probes sent in the loss window."

    @property
    def fresh(self) -> bool:
        """Whether it rests on samples within the window."""
        return self.samples > 0


@dataclasses.dataclass(frozen=True, slots=True)
class Edge:
    """One edge as the table sees it."""

    name: str
    "Its name."
    kind: Kind
    "How it is reached."
    state: State
    "DOWN when two of its endpoints are, or all."
    since: float
    "When the state last changed, a short suspicion aside."
    score: Score | None
    "Its score; None while unmeasured."
    drained: float | None = None
    "Since when an operator wants no new flows there; None while nobody does."
    flips: int = 0
    "How often it went DOWN within the last hour."
    barred: str = ""
    "Why nothing may be sent to any of its addresses; empty if something may."
    used: bool = True
    "Whether flows may go there: nobody asks how an edge is that none may take."

    @property
    def draining(self) -> bool:
        """Whether an operator wants no new flows there."""
        return self.drained is not None


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """One address of an endpoint."""

    target: Target
    "Where to connect, and with what names."
    health: Health
    "Whether that may be used."
    priority: int = 0
    "Lower ones come first among the addresses of one endpoint."
    weight: int = 1
    "Its share among those of the same priority."


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """One endpoint with its addresses, or one receiver of the site with its."""

    endpoint: Endpoint
    "The product at the edge, or the receiver."
    state: State
    "UP while any address is; DOWN when all are, or there is none."
    since: float
    "When that last changed."
    addresses: tuple[Address, ...]
    "In the order of the DNS answer."

    @property
    def answering(self) -> bool:
        """Whether some address answers, be it DOWN still."""
        return any(address.health.good for address in self.addresses)


@dataclasses.dataclass(frozen=True, slots=True)
class Home:
    """The edge preferred for new flows."""

    edge: str | None = None
    "Its name; None until one is chosen."
    since: float = 0.0
    "When it became home, or when the table started."
    counted: float = 0.0
    "Until when `leads` is counted."
    leads: Mapping[str, float] = dataclasses.field(default_factory=dict)
    "For how many seconds each better edge has led by the small gain, lapses deducted."
    fallen: str | None = None
    "The home that was last left because it was DOWN, until it is home again."
    moves: tuple[float, ...] = ()
    "When home moved for a small gain, within the last day."


@dataclasses.dataclass(frozen=True, slots=True)
class Pin:
    """An operator's wish that an edge be home while it is healthy."""

    edge: str
    "Its name."
    until: float
    "When that ends, in monotonic seconds."


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """The targets of a product in the order to try."""

    groups: tuple[tuple[Target, ...], ...] = ()
    """Targets of one group belong to one endpoint and are used in rotation. One with a
    greater weight is in it more often."""
    usable: int = 0
    "How many of the groups, the first ones, are not DOWN."
    warm: tuple[Target, ...] = ()
    "Targets to keep warm connections to."

    @property
    def first(self) -> tuple[Target, ...]:
        """The targets for a flow that has tried none; empty when there are none."""
        return self.groups[0] if self.groups else ()


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a decision needs."""

    time: float
    "When it was taken."
    settings: Settings
    "How to prefer."
    home: Home
    "The edge preferred for new flows."
    frozen: bool
    "Whether our own uplink is suspected: then home stays."
    edges: Mapping[str, Edge]
    "By name, in configured order."
    services: Mapping[str, tuple[Service, ...]]
    "By product or listener, in configured order."
    routes: Mapping[str, Route] = dataclasses.field(default_factory=dict)
    "By product or listener."
    pin: Pin | None = None
    "Which edge an operator wants for home, if any."
    refusing: bool = False
    "Whether an operator wants no new flow to go to any edge."

    def targets_at(self, edge: str) -> Iterator[Target]:
        """All targets of an edge, or of a receiver."""
        for services in self.services.values():
            for service in services:
                if service.endpoint.edge == edge:
                    yield from (address.target for address in service.addresses)

    def warm(self, product: str) -> tuple[Target, ...]:
        """Where to keep warm connections: at the first endpoint and the runner-up."""
        return self.routes[product].warm if product in self.routes else ()
