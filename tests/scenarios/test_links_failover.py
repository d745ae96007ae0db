"""Links that fail while calls are made: on real routes, with BIRD on both sides.

Two daemons are at the site: calls of the `office` may take any edge, calls and requests
of the `vault` a link or none. Usually a fault lasts for some calls;
EDGE_ROUTER_LINKS=full has each last for 20 s, and a link flap for five minutes.
"""

import asyncio
import collections
import contextlib
import itertools
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from router.advice import advise
from router.files import read
from router.fragment import Wishes
from simulator.provider import Provider
from simulator.sip.call import Call
from simulator.sip.origination import Uri
from tests import stage
from tests.capture import Capture
from tests.namespaces import Network
from tests.scenarios import links as stages
from tests.scenarios.links import EDGES, EXCHANGES, FAULTS, OUTSIDE, Links, Office
from tests.scenarios.pace import Pace, pacing
from tests.scenarios.telephony import ANSWERS, asked
from tests.stage import Settings, Site
from tests.wire import Caller

LOG = logging.getLogger(__name__)
FULL = os.environ.get("EDGE_ROUTER_LINKS") == "full"
RATE = 20.0
"New calls a second, of each daemon."
LASTING = int(20 * RATE) if FULL else 8
"Calls during a fault, once it is known."
FLAPS, FLAP = (30, 5.0) if FULL else (3, 0.2)
"How often a link goes down, and seconds until it comes up, and as many until the next."
STANDING = 5
"Calls that stand through a fault."
MOST_SWITCHES = 4
"Changes of home that a link may cause which flaps."
HEALTH = stage.SOON | {"recovery": "0s", "sip_options_interval": "500ms"}
"Finds out fast, and forgives at once."
CAREFUL = {} if FULL else HEALTH | {"recovery": "60s"}
"Forgives as slowly as is the default; the rest of which takes longer to begin."
POLICY = {"switch": {"dwell": "1s"}, "prefer_private": {"max_extra": "1s"}}
"Likes links, however slow a busy machine makes them look."
OPEN = [(OUTSIDE, socket.IPPROTO_UDP, port) for port in (5060, 5062)]
"Where trunks send from that may use the Internet."

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(stages.missing()), reason=stages.missing()),
    pytest.mark.timeout(120 + 2 * FLAPS * FLAP),
]


@pytest.fixture(scope="module")
def links(lasting_network: Network, directory: Path) -> Links:
    return Links(lasting_network, directory)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider(links: Links, directory: Path) -> AsyncIterator[Provider]:
    async with links.routers(), stages.beyond(links, directory) as running:
        yield running


@pytest.fixture(scope="module")
def settings(provider: Provider, directory: Path) -> Settings:
    return stages.example(provider, directory, health=HEALTH, policy=POLICY)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def capture(links: Links) -> AsyncIterator[Capture]:
    """What passes the public interface in all of these runs."""
    with stages.captured(links) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vault(
    links: Links, settings: Settings, site: Site, directory: Path, capture: Capture
) -> AsyncIterator[Office]:
    apart = stages.confidential(stages.moved(settings, 5070), site)
    async with stages.office(links, apart, directory) as running:
        await reached(running)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(
    links: Links, settings: Settings, directory: Path, capture: Capture
) -> AsyncIterator[Office]:
    async with stages.office(links, settings, directory) as running:
        await reached(running)
        yield running


@pytest.fixture(autouse=True)
def begun(provider: Provider) -> None:
    """Each test has a ledger of its own: all of them are too much for one."""
    provider.ledger.clear()


async def reached(office: Office) -> None:
    """Wait until BGP has led a daemon to both private edges."""
    for edge in EXCHANGES:
        await office.until(edge, "up")


async def stand(office: Office, number: int = STANDING) -> list[Call]:
    """Calls that stand."""
    calls = [office.pbx.call(ANSWERS) for _ in range(number)]
    for call in calls:
        assert await call.outcome == 200
    return calls


async def end(office: Office, standing: Sequence[Call]) -> None:
    """Hang them up."""
    for call in standing:
        assert await office.pbx.asked(call, "BYE") == 200


async def home(office: Office, provider: Provider) -> str:
    """The private edge that new calls take."""
    (call,) = await stand(office, 1)
    await end(office, [call])
    ((edge, _),) = places(provider)[call.call_id]
    assert edge in EXCHANGES
    return edge


def places(provider: Provider) -> Mapping[str, set[tuple[str, str]]]:
    """At which edge, and at which address there, each call has been."""
    found = collections.defaultdict(set)
    for one in provider.ledger.events():
        if one.event in ("invite", "ack", "bye"):
            found[one.call].add((one.edge, one.address))
    return found


def unharmed(
    paces: Iterable[Pace], standing: Iterable[Call], provider: Provider
) -> None:
    """All were answered, rang once, and were all their lives where they began."""
    where, rung = places(provider), provider.sip.rung()
    for pace in paces:
        assert set(pace.statuses()) == {(200, 200)}, pace.statuses()
    made = [one.call for pace in paces for one in pace.made]
    for call in itertools.chain(made, standing):
        assert rung[call.call_id] == 1
        assert len(where[call.call_id]) == 1


def leaked(capture: Capture) -> list[object]:
    """Packets to edges on the public interface that no open trunk has sent.

    But for a reset that the kernel sends for a connection that is no more: no socket is
    left to confine it (`tcp_v4_send_reset` in Linux). The example's firewall drops it.
    """
    edges = {address for plan in EDGES for address in plan.at}
    return [
        packet
        for packet in capture.seen()
        if packet.target in edges
        and not packet.resets
        and (packet.source, packet.protocol, packet.port) not in OPEN
    ]


