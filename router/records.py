"""What the table remembers of addresses, endpoints and edges."""

import dataclasses
import math
from collections import deque
from typing import NamedTuple

from protocols.target import Result, Target
from router import health, snapshot
from router.changes import Flip
from router.endpoint import Endpoint, Kind, Protocol
from router.health import Health, State
from router.location import Location
from router.routes import patience
from router.window import Losses, Window

FLIP_MEMORY = 3600.0
"Seconds for which an edge's flips delay its return as home."

SMOOTHING = 0.2
"Weight of the latest round trip of an address."

MIN_PROBES = 20
"Probes that loss is a share of at least: one lost of two is not half."


@dataclasses.dataclass(frozen=True, slots=True)
class Cause:
    """What brought a change of health about."""

    reason: str
    "In words."
    result: Result | None = None
    "The finding, if it was one."
    barred: bool = False
    "Whether it is that nothing may be sent: no sign of a failing uplink."


class Exit(NamedTuple):
    """By which way packets have to leave this machine."""

    device: str
    "Name of the interface."
    source: str | None
    "Local address that they bear; None leaves it to the system."
    address: str
    "Where they go."


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeOrder:
    """A probe to send now; times in monotonic seconds."""

    number: int
    "Distinguishes the orders of one address; a later one is greater."
    target: Target
    "Whom to ask."
    protocol: Protocol
    "In which protocol."
    sent: float
    "When it was ordered."
    timeout: float
    "Seconds after which it has failed."
    regular: bool
    "Whether its turn had come; others are no fair sample of loss."

    @property
    def deadline(self) -> float:
        """When it has failed."""
        return self.sent + self.timeout


@dataclasses.dataclass(eq=False, slots=True)
class Record:
    """What the table knows of one address; several endpoints may share it."""

    targets: deque[Target]
    "The address by the names of each product there; the first is probed next."
    protocol: Protocol
    "In which protocol to probe it."
    receiver: bool
    "Whether it is at the site."
    health: Health
    "The verdict and its evidence."
    heard: float = -math.inf
    "When a live flow was answered, as long as that is not in `health` yet."
    round_trip: float | None = None
    "Smoothed round trip in seconds."
    sent: float = -math.inf
    "When the last probe was ordered."
    due: float = 0.0
    "When the next one is."
    urgent: bool = False
    "Whether something asked for a probe at once."
    asked: float = -math.inf
    "When a silent flow last asked for one."
    orders: dict[int, ProbeOrder] = dataclasses.field(default_factory=dict)
    "Probes under way."
    answered: int = 0
    "Number of the last probe that was answered."
    doubted: int = 0
    "Number of the last probe that was found overdue."
    refused: dict[Target, str] = dataclasses.field(default_factory=dict)
    """The names with which no TLS handshake came about, and why, while it does with
    others: the address is well, and a suspect by those names only."""

    @classmethod
    def of(
        cls, target: Target, protocol: Protocol, receiver: bool, health: Health
    ) -> "Record":
        """The record of an address of which one name is known so far."""
        return cls(deque([target]), protocol, receiver, health)

    @property
    def target(self) -> Target:
        """Whom to probe next. All but the names is the same for all targets."""
        return self.targets[0]

    @property
    def exit(self) -> Exit | None:
        """The one way by which packets may leave to it; None if any will do."""
        target = self.target
        if target.device is None:
            return None
        return Exit(target.device, target.source, target.address)

    def share(self, target: Target) -> None:
        """Let one more product use the address."""
        self.targets.append(self.advised(target))

    def leave(self, target: Target) -> bool:
        """Let a product use the address no more; whether another one still does."""
        self.targets.remove(target)
        self.refused.pop(target, None)
        return bool(self.targets)

    def fold(self) -> None:
        """Take over what the hot path has noted."""
        if self.heard > self.health.heard:
            self.health = health.heard(self.health, self.heard)
        self.heard = -math.inf

    def measure(self, seen: float) -> bool:
        """Take in a round trip in seconds; whether the advice on the targets changed.

        It does when it is off by a fifth.
        """
        known = self.round_trip
        self.round_trip = seen if known is None else known + SMOOTHING * (seen - known)
        given = self.target.round_trip
        if given is not None and abs(self.round_trip - given) <= 0.2 * given:
            return False
        self.targets = deque(
            dataclasses.replace(
                target,
                patience=patience(self.round_trip),
                round_trip=self.round_trip,
            )
            for target in self.targets
        )
        return True

    def advised(self, target: Target) -> Target:
        """A target of this address with the advice that holds for the address."""
        first = self.target
        return dataclasses.replace(
            target, patience=first.patience, round_trip=first.round_trip
        )

    def health_of(self, target: Target) -> Health:
        """The health of the address by one of its names."""
        why = self.refused.get(target)
        if why is None or self.health.state is not State.UP:
            return self.health
        return dataclasses.replace(self.health, state=State.SUSPECT, reason=why)

    def refuse(self, target: Target, why: str) -> bool:
        """Note that no handshake came about; whether the fault is the name's alone.

        It is as long as there are other names without such a fault. With none left
        the address is to blame, and the names are given another chance.
        """
        self.refused[target] = why
        if len(self.refused) < len(self.targets):
            return True
        self.refused.clear()
        return False


