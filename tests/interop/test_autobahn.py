"""Autobahn's cases: no endpoint behaves otherwise because the daemon is in between.

What is judged is not the endpoint, which is the `websockets` library on its own terms,
but whether each case has the same verdict through the daemon as directly. Usually a
cross-section runs; with `EDGE_ROUTER_AUTOBAHN=all` in the environment all cases do, in
slices that may run beside each other. How the verdicts were goes into the report of
`--junitxml`.
"""

import asyncio
import collections
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import kosoku
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from simulator.provider import Provider
from tests import stage
from tests.scenarios.sockets import Endpoint, media, signalling, voice
from tests.stage import HERE, NAME, Daemon, Site

ALL = os.environ.get("EDGE_ROUTER_AUTOBAHN") == "all"
Cases = Sequence[str]
"Their numbers, or patterns of these."
Verdicts = dict[str, tuple[str, str, int | None]]
"By case: how the messages were, how the end was, and with what code the peer closed."
Note = Callable[[str, object], None]
"Puts a value under a name into the report."

CROSS_SECTION: Cases = [
    *("1.*", "2.*", "3.*", "4.*", "5.*", "6.1.*", "6.2.*", "6.3.*"),
    *("7.*", "9.1.3", "9.2.3", "9.7.3", "10.*", "12.1.3", "13.3.3"),
]
"What runs usually."
WHOLE: Sequence[Cases] = [
    [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 10)],
    ["9.*"],
    # Of compression: 1,000 messages to a case, of up to 128 KiB, deflated four times.
    *([f"12.{kind}.*"] for kind in range(1, 6)),
    *([f"13.{kind}.*"] for kind in range(1, 8)),
]
"All there are, in slices of some minutes."
SLICES = WHOLE if ALL else [CROSS_SECTION]
AT_ONCE = 2 if ALL else 4
"Cases under way at a time."
TRIES = 3
"""How often a case is run that went otherwise: where a chunk ends, or which of two
timers fires first, decides some of them. Those are run again alone."""

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(3_600 if ALL else 60),
    pytest.mark.filterwarnings(  # kosoku leaves the files of its compression cases open
        r"ignore:unclosed file .*autobahntestsuite:ResourceWarning"
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo() -> AsyncIterator[Endpoint]:
    """The endpoint that is reached directly."""
    endpoint = Endpoint("direct")
    await endpoint.open(["127.0.0.1"], 0, None)
    yield endpoint
    await endpoint.close()


@pytest.fixture(scope="module", params=SLICES, ids=lambda cases: cases[0])
def cases(request: pytest.FixtureRequest) -> Cases:
    """A slice of the cases."""
    chosen: Cases = request.param
    return chosen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fuzzers(cases: Cases) -> AsyncIterator[list[kosoku.FuzzingServer]]:
    """Fuzzing servers behind the daemon, one for each try."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(kosoku.run_fuzzingserver(cases, port=0))
            for _ in range(TRIES)
        ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(
    provider: Provider,
    site: Site,
    directory: Path,
    fuzzers: list[kosoku.FuzzingServer],
) -> AsyncIterator[Daemon]:
    """A daemon between fuzzers and endpoints, TLS on both legs and on one."""
    async with signalling(provider, directory, Endpoint) as (_, section):
        listeners = {"voice": voice(site)}
        for number, fuzzer in enumerate(fuzzers):
            receiver = f"ws://127.0.0.1:{fuzzer.port}"
            listeners[f"media-{number}"] = media(site, receiver)
        settings = stage.configuration(provider, directory, listeners, health={})
        settings["provider"] = section
        async with stage.running(settings, directory) as running:
            yield running


async def test_every_case_of_the_fuzzing_client_has_the_verdict_that_it_has_directly(
    daemon: Daemon,
    site: Site,
    echo: Endpoint,
    cases: Cases,
    record_property: Note,
) -> None:
    async with tls_added(daemon.ports["voice"], site) as port:
        direct = await fuzz(echo.port, cases)
        through = await fuzz(port, cases)
        for _ in range(1, TRIES):
            if again := differing(direct, through):
                direct |= await fuzz(echo.port, again, at_once=1)
                through |= await fuzz(port, again, at_once=1)
    note(record_property, direct, through)
    assert len(direct) >= 18  # the smallest slice
    assert differences(direct, through) == {}


async def test_every_case_of_the_fuzzing_server_has_the_verdict_that_it_has_directly(
    daemon: Daemon,
    site: Site,
    fuzzers: list[kosoku.FuzzingServer],
    cases: Cases,
    record_property: Note,
) -> None:
    trust = site.trust()
    direct: Verdicts = {}
    through: Verdicts = {}
    numbers: Sequence[int] = ()
    at_once = AT_ONCE
    for attempt, far in enumerate(fuzzers):
        url = f"wss://{HERE}:{daemon.ports[f'media-{attempt}']}"
        async with kosoku.run_fuzzingserver(cases, port=0) as near:
            await take_all(f"ws://127.0.0.1:{near.port}", None, numbers, at_once)
            direct |= await verdicts(near.get_result())
        await take_all(url, trust, numbers, at_once)
        through |= await verdicts(far.get_result())
        order = list(direct)
        numbers = [1 + order.index(case) for case in differing(direct, through)]
        at_once = 1
        if not numbers:
            break
    note(record_property, direct, through)
    assert len(direct) >= 18  # the smallest slice
    assert differences(direct, through) == {}


async def fuzz(port: int, cases: Cases, *, at_once: int = AT_ONCE) -> Verdicts:
    """Run the cases against a server."""
    url = f"ws://127.0.0.1:{port}"
    return await verdicts(kosoku.run_fuzzingclient(url, cases, concurrency=at_once))


async def verdicts(running: Awaitable[Sequence[Any]]) -> Verdicts:
    """What the cases came to; those that the endpoint fails count as well."""
    try:
        results = await running
    except kosoku.FailureError as failure:
        results = failure.results
    return {
        one.case_id: (
            one.behavior.value,
            one.behavior_close.value,
            one.remote_close_code,
        )
        for one in results
    }


def note(record_property: Note, direct: Verdicts, through: Verdicts) -> None:
    """Tell how many cases had which verdict."""
    for way, found in (("direct", direct), ("through", through)):
        counts = collections.Counter(verdict for verdict, _, _ in found.values())
        record_property(way, dict(counts))


def differing(direct: Verdicts, through: Verdicts) -> list[str]:
    """The cases that went otherwise, of which both must have had the same."""
    assert direct.keys() == through.keys()
    return [case for case in direct if direct[case] != through[case]]


def differences(direct: Verdicts, through: Verdicts) -> dict[str, object]:
    """The same with both verdicts."""
    return {case: (direct[case], through[case]) for case in differing(direct, through)}


# ---- The client under test -----------------------------------------------------------


async def take_all(
    url: str, context: ssl.SSLContext | None, numbers: Sequence[int], at_once: int
) -> None:
    """Take cases of a fuzzing server, or all; tell it that those were all."""
    if not numbers:
        async with dialled(f"{url}/getCaseCount", context) as client:
            numbers = range(1, int(await client.recv()) + 1)
    remaining = iter(numbers)
    await asyncio.gather(*(take_next(url, context, remaining) for _ in range(at_once)))
    async with dialled(f"{url}/updateReports?agent=websockets", context) as client:
        await client.wait_closed()


async def take_next(
    url: str, context: ssl.SSLContext | None, numbers: Iterator[int]
) -> None:
    """Echo what one case after the other sends."""
    for number in numbers:
        path = f"/runCase?case={number}&agent=websockets"
        with contextlib.suppress(ConnectionClosed):
            async with dialled(f"{url}{path}", context) as client:
                async for message in client:
                    await client.send(message)


def dialled(url: str, context: ssl.SSLContext | None) -> connect:
    """A client that takes messages of any size."""
    return connect(
        url,
        ssl=context,
        server_hostname=NAME if context else None,
        max_size=None,
        ping_interval=None,
        proxy=None,
    )


# ---- TLS for a fuzzing client, which has none ----------------------------------------


@contextlib.asynccontextmanager
async def tls_added(port: int, site: Site) -> AsyncIterator[int]:
    """A port without TLS that leads to one with it, byte by byte and end by end."""

    async def splice(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection(
            HERE, port, ssl=site.trust(), server_hostname=NAME
        )
        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))

    server = await asyncio.start_server(splice, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until they end; a lost connection ends them, too."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
