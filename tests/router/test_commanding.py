"""Requests as the daemon takes them: what is answered, refused and logged."""

import json
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, TextIO

import pytest
import pytest_asyncio

from protocols.record import FlowRecord, UnderWay
from protocols.target import Target
from router.commanding import DONE, FLOWS, PROBES, Commands, Served
from router.config import load
from router.control import Caller, CommandError
from router.files import _read_catalogue
from router.logs import open_log
from router.overview import Overview
from router.steering import Steering

CONFIG = """\
version: 1
provider: {catalogue: twilio, edges: [ashburn, dublin]}
listeners:
  api: {protocol: https, direction: to_provider, mode: passthrough, product: api,
        bind: "127.0.0.1:1", allow: [127.0.0.0/8]}
"""
CALLER = Caller(1, 2, 3)


async def leave(edge: str, targets: Iterable[Target]) -> None:
    """End nothing."""


class Stage:
    """The commands on a checker that has measured two edges."""

    def __init__(self, measured: Any, stream: TextIO) -> None:
        self.stream = stream
        self.log = open_log("json", stream=self.stream)
        self.measured = measured
        base = Path()
        loaded = load(CONFIG, "f", lambda name: _read_catalogue(name, base), base=base)
        checker = measured.checker
        self.overview = Overview(
            loaded, Path("f"), checker, self.log, self.flows, lambda: ()
        )
        self.steering = Steering(checker, self.log, measured.tasks, leave=leave)
        served = Served(
            checker=checker,
            log=self.log,
            status=self.overview.status,
            under_way=self.flows,
            clock=self.overview.clock,
            reload=self.reload,
        )
        self.commands = Commands(served, self.steering)

    def flows(self) -> Any:
        return iter([UnderWay("api", "https", "10.0.0.1", "ashburn", 0.0)])

    async def reload(self, *, wait: bool) -> Mapping[str, Any]:
        if wait:
            raise CommandError("the configuration has errors", 78, problems=[1])
        return {"said": "2 listeners changed", "changed": ["api", "voice"]}

    async def ask(self, command: str, **members: Any) -> Any:
        """The first answer."""
        request = {"command": command, **members}
        async with aclosing(self.commands(request, CALLER)) as answers:
            return json.loads(json.dumps(await anext(answers)))

    def logged(self) -> list[tuple[Any, ...]]:
        self.log.close()
        self.stream.seek(0)
        lines = map(json.loads, self.stream)
        return [(one["command"], one["uid"], one["result"]) for one in lines]


@pytest_asyncio.fixture
async def stage(measured: Any) -> AsyncIterator[Stage]:
    with tempfile.TemporaryFile("w+") as stream:
        made = Stage(measured, stream)
        yield made
        made.steering.close()
        made.overview.close()
        made.log.close()


async def test_status_and_explain_say_the_same(stage: Stage) -> None:
    status, explained = await stage.ask("status"), await stage.ask("explain")
    assert status["verdict"].startswith("ok: home is ashburn (public, ")
    assert explained["verdict"] == status["verdict"]
    assert [one["edge"] for one in explained["edges"]] == ["ashburn", "dublin"]
    assert (await stage.ask("explain", protocol="sip"))["products"] == []


async def test_status_is_given_again_and_again_when_watched(stage: Stage) -> None:
    request = {"command": "status", "watch": 0.2}
    async with aclosing(stage.commands(request, CALLER)) as answers:
        first, second = await anext(answers), await anext(answers)
    assert first["time"] != second["time"]


async def test_flows_are_listed_and_counted(stage: Stage) -> None:
    stage.log.log_flow(FlowRecord("api", "https", "to_provider", "x", edge="dublin"))
    found = await stage.ask("flows")
    assert (found["schema"], found["unlisted"]) == (FLOWS, 0)
    counts = [(one["edge"], one["open"], one["ended"]) for one in found["counts"]]
    assert counts == [("ashburn", 1, 0), ("dublin", 0, 1)]
    assert [one["client"] for one in found["listed"]] == ["10.0.0.1"]


async def test_probes_are_sent_now_and_their_findings_given(stage: Stage) -> None:
    found = await stage.ask("probe", edge="dublin")
    assert found["schema"] == PROBES
    (probe,) = found["probes"]
    assert (probe["edge"], probe["result"]) == ("dublin", "alive")
    assert probe["round_trip_ms"] == 20.5
    assert "dublin" in {target.label for target in stage.measured.asked}
    assert len((await stage.ask("probe"))["probes"]) == 2


async def test_what_changes_something_is_logged_with_who_asked(stage: Stage) -> None:
    done = await stage.ask("drain", edge="dublin")
    assert done == {
        "schema": DONE,
        "said": "dublin is drained: new flows go to ashburn",
    }
    with pytest.raises(CommandError):
        await stage.ask("pin", **{"edge": "dublin", "for": "1h"})
    assert stage.logged() == [
        ("drain dublin", 2, "dublin is drained: new flows go to ashburn"),
        (
            "pin dublin --for 1h",
            2,
            "dublin is drained: `edge-router undrain dublin` first",
        ),
    ]


async def test_reload_gives_what_changed_or_the_errors(stage: Stage) -> None:
    done = await stage.ask("reload", wait=False)
    assert done["changed"] == ["api", "voice"]
    with pytest.raises(CommandError) as error:
        await stage.ask("reload", wait=True)
    assert (error.value.exit_code, error.value.details) == (78, {"problems": [1]})
    assert [one[0] for one in stage.logged()] == ["reload", "reload --wait"]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"command": "stauts"}, "there is no command 'stauts'; did you mean 'status'?"),
        ({"command": "x" * 99}, "there is no command '" + "x" * 40 + "'; there are "),
        ({"command": "status", "edge": "a"}, "status takes no 'edge'; it takes watch"),
        ({"command": "unpin", "edge": "a"}, "unpin takes no 'edge'"),
        ({"command": "status", "watch": 0.01}, "watch: expected 0.2 to 60 seconds"),
        ({"command": "status", "watch": True}, "watch: expected 0.2 to 60 seconds"),
        ({"command": "status", "watch": "2"}, "watch: expected 0.2 to 60 seconds"),
        ({"command": "explain", "protocol": "ftp"}, "protocol: expected https, sip or"),
        ({"command": "explain", "protocol": [1]}, "protocol: expected https, sip or"),
        ({"command": "probe", "edge": "tokyo"}, "no edge 'tokyo' is configured"),
        ({"command": "reload", "wait": 1}, "wait: expected true or false"),
    ],
)
async def test_wrong_request_is_explained(
    stage: Stage, request_: dict[str, Any], told: str
) -> None:
    with pytest.raises(CommandError) as error:
        await stage.ask(**request_)
    assert str(error.value).startswith(told)