async def requested(links: Links, vault: Office, site: Site) -> int:
    """The status of an API request of the vault."""
    with links.network.entered():
        async with Caller(vault.daemon.ports["api"], site.trust()) as caller:
            return (await caller.ask("GET", "/private")).status


@contextlib.asynccontextmanager
async def calls(*offices: Office) -> AsyncIterator[list[Pace]]:
    """Calls of each of these at a pace."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(pacing(o.pbx, RATE)) for o in offices]


async def more(paces: Iterable[Pace], number: int) -> None:
    """Wait until each has made so many more calls."""
    await asyncio.gather(*(pace.more(number) for pace in paces))


@contextlib.asynccontextmanager
async def failing(
    links: Links, edges: Iterable[str], fault: str, paces: Sequence[Pace]
) -> AsyncIterator[None]:
    """Links fail for a while.

    No call is on its way when they do: one that its edge has just taken cannot be told
    from one that it has not, and is refused at another edge.
    """
    with contextlib.ExitStack() as broken:
        async with contextlib.AsyncExitStack() as still:
            for pace in paces:
                await still.enter_async_context(pace.quiet())
            for edge in edges:
                broken.enter_context(links.cut_off(edge, fault))
        yield


@pytest.mark.parametrize("fault", FAULTS)
async def test_link_that_fails_costs_no_call_and_moves_none(
    fault: str,
    office: Office,
    vault: Office,
    provider: Provider,
    links: Links,
    site: Site,
    capture: Capture,
) -> None:
    edge, both = await home(office, provider), (office, vault)
    seen = len(office.daemon.records)
    standing = [(one, await stand(one)) for one in both]
    async with calls(*both) as paces:
        async with failing(links, [edge], fault, paces):
            for one in both:
                await one.until(edge, "down")
            assert await requested(links, vault, site) == 200
            await more(paces, LASTING)
        for one in both:
            await one.until(edge, "up")
    for one, those in standing:
        await end(one, those)
    unharmed(paces, [call for _, those in standing for call in those], provider)
    assert leaked(capture) == []
    told = office.daemon.records[seen:]
    rang = [one["ringing_ms"] for one in told if "ringing_ms" in one]
    LOG.info("%s: %s calls, the latest rang after %s ms", fault, len(rang), max(rang))


async def test_both_links_fail_and_calls_take_the_internet_or_are_refused(
    office: Office,
    vault: Office,
    provider: Provider,
    links: Links,
    site: Site,
    capture: Capture,
) -> None:
    standing = [(one, await stand(one)) for one in (office, vault)]
    async with calls(office) as paces:
        async with failing(links, EXCHANGES, "carrier", paces):
            for edge, one in itertools.product(EXCHANGES, (office, vault)):
                await one.until(edge, "down")
            async with calls(vault) as refused:
                await more([*paces, *refused], LASTING)
            assert await requested(links, vault, site) == 503
        for edge, one in itertools.product(EXCHANGES, (office, vault)):
            await one.until(edge, "up")
    for one, those in standing:
        await end(one, those)
    unharmed(paces, [call for _, those in standing for call in those], provider)
    assert set(refused[0].statuses()) == {(503, 0)}
    taken = {edge for at in places(provider).values() for edge, _ in at}
    assert "ashburn" in taken
    assert any(packet.source == OUTSIDE for packet in capture.seen())
    assert leaked(capture) == []


async def test_calls_by_the_uris_of_the_advice_come_over_the_links(
    office: Office,
    provider: Provider,
    links: Links,
    settings: Settings,
    directory: Path,
) -> None:
    file = directory / "advised.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    read_in = read(file, verify=False)
    (trunk,) = advise(read_in.config, read_in.catalogue, {}, Wishes()).trunks
    uris = [Uri(one.uri, one.priority, one.weight) for one in trunk.uris]
    first, second, *_ = EXCHANGES
    with stages.captured(links, "ix1") as one, stages.captured(links, "ix2") as other:
        placed = await provider.sip.call(uris)
        assert (placed.status, placed.call.path.edge) == (200, first)
        assert heard(one, first)
        with links.cut_off(first, "blackhole"):
            spared = await provider.sip.call(uris)
        assert (spared.status, spared.call.path.edge) == (200, second)
        assert heard(other, second)
    for call in (placed.call, spared.call):
        assert await asked(provider.sip.core, call, "BYE") == 200


def heard(capture: Capture, edge: str) -> bool:
    """Whether an edge has sent something here."""
    (plan,) = (plan for plan in EDGES if plan.name == edge)
    return any(packet.source in plan.at for packet in capture.seen())


async def test_link_that_flaps_moves_home_a_few_times_at_most(
    vault: Office,
    provider: Provider,
    links: Links,
    settings: Settings,
    directory: Path,
    capture: Capture,
) -> None:
    apart = stages.moved(settings, 5062, health=CAREFUL)
    async with stages.office(links, apart, directory) as office:
        await office.daemon.wait("edge.switched")  # the first home
        edge = await home(office, provider)
        standing, seen = await stand(office), len(office.daemon.records)
        async with calls(office, vault) as paces:
            for _ in range(FLAPS):
                async with failing(links, [edge], "carrier", paces):
                    await more(paces, int(FLAP * RATE))
                await more(paces, int(FLAP * RATE))
        await end(office, standing)
        unharmed(paces, standing, provider)
        told = office.daemon.records[seen:]
        switched = [one for one in told if one["event"] == "edge.switched"]
        LOG.info("%s flaps, %s switches", FLAPS, len(switched))
        assert 1 <= len(switched) <= MOST_SWITCHES
        # Answers that come once the trunk is gone are refused by the kernel, by ICMP.
        assert leaked(capture) == []
