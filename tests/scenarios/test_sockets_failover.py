"""What the end of an edge costs WebSockets: those that hang on it, and no others."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from simulator.faults import Fault
from simulator.provider import Provider
from tests import stage
from tests.scenarios.phones import Phone, ring
from tests.scenarios.sockets import dial, voice
from tests.stage import Daemon, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[Provider]:
    edges = ["ashburn=5ms", "dublin=20ms", "frankfurt=25ms"]
    async with Provider.start(edges, seed=1) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(
    provider: Provider, site: Site, directory: Path
) -> AsyncIterator[Daemon]:
    settings = stage.configuration(
        provider,
        directory,
        {"voice": voice(site)},
        health=stage.SOON | {"recovery": "0s"},
        policy={"switch": {"dwell": "0s", "min_gain": "5ms"}},
    )
    async with stage.running(settings, directory) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def home(provider: Provider, daemon: Daemon, site: Site) -> AsyncIterator[str]:
    """The edge that new clients reach; all are well again after the test."""
    phone = await ring(daemon.ports["voice"], site)
    await phone.hang_up(provider)
    yield phone.edge
    provider.heal()
    for edge in provider.edges:
        while daemon.events("edge.flipped", edge=edge)[-1]["state"] != "up":
            await daemon.wait("edge.flipped", after=len(daemon.records), edge=edge)


async def pin(provider: Provider, daemon: Daemon, site: Site, home: str) -> Phone:
    """A client whose WebSocket leads to another edge than home."""
    provider.edges[home].fail(Fault.STATUS)
    phone = await ring(daemon.ports["voice"], site)
    provider.edges[home].heal()
    assert phone.edge != home
    return phone


async def died(daemon: Daemon, edge: str, after: int) -> None:
    """Wait until the edge as a whole is down."""
    fields = {"edge": edge, "state": "down", "product": None}
    await daemon.wait("edge.flipped", after=after, **fields)


async def test_edge_that_is_killed_ends_its_websockets_at_once_and_no_others(
    provider: Provider, daemon: Daemon, site: Site, home: str
) -> None:
    pinned = [await pin(provider, daemon, site, home) for _ in range(2)]
    doomed = [await ring(daemon.ports["voice"], site) for _ in range(3)]
    await asyncio.gather(*(phone.talk(10) for phone in (*pinned, *doomed)))
    seen = len(daemon.records)

    provider.edges[home].kill()
    began = time.perf_counter()
    talking = asyncio.gather(*(phone.talk(50) for phone in pinned))
    codes = await asyncio.gather(*(phone.end() for phone in doomed))
    took = time.perf_counter() - began
    again = [await ring(daemon.ports["voice"], site) for _ in doomed]

    assert codes == [1014] * len(doomed)
    assert took < 0.5
    assert {phone.edge for phone in doomed} == {home}
    assert home not in {phone.edge for phone in again}
    await talking
    await died(daemon, home, seen)
    await asyncio.gather(*(phone.talk(10) for phone in again))
    for phone in (*pinned, *again):
        await phone.hang_up(provider)


async def test_draining_edge_sends_its_clients_to_the_next_one(
    provider: Provider, daemon: Daemon, site: Site, home: str
) -> None:
    pinned = await pin(provider, daemon, site, home)
    leaving = await ring(daemon.ports["voice"], site)
    provider.edges[home].fail(Fault.DRAIN)
    assert await leaving.end() == 1001  # the edge's own word
    again = await ring(daemon.ports["voice"], site)
    assert again.edge != home
    assert provider.ledger.events("refused", edge=home, marker=again.marker)
    for phone in (pinned, again):
        await phone.talk(10)
        await phone.hang_up(provider)


async def test_edge_that_does_not_answer_a_handshake_is_outrun(
    provider: Provider, daemon: Daemon, site: Site, home: str
) -> None:
    provider.edges[home].fail(Fault.SLOW_FIRST_BYTE, 60)
    began = time.perf_counter()
    phone = await ring(daemon.ports["voice"], site)
    assert time.perf_counter() - began < 2
    assert phone.edge != home
    await phone.hang_up(provider)


async def test_websocket_that_breaks_within_a_frame_ends_without_a_close(
    provider: Provider, daemon: Daemon, site: Site, home: str
) -> None:
    pinned = await pin(provider, daemon, site, home)
    broken = await ring(daemon.ports["voice"], site)
    provider.edges[home].fail(Fault.SEVER)
    assert await broken.end() is None
    provider.heal()
    again = await ring(daemon.ports["voice"], site)
    assert again.edge == home
    for phone in (pinned, again):
        await phone.talk(10)
        await phone.hang_up(provider)


async def test_no_healthy_edge_is_a_503_at_once(
    provider: Provider, daemon: Daemon, site: Site, home: str
) -> None:
    seen = len(daemon.records)
    for edge in provider.edges.values():
        edge.kill()
    for name in provider.edges:
        await daemon.wait("edge.flipped", after=seen, edge=name, before="up")
    took = []
    for _ in range(3):
        began = time.perf_counter()
        with pytest.raises(InvalidStatus) as refused:
            await dial(daemon.ports["voice"], site, "/signal")
        took.append(time.perf_counter() - began)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "1"
    assert min(took) < 0.1, took


async def test_edges_that_all_drain_are_a_503(
    provider: Provider, daemon: Daemon, site: Site
) -> None:
    """The last test of its module: the edges are suspects for a while."""
    for edge in provider.edges.values():
        edge.fail(Fault.DRAIN)
    with pytest.raises(InvalidStatus) as refused:
        await dial(daemon.ports["voice"], site, "/signal")
    assert refused.value.response.status_code == 503
