"""Calls through the daemon: set up, held, hung up, and moved to another edge."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from simulator.provider import Provider
from simulator.sip.pbx import Pbx
from simulator.sip.plan import SipPlan
from tests import stage
from tests.stage import Daemon, Settings

HOST = "example.pstn.twilio.com"
OUTSIDE = "127.30.0.2"
"Where the provider reaches the daemon."
PBX = "127.30.0.10"
ANSWERS = "+155520000000"
RINGS = "+155518000000"
BUSY = "+155548600000"
PLAN = SipPlan(t1=0.1, options_period=0.0)
WAYS = pytest.mark.parametrize("way", ["udp", "tcp"])


def trunk(way: str, pbx: int, **keys: Any) -> Settings:
    """A SIP listener that speaks the same on both sides."""
    site, edge = stage.free_port(), stage.free_port(OUTSIDE)
    return {
        "protocol": "sip",
        "product": "pstn",
        "host": HOST,
        "site": {
            "bind": [f"{way}://{stage.HERE}:{site}"],
            "to": [f"sip:{PBX}:{pbx}"],
            "allow": ["127.0.0.0/8"],
        },
        "edge": {"bind": [f"{way}://{OUTSIDE}:{edge}"], "transport": way},
        **keys,
    }


class Site:
    """A PBX, the daemon and a provider."""

    def __init__(self, pbx: Pbx, daemon: Daemon, provider: Provider) -> None:
        self.pbx = pbx
        self.daemon = daemon
        self.provider = provider


@contextlib.asynccontextmanager
async def calling(
    directory: Path, way: str, *edges: str, **sections: Any
) -> AsyncIterator[Site]:
    """All of them, ready for calls."""
    async with Provider.start(list(edges), seed=1, sip=PLAN) as provider:
        port = stage.free_port()
        async with Pbx.start(
            (stage.HERE, port), transport=way, address=PBX, t1=0.1
        ) as pbx:
            listener = trunk(way, pbx.ports[way])
            listener["site"]["bind"] = [f"{way}://{stage.HERE}:{port}"]
            settings = stage.configuration(
                provider, directory, {"trunk": listener}, **sections
            )
            async with stage.running(settings, directory) as daemon:
                yield Site(pbx, daemon, provider)


@WAYS
async def test_call_to_the_provider_is_answered_and_hung_up(
    way: str, tmp_path: Path
) -> None:
    async with calling(tmp_path, way, "ashburn=2ms", "dublin=30ms") as site:
        call = site.pbx.call(ANSWERS)
        assert await call.outcome == 200
        assert await site.pbx.asked(call, "BYE") == 200
        invite = await site.daemon.wait("call.ended", method="INVITE")
        assert (invite["edge"], invite["status"]) == ("ashburn", 200)
        bye = await site.daemon.wait("call.ended", method="BYE")
        assert bye["call_id"] == invite["call_id"] == call.call_id
