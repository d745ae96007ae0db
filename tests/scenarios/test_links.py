"""Links that fail while calls are made: on real routes, with BIRD on both sides.

Usually each fault lasts for some calls. EDGE_ROUTER_LINKS=full has each last for 20 s,
and a link flap for five minutes.
"""

import asyncio
import collections
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from simulator.provider import Provider
from simulator.sip.call import Call
from tests import stage
from tests.capture import Capture
from tests.namespaces import Network
from tests.scenarios import links as stages
from tests.scenarios.links import EDGES, EXCHANGES, FAULTS, OUTSIDE, Links, Office
from tests.scenarios.pace import Made, Pace, pacing
from tests.scenarios.telephony import ANSWERS
from tests.stage import Settings

FULL = os.environ.get("EDGE_ROUTER_LINKS") == "full"
RATE = 20.0
"New calls a second."
LASTING = int(20 * RATE) if FULL else 10
"Calls during a fault, once it is known."
FLAPS = 60 if FULL else 4
FLAP = 5.0 if FULL else 0.4
"Seconds between two changes of a link that flaps."
STANDING = 5
"Calls that stand through a fault."
MOST_SWITCHES = 4
HEALTH = stage.SOON | {
    "interval": "250ms",
    "recovery": "0s",
    "sip_options_interval": "250ms",
}
"Finds out fast, and forgives at once."

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(stages.missing()), reason=stages.missing()),
    pytest.mark.timeout(120 + FLAPS * FLAP),
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
    return stages.example(provider, directory, health=HEALTH)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(
    links: Links, settings: Settings, directory: Path
) -> AsyncIterator[Office]:
    """Where calls may go by any edge."""
    async with stages.office(links, settings, directory) as running:
        await private(running)
        yield running


async def private(office: Office) -> None:
    """Wait until BGP has led the daemon to both private edges."""
    for edge in EXCHANGES:
        await state(office, edge, "up")


async def state(office: Office, edge: str, wanted: str, *, after: int = 0) -> None:
    """Wait until an edge as a whole is in that state of health."""
    fields = {"edge": edge, "state": wanted, "product": None}
    await office.daemon.wait("edge.flipped", after=after, **fields)


async def stand(office: Office, number: int = STANDING) -> list[Call]:
    """Calls that stand."""
    calls = [office.pbx.call(ANSWERS) for _ in range(number)]
    for call in calls:
        assert await call.outcome == 200
    return calls


def places(provider: Provider) -> dict[str, set[tuple[str, str]]]:
    """At which edge, and which address there, each call has been."""
    found = collections.defaultdict(set)
    for one in provider.ledger.events():
        if one.event in ("invite", "ack", "bye"):
            found[one.call].add((one.edge, one.address))
    return found


async def at_home(office: Office, provider: Provider) -> str:
    """The private edge that new calls take."""
    (call,) = await stand(office, 1)
    assert await office.pbx.asked(call, "BYE") == 200
    ((edge, _),) = places(provider)[call.call_id]
    assert edge in EXCHANGES
    return edge


def nobody_was_harmed(made: Sequence[Made], provider: Provider) -> None:
    """All were answered, rang once, and stayed where they were."""
    where, rung = places(provider), provider.sip.rung()
    for one in made:
        assert (one.status, one.hung_up) == (200, 200)
        assert rung[one.call.call_id] == 1
        assert len(where[one.call.call_id]) == 1


async def nothing_moved(office: Office, standing: list[Call], edge: str) -> None:
    """Calls that stood through it are hung up where they were made."""
    for call in standing:
        assert await office.pbx.asked(call, "BYE") == 200


@pytest.mark.parametrize("fault", FAULTS)
async def test_link_that_fails_costs_no_call(
    fault: str, office: Office, provider: Provider, links: Links
) -> None:
    home = await at_home(office, provider)
    standing = await stand(office)
    async with pacing(office.pbx, RATE) as pace:
        seen = len(office.daemon.records)
        with contextlib.ExitStack() as broken:
            async with pace.quiet():
                broken.enter_context(links.cut_off(home, fault))
            await state(office, home, "down", after=seen)
            await pace.more(LASTING)
        await state(office, home, "up", after=seen)
        await pace.more(5)
    await nothing_moved(office, standing, home)
    nobody_was_harmed(pace.made, provider)
