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
    edges = ["ashburn-ix=5ms@127.0.0.9", "dublin=20ms", "frankfurt=25ms"]
    async with Provider.start(edges, seed=1, heartbeat=60) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(
    provider: Provider, site: Site, directory: Path
) -> AsyncIterator[Daemon]:
    settings = stage.configuration(
        provider,
        directory,
        {"voice": voice(site)},
        # A time-out long enough for a machine that is busy: nobody else may fall.
        health=stage.SOON | {"recovery": "0s", "timeout": "2s"},
        # Home is the private edge whenever that is well, however slow the machine.
        policy={"switch": {"dwell": "0s"}, "prefer_private": {"max_extra": "1s"}},
    )
    settings["provider"]["edges"] = list(provider.edges)
    settings["provider"]["source_addresses"] = {"ashburn-ix": "127.0.0.9"}
    async with stage.running(settings, directory) as running:
        yield running


async def all_up(provider: Provider, daemon: Daemon) -> None:
    """Wait until no edge is thought ill of."""
    for edge in provider.edges:
        while daemon.events("edge.flipped", edge=edge)[-1]["state"] != "up":
            await daemon.wait("edge.flipped", after=len(daemon.records), edge=edge)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pinned(provider: Provider, daemon: Daemon, site: Site) -> Phone:
    """A client that came to another edge while home was dead: there it stays."""
    seen = len(daemon.records)
    provider.edges["ashburn-ix"].kill()
    phone = await ring(daemon.ports["voice"], site)
    await died(daemon, "ashburn-ix", seen)
    provider.heal()
    await all_up(provider, daemon)
    return phone


@pytest_asyncio.fixture(loop_scope="module")
async def healed(provider: Provider, daemon: Daemon) -> AsyncIterator[None]:
    """All edges are well in the end."""
    yield
    provider.heal()
    await all_up(provider, daemon)


@pytest_asyncio.fixture(loop_scope="module")
async def home(
    provider: Provider, daemon: Daemon, site: Site, pinned: Phone, healed: None
) -> AsyncIterator[str]:
    """The edge that new clients reach, not that of the pinned one; well in the end."""
    edge = pinned.edge
    async with asyncio.timeout(10):
        while edge == pinned.edge:
            phone = await ring(daemon.ports["voice"], site)
            edge = phone.edge
            await phone.hang_up(provider)
    yield edge
    if pinned.connection.close_code is None:
        await pinned.talk(10)


async def ring_at(edge: str, provider: Provider, daemon: Daemon, site: Site) -> Phone:
    """A client at that edge; a slow handshake may lead to another one."""
    while (phone := await ring(daemon.ports["voice"], site)).edge != edge:
        await phone.hang_up(provider)
    return phone


async def died(daemon: Daemon, edge: str, after: int) -> None:
    """Wait until the edge as a whole is down."""
    fields = {"edge": edge, "state": "down", "product": None}
    await daemon.wait("edge.flipped", after=after, **fields)


async def test_edge_that_is_killed_ends_its_websockets_at_once_and_no_others(
    provider: Provider, daemon: Daemon, site: Site, home: str, pinned: Phone
) -> None:
    doomed = [await ring_at(home, provider, daemon, site) for _ in range(3)]
    await asyncio.gather(*(phone.talk(10) for phone in doomed))
    seen = len(daemon.records)

    provider.edges[home].kill()
    began = time.perf_counter()
    talking = asyncio.gather(pinned.talk(50))
    codes = await asyncio.gather(*(phone.end() for phone in doomed))
    took = time.perf_counter() - began
    again = [await ring(daemon.ports["voice"], site) for _ in doomed]

    assert codes == [1014] * len(doomed)
    assert took < 0.5
    assert home not in {phone.edge for phone in again}
    await talking
    await died(daemon, home, seen)
    await asyncio.gather(*(phone.talk(10) for phone in again))
    for phone in again:
        await phone.hang_up(provider)


async def test_draining_edge_sends_its_clients_to_the_next_one(
    provider: Provider, daemon: Daemon, site: Site, home: str
) -> None:
    leaving = await ring_at(home, provider, daemon, site)
    provider.edges[home].fail(Fault.DRAIN)
    assert await leaving.end() == 1001  # the edge's own word
    again = await ring(daemon.ports["voice"], site)
    assert again.edge != home
    assert provider.ledger.events("refused", edge=home, marker=again.marker)
    await again.talk(10)
    await again.hang_up(provider)


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
    broken = await ring_at(home, provider, daemon, site)
    provider.edges[home].fail(Fault.SEVER)
    assert await broken.end() is None
    provider.heal()
    again = await ring_at(home, provider, daemon, site)
    await again.talk(10)
    await again.hang_up(provider)


async def test_edge_that_freezes_ends_its_websockets_once_it_is_found_dead(
    provider: Provider, daemon: Daemon, site: Site, home: str, pinned: Phone
) -> None:
    """Nothing tells of its end but probes; and it was heard until a moment ago."""
    doomed = [await ring_at(home, provider, daemon, site) for _ in range(3)]
    await asyncio.gather(*(phone.talk(10) for phone in doomed))

    provider.edges[home].freeze()
    began = time.perf_counter()
    ends = asyncio.gather(*(phone.end() for phone in doomed))
    while not ends.done():
        await pinned.talk(10)
    codes = await ends
    took = time.perf_counter() - began
    again = [await ring(daemon.ports["voice"], site) for _ in doomed]

    assert codes == [1014] * len(doomed)
    assert took < 6  # interval 0.5 s, time-out 2 s, six probes 50 ms apart
    assert home not in {phone.edge for phone in again}
    await asyncio.gather(*(phone.talk(10) for phone in again))
    for phone in again:
        await phone.hang_up(provider)


async def test_pinned_websocket_outlived_all_that_happened_to_home(
    provider: Provider, pinned: Phone
) -> None:
    await pinned.talk(10)
    await pinned.hang_up(provider)


async def test_no_healthy_edge_is_a_503_at_once(
    provider: Provider, daemon: Daemon, site: Site, healed: None
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
    assert min(took) < 1, took


async def test_edges_that_all_drain_are_a_503(
    provider: Provider, daemon: Daemon, site: Site
) -> None:
    """The last test of its module: the edges are suspects for a while."""
    for edge in provider.edges.values():
        edge.fail(Fault.DRAIN)
    with pytest.raises(InvalidStatus) as refused:
        await dial(daemon.ports["voice"], site, "/signal")
    assert refused.value.response.status_code == 503
