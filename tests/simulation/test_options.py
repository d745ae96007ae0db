"""OPTIONS never come too fast, whatever the DNS, flows and restarts do: by seeds."""

import heapq
import json
import math
import random
from collections.abc import Callable

import pytest

from protocols.target import ALIVE, Outcome, Result, Target, Transport
from router import health
from router.endpoint import Endpoint, Kind, Protocol
from router.location import Location
from router.records import ProbeOrder
from router.table import Table

SEEDS = 40
STEP = 20
INTERVAL = 15.0
ADDRESSES = tuple(f"192.0.2.{n}" for n in range(1, 7))
PORTS = (0, 5060, 5070)
EDGES = ("ashburn", "dublin")
FINDINGS = (ALIVE, Outcome(Result.TIMEOUT), Outcome(Result.SERVER_ERROR))
NEWS = tuple(map(Outcome, (Result.RESET, Result.SILENT, Result.REFUSED)))


def endpoint(edge: str, transport: Transport) -> Endpoint:
    """Of one of two trunks, each with a transport of its own."""
    name = f"{transport.value}.{edge}.test"
    return Endpoint(transport.value, edge, Protocol.SIP, transport, name, 5060, name)


ENDPOINTS = tuple(
    endpoint(edge, transport)
    for edge in EDGES
    for transport in (Transport.UDP, Transport.TCP)
)


class World:
    """Daemons, one after the other, and the provider that counts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = 0.0
        "Time of the process that runs."
        self.lag = 0.0
        "How far that is behind the clock on the wall."
        self.asked: dict[str, float] = {}
        self.found: dict[str, tuple[Location, ...]] = {}
        self.file: tuple[str, float] | None = None
        self._order = 0
        self._awaited: list[tuple[float, int, ProbeOrder, Outcome]] = []
        self.table = self.started()

    @property
    def now(self) -> float:
        """What the clock on the wall shows."""
        return self.clock + self.lag

    def started(self) -> Table:
        """A new table, as a start or a reload makes it."""
        return Table(
            dict.fromkeys(EDGES, Kind.PUBLIC),
            ENDPOINTS,
            now=self.clock,
            uniform=self.random.uniform,
            settings=health.Settings(sip_options_interval=INTERVAL),
        )

    def run(self) -> None:
        """Let things happen, and then nothing more."""
        self.look_up()
        events: tuple[Callable[[], None], ...] = (
            self.look_up,
            self.look_up,
            self.forget,
            self.report,
            self.report,
            self.save,
            self.restart,
            self.crash,
            self.reload,
        )
        for _ in range(30):
            self.random.choice(events)()
            self.pass_time(
                self.random.choice((0.0, 0.3, 3.0, 20.0)) * self.random.random()
            )
        self.look_up()
        self.pass_time(1.5 * INTERVAL)
        quiet = self.now
        self.pass_time(len(ENDPOINTS) * 1.2 * INTERVAL)
        served = {one.address for found in self.found.values() for one in found}
        late = [one for one in served if self.asked.get(one, -math.inf) < quiet]
        assert not late, f"never asked: {late}"

    def pass_time(self, seconds: float) -> None:
        """Do all that falls due, at its time."""
        end = self.clock + seconds
        while True:
            answer = self._awaited[0][0] if self._awaited else math.inf
            soonest = min(answer, self.table.next_due())
            if soonest > end:
                self.clock = end
                return
            self.clock = max(self.clock, soonest)
            while self._awaited and self._awaited[0][0] <= self.clock:
                _, _, order, outcome = heapq.heappop(self._awaited)
                self.table.observe(order.target, outcome, self.clock, order)
            for order in self.table.due(self.clock):
                self.ask(order)

    def ask(self, order: ProbeOrder) -> None:
        """The provider gets OPTIONS, and looks at its watch."""
        address = order.target.address
        gap = self.now - self.asked.get(address, -math.inf)
        assert gap > INTERVAL - 1e-6, f"{address} again after {gap:.3f} s"
        self.asked[address] = self.now
        self._order += 1
        outcome = self.random.choice(FINDINGS)
        when = self.clock + self.random.random() * order.timeout
        heapq.heappush(self._awaited, (when, self._order, order, outcome))

    # ---- What may happen ----------------------------------------------------------

    def look_up(self) -> None:
        """Some names lead elsewhere."""
        for one in ENDPOINTS:
            if self.random.random() < 0.5:
                chosen = self.random.sample(ADDRESSES, self.random.randint(0, 4))
                self.found[one.resolve] = tuple(
                    Location(address, self.random.choice(PORTS)) for address in chosen
                )
                self.resolve(one.resolve)

    def forget(self) -> None:
        """All names are gone for a while, and come back."""
        for name in self.found:
            self.table.addresses(name, (), self.clock)
        self.pass_time(self.random.choice((0.0, 5.0)))
        self.tell_names()

    def report(self) -> None:
        """Flows have news of some targets, good and bad."""
        targets = self.targets()
        for target in self.random.sample(targets, min(3, len(targets))):
            self.table.observe(target, self.random.choice(NEWS), self.clock)

    def save(self) -> None:
        """The state is written, in the middle of things."""
        self.write(ended=False)

    def restart(self) -> None:
        """The daemon ends in order, and comes back."""
        self.write(ended=True)
        self.come_back()

    def crash(self) -> None:
        """The daemon is gone, and what it had not written is lost."""
        if self.random.random() < 0.2:
            self.file = None
        self.come_back()

    def reload(self) -> None:
        """Another table takes over in the same process."""
        data = self.table.saved(self.clock, ended=True)
        self._awaited.clear()
        self.table = self.started()
        self.table.restore(data, self.clock)
        self.tell_names()

    # ---- How ----------------------------------------------------------------------

    def resolve(self, name: str) -> None:
        self.table.addresses(name, self.found[name], self.clock)

    def tell_names(self) -> None:
        for name in self.found:
            self.resolve(name)

    def targets(self) -> list[Target]:
        snapshot = self.table.snapshot(self.clock)
        routes = snapshot.routes.values()
        return [target for r in routes for group in r.groups for target in group]

    def write(self, *, ended: bool) -> None:
        saved = self.table.saved(self.clock, ended=ended)
        self.file = json.dumps(saved), self.now

    def come_back(self) -> None:
        """As `Knowledge` does it."""
        self._awaited.clear()
        now = self.now + self.random.choice((0.1, 1.0, 8.0, 40.0))
        self.clock = self.random.uniform(0.0, 1e5)
        self.lag = now - self.clock
        self.table = self.started()
        if self.file is None:
            self.table.doubt(self.clock)
        else:
            text, written = self.file
            self.table.restore(json.loads(text), self.clock, age=self.now - written)
        self.write(ended=False)
        self.tell_names()


@pytest.mark.parametrize("first", range(0, SEEDS, STEP))
def test_options_to_an_address_are_never_closer_than_their_interval(first: int) -> None:
    for seed in range(first, first + STEP):
        try:
            World(seed).run()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