@dataclasses.dataclass(eq=False, slots=True)
class EndpointRecord:
    """An endpoint, or a receiver of the site, with the addresses known of it."""

    endpoint: Endpoint
    "What it is."
    receiver: bool
    "Whether it is at the site."
    since: float
    "When the state last changed."
    state: State = State.SUSPECT
    "UP while any address is; DOWN when all are, or it is known to have none."
    resolved: bool = False
    "Whether its addresses were ever asked for with success."
    proved: bool = False
    "Whether it ever was UP."
    targets: dict[Target, Record] = dataclasses.field(default_factory=dict)
    "Its addresses by its own names, and what is known of them."
    locations: dict[Target, Location] = dataclasses.field(default_factory=dict)
    "The same as the look-up gave them."

    @property
    def records(self) -> tuple[Record, ...]:
        """What is known of its addresses, shared with others there."""
        return tuple(self.targets.values())

    def judge(self, now: float, cause: Cause) -> Flip | None:
        """Take over the health of the addresses; what changed, if anything did."""
        states = [record.health_of(t).state for t, record in self.targets.items()]
        state = best(states) if states or self.resolved else State.SUSPECT
        if state is self.state:
            return None
        flip = Flip(
            edge=self.endpoint.edge,
            product=self.endpoint.product,
            targets=(),
            from_=self.state,
            to=state,
            reason=cause.reason,
            result=cause.result,
            lasted=now - self.since,
            first=state is State.UP and not self.proved,
        )
        self.state, self.since = state, now
        self.proved = self.proved or state is State.UP
        return flip

    def service(self) -> snapshot.Service:
        """The same, immutable."""
        return snapshot.Service(
            endpoint=self.endpoint,
            state=self.state,
            since=self.since,
            addresses=tuple(
                snapshot.Address(
                    record.advised(target),
                    record.health_of(target),
                    self.locations[target].priority,
                    self.locations[target].weight,
                )
                for target, record in self.targets.items()
            ),
        )


