"""SIPp as it comes, as PBX and as edge, in both directions."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from benchmarks import sipp
from tests import stage
from tests.interop import trunks
from tests.interop.trunks import EDGE, TELEPHONE, Address, Trunk
from tests.stage import Daemon

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(shutil.which("sipp") is None, reason="sipp is not installed"),
]

CALLS = 20
WAYS = ("udp", "tcp")  # Debian's SIPp knows no TLS


@pytest.fixture(scope="module")
def answering(directory: Path) -> Iterator[dict[str, int]]:
    """SIPp at the edge and at the telephone; the port of each."""
    ports = {at: stage.free_port(at) for at in (EDGE, TELEPHONE)}
    log = directory / "sipp.log"
    wanted = [(way, at) for way in WAYS for at in ports.items()]
    started = [sipp.edge(way, at, log) for way, at in wanted]
    yield ports
    for one in started:
        one.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    directory: Path, answering: dict[str, int]
) -> AsyncIterator[tuple[Daemon, dict[str, Trunk]]]:
    place = trunks.site(directory)
    edge = dict.fromkeys(WAYS, answering[EDGE])
    to = dict.fromkeys(WAYS, answering[TELEPHONE])
    async with trunks.running(directory, place, edge, to) as found:
        yield found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("direction", ["to_provider", "from_provider"])
async def test_calls_are_set_up_and_hung_up(
    direction: str,
    way: str,
    running: tuple[Daemon, dict[str, Trunk]],
    tmp_path: Path,
) -> None:
    daemon, listeners = running
    trunk = listeners[way]
    outward = direction == "to_provider"
    to: Address = trunk.site if outward else trunk.outside
    source = TELEPHONE if outward else EDGE
    host = trunk.host if outward else stage.HERE
    pbx = sipp.Pbx(way, to, host, source, tmp_path)
    done = await asyncio.to_thread(pbx.run, calls=CALLS, at_a_time=4)
    assert done.calls == CALLS
    told = {"listener": way, "direction": direction, "status": 200}
    for method in ("INVITE", "BYE"):
        records = await daemon.count(CALLS, "call.ended", method=method, **told)
        assert len(records) == len({one["call_id"] for one in records}) == CALLS
