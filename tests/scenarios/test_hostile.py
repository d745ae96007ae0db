"""Hostile clients: ambiguous requests, broken handshakes, headers that never end.

EDGE_ROUTER_HOSTILE=10000 makes as many of each as the requirement says; the default is
a tenth of that, which shows the same leaks.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import h11
import pytest

from simulator.provider import Provider
from tests import stage
from tests.protocols.http.smuggling import run_matrix
from tests.stage import HERE, NAME, Daemon, Site
from tests.wire import Caller, connect

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = int(os.environ.get("EDGE_ROUTER_HOSTILE", "1000"))
AT_ONCE = 20
MEMORY = 1.05 if COUNT >= 10_000 else 1.15
"""Growth that is no leak. The allocator settles in the course of some thousand; one
kept connection is some 40 KiB, so that a leak of each would treble a short run's."""
DESCRIPTORS = 1.05
BEYOND_AIOHTTP = ("target b'/xxxx", "OPTIONS for the server")
"Cases that the relay rightly forwards and the simulator's server does not like."


class Origin(asyncio.Protocol):
    """A receiver that knows HTTP by h11 alone."""

    def __init__(self, targets: list[str], unparsed: list[str]) -> None:
        self._targets = targets
        self._unparsed = unparsed
        self._state = h11.Connection(h11.SERVER)
        self._target = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._state.receive_data(data)
        try:
            self._read()
        except h11.RemoteProtocolError as error:
            self._unparsed.append(str(error))
            self._transport.close()

    def _read(self) -> None:
        while (event := self._state.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                self._target = event.target.decode()
            elif isinstance(event, h11.EndOfMessage):
                self._targets.append(self._target)
                answer = h11.Response(
                    status_code=200, headers=[("Content-Length", "0")]
                )
                self._transport.write(self._state.send(answer) or b"")
                self._state.send(h11.EndOfMessage())
                if self._state.our_state is not h11.DONE:
                    self._transport.close()
                    return
                self._state.start_next_cycle()


async def test_ambiguous_requests_from_the_provider_never_reach_the_receiver(
    provider: Provider, site: Site, tmp_path: Path
) -> None:
    targets: list[str] = []
    unparsed: list[str] = []
    origin = await asyncio.get_running_loop().create_server(
        lambda: Origin(targets, unparsed), "127.0.0.1", 0
    )
    port = origin.sockets[0].getsockname()[1]
    listeners = {"webhooks": stage.webhooks(site, f"http://127.0.0.1:{port}")}
    settings = stage.configuration(provider, tmp_path, listeners)
    async with origin, stage.running(settings, tmp_path) as daemon:
        port, trust = daemon.ports["webhooks"], site.trust()
        assert not await run_matrix(HERE, port, trust, received=lambda: targets)
    assert not unparsed


async def test_ambiguous_requests_to_the_provider_never_reach_the_edge(
    daemon: Daemon, provider: Provider, site: Site
) -> None:
    def received() -> list[str]:
        """Targets of the requests that were read to their end."""
        ledger = provider.ledger
        whole = {done.request for done in ledger.events("answered")}
        return [one.target for one in ledger.requests() if one.request in whole]

    port, trust = daemon.ports["api"], site.trust()
    *complaints, count = await run_matrix(HERE, port, trust, received=received)
    assert [one for one in complaints if not one.startswith(BEYOND_AIOHTTP)] == []
    assert "/smuggled" not in received(), count
    (unparsed,) = provider.ledger.events("unparsed")
    assert "/xxxx" in unparsed.detail


async def many(count: int, one: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Do it so often, some at a time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def failed_handshake(port: int, number: int) -> None:
    """Be anything but a client of TLS, in one of several ways."""
    reader, writer = await asyncio.open_connection(
        HERE, port, local_addr=(f"127.0.{2 + number % 8}.1", 0)
    )
    words = (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 600,
        b"\x16\x03\x01",
        b"",
    )
    writer.write(words[number % 4])
    if number % 4 < 2:
        try:
            await reader.read()
        except ConnectionError:
            pass
    writer.transport.abort()


async def test_failed_handshakes_leave_memory_and_descriptors_as_they_were(
    daemon: Daemon, site: Site
) -> None:
    port = daemon.ports["api"]
    await leaves_nothing(daemon, site, lambda number: failed_handshake(port, number))


async def test_half_open_headers_leave_memory_and_descriptors_as_they_were(
    daemon: Daemon, site: Site
) -> None:
    port, trust = daemon.ports["api"], site.trust()
    head = f"GET /half-open HTTP/1.1\r\nHost: {NAME}\r\nX-Padding: ".encode()

    async def half_open(number: int) -> None:
        source = f"127.0.{2 + number % 8}.1"
        _, writer = await connect(port, trust, source=source)
        writer.write(head + b"x" * (number % 2_000))
        writer.transport.abort()

    await leaves_nothing(daemon, site, half_open)


async def leaves_nothing(
    daemon: Daemon, site: Site, one: Callable[[int], Coroutine[Any, Any, None]]
) -> None:
    """Memory and descriptors after many are those after half as many."""
    await settled(daemon, site, daemon.descriptors())
    descriptors = daemon.descriptors()
    await many(COUNT // 2, one)
    await settled(daemon, site, descriptors)
    memory = daemon.memory()
    await many(COUNT, one)
    await settled(daemon, site, descriptors)
    print(f"{memory:,} bytes before, {daemon.memory():,} after {COUNT}")  # noqa: T201
    assert daemon.memory() <= memory * MEMORY


async def settled(daemon: Daemon, site: Site, descriptors: int) -> None:
    """Wait until the daemon has no more descriptors than before."""
    async with asyncio.timeout(15):
        while daemon.descriptors() > descriptors * DESCRIPTORS:
            # Each answer shows that the daemon had a turn to notice who has gone.
            async with Caller(daemon.ports["proxy"], None) as caller:
                assert (await caller.ask("GET", "/")).status == 405
