"""The verdicts on ways, kept true while a network changes."""

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping

import pytest

from router.egress import Found, Privacy, Verdict, Way
from router.kernel import Kernel
from router.lookout import Lookout
from tests.namespaces import Network

EDGE = "208.78.112.64"
WAY = Way(EDGE, "link1", "203.0.113.10")
NONE = Way(EDGE, "link9")


class Told:
    """What a lookout has told."""

    def __init__(self) -> None:
        self.changes: list[Mapping[Way, Verdict]] = []
        self.troubles: list[str] = []
        self._something = asyncio.Event()

    def change(self, verdicts: Mapping[Way, Verdict]) -> None:
        self.changes.append(verdicts)
        self._something.set()

    def _reasons(self) -> list[str]:
        return [verdict.reason for verdict in self.changes[-1].values()]

    async def reason(self, expected: str) -> None:
        """Wait until the one verdict has this reason."""
        async with asyncio.timeout(5):
            while not self.changes or self._reasons() != [expected]:
                self._something.clear()
                await self._something.wait()


@pytest.fixture(scope="module")
def network(lasting_network: Network) -> Network:
    """Two interfaces: eth0 to the Internet, link1 to the edge."""
    network = lasting_network
    network.join("eth0", network.neighbour(), "198.51.100.2/24", "198.51.100.1/24")
    network.join("link1", network.neighbour(), "169.254.1.2/30", "169.254.1.1/30")
    network.ip("address add 203.0.113.10/32 dev lo")
    network.ip("route add default via 198.51.100.1")
    network.ip("route add 208.78.112.0/24 via 169.254.1.1")
    return network


@pytest.fixture
async def told(network: Network) -> AsyncIterator[Told]:
    """What is told of that network; the interval is too long to help."""
    told = Told()
    lookout = Lookout(
        told.change,
        told.troubles.append,
        kernel=lambda: network.inside(Kernel),
        rest=0.001,
        interval=3600,
    )
    lookout.watch([WAY])
    yield told
    lookout.close()


@pytest.mark.parametrize(
    ("change", "reason", "healed"),
    [
        (
            "link set link1 down",
            "link1 is down",
            ["link set link1 up", "route add 208.78.112.0/24 via 169.254.1.1"],
        ),
        (
            "route delete 208.78.112.0/24",
            "route leaves by eth0",
            ["route add 208.78.112.0/24 via 169.254.1.1"],
        ),
        (
            "route replace 208.78.112.0/24 via 198.51.100.1",
            "route leaves by eth0",
            ["route replace 208.78.112.0/24 via 169.254.1.1"],
        ),
        (
            "rule add from 203.0.113.10 blackhole",
            "route is a blackhole",
            ["rule delete from 203.0.113.10 blackhole"],
        ),
    ],
)
async def test_way_is_left_at_a_change_and_taken_again_once_it_is_healed(
    network: Network, told: Told, change: str, reason: str, healed: list[str]
) -> None:
    await told.reason("")
    assert told.changes[-1][WAY].privacy is Privacy.PRIVATE
    network.ip(change)
    await told.reason(reason)
    assert told.changes[-1][WAY].privacy is Privacy.EXPOSED
    for words in healed:
        network.ip(words)
    await told.reason("")
    assert told.troubles == []


async def test_carrier_lost_at_the_far_end_is_seen(
    network: Network, told: Told
) -> None:
    network.ip("link set link1 down", within=network.names[-1])
    await told.reason("link1 has no carrier")
    network.ip("link set link1 up", within=network.names[-1])
    await told.reason("")


async def test_netlink_that_fails_is_told_once_and_tried_again(
    network: Network,
) -> None:
    told, tried = Told(), []

    def opened() -> Kernel:
        tried.append(True)
        if len(tried) < 4:
            raise PermissionError(1, "Operation not permitted")
        return network.inside(Kernel)

    lookout = Lookout(told.change, told.troubles.append, kernel=opened, interval=0.001)
    lookout.watch([NONE])
    assert lookout.verdicts[NONE].privacy is Privacy.UNKNOWN
    await told.reason("no interface link9")
    assert told.troubles == ["Operation not permitted", ""]
    assert [changes[NONE].reason for changes in told.changes] == [
        "no netlink: Operation not permitted",
        "no interface link9",
    ]
    lookout.close()


class Broken(Kernel):
    """A kernel whose answers are lost."""

    def find(self, way: Way) -> Found:
        raise OSError(errno.EIO, "Input/output error")


async def test_netlink_that_breaks_makes_the_way_unknown_until_it_is_replaced(
    network: Network,
) -> None:
    told = Told()
    kinds = iter([Broken, Kernel])
    lookout = Lookout(
        told.change,
        told.troubles.append,
        kernel=lambda: network.inside(next(kinds)),
        interval=0.01,
    )
    lookout.watch([NONE])
    assert lookout.verdicts[NONE].reason == "no netlink: Input/output error"
    await told.reason("no interface link9")
    assert told.troubles == ["Input/output error", ""]
    lookout.close()


async def test_way_that_is_watched_no_longer_is_forgotten(network: Network) -> None:
    told = Told()
    lookout = Lookout(
        told.change, told.troubles.append, kernel=lambda: network.inside(Kernel)
    )
    lookout.watch([NONE])
    other = Way(EDGE, "eth7")
    lookout.watch([other])
    assert set(lookout.verdicts) == {other}
    assert told.changes[-1] == {other: lookout.verdicts[other]}
    lookout.close()
