"""The checker on a real event loop, with probes that are scripted, not waited for."""

import asyncio
import dataclasses
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from protocols.net.tasks import Tasks
from protocols.target import ALIVE, Outcome, Result, Target, Transport
from router import policy
from router.changes import Change, Flip, Stalled
from router.checker import Checker
from router.endpoint import Endpoint, Kind, Protocol
from router.health import Settings, State
from router.location import plain
from router.saved import SavedError
from router.scope import Scope
from router.snapshot import Snapshot
from router.table import Table

FAST = Settings(interval=0.1, fast_interval=0.05, timeout=0.2)


class Site:
    """A checker with probes whose answers the test sets, and what it told."""

    def __init__(self, settings: Settings = FAST) -> None:
        edges = ("ashburn", "dublin")
        self.dead: set[str] = set()
        self.broken: set[str] = set()
        self.probed: list[Target] = []
        self.changes: list[Change] = []
        self.told: list[Snapshot] = []
        self.failed: list[tuple[Target, Outcome]] = []
        self.looked_up: list[str] = []
        self.tasks = Tasks()
        self._news = asyncio.Event()
        self.endpoints = [
            Endpoint(
                product="api",
                edge=edge,
                protocol=Protocol.HTTPS,
                transport=Transport.TLS,
                resolve=f"api.{edge}.example.com",
                port=443,
                host=f"api.{edge}.example.com",
            )
            for edge in edges
        ]
        table = Table(
            dict.fromkeys(edges, Kind.PUBLIC),
            self.endpoints,
            now=asyncio.get_running_loop().time(),
            uniform=random.Random(1).uniform,
            settings=settings,
        )
        self.checker = Checker(
            table,
            {Protocol.HTTPS: self.probe},
            tasks=self.tasks,
            on_change=self.on_change,
            on_failure=lambda target, outcome: self.failed.append((target, outcome)),
            look_up=self.looked_up.append,
        )
        self.checker.addresses("api.ashburn.example.com", plain(["192.0.2.1"]))
        self.checker.addresses("api.dublin.example.com", plain(["192.0.2.2"]))

    async def probe(self, target: Target, timeout: float) -> Outcome:
        """Answer like an edge 1 ms away, never, or with a bug."""
        self.probed.append(target)
        if target.label in self.broken:
            raise ZeroDivisionError
        if target.label in self.dead:
            await asyncio.Event().wait()
        round_trip = 0.001 if target.label == "ashburn" else 0.003
        return Outcome(Result.ALIVE, round_trip=round_trip)

    def on_change(self, snapshot: Snapshot, changes: tuple[Change, ...]) -> None:
        """Note what was told."""
        self.told.append(snapshot)
        self.changes += changes
        self._news.set()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that a change brings about."""
        while not happened():
            self._news.clear()
            await self._news.wait()

    def state(self, edge: str) -> State:
        """The health of an edge by the latest snapshot."""
        return self.checker.snapshot.edges[edge].state

    @property
    def first(self) -> Target:
        """Where a new flow goes."""
        return self.checker.snapshot.routes["api"].first[0]

    async def up(self) -> None:
        """Start, and wait until everything is measured."""
        self.checker.start()
        both = ("ashburn", "dublin")
        await self.until(lambda: all(self.state(e) is State.UP for e in both))
        await self.until(lambda: self.first.label == "ashburn")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Two edges, both answering."""
    site = Site()
    yield site
    site.checker.close()
    await site.tasks.close()


async def test_probes_raise_edges_and_the_nearest_is_first(site: Site) -> None:
    await site.up()
    assert site.first.label == "ashburn"
    assert site.told[-1].edges["dublin"].state is State.UP


async def test_silent_edge_is_left_and_then_down_and_its_name_looked_up(
    site: Site,
) -> None:
    await site.up()
    site.dead.add("ashburn")
    await site.until(lambda: site.first.label == "dublin")
    await site.until(lambda: site.state("ashburn") is State.DOWN)
    assert "api.ashburn.example.com" in site.looked_up
    assert len(site.looked_up) <= 2
    assert {(t.label, outcome.result) for t, outcome in site.failed} == {
        ("ashburn", Result.TIMEOUT)
    }


