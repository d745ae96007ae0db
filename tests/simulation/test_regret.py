"""What a silent edge costs the calls, with the policy and the probes as they are.

The real table, choice and proxy, in virtual time; each edge has four addresses and
speaks UDP.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Sequence

import pytest

from protocols.sip.peers import Action, Observed, Peer, Send, Side
from protocols.sip.proxy import Proxy
from protocols.target import ALIVE, Outcome, Result, Target, Transport
from router.choice import Choice
from router.endpoint import Endpoint, Kind, Protocol
from router.location import plain
from router.records import ProbeOrder
from router.snapshot import Snapshot
from router.table import Table
from tests.protocols.sip.stage import (
    PBX,
    SETTINGS,
    Known,
    method,
    request,
    response,
    status,
)

ROUND_TRIPS = {"ashburn": 0.010, "dublin": 0.080, "sydney": 0.200}
"Seconds to each edge."
ADDRESSES = 4
"Of each edge."
QUIET = 100.0
"Seconds until an edge falls silent."


class World:
    """Edges, what the router knows of them, and calls."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.now = 0.0
        self.silent: set[str] = set()
        "Addresses that answer nothing."
        self.delays: list[float] = []
        "Seconds that each call took beyond the round trip to the best living edge."
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.table = Table(
            dict.fromkeys(ROUND_TRIPS, Kind.PUBLIC),
            [_endpoint(edge) for edge in ROUND_TRIPS],
            now=0.0,
            uniform=chance.uniform,
        )
        for edge in ROUND_TRIPS:
            self.table.addresses(f"{edge}.test", plain(addresses(edge)), 0.0)
        self._proxy = Proxy(
            SETTINGS,
            Choice(self, "pstn"),
            lambda _: None,
            Known(()),
            lambda: b"%d" % next(self._order),
        )
        self._begun: dict[bytes, float] = {}

    @property
    def snapshot(self) -> Snapshot:
        """What the policy says now."""
        return self.table.snapshot(self.now)

    def call(self) -> None:
        """A call of the PBX."""
        name = f"call{next(self._order)}"
        self._begun[name.encode()] = self.now
        via = f"SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK{name}"
        self._received(request("INVITE", via=via, call_id=name), PBX)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Have something done after so many seconds."""
        heapq.heappush(self._events, (self.now + seconds, next(self._order), act))

    def run(self, until: float) -> None:
        """Play time forward."""
        while self._step(until):
            pass
        self.now = until

    def _step(self, until: float) -> bool:
        event = self._events[0][0] if self._events else until
        timer, probe = self._proxy.next_timer(), self.table.next_due()
        soonest = min(event, timer, probe)
        if soonest >= until:
            return False
        self.now = max(self.now, soonest)
        if event == soonest:
            heapq.heappop(self._events)[2]()
        elif timer == soonest:
            self._do(self._proxy.tick(self.now))
        else:
            for order in self.table.due(self.now):
                self._probe(order)
        return True

    def _probe(self, order: ProbeOrder) -> None:
        answered = order.target.address not in self.silent
        far = ROUND_TRIPS[order.target.label]
        found = Outcome(Result.ALIVE, round_trip=far)
        self.later(
            far if answered else order.timeout,
            lambda: self.table.observe(
                order.target,
                found if answered else Outcome(Result.TIMEOUT),
                self.now,
                order,
            ),
        )

    def _received(self, data: bytes, source: Peer) -> None:
        self._do(self._proxy.received(data, source, self.now))

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Observed):
                self._observe(action.target, action.outcome)
            elif isinstance(action, Send) and isinstance(action.to, Target):
                if method(action) == "INVITE" and action.to.address not in self.silent:
                    self._answer_invite(action, action.to)
            elif isinstance(action, Send) and status(action) == 200:
                self._answered(action)

    def _observe(self, target: Target, outcome: Outcome) -> None:
        record = self.table.carefree.get(target.key)
        if outcome is ALIVE and record is not None:
            record.heard = self.now
        else:
            self.table.observe(target, outcome, self.now)

    def _answer_invite(self, sent: Send, edge: Target) -> None:
        source = Peer(Side.EDGE, Transport.UDP, edge.address, edge.port)
        self.later(
            ROUND_TRIPS[edge.label],
            lambda: self._received(response(sent, "200 OK"), source),
        )

    def _answered(self, sent: Send) -> None:
        call_id = sent.data.partition(b"Call-ID: ")[2].partition(b"\r\n")[0]
        took = self.now - self._begun.pop(call_id)
        silent = self.silent
        best = next(one for one in ROUND_TRIPS if not silent & {*addresses(one)})
        self.delays.append(took - ROUND_TRIPS[best])


def _endpoint(edge: str) -> Endpoint:
    return Endpoint(
        product="pstn",
        edge=edge,
        protocol=Protocol.SIP,
        transport=Transport.UDP,
        resolve=f"{edge}.test",
        port=5060,
        host="trunk.pstn.test",
    )


def addresses(edge: str) -> list[str]:
    """The addresses of an edge."""
    return [f"192.0.{[*ROUND_TRIPS].index(edge)}.{n + 1}" for n in range(ADDRESSES)]


def late(silent: int, pause: float, calls: int, seed: int = 1) -> list[float]:
    """What calls wait beyond the round trip from when addresses of home fall silent."""
    world = World(seed)
    world.run(QUIET)
    world.silent = {*addresses("ashburn")[:silent]}
    for number in range(calls):
        world.later(number * pause, world.call)
    world.run(QUIET + calls * pause + 15.0)
    assert len(world.delays) == calls, "a call failed"
    return [delay for delay in world.delays if delay > 1.0]


@pytest.mark.parametrize(
    ("pause", "calls", "most"), [(0.02, 200, 54), (1.0, 30, 6), (10.0, 10, 2)]
)
@pytest.mark.parametrize("seed", range(2))
def test_few_calls_wait_for_an_edge_that_has_fallen_silent(
    pause: float, calls: int, most: int, seed: int
) -> None:
    found = late(ADDRESSES, pause, calls, seed)
    assert 1 <= len(found) <= most
    assert max(found) <= 2.1, "the next one is asked at another edge"


@pytest.mark.parametrize(("pause", "most"), [(0.02, 13), (1.0, 1)])
def test_fewer_wait_for_one_silent_address(pause: float, most: int) -> None:
    found = late(1, pause, 100)
    assert 1 <= len(found) <= most
    assert max(found) <= 2.1