@dataclasses.dataclass(eq=False, slots=True)
class EdgeRecord:
    """An edge with its endpoints and what was measured there."""

    name: str
    "Its name."
    kind: Kind
    "How it is reached."
    since: float
    "When the state last changed, short suspicions aside."
    window: Window
    "Round trips of all its endpoints."
    losses: Losses
    "Probes lost at any of them."
    loss_cost: float
    "Seconds that a lost packet costs."
    endpoints: list[EndpointRecord] = dataclasses.field(default_factory=list)
    "Its endpoints."
    state: State = State.SUSPECT
    "DOWN when two or more endpoints with addresses of their own are, or all."
    result: Result | None = None
    "The finding that made it so; None if none did."
    proved: bool = False
    "Whether it ever was UP."
    drained: float | None = None
    "Since when an operator wants no new flows there; None while nobody does."
    failed: float = -math.inf
    "When it ceased to be UP, unless it is UP again, or it is what it answers."
    flips: deque[float] = dataclasses.field(default_factory=lambda: deque(maxlen=8))
    "When it went DOWN, within the last hour."
    score: snapshot.Score | None = None
    "What it costs; the last one known when nothing was measured lately."
    measured: bool = False
    "Whether the score is out of date."

    @classmethod
    def of(cls, name: str, kind: Kind, now: float) -> "EdgeRecord":
        """The record of an edge of which nothing is known; `change` must follow."""
        return cls(name, kind, now, Window(0.0), Losses(0.0), 0.0)

    def change(self, kind: Kind, chosen: snapshot.Settings) -> None:
        """Count as these say from now on. The endpoints are yet to be given anew."""
        self.kind = kind
        self.window.length = chosen.window
        self.losses.length = chosen.loss_window
        self.loss_cost = chosen.loss_cost
        self.endpoints = []

    @property
    def records(self) -> tuple[Record, ...]:
        """What is known of the addresses of its endpoints."""
        return tuple(dict.fromkeys(r for one in self.endpoints for r in one.records))

    @property
    def useless(self) -> bool:
        """Whether it is DOWN, or all that it answers are failures of its own."""
        failing = self.result is Result.SERVER_ERROR
        return self.state is State.DOWN or (self.state is State.SUSPECT and failing)

    def judge(self, now: float, cause: Cause) -> Flip | None:
        """Take over the state of the endpoints; what changed, if anything did."""
        state = self._state()
        if state is self.state:
            return None
        old, self.state = self.state, state
        self.result = cause.result
        flip = Flip(
            edge=self.name,
            product="",
            targets=(),
            from_=old,
            to=state,
            reason=cause.reason,
            result=cause.result,
            lasted=now - self.since,
            first=state is State.UP and not self.proved,
        )
        # A bad answer is an answer: it came by our uplink, which is beyond doubt.
        answered = cause.result is Result.SERVER_ERROR
        if old is State.UP and not (answered or cause.barred):
            self.failed = now
        elif state is State.UP or cause.barred:
            self.failed = -math.inf
        if State.DOWN in (old, state) or not self.proved:
            # A suspicion that comes to nothing does not start the clock again.
            self.since = now
        self.proved = self.proved or state is State.UP
        if state is State.DOWN:
            self.flips.append(now)
            self.losses.clear()
        return flip

    def edge(self, now: float) -> snapshot.Edge:
        """The same, immutable, with the score of the moment."""
        while self.flips and now - self.flips[0] > FLIP_MEMORY:
            self.flips.popleft()
        if self.window.expire(now) | self.losses.expire(now) | self.measured:
            self.measured = False
            self.score = self._score()
        return snapshot.Edge(
            name=self.name,
            kind=self.kind,
            state=self.state,
            since=self.since,
            score=self.score,
            drained=self.drained,
            flips=len(self.flips),
            barred=self._barred(),
            used=bool(self.endpoints),
        )

    def _barred(self) -> str:
        """Why nothing may be sent to any of its addresses; empty if something may."""
        found = [record.health for record in self.records]
        return found[0].reason if found and all(one.barred for one in found) else ""

    def _state(self) -> State:
        """Two endpoints DOWN condemn the edge: that is no fault of one product.

        Endpoints that share all their addresses are one witness.
        """
        witnesses = {
            (frozenset(known.records), known.state): known.state
            for known in self.endpoints
            if known.records
        }
        states = list(witnesses.values())
        if not states:
            resolved = all(known.resolved for known in self.endpoints)
            return State.DOWN if resolved else State.SUSPECT
        return State.DOWN if states.count(State.DOWN) >= 2 else best(states)

    def _score(self) -> snapshot.Score | None:
        if not self.window:
            return self.score and dataclasses.replace(self.score, samples=0)
        quartile = self.window.lower_quartile()
        lost, probes = self.losses.lost, len(self.losses)
        penalty = self.loss_cost * lost / max(probes, MIN_PROBES)
        return snapshot.Score(
            value=quartile + penalty,
            round_trip=quartile,
            penalty=penalty,
            samples=len(self.window),
            lost=lost,
            probes=probes,
        )


def best(states: list[State]) -> State:
    """UP while anything is; DOWN when all are, or there is none."""
    if State.UP in states:
        return State.UP
    return State.SUSPECT if State.SUSPECT in states else State.DOWN
