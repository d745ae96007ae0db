"""Each kind of failure at the level where it belongs: what it costs, and what is told.

In every one of them, requests that may be repeated all succeed.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from simulator.faults import Fault
from simulator.nameserver import DnsFault
from simulator.plan import EdgePlan
from simulator.provider import Provider
from tests import stage
from tests.stage import Daemon, Record, Site
from tests.wire import Answer, Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[Provider]:
    """Names that are to be looked up again every five seconds, the least allowed."""
    edges = [
        EdgePlan("ashburn", 0.02, addresses=2),
        EdgePlan("dublin", 0.04, addresses=2),
        EdgePlan("umatilla", 0.06, addresses=2),
    ]
    async with Provider.start(edges, seed=1, ttl=5) as running:
        yield running


@contextlib.asynccontextmanager
async def serving(
    provider: Provider, site: Site, directory: Path, timeout: str = "1s"
) -> AsyncIterator[Daemon]:
    """A daemon that finds out fast, and forgives at once."""
    listeners = {"api": stage.terminate(site)}
    health = {"interval": "250ms", "recovery": "0s", "timeout": timeout}
    settings = stage.configuration(
        provider, directory, listeners, health=stage.SOON | health
    )
    async with stage.running(settings, directory) as daemon:
        yield daemon


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(
    provider: Provider, site: Site, directory: Path
) -> AsyncIterator[Daemon]:
    async with serving(provider, site, directory) as running:
        yield running


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def healed(provider: Provider, daemon: Daemon) -> AsyncIterator[None]:
    """All edges are well again before the next test."""
    yield
    provider.heal()
    for name in provider.edges:
        fields = {"edge": name, "product": None}
        states = [one["state"] for one in daemon.events("edge.flipped", **fields)]
        if states and states[-1] != "up":
            await state(daemon, name, "up", after=len(daemon.records))


async def state(daemon: Daemon, edge: str, wanted: str, *, after: int = 0) -> Record:
    """Wait until an edge as a whole is in that state of health."""
    fields = {"edge": edge, "state": wanted, "product": None}
    return await daemon.wait("edge.flipped", after=after, **fields)


async def ask(daemon: Daemon, site: Site, count: int = 8) -> list[Answer]:
    """So many requests of one client; all of them answered."""
    async with Caller(daemon.ports["api"], site.trust()) as caller:
        return [await caller.ask("GET", f"/{number}") for number in range(count)]


async def serving_edge(daemon: Daemon, site: Site) -> str:
    """The edge that requests go to now."""
    (name,) = edges(await ask(daemon, site, 1))
    return name


def edges(answers: list[Answer]) -> set[str]:
    """Which edges served; all with success."""
    assert {answer.status for answer in answers} == {200}
    return {answer.headers["x-simulator-edge"].split()[0] for answer in answers}


async def test_one_refused_address_costs_nothing_and_its_edge_stays(
    provider: Provider, site: Site, daemon: Daemon
) -> None:
    home = await serving_edge(daemon, site)
    seen = len(daemon.records)
    address = provider.edges[home].addresses[0]
    address.kill()
    assert edges(await ask(daemon, site)) == {home}
    fields = {"address": address.address, "state": "down", "result": "refused"}
    flipped = await daemon.wait("address.flipped", after=seen, **fields)
    assert "refused" in flipped["reason"]
    assert edges(await ask(daemon, site)) == {home}
    for record in daemon.records[seen:]:
        assert (record["event"], record.get("edge")) != ("edge.flipped", home)
    address.heal()
    fields = {"address": address.address, "state": "up"}
    await daemon.wait("address.flipped", after=seen, **fields)


NAMES = ("ashburn", "dublin", "umatilla", "frankfurt", "tokyo", "sydney", "singapore")


@pytest.mark.parametrize(
    "wanted",
    [
        {
            Fault.EXPIRED: {"certificate": "expired"},
            Fault.WRONG_NAME: {"certificate": "not valid for"},
            Fault.UNKNOWN_CA: {"certificate": "issuer"},
        },
        {
            Fault.KILL: {"refused": "refused", "reset": "reset"},
            Fault.STALL: {"timeout": "no handshake", "silent": "silent"},
            Fault.BLACKHOLE: {"timeout": "no handshake", "silent": "silent"},
        },
    ],
    ids=["certificates", "connections"],
)
async def test_edges_that_take_no_connection_are_left_and_the_log_says_why(
    site: Site, directory: Path, wanted: dict[Fault, dict[str, str]]
) -> None:
    # Far enough away for an answer that comes late on a busy machine not to be overdue.
    plans = [EdgePlan(name, 0.05, addresses=1) for name in NAMES]
    async with (
        Provider.start(plans, seed=1) as provider,
        serving(provider, site, directory) as daemon,
    ):
        seen = len(daemon.records)
        ill = dict(zip(NAMES, wanted, strict=False))
        for name, fault in ill.items():
            provider.edges[name].fail(fault)
        for name, fault in ill.items():
            fields = {"edge": name, "before": "up", "product": None}
            flipped = await daemon.wait("edge.flipped", after=seen, **fields)
            assert wanted[fault][flipped["result"]] in flipped["reason"]
        assert not edges(await ask(daemon, site)) & ill.keys()


async def test_request_that_meets_a_frozen_edge_is_moved_and_its_record_says_so(
    provider: Provider, site: Site, daemon: Daemon
) -> None:
    home = await serving_edge(daemon, site)
    async with Caller(daemon.ports["api"], site.trust()) as caller:
        await caller.connect()
        provider.edges[home].freeze()
        answer = await caller.ask("GET", "/frozen")
    assert home not in edges([answer])
    ended = await daemon.wait("flow.ended", path="/frozen")
    assert (ended["status"], ended["ended"]) == (200, "--")
    assert ended["tried"].startswith(f"{home} 127.20.")
    assert "no sign of life" in ended["tried"]


async def test_server_error_of_an_application_is_passed_on_and_blames_nobody(
    provider: Provider, site: Site, daemon: Daemon
) -> None:
    home = await serving_edge(daemon, site)
    seen = len(daemon.records)
    provider.edges[home].fail(Fault.STATUS, 500)
    answers = await ask(daemon, site, 20)
    assert {answer.status for answer in answers} == {500}
    records = await daemon.count(20, "flow.ended", status=500)
    assert {record["edge"] for record in records} == {home}
    assert not [one for one in daemon.records[seen:] if one["event"] == "edge.flipped"]


async def test_failing_nameserver_changes_nothing_but_the_log(
    provider: Provider, site: Site, daemon: Daemon
) -> None:
    home = await serving_edge(daemon, site)
    provider.dns.fail(DnsFault.SERVFAIL)
    stale = await daemon.wait("name.stale")  # of the first name; the others are counted
    edge = provider.edges[stale["name"].split(".")[1]]
    assert edge.addresses[0].address in stale["addresses"]
    assert edges(await ask(daemon, site)) == {home}


async def test_changed_answer_moves_requests_to_the_new_address(
    provider: Provider, site: Site, daemon: Daemon
) -> None:
    home = await serving_edge(daemon, site)
    seen = len(daemon.records)
    address = provider.edges[home].addresses[1].address
    provider.dns.change(f"api.{home}.us1.twilio.com", [address])
    await daemon.wait("name.resolved", after=seen, addresses=address)
    answers = await ask(daemon, site)
    assert {one.headers["x-simulator-edge"] for one in answers} == {f"{home} {address}"}


async def test_name_that_no_longer_exists_takes_its_edge_out(
    site: Site, directory: Path
) -> None:
    plans = ["ashburn=20ms", "dublin=40ms"]
    async with (
        Provider.start(plans, seed=1, ttl=5) as provider,
        # The only edge left must not fall because the machine is busy.
        serving(provider, site, directory, timeout="5s") as daemon,
    ):
        name = "api.ashburn.us1.twilio.com"
        provider.dns.fail(DnsFault.NXDOMAIN, name)
        await daemon.wait("name.gone", name=name)
        assert edges(await ask(daemon, site)) == {"dublin"}


async def test_edge_that_answers_503_is_left_after_a_few(
    provider: Provider, site: Site, directory: Path
) -> None:
    async with serving(provider, site, directory) as daemon:
        provider.edges["ashburn"].fail(Fault.STATUS, 503)
        # Five in a row at each of two addresses. They are the edge's answers, so they
        # are passed on: the request may have been carried out.
        statuses = [answer.status for answer in await ask(daemon, site, 30)]
        assert statuses.count(503) >= 10
        assert statuses[-10:] == [200] * 10
        flipped = await daemon.wait("edge.flipped", edge="ashburn", before="up")
        assert flipped["result"] == "server_error"


async def test_region_that_answers_503_at_every_edge_condemns_none(
    provider: Provider, site: Site, directory: Path
) -> None:
    async with serving(provider, site, directory) as daemon:
        provider.regions["us1"].fail(Fault.STATUS, 503)
        answers = await ask(daemon, site, 45)
        assert {answer.status for answer in answers} == {503}
        assert not daemon.events("edge.flipped", state="down")
        provider.heal()
        assert {answer.status for answer in await ask(daemon, site)} == {200}


async def test_private_edge_is_preferred_and_its_failure_leaves_the_public_one(
    site: Site, directory: Path
) -> None:
    plans = ["ashburn=30ms", "ashburn-ix=40ms@127.0.0.9"]
    async with Provider.start(plans, seed=1) as provider:
        settings = stage.configuration(
            provider, directory, {"api": stage.terminate(site)}
        )
        settings["provider"]["edges"] = ["ashburn-ix", "ashburn"]
        settings["provider"]["source_addresses"] = {"ashburn-ix": "127.0.0.9"}
        async with stage.running(settings, directory) as daemon:
            await daemon.wait("edge.switched", home="ashburn-ix")
            assert edges(await ask(daemon, site, 4)) == {"ashburn-ix"}
            provider.edges["ashburn-ix"].kill()
            assert edges(await ask(daemon, site, 4)) == {"ashburn"}
            assert not provider.ledger.events("unannounced")
