"""A provider in virtual time that drives a table: no sockets, no clock, no waiting."""

import asyncio
import dataclasses
import heapq
import math
import random
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from protocols.net.tasks import Tasks
from protocols.target import ALIVE, Outcome, Result, Target, Transport
from router.changes import Change
from router.checker import Checker
from router.endpoint import Endpoint, Kind, Protocol
from router.health import Health, State
from router.location import Location, plain
from router.records import ProbeOrder
from router.snapshot import Address, Edge, Home, Score, Service, Settings, Snapshot
from router.table import Table


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], uvloop.Loop]]:
    return {"uvloop": uvloop.Loop}


Answer = Callable[[Target, float], tuple[float, Outcome]]
"What a probe of a target at a time will find, and after how many seconds."


class Provider:
    """Answers the probes of a table, and plays time forward."""

    def __init__(self) -> None:
        self.now = 0.0
        self.chance = random.Random(1)
        self.round_trips: dict[str, float] = {}
        self.dead: set[str] = set()
        self.refusing: set[str] = set()
        self.loss = 0.0
        self.jitter = 0.0
        self.changes: list[tuple[float, Change]] = []
        self.orders: list[ProbeOrder] = []
        self.under_way: list[tuple[float, int, ProbeOrder, Outcome]] = []

    def endpoint(
        self,
        edge: str,
        product: str = "api",
        protocol: Protocol = Protocol.HTTPS,
        resolve: str = "",
    ) -> Endpoint:
        """An endpoint at an edge, named after both unless told otherwise."""
        return Endpoint(
            product=product,
            edge=edge,
            protocol=protocol,
            transport=Transport.TLS,
            resolve=resolve or f"{product}.{edge}.example.com",
            port=443,
            host=f"{product}.{edge}.example.com",
        )

    def table(self, round_trips: dict[str, float], **options: object) -> Table:
        """A table of public edges, one product, one address each, all measured."""
        self.round_trips = dict(round_trips)
        table = Table(
            dict.fromkeys(round_trips, Kind.PUBLIC),
            [self.endpoint(edge) for edge in round_trips],
            now=self.now,
            uniform=self.chance.uniform,
            **options,  # type: ignore[arg-type]
        )
        for number, edge in enumerate(round_trips):
            found = plain([f"192.0.2.{number + 1}"])
            table.addresses(f"api.{edge}.example.com", found, self.now)
        return table

    def answer(self, order: ProbeOrder) -> tuple[float, Outcome]:
        """When and how a probe is answered."""
        edge = order.target.label
        round_trip = self.round_trips[edge] + self.chance.uniform(0, self.jitter)
        if edge in self.refusing:
            return self.now + round_trip, Outcome(Result.REFUSED)
        lost = self.chance.random() < self.loss
        if edge in self.dead or lost or 2 * round_trip > order.timeout:
            return order.deadline, Outcome(Result.TIMEOUT)
        return self.now + 2 * round_trip, Outcome(Result.ALIVE, round_trip=round_trip)

    def run(self, table: Table, until: float) -> Snapshot:
        """Play time forward."""
        while True:
            arrival = self.under_way[0][0] if self.under_way else math.inf
            due = min(table.next_due(), arrival)
            if due > until:
                self.now = until
                return table.snapshot(until)
            self.now = max(self.now, due)
            self.step(table)

    def step(self, table: Table) -> None:
        """Deliver what has come in, send what is due."""
        while self.under_way and self.under_way[0][0] <= self.now:
            _, _, order, outcome = heapq.heappop(self.under_way)
            table.observe(order.target, outcome, self.now, order)
        for order in table.due(self.now):
            self.orders.append(order)
            when, outcome = self.answer(order)
            heapq.heappush(self.under_way, (when, order.number, order, outcome))
        table.snapshot(self.now)
        self.changes += [(self.now, change) for change in table.changes()]

    def live(self, table: Table, target: Target, outcome: Outcome = ALIVE) -> None:
        """A flow reports."""
        record = table.carefree.get(target.key)
        if outcome is ALIVE and record is not None:
            record.heard = self.now
        else:
            table.observe(target, outcome, self.now)


@pytest.fixture
def provider() -> Provider:
    """A provider at time 0."""
    return Provider()


def snapshot_of(
    edges: Iterable[Edge],
    home: Home | None = None,
    *,
    now: float = 10_000.0,
    settings: Settings | None = None,
    frozen: bool = False,
    **changed: Any,
) -> Snapshot:
    """A snapshot in which every edge has one product with one address."""
    provider = Provider()
    edges = list(edges)
    services = []
    for number, edge in enumerate(edges):
        endpoint = provider.endpoint(edge.name)
        health = Health(edge.state, since=edge.since, proved=True, good=1)
        address = Address(endpoint.target(Location(f"192.0.2.{number + 1}")), health)
        services.append(Service(endpoint, edge.state, edge.since, (address,)))
    snapshot = Snapshot(
        time=now,
        settings=settings or Settings(),
        home=home or Home(),
        frozen=frozen,
        edges={edge.name: edge for edge in edges},
        services={"api": tuple(services)},
    )
    return dataclasses.replace(snapshot, **changed)


def edge_of(
    name: str,
    score: float | None = 0.020,
    state: State = State.UP,
    *,
    kind: Kind = Kind.PUBLIC,
    samples: int = 60,
    since: float = 0.0,
    draining: bool = False,
    flips: int = 0,
    used: bool = True,
) -> Edge:
    """An edge; its score in seconds."""
    found = None if score is None else Score(score, score, samples=samples)
    drained = since if draining else None
    return Edge(name, kind, state, since, found, drained, flips, used=used)


@pytest.fixture
def make_snapshot() -> Callable[..., Snapshot]:
    """See `snapshot_of`."""
    return snapshot_of


@pytest.fixture
def make_edge() -> Callable[..., Edge]:
    """See `edge_of`."""
    return edge_of


class Measured:
    """A checker that has measured two edges, which all probes find alive.

    The nearer one, ashburn, is home.
    """

    def __init__(self) -> None:
        provider, now = Provider(), asyncio.get_running_loop().time()
        provider.now = now - 40.0
        self.tasks = Tasks()
        table = provider.table({"ashburn": 0.020, "dublin": 0.040})
        provider.run(table, now)
        self.asked: list[Target] = []
        self.checker = Checker(
            table,
            {Protocol.HTTPS: self._probe},
            tasks=self.tasks,
            on_change=lambda *_: None,
            on_failure=lambda *_: None,
            look_up=lambda _: None,
        )

    async def _probe(self, target: Target, _: float) -> Outcome:
        self.asked.append(target)
        return Outcome(Result.ALIVE, round_trip=0.0205)


@pytest_asyncio.fixture
async def measured() -> AsyncIterator[Measured]:
    """See `Measured`."""
    known = Measured()
    yield known
    known.checker.close()
    await known.tasks.close()
