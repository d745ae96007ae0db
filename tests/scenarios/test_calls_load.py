"""New calls at a pace while home fails, with the default times: none fails, none rings
twice.

On a machine that does nothing else EDGE_ROUTER_CALLS=1000 makes it the whole
requirement: every fault over every transport, and how late calls may be.
"""

import asyncio
import collections
import logging
import math
from pathlib import Path

import pytest

from simulator.sip.pbx import silent
from tests.scenarios.telephony import (
    ANSWERS,
    CALLS,
    CALM,
    MEASURED,
    WAYS,
    Calling,
    asked,
    calling,
)

LOG = logging.getLogger(__name__)
RATE = 50.0
"New calls per second."
NO_RESPONSE = 2.0
"Seconds of silence after which a call goes elsewhere."
pytestmark = pytest.mark.timeout(60 + CALLS / RATE)


def ways(usual: str) -> pytest.MarkDecorator:
    """Every transport where times are measured, else one."""
    return pytest.mark.parametrize("way", WAYS if MEASURED else [usual])


async def delays(site: Calling, fault: str) -> list[float]:
    """Seconds until each call rang; the home edge fails when half are made.

    None is on its way there just then: whoever was reached by an edge in its last
    moment cannot be reached again by another one (482), and that call is lost.
    """
    before = await paced(site, CALLS // 2)
    getattr(site.provider.edges["ashburn"], fault)()
    return sorted([*before, *await paced(site, CALLS - CALLS // 2)])


async def paced(site: Calling, number: int) -> list[float]:
    """Make calls at the pace, all of which last; seconds until each rang."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    rang: list[float] = []

    async def call(turn: int) -> None:
        await asyncio.sleep(begun + turn / RATE - loop.time())
        at = loop.time()
        made = site.pbx.call(ANSWERS)
        await made.ringing
        rang.append(loop.time() - at)
        assert await made.outcome == 200

    try:
        async with asyncio.timeout(number / RATE + 5), asyncio.TaskGroup() as group:
            for turn in range(number):
                group.create_task(call(turn))
    except TimeoutError:
        ended = site.daemon.events("call.ended", method="INVITE")
        kinds = collections.Counter(
            (one["status"], one.get("edge"), one.get("tried")) for one in ended
        )
        pytest.fail(f"{len(rang)} of {number} rang; {kinds.most_common(5)}")
    return rang


def percentile(values: list[float], part: float) -> float:
    """The nearest rank among sorted values."""
    return values[math.ceil(part * len(values)) - 1]


async def nobody_was_harmed(site: Calling, number: int = CALLS) -> None:
    """All were answered, none rang twice."""
    rung = site.provider.sip.rung()
    assert len(rung) == number
    assert set(rung.values()) == {1}
    assert not site.pbx.happened("answered-twice")
    ended = await site.daemon.count(number, "call.ended", method="INVITE")
    assert {one["status"] for one in ended} == {200}


def shown(site: Calling, fault: str, found: list[float]) -> str:
    """What calls took, and what the daemon says: it differs on a busy machine."""
    ended = site.daemon.events("call.ended", method="INVITE")
    said = sorted(one["ringing_ms"] / 1000 for one in ended if "ringing_ms" in one)
    texts = [f"{len(found)} calls, {site.way}, {fault}"]
    for whose, values in (("the caller's", found), ("the daemon's", said)):
        figures = (
            f"p{100 * part:g} {1000 * percentile(values, part):.0f} ms"
            for part in (0.5, 0.9, 0.99, 1.0)
        )
        texts.append(f"{whose} {', '.join(figures)}")
    return "; ".join(texts)


@ways("udp")
async def test_calls_at_a_pace_while_home_falls_silent(
    way: str, tmp_path: Path
) -> None:
    async with calling(tmp_path, way, health=CALM) as site:
        found = await delays(site, "blackhole")
        if MEASURED:
            figures = shown(site, "blackhole", found)
            LOG.info(figures)
            assert percentile(found, 0.99) <= NO_RESPONSE + 0.2, figures
            # Those of the second in which nobody knows are late, and nobody else.
            assert percentile(found, 1 - 1.2 * RATE / CALLS) <= 0.2, figures
        await nobody_was_harmed(site)


@ways("tcp")
async def test_calls_at_a_pace_while_home_begins_to_refuse(
    way: str, tmp_path: Path
) -> None:
    async with calling(tmp_path, way, health=CALM) as site:
        found = await delays(site, "kill")
        if MEASURED:
            figures = shown(site, "kill", found)
            LOG.info(figures)
            # The round trip to dublin, and what the change of edges may cost.
            assert percentile(found, 0.99) <= 0.030 + 0.050, figures
        await nobody_was_harmed(site)


@ways("tls")
async def test_calls_at_a_pace_while_home_stands_still_for_a_while(
    way: str, tmp_path: Path
) -> None:
    async with calling(tmp_path, way, health=CALM) as site:
        first = site.pbx.call(ANSWERS)
        assert (await site.ended(first))["edge"] == "ashburn"
        found = await delays(site, "freeze")
        if MEASURED:
            figures = shown(site, "freeze", found)
            LOG.info(figures)
            assert percentile(found, 0.99) <= NO_RESPONSE + 0.2, figures
        site.provider.edges["ashburn"].heal()
        # Behind all that waited there.
        assert await asked(site.pbx, first, "BYE") == 200
        await nobody_was_harmed(site, 1 + CALLS)


async def test_provider_learns_in_time_that_the_pbx_is_silent(tmp_path: Path) -> None:
    async with calling(tmp_path, "udp", script=silent, health=CALM) as site:
        async with asyncio.timeout(4.0):
            assert (await site.placed()).status == 503
