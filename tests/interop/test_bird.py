"""Two real BIRDs, a link between them, and the way over it.

One stands for ours, the other for the provider's router: it announces the prefix of the
private edge over BGP, and ours puts it into the kernel's table.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from router.bird import Bird, Questions
from router.birdc import BgpRoute, Evidence
from router.egress import Verdict, Way
from router.kernel import Kernel
from router.lookout import Lookout
from tests.bird import control, speaking
from tests.namespaces import Network

pytestmark = pytest.mark.skipif(not shutil.which("bird"), reason="needs bird")

EDGE = "208.78.112.64"
WAY = Way(EDGE, "link1", "203.0.113.10")

COMMON = """
log "{log}" all;
router id {address};
protocol device {{ scan time 1; }}
protocol static announced {{ ipv4; route {announced} blackhole; }}
protocol bgp link1 {{
    local {address} as {own};
    neighbor {far} as {other};
    connect delay time 1; connect retry time 1; error wait time 1, 1;
    hold time 3;
    ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }};
}}
"""
OURS = COMMON + (
    "protocol kernel {{ ipv4 {{ export where source = RTS_BGP; import none; }}; }}\n"
)


class Site:
    """Our end: the verdict on the way, and what BIRD says."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.network = network
        self.directory = directory
        self.verdict: Verdict | None = None
        self.reasons: list[str] = []

    def changed(self, verdicts: Mapping[Way, Verdict]) -> None:
        self.verdict = verdicts[WAY]
        self.reasons.append(self.verdict.reason)

    def control(self, which: str, words: str) -> None:
        """Steer one of the BIRDs."""
        control(self.directory, which, words)


async def until(true: Callable[[], bool]) -> None:
    """Wait for what two daemons and a kernel do in their own time."""
    async with asyncio.timeout(15):
        while not true():  # noqa: ASYNC110 - neither daemon has an event for us
            await asyncio.sleep(0.01)


@pytest.fixture
async def site(network: Network, tmp_path: Path) -> AsyncIterator[Site]:
    provider = network.neighbour()
    network.join("eth0", network.neighbour(), "198.51.100.2/24", "198.51.100.1/24")
    network.join("link1", provider, "169.254.1.2/30", "169.254.1.1/30")
    network.ip("address add 203.0.113.10/32 dev lo")
    network.ip("route add default via 198.51.100.1")
    values = {"log": tmp_path / "bird.log"}
    ours = OURS.format(
        address="169.254.1.2", far="169.254.1.1", own=65001, other=65002,
        announced="203.0.113.10/32", **values,
    )  # fmt: skip
    theirs = COMMON.format(
        address="169.254.1.1", far="169.254.1.2", own=65002, other=65001,
        announced="208.78.112.0/24", **values,
    )  # fmt: skip
    async with (
        speaking(network, network.name, tmp_path, "ours", ours),
        speaking(network, provider, tmp_path, "theirs", theirs),
    ):
        yield Site(network, tmp_path)


def exchanged(evidence: Evidence) -> bool:
    session = evidence.sessions.get("link1")
    return session is not None and session.established


async def test_way_follows_what_bgp_announces(site: Site) -> None:
    troubles: list[str] = []
    lookout = Lookout(
        site.changed, troubles.append, kernel=lambda: site.network.inside(Kernel)
    )
    lookout.watch([WAY])
    path = str(site.directory / "ours.ctl")
    bird = Bird(Questions(path, ["link1"], [EDGE]), lambda _: None, interval=0.05)
    bird.start()
    try:
        assert site.reasons == ["route leaves by eth0"]
        await until(lambda: site.reasons[-1] == "")
        await until(lambda: exchanged(bird.evidence))
        learnt = BgpRoute("208.78.112.0/24", "link1", ("link1",))
        await until(lambda: bird.evidence.routes[EDGE] == learnt)

        site.control("theirs", "disable announced")  # the prefix is withdrawn
        await until(lambda: site.reasons[-1] == "route leaves by eth0")
        await until(lambda: bird.evidence.routes[EDGE] is None)
        assert exchanged(bird.evidence)

        site.control("theirs", "enable announced")
        await until(lambda: site.reasons[-1] == "")

        site.control("theirs", "disable link1")  # the session ends
        await until(lambda: site.reasons[-1] == "route leaves by eth0")
        await until(lambda: not exchanged(bird.evidence))

        site.control("theirs", "enable link1")
        await until(lambda: site.reasons[-1] == "")
        assert site.reasons == ["route leaves by eth0", ""] * 3
        assert troubles == []
    finally:
        await bird.close()
        lookout.close()