async def test_silent_flow_at_a_frozen_edge_moves_the_next_within_patience() -> None:
    site = Site(Settings(interval=60.0, timeout=1.0))
    await site.up()
    site.dead.add("ashburn")
    target = site.first
    assert target.patience == 0.1
    start = time.monotonic()
    site.checker.report(target, Outcome(Result.SILENT))
    await site.until(lambda: site.first.label == "dublin")
    assert 0.09 <= time.monotonic() - start < 0.25
    site.checker.close()
    await site.tasks.close()


async def test_failed_flow_changes_the_very_next_choice(site: Site) -> None:
    await site.up()
    told = len(site.told)
    site.checker.report(site.first, Outcome(Result.RESET))
    assert site.first.label == "dublin"
    assert len(site.told) == told  # the relay is told after it has returned
    await site.until(lambda: len(site.told) > told)
    flip = next(c for c in site.changes if isinstance(c, Flip) and c.targets)
    assert flip.to is State.UP or flip.to is State.SUSPECT
    assert site.failed == []  # no probe did


async def test_answered_flow_is_noted_without_a_new_snapshot(site: Site) -> None:
    await site.up()
    snapshot = site.checker.snapshot
    site.checker.report(site.first, ALIVE)
    assert site.checker.snapshot is snapshot


async def test_answer_that_excuses_an_error_is_more_than_noted(site: Site) -> None:
    await site.up()
    target = site.first

    def errors() -> int:
        service = site.checker.snapshot.services["api"][0]
        return service.addresses[0].health.server_errors

    site.checker.report(target, Outcome(Result.SERVER_ERROR))
    assert errors() == 1
    site.checker.report(target, ALIVE)
    assert errors() == 0


async def test_stalled_loop_condemns_nothing_and_is_told(site: Site) -> None:
    await site.up()
    # Not to wait for anything: the blocked loop is what is tested.
    time.sleep(1.2)  # noqa: ASYNC251
    await site.until(lambda: any(isinstance(c, Stalled) for c in site.changes))
    assert State.DOWN not in {site.state("ashburn"), site.state("dublin")}


async def test_broken_probe_is_reported_and_counts_as_a_failure(site: Site) -> None:
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    site.broken.add("dublin")
    site.checker.start()
    await site.until(lambda: site.state("dublin") is State.DOWN)
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


async def test_drained_edge_is_left_and_taken_back(site: Site) -> None:
    await site.up()
    site.checker.drain("ashburn")
    assert site.first.label == "dublin"
    site.checker.undrain("ashburn")
    assert site.first.label == "ashburn"


async def test_saved_knowledge_is_restored_and_unsound_refused(site: Site) -> None:
    await site.up()
    data = site.checker.saved()
    other = Site()
    other.checker.restore(data)
    assert other.first.label == "ashburn"
    with pytest.raises(SavedError):
        other.checker.restore([])


async def test_closed_checker_probes_and_tells_no_more(site: Site) -> None:
    await site.up()
    site.checker.close()
    await site.tasks.close()
    probed, told = len(site.probed), len(site.told)
    site.checker.report(site.first, Outcome(Result.RESET))
    assert site.first.label == "ashburn"
    assert (len(site.probed), len(site.told)) == (probed, told)


async def test_changed_checker_probes_by_its_new_probes(site: Site) -> None:
    await site.up()
    asked: asyncio.Queue[Target] = asyncio.Queue()

    async def probe(target: Target, timeout: float) -> Outcome:
        asked.put_nowait(target)
        return Outcome(Result.ALIVE, round_trip=0.002)

    told = len(site.told)
    dublin = dataclasses.replace(
        site.endpoints[1], host="other.example.com", resolve="192.0.2.3"
    )
    scope = Scope({"dublin": Kind.PUBLIC}, (dublin,), (), FAST, policy.Settings())
    site.checker.change(scope, {Protocol.HTTPS: probe})
    assert site.first.address == "192.0.2.3"
    assert (await asked.get()).host == "other.example.com"
    await site.until(lambda: site.checker.snapshot.home.edge == "dublin")
    assert len(site.told) > told
    assert not any(one.label == "ashburn" for one in list(asked._queue))  # type: ignore[attr-defined]
