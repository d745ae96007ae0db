"""Clients and far sides of tunnels, for their tests."""

import asyncio
import ssl
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import cast

import pytest

from protocols.http.passthrough import Passthrough
from protocols.http.tunnel import Tunnels
from protocols.net.tls import client_context
from protocols.record import FlowRecord
from protocols.target import Choose, Outcome, Result, Target

Serve = Callable[..., AbstractAsyncContextManager[int]]
Place = Callable[..., Target]
Pair = tuple[Path, Path]


def in_order(*targets: Target) -> Choose:
    def choose(tried: Collection[Target]) -> Target | None:
        return next((one for one in targets if one not in tried), None)

    return choose


class Site:
    """What a listener's owner sees: records and reports."""

    def __init__(self) -> None:
        self.records: asyncio.Queue[FlowRecord] = asyncio.Queue()
        self.reports: list[tuple[int, Result]] = []

    def report(self, target: Target, outcome: Outcome) -> None:
        self.reports.append((target.port, outcome.result))


class Silent(asyncio.Protocol):
    """Accepts, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""

    def data_received(self, data: bytes) -> None:
        self.heard += data


class Breaks(Silent):
    """Hangs up when spoken to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.abort()


class Alerts(Breaks):
    """Answers by a TLS alert."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"\x15\x03\x03\0\x02\x02\x50")
        self.transport.close()


async def talk(port: int, ca_file: Path, name: str = "edge.test") -> bytes:
    """Ask through the tunnel at `port`, over verified TLS."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=client_context(ca_file), server_hostname=name
    )
    writer.write(b"ask")
    answer = await reader.read(6)
    writer.close()
    await writer.wait_closed()
    return answer


async def hear(port: int, data: bytes) -> bytes:
    """Send bytes, and read until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


def hello(name: str = "edge.test") -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    # Trusts nobody, since loading the authorities of the system takes a while, in which
    # the event loop of a test stands still.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = bool(name)
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name or None)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def passing(tunnels: Tunnels, choose: Choose) -> Callable[[], Passthrough]:
    routes = {"edge.test": choose}
    return lambda: Passthrough(tunnels, routes.get)
