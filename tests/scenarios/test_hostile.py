"""Hostile clients: ambiguous requests, broken handshakes, headers that never end.

EDGE_ROUTER_HOSTILE=10000 makes as many of each as the requirement says; the default is
a tenth of that, which shows the same leaks.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from simulator.provider import Provider
from tests.protocols.http.smuggling import run_matrix
from tests.scenarios.conftest import Receiver
from tests.stage import HERE, NAME, Daemon, Site
from tests.wire import Caller, connect

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = int(os.environ.get("EDGE_ROUTER_HOSTILE", "1000"))
AT_ONCE = 50
TOLERANCE = 1.05


async def test_ambiguous_requests_to_the_provider_never_reach_the_edge(
    daemon: Daemon, provider: Provider, site: Site
) -> None:
    def received() -> list[str]:
        """Targets of the requests that were read to their end."""
        ledger = provider.ledger
        whole = {done.request for done in ledger.events("answered")}
        return [one.target for one in ledger.requests() if one.request in whole]

    port, trust = daemon.ports["api"], site.trust()
    assert not await run_matrix(HERE, port, trust, received=received)
    assert not provider.ledger.events("unparsed")


async def test_ambiguous_requests_from_the_provider_never_reach_the_receiver(
    daemon: Daemon, receiver: Receiver, site: Site
) -> None:
    def received() -> list[str]:
        return [one.target for one in receiver.requests]

    port, trust = daemon.ports["webhooks"], site.trust()
    assert not await run_matrix(HERE, port, trust, received=received)


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
        writer.write(head + b"x" * (number % 30_000))
        writer.transport.abort()

    await leaves_nothing(daemon, site, half_open)


async def leaves_nothing(
    daemon: Daemon, site: Site, one: Callable[[int], Coroutine[Any, Any, None]]
) -> None:
    """Memory and descriptors after many are those after some."""
    await many(max(300, COUNT // 10), one)
    memory, descriptors = await settled(daemon, site)
    await many(COUNT, one)
    memory_after, descriptors_after = await settled(daemon, site)
    assert descriptors_after <= descriptors * TOLERANCE + 2
    assert memory_after <= memory * TOLERANCE, f"{memory:,} {memory_after:,}"


async def settled(daemon: Daemon, site: Site) -> tuple[int, int]:
    """Memory and descriptors once every connection is gone but warm ones."""
    async with asyncio.timeout(10):
        while connections_to(daemon.ports["api"]):
            async with Caller(daemon.ports["proxy"], None) as caller:
                assert (await caller.ask("GET", "/")).status == 405
    return daemon.memory(), daemon.descriptors()


def connections_to(port: int) -> int:
    """Established connections that the daemon still holds there."""
    local = socket.inet_aton(HERE)[::-1].hex().upper() + f":{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    return sum(row[1] == local and row[3] in ("01", "08") for row in rows)
