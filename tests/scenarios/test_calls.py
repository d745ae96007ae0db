"""Calls through the daemon: set up, held, hung up, turned down; and its restart."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Iterable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from click.testing import CliRunner

from router.cli import main
from simulator.faults import Fault
from simulator.sip import pbx
from simulator.sip.agent import Agent
from simulator.sip.call import Call
from simulator.sip.callees import Callee
from simulator.sip.digest import Credentials
from simulator.sip.origination import Uri, edge_of
from simulator.sip.pbx import Pbx
from tests import stage as daemons
from tests.scenarios.telephony import (
    ANSWERS,
    BUSY,
    CALM,
    HANGS_UP,
    MEASURED,
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
ELSEWHERE = "127.30.0.11"
STANDING = 100 if MEASURED else 8
"Calls in each direction that stand while the daemon restarts."


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=WAYS)
async def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Calling]:
    """Two edges, of which none fails, for each transport."""
    directory: Path = tmp_path_factory.mktemp(request.param)
    key_file = directory / "keys"
    key_file.write_text("a key of these tests, long enough", encoding="ascii")
    trunk = {"key_file": str(key_file)}
    # Nothing fails here: a busy machine is to be no reason to change edges. The ports
    # of the edges are to be found in the DNS alone.
    async with calling(
        directory,
        request.param,
        known_as=KNOWN,
        misled=True,
        trunk=trunk,
        health=CALM,
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


async def test_pbx_of_nobodys_knowledge_is_held_and_hung_up_at_the_far_end(
    site: Calling,
) -> None:
    """One that `site.to` does not name: over TLS, nobody could verify it."""
    async with Pbx.start(
        site.site, transport=site.way, address=ELSEWHERE, trust=site.place.trust()
    ) as other:
        call = other.call(ANSWERS)
        assert await call.outcome == 200
        core = site.provider.sip.core
        assert await asked(core, theirs(site.provider, call), "INVITE") == 200
        assert await asked(core, theirs(site.provider, call), "BYE") == 200
        assert await call.ended == "remote"


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


async def test_call_by_the_advised_uris_comes_from_the_first_advised_edge(
    site: Calling,
) -> None:
    path = site.directory / "advised.yaml"
    await asyncio.to_thread(path.write_text, yaml.safe_dump(site.settings), "utf-8")
    words = ["advise", "--json", str(path)]
    printed = await asyncio.to_thread(CliRunner().invoke, main, words)
    (trunk,) = json.loads(printed.stdout)["trunks"]
    uris = [Uri(one["uri"], one["priority"], one["weight"]) for one in trunk["uris"]]
    assert [edge_of(one) for one in uris] == ["ashburn", "dublin"]
    placed = await site.provider.sip.call(uris)
    assert (placed.status, len(placed.attempts)) == (200, 1)
    assert edge_of(placed.attempts[0].uri) == "ashburn"
    near = await site.pbx.incoming.get()
    assert await asked(site.pbx, near, "BYE") == 200


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


# ---- The daemon restarts -------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """One call that stands, from either end."""

    near: Call
    "At the PBX."
    far: Call
    "At the provider."


async def gathered(awaited: Iterable[Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*awaited))


async def standing(site: Calling) -> list[Standing]:
    """Calls in both directions, the home edge being that of all."""
    near = [site.pbx.call(ANSWERS) for _ in range(STANDING)]
    assert set(await gathered(call.outcome for call in near)) == {200}
    ours = [Standing(call, theirs(site.provider, call)) for call in near]
    placed = await gathered(site.placed("ashburn") for _ in range(STANDING))
    assert {one.status for one in placed} == {200}
    at_pbx = {one.call_id: one for one in site.pbx.calls.values()}
    return [*ours, *(Standing(at_pbx[p.call.call_id], p.call) for p in placed)]


async def held_and_hung_up(site: Calling, calls: list[Standing]) -> None:
    """Re-INVITE from both ends and BYE from either, all where they must arrive."""
    here: Agent = site.pbx
    there: Agent = site.provider.sip.core
    for agent, end in ((here, "near"), (there, "far")):
        answers = await gathered(
            asked(agent, getattr(one, end), "INVITE") for one in calls
        )
        assert set(answers) == {200}
    answers = await gathered(asked(here, one.near, "BYE") for one in calls[::2])
    answers += await gathered(asked(there, one.far, "BYE") for one in calls[1::2])
    assert set(answers) == {200}
    for one in calls:
        assert {await one.near.ended, await one.far.ended} == {"local", "remote"}
    assert not site.provider.ledger.events("altered")
    assert not site.provider.ledger.events("unknown-dialog")


async def test_calls_stand_while_the_daemon_restarts_and_their_edge_is_down(
    site: Calling,
) -> None:
    # The last one here: it ends the daemon of the others.
    calls = await standing(site)
    site.daemon.terminate()
    assert await site.daemon.end() == 0
    async with daemons.running(site.settings, site.directory) as again:
        site = dataclasses.replace(site, daemon=again)
        # It answers new requests 503; what belongs to a call is served.
        site.provider.edges["ashburn"].fail(Fault.STATUS, 503)
        await site.at_home("dublin")
        await held_and_hung_up(site, calls)
        # The second daemon knows when the first one has asked.
        assert site.provider.sip.fastest_options(600.0) == 1
