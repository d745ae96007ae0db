"""Many calls: those that stand while the daemon restarts, and new ones at a pace.

EDGE_ROUTER_CALLS=1000 makes it the whole requirement, with the default times.
"""

import asyncio
import collections
import dataclasses
import math
import os
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any

import pytest

from simulator.faults import Fault
from simulator.sip.agent import Agent
from simulator.sip.call import Call
from tests import stage
from tests.scenarios.telephony import (
    ANSWERS,
    WAYS,
    Calling,
    asked,
    calling,
    theirs,
)

CALLS = int(os.environ.get("EDGE_ROUTER_CALLS", "0"))
STANDING = 100 if CALLS else 8
"Calls in each direction that stand."
RATE = 50.0
"New calls per second."
KEY = "a key of this test, long enough"
CALM = {"sip_options_interval": "10m"}
"Health that is known by calls alone."


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


@pytest.mark.parametrize("way", WAYS if CALLS else ["udp", "tls"])
async def test_calls_stand_while_the_daemon_restarts_and_their_edge_is_down(
    way: str, tmp_path: Path
) -> None:
    key_file = tmp_path / "keys"
    key_file.write_text(KEY, encoding="ascii")
    trunk = {"key_file": str(key_file)}
    async with calling(tmp_path, way, trunk=trunk, health=CALM) as site:
        await site.at_home()
        calls = await standing(site)
        site.daemon.terminate()
        assert await site.daemon.end() == 0
        async with stage.running(site.settings, tmp_path) as again:
            site = dataclasses.replace(site, daemon=again)
            # It answers new requests 503; what belongs to a call is served.
            site.provider.edges["ashburn"].fail(Fault.STATUS, 503)
            await site.at_home("dublin")
            await held_and_hung_up(site, calls)
            # The second daemon knows what the first one has asked.
            assert site.provider.sip.fastest_options(600.0) == 1


async def delays(site: Calling, number: int, fault: str) -> list[float]:
    """Seconds until each call rang; the home edge fails when half are made."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    ringing: list[asyncio.Future[float]] = [loop.create_future() for _ in range(number)]

    def call(turn: int) -> None:
        if turn == number // 2:
            getattr(site.provider.edges["ashburn"], fault)()
        made = site.pbx.call(ANSWERS)
        at = loop.time()
        made.ringing.add_done_callback(
            lambda _: ringing[turn].set_result(loop.time() - at)
        )
        made.outcome.add_done_callback(lambda _: site.pbx.hang_up(made))

    for turn in range(number):
        loop.call_at(begun + turn / RATE, call, turn)
    rang, waiting = await asyncio.wait(ringing, timeout=number / RATE + 5)
    if waiting:
        ended = site.daemon.events("call.ended", method="INVITE")
        kinds = collections.Counter(
            (one["status"], one.get("edge"), one.get("tried")) for one in ended
        )
        pytest.fail(f"{len(waiting)} of {number} never rang; {kinds.most_common(5)}")
    return sorted(one.result() for one in rang)


def percentile(values: list[float], part: float) -> float:
    """The nearest rank among sorted values."""
    return values[math.ceil(part * len(values)) - 1]


async def nobody_was_harmed(site: Calling, number: int) -> None:
    """All were answered, none rang twice."""
    rung = site.provider.sip.rung()
    assert len(rung) == number
    assert set(rung.values()) == {1}
    assert not site.pbx.happened("answered-twice")
    ended = await site.daemon.count(number, "call.ended", method="INVITE")
    assert {one["status"] for one in ended} == {200}


def shown(way: str, fault: str, found: list[float]) -> str:
    parts = (0.5, 0.9, 0.99, 1.0)
    figures = (f"p{100 * p:g} {1000 * percentile(found, p):.0f} ms" for p in parts)
    return f"{len(found)} calls, {way}, {fault}: {', '.join(figures)}"


@pytest.mark.parametrize("way", WAYS if CALLS else ["udp"])
@pytest.mark.timeout(60 + CALLS / RATE)
async def test_calls_at_a_pace_while_home_falls_silent(
    way: str, tmp_path: Path
) -> None:
    number = CALLS or 200
    no_response = 2.0 if CALLS else 0.5
    trunk = {"no_response": f"{1000 * no_response:.0f}ms"}
    async with calling(tmp_path, way, trunk=trunk, health=CALM) as site:
        found = await delays(site, number, "blackhole")
        figures = shown(way, "blackhole", found)
        assert percentile(found, 0.99) <= no_response + 0.2, figures
        assert percentile(found, 0.9) <= 0.2, figures
        await nobody_was_harmed(site, number)


@pytest.mark.skipif(not CALLS, reason="each call of it is in test_calls_failover.py")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.timeout(60 + CALLS / RATE)
async def test_calls_at_a_pace_while_home_begins_to_refuse(
    way: str, tmp_path: Path
) -> None:
    number = CALLS
    async with calling(tmp_path, way, health=CALM) as site:
        found = await delays(site, number, "kill")
        figures = shown(way, "kill", found)
        # The round trip to dublin, and what the change of edges may cost.
        assert percentile(found, 0.99) <= 0.030 + 0.050, figures
        await nobody_was_harmed(site, number)
