"""Nobody reads the log for a while: traffic goes on, and what is lost is counted.

EDGE_ROUTER_UNREAD=10 makes it ten seconds of requests as fast as they are answered.
"""

import asyncio
import os
from pathlib import Path
from typing import cast

import pytest

from simulator.provider import Provider
from tests import stage
from tests.stage import Daemon, Site
from tests.wire import Caller

MEASURED = "EDGE_ROUTER_UNREAD" in os.environ
UNREAD = float(os.environ.get("EDGE_ROUTER_UNREAD", "1"))
"Seconds."
CALLERS = 8
"Clients that ask without a pause."
ONE = 0.5
"Seconds that no request takes, not even on a busy machine."
PATIENT = {"interval": "2s", "timeout": "3s", "fall": 10}

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask(daemon: Daemon, site: Site, seconds: float) -> list[float]:
    """Have all clients ask for so long; the seconds that each request took."""
    loop = asyncio.get_running_loop()
    over, took = loop.time() + seconds, []

    async def one() -> None:
        async with Caller(daemon.ports["api"], site.trust()) as caller:
            while (began := loop.time()) < over:
                assert (await caller.ask("GET", "/")).status == 200
                took.append(loop.time() - began)

    await asyncio.gather(*(one() for _ in range(CALLERS)))
    return took


async def test_log_that_nobody_reads_holds_no_request_up_and_counts_what_it_loses(
    provider: Provider, site: Site, tmp_path: Path
) -> None:
    settings = stage.configuration(
        provider, tmp_path, {"api": stage.terminate(site)}, health=PATIENT
    )
    async with stage.running(settings, tmp_path) as daemon:
        before = await ask(daemon, site, UNREAD / 2)
        stderr = cast(asyncio.ReadTransport, daemon.transport.get_pipe_transport(2))
        stderr.pause_reading()
        unread = await ask(daemon, site, UNREAD)
        stderr.resume_reading()
        if MEASURED:
            await daemon.wait("log.dropped")
        async with Caller(daemon.ports["api"], site.trust()) as caller:
            await caller.ask("GET", "/last")
        await daemon.wait("flow.ended", path="/last")
    told = len(daemon.events("flow.ended"))
    lost = sum(one["count"] for one in daemon.events("log.dropped"))
    assert told + lost == len(before) + len(unread) + 1
    assert bool(lost) is MEASURED
    assert max(unread) < max(ONE, 2 * max(before))
    assert len(unread) > len(before)  # in twice the time
