"""Calls through the daemon while nothing fails: set up, held, hung up, turned down."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from simulator.sip import pbx
from simulator.sip.callees import Callee
from simulator.sip.digest import Credentials
from tests.scenarios.telephony import (
    ANSWERS,
    BUSY,
    HANGS_UP,
    RINGS,
    WAYS,
    Calling,
    asked,
    calling,
    rules,
    theirs,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

KNOWN = Credentials("alice", "wonderland")
LIMITED = "+15551230000"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=WAYS)
async def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Calling]:
    """Two edges, of which none fails, for each transport."""
    directory: Path = tmp_path_factory.mktemp(request.param)
    # Nothing fails here: a busy machine is to be no reason to change edges. The ports
    # of the edges are to be found in the DNS alone.
    async with calling(
        directory, request.param, known_as=KNOWN, misled=True, health={}
    ) as running:
        yield running


@pytest.fixture
def site(stage: Calling) -> Calling:
    """The stage, at which the telephone of the site answers."""
    stage.pbx.script = pbx.answer
    return stage


async def test_call_to_the_provider_is_answered_held_and_hung_up(site: Calling) -> None:
    call = site.pbx.call(ANSWERS)
    assert await call.outcome == 200
    far = theirs(site.provider, call)
    assert await asked(site.pbx, call, "INVITE") == 200
    assert await asked(site.provider.sip.core, far, "INVITE") == 200
    assert await asked(site.pbx, call, "BYE") == 200
    assert await far.ended == "remote"
    invite, bye = await site.ended(call), await site.ended(call, "BYE")
    assert (invite["edge"], invite["status"]) == ("ashburn", 200)
    assert invite["direction"] == "to_provider"
    assert "attempts" not in invite, "one is no search"
    assert (bye["edge"], bye["status"]) == ("ashburn", 200)
    assert not site.provider.ledger.events("altered", call=call.call_id)


async def test_call_to_the_provider_is_hung_up_at_the_far_end(site: Calling) -> None:
    call = site.pbx.call(HANGS_UP)
    assert await call.outcome == 200
    assert await call.ended == "remote"
    bye = await site.ended(call, "BYE")
    assert (bye["direction"], bye["status"]) == ("from_provider", 200)


@pytest.mark.parametrize("here", [True, False])
async def test_call_from_the_provider_is_answered_held_and_hung_up(
    here: bool, site: Calling
) -> None:
    placed = await site.placed()
    assert placed.status == 200
    near, far, core = await site.pbx.incoming.get(), placed.call, site.provider.sip.core
    assert await asked(core, far, "INVITE") == 200
    assert await asked(site.pbx, near, "INVITE") == 200
    if here:
        assert await asked(site.pbx, near, "BYE") == 200
        assert await far.ended == "remote"
    else:
        assert await asked(core, far, "BYE") == 200
        assert await near.ended == "remote"
    invite = await site.ended(far)
    assert (invite["direction"], invite["status"]) == ("from_provider", 200)
    assert (await site.ended(far, "BYE"))["status"] == 200
    assert not site.provider.ledger.events("altered", call=far.call_id)


async def test_cancelled_call_to_the_provider_rings_no_more(site: Calling) -> None:
    call = site.pbx.call(RINGS)
    assert await call.ringing == 180
    far = theirs(site.provider, call)
    site.pbx.cancel(call)
    assert await call.outcome == 487
    assert await far.ended == "cancelled"
    assert (await site.ended(call))["status"] == 487


async def test_cancelled_call_from_the_provider_rings_no_more(site: Calling) -> None:
    site.pbx.script = pbx.ring
    core = site.provider.sip.core
    async with asyncio.TaskGroup() as group:
        placing = group.create_task(site.placed())
        near = await site.pbx.incoming.get()
        far = theirs(site.provider, near)
        assert await far.ringing == 180
        core.cancel(far)
    assert placing.result().status == 487
    assert await near.ended == "cancelled"


async def test_busy_callee_is_called_once(site: Calling) -> None:
    call = site.pbx.call(BUSY)
    assert await call.outcome == 486
    assert site.provider.sip.rung()[call.call_id] == 1
    assert "attempts" not in await site.ended(call)


async def test_busy_pbx_is_passed_on_to_the_provider(site: Calling) -> None:
    site.pbx.script = pbx.busy
    placed = await site.placed()
    assert placed.status == 486
    await site.pbx.incoming.get()
    assert site.pbx.incoming.empty()
    assert "attempts" not in await site.ended(placed.call)


async def test_limit_of_the_account_is_passed_on_and_blames_no_edge(
    site: Calling,
) -> None:
    site.provider.sip.core.callees[LIMITED] = Callee(
        first=0, final=503, phrase="Trunk CPS limit exceeded"
    )
    # As many as would take an edge out of service.
    calls = [site.pbx.call(LIMITED) for _ in range(5)]
    for call in calls:
        assert await call.outcome == 503
        assert call.phrase == "Trunk CPS limit exceeded"
        assert site.provider.sip.rung()[call.call_id] == 1
        assert "attempts" not in await site.ended(call)
    after = site.pbx.call(ANSWERS)
    assert await after.outcome == 200
    assert (await site.ended(after))["edge"] == "ashburn"
    assert await asked(site.pbx, after, "BYE") == 200


async def test_challenge_is_answered_at_the_address_that_made_it(
    site: Calling,
) -> None:
    ledger = site.provider.ledger
    with rules(site.provider, credentials=KNOWN):
        calls = [site.pbx.call(ANSWERS) for _ in range(4)]
        for call in calls:
            assert await call.outcome == 200
            (challenge,) = ledger.events("refused", call=call.call_id)
            (rung,) = ledger.events("rung", call=call.call_id)
            assert (challenge.status, challenge.address) == (407, rung.address)
            assert await asked(site.pbx, call, "BYE") == 200
