"""The command; where it serves, as a process of its own."""

import asyncio
import json
import os
import signal
import ssl
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.__main__ import main
from simulator.client import ask

Run = Callable[..., Awaitable[Process]]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Starts the command; what still runs at the end is killed."""
    started: list[Process] = []

    async def start(*arguments: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "error", "-m", "simulator", *arguments),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: Process) -> dict[str, Any]:
    """The next line that it prints."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 10)
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


async def tell(process: Process, line: bytes) -> dict[str, Any]:
    """Its answer to a command."""
    assert process.stdin is not None
    process.stdin.write(line + b"\n")
    return await said(process)


async def test_command_serves_obeys_and_stops_cleanly(run: Run, tmp_path: Path) -> None:
    directory = tmp_path / "made" / "here"
    process = await run(
        "--edges=ashburn=0ms,dublin=0ms",
        "--private=ashburn-ix=0ms@127.0.0.9",
        f"--directory={directory}",
    )
    ready = await said(process)
    trust = ssl.create_default_context(cafile=ready["ca_file"])
    url = f"https://api.ashburn.us1.twilio.com:{ready['port']}/hello"
    address = ready["edges"]["ashburn"][0]

    assert (await ask(address, url, trust)).status == 200
    assert await tell(process, b"ashburn status=502") == {"done": "ashburn status=502"}
    assert (await ask(address, url, trust)).status == 502
    assert "no fault" in (await tell(process, b"ashburn explode"))["error"]
    assert "error" in await tell(process, b"\xff\xfe " + b"x" * 3000)

    process.send_signal(signal.SIGTERM)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    ledger = (directory / "ledger.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["event"] == "request" for line in ledger) == 2
    catalogue = yaml.safe_load((directory / "catalogue.yaml").read_text())
    assert catalogue["products"]["rest"]["transports"]["tls"] == ready["port"]
    assert catalogue["products"]["pstn"]["transports"] == ready["sip"]
    assert {*os.listdir(directory)} == {"ca.pem", "catalogue.yaml", "ledger.jsonl"}


async def test_end_of_standard_input_stops_nothing(run: Run) -> None:
    process = await run("--edges=ashburn=0ms")
    ready = await said(process)
    assert process.stdin is not None
    process.stdin.close()
    await process.stdin.wait_closed()

    trust = ssl.create_default_context(cafile=ready["ca_file"])
    url = f"https://api.twilio.com:{ready['port']}/"
    assert (await ask(ready["edges"]["ashburn"][0], url, trust)).status == 200


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["--edges=ashburn"], 2, "not an edge: 'ashburn'"),
        (["--edges=ashburn=1ms,ashburn=1ms"], 2, "named twice"),
        (["--private=ashburn-ix"], 2, "not an edge: 'ashburn-ix'"),
        (["--private=ashburn-ix=1ms"], 2, "lacks @SOURCE"),
        (["--rest-port=http"], 2, "not a port"),
        (["--rest-port=65536"], 2, "not a port"),
        (["--cdn=nowhere"], 1, "simulator: the content network needs"),
        (["--directory=/dev/null/below"], 1, "simulator: "),
    ],
)
def test_wrong_usage_is_explained(
    arguments: list[str], status: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(arguments))

    assert ended.value.code == status
    assert reason in capsys.readouterr().err


def test_help_teaches_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    text = capsys.readouterr().out
    for word in ("ashburn refuse", "curl --cacert", "blackhole", "--private"):
        assert word in text
