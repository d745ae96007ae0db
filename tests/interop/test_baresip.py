"""baresip as it comes, as the site's telephone."""

import dataclasses
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from benchmarks import sipp
from simulator.sip.pbx import Pbx
from tests import stage
from tests.interop import trunks
from tests.interop.telephone import Telephone, free_port, telephone
from tests.interop.trunks import EDGE, NUMBER, WAYS, Trunk, soon
from tests.scenarios.telephony import asked
from tests.stage import Daemon

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        shutil.which("baresip") is None, reason="baresip is not installed"
    ),
]

CHALLENGE = Path(__file__).with_name("challenge.xml")


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """All but the telephone."""

    edge: Pbx
    daemon: Daemon
    trunks: dict[str, Trunk]
    place: stage.Site
    port: int
    "Where the telephone is."


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """The telephone on one transport, and its far side."""

    telephone: Telephone
    trunk: Trunk
    edge: Pbx
    daemon: Daemon

    async def bye(self, call_id: str) -> stage.Record:
        """The daemon's record of the end of a call."""
        record = await self.daemon.wait("call.ended", method="BYE", call_id=call_id)
        assert (record["listener"], record["status"]) == (self.trunk.way, 200)
        return record


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(directory: Path) -> AsyncIterator[Stage]:
    place = trunks.site(directory)
    trust, serves = trunks.contexts(place)
    port = free_port()
    to = {"udp": port, "tcp": port, "tls": port + 1}
    nowhere = (trunks.OUTSIDE, 9)
    async with (
        Pbx.start(nowhere, address=EDGE, trust=trust, serves=serves) as edge,
        trunks.running(directory, place, edge.ports, to) as (daemon, listeners),
    ):
        yield Stage(edge, daemon, listeners, place, port)


@pytest_asyncio.fixture(params=WAYS, loop_scope="module")
async def scene(
    request: pytest.FixtureRequest, running: Stage, tmp_path: Path
) -> AsyncIterator[Scene]:
    trunk = running.trunks[request.param]
    running.edge.transport, running.edge.proxy = trunk.way, trunk.outside
    async with telephone(trunk, running.place, tmp_path, running.port) as phone:
        yield Scene(phone, trunk, running.edge, running.daemon)


async def test_telephone_calls_holds_and_is_hung_up_on(scene: Scene) -> None:
    await scene.telephone.do("dial", f"sip:+15557654321@{scene.trunk.host}")
    far = await soon(scene.edge.incoming.get())
    await scene.telephone.until("CALL_ESTABLISHED")
    await soon(far.confirmed)
    await scene.telephone.do("hold")
    await soon(far.reinvited)
    assert await soon(asked(scene.edge, far, "INVITE")) == 200
    assert await soon(asked(scene.edge, far, "BYE")) == 200
    await scene.telephone.until("CALL_CLOSED")
    assert (await scene.bye(far.call_id))["direction"] == "from_provider"


async def test_telephone_is_called_is_held_and_hangs_up(scene: Scene) -> None:
    far = scene.edge.call(NUMBER, scene.trunk.outside[0])
    await scene.telephone.until("CALL_INCOMING")
    await scene.telephone.do("accept")
    assert await soon(far.outcome) == 200
    await scene.telephone.until("CALL_ESTABLISHED")
    assert await soon(asked(scene.edge, far, "INVITE")) == 200
    await scene.telephone.do("hold")
    await soon(far.reinvited)
    await scene.telephone.do("hangup")
    assert await soon(far.ended) == "remote"
    assert (await scene.bye(far.call_id))["direction"] == "to_provider"


@pytest.mark.skipif(shutil.which("sipp") is None, reason="sipp is not installed")
async def test_telephone_answers_the_challenge_of_an_edge(tmp_path: Path) -> None:
    place = trunks.site(tmp_path)
    at, port = (EDGE, stage.free_port(EDGE)), free_port()
    with sipp.edge("udp", at, tmp_path / "sipp.log", scenario=CHALLENGE):
        running = trunks.running(tmp_path, place, {"udp": at[1]}, {"udp": port})
        async with running as (daemon, listeners):
            trunk = listeners["udp"]
            async with telephone(trunk, place, tmp_path, port) as phone:
                await phone.do("dial", f"sip:+15557654321@{trunk.host}")
                await phone.until("CALL_ESTABLISHED")
                await phone.do("hangup")
                records = await daemon.count(3, "call.ended")
    told = [(one["method"], one["status"]) for one in records]
    assert told == [("INVITE", 401), ("INVITE", 200), ("BYE", 200)]
    assert len({one["call_id"] for one in records}) == 1
