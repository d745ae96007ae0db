"""curl as it comes, through each mode."""

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from simulator.provider import Provider
from tests.stage import HERE, NAME, Daemon, Site

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

EDGE = "api.ashburn.us1.twilio.com"


async def curl(*arguments: object) -> str:
    """What it prints; an AssertionError if it fails."""
    process = await asyncio.create_subprocess_exec(
        "curl",
        *("--silent", "--show-error", "--max-time", "15", "--noproxy", ""),
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return told.decode()


Way = Callable[[Daemon, Provider, Site], Sequence[object]]


def terminate(daemon: Daemon, provider: Provider, site: Site) -> Sequence[object]:
    port = daemon.ports["api"]
    resolve = f"{NAME}:{port}:{HERE}"
    base = f"https://{NAME}:{port}"
    return ("--cacert", site.ca_file, "--resolve", resolve, base)


def connect(daemon: Daemon, provider: Provider, site: Site) -> Sequence[object]:
    proxy = f"http://{HERE}:{daemon.ports['proxy']}"
    base = f"https://{EDGE}:{provider.port}"
    return ("--cacert", provider.ca_file, "--proxy", proxy, base)


def passthrough(daemon: Daemon, provider: Provider, site: Site) -> Sequence[object]:
    to = f"{EDGE}:{provider.port}:{HERE}:{daemon.ports['names']}"
    base = f"https://{EDGE}:{provider.port}"
    return ("--cacert", provider.ca_file, "--connect-to", to, base)


WAYS = pytest.mark.parametrize("way", [terminate, connect, passthrough])


@WAYS
async def test_get_reaches_the_edge_with_its_query_as_written(
    daemon: Daemon, provider: Provider, site: Site, way: Way
) -> None:
    *options, base = way(daemon, provider, site)
    told = await curl(*options, f"{base}/a%20b?hush-hush=%C3%A9&x=1+2")
    echo: dict[str, Any] = json.loads(told)
    assert echo["target"] == "/a%20b?hush-hush=%C3%A9&x=1+2"
    assert (echo["method"], echo["edge"]) == ("GET", "ashburn")
    assert echo["server_name"] == EDGE


@WAYS
async def test_post_of_a_large_body_arrives_once(
    daemon: Daemon, provider: Provider, site: Site, way: Way
) -> None:
    *options, base = way(daemon, provider, site)
    marker = f"curl by {way.__name__}"
    told = await curl(
        *options,
        *("--header", f"Idempotency-Key: {marker}"),
        *("--data-binary", "x" * 100_000),
        f"{base}/",
    )
    assert json.loads(told)["body"]["bytes"] == 100_000
    assert len(provider.ledger.requests(marker=marker)) == 1


@WAYS
async def test_expectation_of_100_is_met(
    daemon: Daemon, provider: Provider, site: Site, way: Way
) -> None:
    *options, base = way(daemon, provider, site)
    told = await curl(
        *options,
        *("--include", "--expect100-timeout", "15"),
        *("--header", "Expect: 100-continue", "--data", "patient"),
        f"{base}/",
    )
    assert "HTTP/1.1 100 Continue\r\n" in told
    assert '"bytes": 7' in told


@WAYS
async def test_ten_requests_on_one_connection_are_answered(
    daemon: Daemon, provider: Provider, site: Site, way: Way
) -> None:
    *options, base = way(daemon, provider, site)
    told = await curl(
        *options,
        *("--write-out", "%{http_code} %{num_connects}\\n", "--output", "/dev/null"),
        f"{base}/simulator/status/[200-209]",
    )
    lines = told.split("\n")[:-1]
    assert [line.split()[0] for line in lines] == [str(200 + n) for n in range(10)]
    assert sum(int(line.split()[1]) for line in lines) == 1


async def test_proxy_that_refuses_tells_curl_why(
    daemon: Daemon, provider: Provider, site: Site
) -> None:
    proxy = f"http://{HERE}:{daemon.ports['proxy']}"
    with pytest.raises(AssertionError, match="403"):
        await curl("--proxy", proxy, "https://evil.example/")
