"""Calls while an edge or the PBX fails: where they go, how soon, and who is rung."""

import asyncio
import statistics
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from simulator.edge import Edge
from simulator.sip import pbx
from simulator.sip.call import Call
from tests.scenarios.telephony import ANSWERS, WAYS, Calling, asked, calling

pytestmark = pytest.mark.asyncio(loop_scope="module")

EDGES = ("ashburn=1ms", "dublin=30ms")
FORGIVING = {
    "sip_options_interval": "100ms",
    "fast_interval": "50ms",
    "interval": "1s",
    "rise": 1,
    "recovery": "0s",
}
"An edge that answers again is soon home again, for the next test."
AT_ONCE = 500
"""Milliseconds after which a refused call has surely not waited for silence.

The aim is 50, which test_calls_load.py looks at: the machine of the tests is busy.
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=WAYS)
async def impatient(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Calling]:
    """A quarter of the time that calls are waited for as a rule."""
    way = request.param
    directory: Path = tmp_path_factory.mktemp(way)
    keys = {"no_response": "500ms", "site_no_response": "800ms"}
    async with calling(directory, way, *EDGES, trunk=keys, health=FORGIVING) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def site(impatient: Calling) -> Calling:
    """Nothing fails yet, and ashburn is home."""
    impatient.pbx.script = pbx.answer
    impatient.provider.heal()
    await impatient.at_home()
    return impatient


def home(site: Calling) -> Edge:
    return site.provider.edges["ashburn"]


async def rings_within(seconds: float, call: Call) -> None:
    """The call, begun now, rings in time."""
    async with asyncio.timeout(seconds):
        assert await call.ringing == 180


async def rang_once(site: Calling, call: Call, edge: str) -> None:
    """The call is answered at this edge, rang once, and is hung up."""
    assert await call.outcome == 200
    assert (await site.ended(call))["edge"] == edge
    assert await asked(site.pbx, call, "BYE") == 200
    assert site.provider.sip.rung()[call.call_id] == 1
    assert not site.pbx.happened("answered-twice", call.call_id)


async def test_call_to_a_home_that_refuses_goes_elsewhere_at_once(
    site: Calling,
) -> None:
    ledger = site.provider.ledger
    for one in site.provider.edges["dublin"].addresses:
        await ledger.wait("options", address=one.address)
    connections = ledger.events("accepted", edge="dublin")
    home(site).kill()
    calls = [site.pbx.call(ANSWERS) for _ in range(8)]
    for call in calls:
        await rang_once(site, call, "dublin")
    # OPTIONS had them opened: nobody waits for a handshake now.
    assert ledger.events("accepted", edge="dublin") == connections
    records = [await site.ended(call) for call in calls]
    assert "tried" in records[0]
    late = [one["failover_ms"] for one in records if "failover_ms" in one]
    # Not the worst of them: the machine of the tests may be busy.
    assert statistics.median(late) <= AT_ONCE


async def test_call_to_a_home_that_is_silent_is_answered_elsewhere(
    site: Calling,
) -> None:
    home(site).blackhole()
    call = site.pbx.call(ANSWERS)
    await rings_within(0.5 + 0.2, call)
    await rang_once(site, call, "dublin")


async def test_home_that_stood_still_and_goes_on_rings_nobody_again(
    site: Calling,
) -> None:
    first = site.pbx.call(ANSWERS)
    assert await first.outcome == 200
    home(site).freeze()
    calls = [site.pbx.call(ANSWERS) for _ in range(3)]
    for call in calls:
        assert await call.outcome == 200
    home(site).heal()
    # Behind all that waited there, a request of the first call, which is there.
    assert await asked(site.pbx, first, "BYE") == 200
    for call in calls:
        await rang_once(site, call, "dublin")


async def test_call_that_rings_behind_a_mute_home_is_waited_for(site: Calling) -> None:
    home(site).mute()
    call = site.pbx.call(ANSWERS)
    await site.provider.ledger.wait("merged", call=call.call_id, edge="dublin")
    home(site).heal()
    await rang_once(site, call, "ashburn")


async def test_provider_learns_in_time_that_the_pbx_is_silent(site: Calling) -> None:
    site.pbx.script = pbx.silent
    async with asyncio.timeout(0.8 + 0.3):
        assert (await site.placed()).status == 503


async def test_provider_learns_at_once_that_the_pbx_refuses(site: Calling) -> None:
    # The last one here: this telephone does not come back.
    await site.pbx.close()
    async with asyncio.timeout(0.5):
        assert (await site.placed()).status == 503
