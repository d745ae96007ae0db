"""Every command against a running daemon, as an operator uses it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from click.testing import CliRunner, Result

from router.cli import main
from simulator.provider import Provider
from tests import stage
from tests.scenarios.phones import ring
from tests.scenarios.sockets import voice
from tests.stage import HERE, NAME, Daemon, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICE_RESTART = 1012


@pytest.fixture(scope="module")
def config(directory: Path) -> Path:
    return directory / "edge-router.yaml"


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def daemon(
    provider: Provider, site: Site, directory: Path, config: Path
) -> AsyncIterator[Daemon]:
    """The daemon; its control socket is gone when it is."""
    control = directory / "control.sock"
    listeners = {
        "api": stage.terminate(site),
        "voice": voice(site, drain={"spread": "100ms"}),
    }
    admin = {"socket": str(control)}
    settings = stage.configuration(
        provider, directory, listeners, admin=admin, health={"recovery": "1s"}
    )
    await asyncio.to_thread(config.write_text, yaml.safe_dump(settings), "utf-8")
    async with stage.running(settings, directory) as running:
        await run(config, "pin", "ashburn", "--for", "90m")
        await running.wait("edge.switched")
        yield running
    assert not control.exists()


async def run(config: Path, *words: str) -> Result:
    """Run a command, its output piped, beside the event loop."""
    given = [*words, "--config", str(config)]
    return await asyncio.to_thread(CliRunner().invoke, main, given)


async def data(config: Path, *words: str) -> Any:
    """What a command prints with --json."""
    return json.loads((await run(config, *words, "--json")).stdout)


async def fetch(site: Site, daemon: Daemon) -> int:
    """Ask for something through the daemon; the status of the answer."""
    where = f"https://{HERE}:{daemon.ports['api']}/2010-04-01/Accounts.json"
    connector = aiohttp.TCPConnector(ssl=site.trust())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(where, server_hostname=NAME) as response,
    ):
        return response.status


async def test_status_tells_home_and_why_first(config: Path) -> None:
    result = await run(config, "status")
    condition, _, why = result.stdout.splitlines()[0].partition(": ")
    assert why.startswith("home is ashburn (public, ")
    # On a machine that is busy with other tests an address may be in doubt.
    assert result.exit_code == {"ok": 0, "degraded": 1}[condition]
    assert "\x1b" not in result.stdout
    status = await data(config, "status")
    assert status["schema"] == "edge-router/status/1"
    assert status["home"] == "ashburn"
    assert status["home_reason"] == "pinned by an operator"
    assert [one["name"] for one in status["edges"]] == ["ashburn", "dublin"]
    assert [one["name"] for one in status["about"]["listeners"]] == ["api", "voice"]


async def test_explain_prints_the_arithmetic_of_one_protocol(config: Path) -> None:
    result = await run(config, "explain", "--protocol", "websocket")
    assert result.exit_code == 0
    assert "1. ashburn (public, home)" in result.stdout
    assert "lower quartile of" in result.stdout
    assert "becomes home at the earliest when the pin ends" in result.stdout
    assert "new flows go to ashburn: it is home" in result.stdout
    assert "https" not in result.stdout


async def test_probe_prints_what_was_measured_now(config: Path) -> None:
    result = await run(config, "probe", "dublin")
    lines = result.stdout.splitlines()
    assert lines[0].split()[:4] == ["edge", "protocol", "address", "result"]
    assert {line.split()[0] for line in lines[1:]} == {"dublin"}
    probes = (await data(config, "probe"))["probes"]
    assert {one["edge"] for one in probes} == {"ashburn", "dublin"}
    assert {one["protocol"] for one in probes} == {"https", "websocket"}
    assert all(one["round_trip_ms"] for one in probes if one["result"] == "alive")


async def test_flows_lists_what_is_under_way_and_counts_what_ended(
    config: Path, daemon: Daemon, provider: Provider, site: Site
) -> None:
    phone = await ring(daemon.ports["voice"], site)
    await fetch(site, daemon)
    found = await data(config, "flows")
    (listed,) = found["listed"]
    assert (listed["listener"], listed["edge"]) == ("voice", phone.edge)
    counts = {one["listener"]: (one["open"], one["ended"]) for one in found["counts"]}
    assert counts == {"voice": (1, 0), "api": (0, 1)}
    await phone.hang_up(provider)


async def test_drained_edge_gets_no_new_flows_and_its_websockets_come_back(
    config: Path, daemon: Daemon, provider: Provider, site: Site
) -> None:
    phones = [await ring(daemon.ports["voice"], site) for _ in range(3)]
    assert {phone.edge for phone in phones} == {"ashburn"}
    result = await run(config, "drain", "ashburn")
    assert result.stdout == "ashburn is drained: new flows go to dublin\n"
    assert [await phone.end() for phone in phones] == [SERVICE_RESTART] * 3
    again = await ring(daemon.ports["voice"], site)
    assert again.edge == "dublin"
    assert "ashburn is drained since" in (await run(config, "status")).stdout
    told = await daemon.wait("control.commanded", command="drain ashburn")
    assert (told["pid"], told["uid"]) == (os.getpid(), os.getuid())
    assert (await run(config, "undrain", "ashburn")).exit_code == 0
    await again.hang_up(provider)


async def test_all_edges_drained_refuse_new_flows(
    config: Path, daemon: Daemon, site: Site
) -> None:
    result = await run(config, "drain", "all")
    assert result.stdout.startswith("all edges are drained: new flows to the provider")
    assert await fetch(site, daemon) == 503
    status = await run(config, "status")
    assert status.exit_code == 1
    assert status.stdout.startswith("failed: ")
    result = await run(config, "undrain", "all")
    assert result.stdout == "no edge is drained any more: new flows go to ashburn\n"
    assert await fetch(site, daemon) != 503


async def test_pinned_edge_is_home_until_it_is_unpinned(
    config: Path, daemon: Daemon
) -> None:
    seen = len(daemon.records)
    assert (await run(config, "pin", "dublin", "--for", "2h")).exit_code == 0
    switch = await daemon.wait("edge.switched", after=seen, home="dublin")
    assert switch["reason"] == "pinned by an operator"
    assert ", pinned until " in (await run(config, "status")).stdout.splitlines()[0]
    assert (await data(config, "status"))["pinned"]["edge"] == "dublin"
    result = await run(config, "unpin")
    assert result.stdout == "dublin is pinned no more: home goes by merit\n"
    assert (await data(config, "status"))["pinned"] is None


async def test_log_level_holds_for_a_while(config: Path, daemon: Daemon) -> None:
    result = await run(config, "log-level", "warning", "--for", "1s")
    assert result.stdout == "the log's level is warning for 1s, then info\n"


async def test_wrong_arguments_are_explained(config: Path) -> None:
    result = await run(config, "drain", "asburn")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "edge-router: no edge 'asburn' is configured; did you mean 'ashburn'?\n"
    )
    result = await run(config, "pin", "ashburn", "--for", "60")
    assert result.exit_code == 2
    assert "did you mean '60s'?" in result.stderr
