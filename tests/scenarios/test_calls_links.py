"""Calls on a direct link that is soon full: where they go, and what is counted."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from click.testing import CliRunner

from router.cli import main
from simulator.sip.call import Call
from simulator.sip.message import G711, OPUS
from simulator.sip.origination import Placed
from tests import stage
from tests.scenarios.telephony import (
    ANSWERS,
    CALLS,
    CALM,
    OUTSIDE,
    RINGS,
    Calling,
    Set,
    asked,
    set_up,
    theirs,
)
from tests.stage import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOURCE = "127.0.0.9"
"Where calls to the private edge come from."
IX, PUBLIC = "ashburn-ix", "ashburn"
ROOM = {G711: 11, OPUS: 18}
"Calls that a megabit takes."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Set]:
    """A private edge behind a link of a megabit, and a public one farther away."""
    directory: Path = tmp_path_factory.mktemp("links")
    edges = f"{IX}=2ms@{SOURCE}", f"{PUBLIC}=20ms"
    async with set_up(directory, "udp", *edges, health=CALM) as made:
        provider = made.settings["provider"]
        provider["edges"] = [IX, PUBLIC]
        provider["links"] = {
            "ix1": {
                "exchange": "here",
                "edges": [IX],
                "sources": [SOURCE],
                "prefixes": ["127.0.0.8/29"],
                "bandwidth": "1Mbit/s",
                "reserve": 0.0,
            }
        }
        trunk = made.settings["listeners"]["trunk"]
        trunk["edge"]["bind"].append(f"udp://{SOURCE}:{stage.free_port(SOURCE)}")
        key_file = directory / "keys"
        key_file.write_text("a key of these tests, long enough", encoding="ascii")
        trunk["key_file"] = str(key_file)
        made.settings["admin"] = {"socket": str(directory / "control.sock")}
        yield made


@contextlib.asynccontextmanager
async def running(made: Set, directory: Path) -> AsyncIterator["Line"]:
    """A daemon, and what it says of its link."""
    async with stage.running(made.settings, directory) as daemon:
        yield Line(
            Calling(
                "udp",
                made.pbx,
                made.provider,
                made.settings,
                directory,
                made.place,
                daemon,
            )
        )


class Line:
    """A daemon, and what it says of its link."""

    def __init__(self, calling: Calling) -> None:
        self.calling = calling
        self.daemon = calling.daemon

    async def call(self, number: str = ANSWERS) -> Call:
        """Call, until it rings or is answered."""
        call = self.calling.pbx.call(number)
        await (call.outcome if number == ANSWERS else call.ringing)
        return call

    async def hang_up(self, *calls: Call) -> None:
        for call in calls:
            assert await asked(self.calling.pbx, call, "BYE") == 200

    async def use(self) -> dict[str, Any]:
        """What `edge-router status` tells of the link."""
        (config,) = self.calling.directory.glob("edge-router-*.yaml")
        words = ["status", "--json", "--config", str(config)]
        done = await asyncio.to_thread(CliRunner().invoke, main, words)
        (found,) = json.loads(done.stdout)["links"]
        return dict(found["use"])

    async def reload(self, *edges: str, bandwidth: str = "1Mbit/s") -> None:
        """Have a file read with another bandwidth, or other edges."""
        (config,) = self.calling.directory.glob("edge-router-*.yaml")
        settings: Settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        settings["provider"]["edges"] = edges or [IX, PUBLIC]
        settings["provider"]["links"]["ix1"]["bandwidth"] = bandwidth
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        words = ["reload", "--config", str(config)]
        done = await asyncio.to_thread(CliRunner().invoke, main, words)
        assert done.exit_code == 0, done.output

    async def placed(self, at: str) -> Placed:
        """A call of the provider from its private edge, to one of our addresses."""
        binds = self.calling.settings["listeners"]["trunk"]["edge"]["bind"]
        (place,) = [bind for bind in binds if at in bind]
        uri = f"sip:{place.removeprefix('udp://')};transport=udp;edge={IX}"
        return await self.calling.provider.sip.call([uri])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(
    made: Set, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Line]:
    async with running(made, tmp_path_factory.mktemp("daemon")) as found:
        await found.daemon.wait("edge.switched", home=IX)
        yield found


async def test_megabit_takes_eleven_calls_of_g711_and_the_next_spills(
    line: Line,
) -> None:
    calls = [await line.call() for _ in range(ROOM[G711] + 1)]
    records = [await line.calling.ended(call) for call in calls]
    assert [(one["edge"], one.get("link")) for one in records[:-1]] == (
        [(IX, "ix1")] * ROOM[G711]
    )
    assert records[-1]["edge"] == PUBLIC
    assert records[-1]["spilled"] == "ix1"
    assert "link" not in records[-1]
    assert not any("spilled" in one for one in records[:-1])
    use = await line.use()
    assert (use["calls"], use["taken_bps"], use["spilled"]) == (11, 959_200, 1)
    await line.hang_up(calls.pop(0))
    calls.append(await line.call())
    assert (await line.calling.ended(calls[-1]))["edge"] == IX
    await line.hang_up(*calls)
    assert (await line.use())["calls"] == 0


async def test_megabit_takes_eighteen_calls_of_opus_while_they_ring(
    line: Line,
) -> None:
    pbx = line.calling.pbx
    pbx.formats = OPUS
    try:
        calls = [await line.call(RINGS) for _ in range(ROOM[OPUS] + 1)]
    finally:
        pbx.formats = G711
    use = await line.use()
    assert (use["calls"], use["taken_bps"]) == (18, 993_600)
    for call in calls:
        pbx.cancel(call)
        assert await call.outcome == 487
    edges = [(await line.calling.ended(call))["edge"] for call in calls]
    assert edges == [IX] * ROOM[OPUS] + [PUBLIC]
    assert (await line.use())["calls"] == 0


@pytest.mark.timeout(60 + CALLS / 10)
async def test_calls_leave_nothing_behind_though_some_end_without_a_bye(
    line: Line,
) -> None:
    core = line.calling.provider.sip.core
    for number in range(CALLS):
        call = await line.call()
        if number % 20:
            await line.hang_up(call)
            continue
        far = theirs(line.calling.provider, call)
        del core.calls[far.call_id, far.tag]  # its end was lost
        assert (await line.use())["calls"] == 1
        assert await asked(line.calling.pbx, call, "INVITE") == 481
        assert (await line.use())["calls"] == 0
    assert (await line.use())["taken_bps"] == 0


async def test_call_of_the_provider_is_counted_on_the_link_and_never_refused(
    line: Line,
) -> None:
    await line.reload(bandwidth="64kbit/s")
    placed = await line.placed(SOURCE)
    assert placed.status == 200
    record = await line.calling.ended(placed.call)
    assert (record["edge"], record["link"]) == (IX, "ix1")
    use = await line.use()
    assert (use["calls"], use["taken_bps"], use["room_bps"]) == (1, 87_200, -23_200)
    await line.hang_up(await line.calling.pbx.incoming.get())
    assert (await line.use())["calls"] == 0


async def test_call_from_a_private_edge_beside_its_link_is_dropped_and_told_of(
    line: Line,
) -> None:
    async with asyncio.TaskGroup() as group:
        placing = group.create_task(line.placed(OUTSIDE))
        strayed = await line.daemon.wait("flow.strayed")
        placing.cancel()
    assert (strayed["listener"], strayed["edge"]) == ("trunk", IX)
    assert OUTSIDE in strayed["reason"]
    assert line.calling.pbx.incoming.empty()


async def test_call_that_fits_no_link_is_refused_in_words_where_no_edge_is_public(
    line: Line,
) -> None:
    await line.reload(IX, bandwidth="64kbit/s")
    call = line.calling.pbx.call(ANSWERS)
    assert await call.outcome == 503
    assert call.phrase == "every private link is full"
    record = await line.calling.ended(call)
    assert (record["reason"], record["spilled"]) == (call.phrase, "ix1")
    await line.reload()


async def test_slots_outlive_reload_and_restart(
    line: Line, made: Set, tmp_path: Path
) -> None:
    calls = [await line.call() for _ in range(3)]
    before = await line.use()
    await line.reload(bandwidth="2Mbit/s")
    after = await line.use()
    assert (after["calls"], after["taken_bps"]) == (3, before["taken_bps"])
    await line.reload()
    line.daemon.terminate()
    assert await line.daemon.end() == 0
    async with running(made, tmp_path) as again:
        await again.daemon.wait("state.restored", calls=3)
        use = await again.use()
        assert (use["calls"], use["taken_bps"]) == (3, before["taken_bps"])
        await again.hang_up(*calls)
        assert (await again.use())["calls"] == 0
