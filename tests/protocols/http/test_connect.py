import asyncio
from pathlib import Path
from typing import cast

from protocols.http.connect import Connect
from protocols.http.tunnel import Tunnels
from protocols.net.tls import client_context, server_context
from protocols.target import Choose, Result
from tests.protocols.http.tunnelling import (
    Pair,
    Place,
    Serve,
    Silent,
    Site,
    hear,
    in_order,
)

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Proxy(asyncio.Protocol):
    """A proxy in miniature: one read is one CONNECT request."""

    def __init__(self, tunnels: Tunnels, choose: Choose) -> None:
        self.tunnels = tunnels
        self.choose = choose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        head, _, rest = data.partition(b"\r\n\r\n")
        assert head.startswith(b"CONNECT ")
        tunnel = Connect(
            self.tunnels, self.choose, host="edge.test", unavailable=UNAVAILABLE
        )
        tunnel.take_over(self.transport, rest)


async def connect_through(near: int, ca_file: Path) -> bytes:
    """CONNECT, then ask over verified TLS within the tunnel."""
    reader, writer = await asyncio.open_connection("127.0.0.1", near)
    writer.write(b"CONNECT edge.test:443 HTTP/1.1\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    loop = asyncio.get_running_loop()
    inner_reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(inner_reader)
    transport = await loop.start_tls(
        writer.transport,
        protocol,
        client_context(ca_file),
        server_hostname="edge.test",
    )
    assert transport is not None
    transport.write(b"ask")
    answer = await inner_reader.read(6)
    transport.abort()
    return answer


async def test_connect_is_answered_200_and_carries_tls(
    serve: Serve, place: Place, pair: Pair, ca_file: Path, tunnels: Tunnels, site: Site
) -> None:
    async with serve(server_context(*pair)) as port:
        choose = in_order(place(port))
        async with serve(factory=lambda: Proxy(tunnels, choose)) as near:
            assert await connect_through(near, ca_file) == b"answer"
        record = await site.records.get()
    assert (record.protocol, record.method, record.host) == (
        "connect",
        "CONNECT",
        "edge.test",
    )
    assert (record.status, record.attempts) == (200, ())
    assert site.reports == [(port, Result.ALIVE)]


async def test_connect_survives_a_target_that_accepts_and_says_nothing(
    serve: Serve, place: Place, pair: Pair, ca_file: Path, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=Silent) as dead, serve(server_context(*pair)) as port:
        choose = in_order(place(dead, patience=0.03), place(port, patience=5.0))
        async with serve(factory=lambda: Proxy(tunnels, choose)) as near:
            assert await connect_through(near, ca_file) == b"answer"
        record = await site.records.get()
    assert [one.result for one in record.attempts] == [Result.SILENT, None]
    assert site.reports == [(dead, Result.SILENT), (port, Result.ALIVE)]


async def test_connect_records_what_failed_before_its_200_too(
    serve: Serve, place: Place, pair: Pair, ca_file: Path, tunnels: Tunnels, site: Site
) -> None:
    async with serve(server_context(*pair)) as port:
        choose = in_order(place(9), place(port, patience=5.0))
        async with serve(factory=lambda: Proxy(tunnels, choose)) as near:
            assert await connect_through(near, ca_file) == b"answer"
        record = await site.records.get()
    assert [one.result for one in record.attempts] == [Result.REFUSED, None]
    assert [one.target.port for one in record.attempts] == [9, port]


async def test_connect_without_a_reachable_target_is_answered_503(
    serve: Serve, place: Place, tunnels: Tunnels, site: Site
) -> None:
    choose = in_order(place(9), place(9, label="other"))
    async with serve(factory=lambda: Proxy(tunnels, choose)) as near:
        request = b"CONNECT edge.test:443 HTTP/1.1\r\n\r\n"
        assert await hear(near, request) == UNAVAILABLE
    record = await site.records.get()
    assert (record.status, record.ended) == (503, "RC")
    assert [one.result for one in record.attempts] == [Result.REFUSED] * 2


async def test_connect_followed_by_something_else_than_tls_is_closed(
    serve: Serve, place: Place, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=Silent) as port:
        choose = in_order(place(port))
        async with serve(factory=lambda: Proxy(tunnels, choose)) as near:
            request = b"CONNECT edge.test:443 HTTP/1.1\r\n\r\nSSH-2.0-x\r\n"
            answer = await hear(near, request)
        record = await site.records.get()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")
    assert (record.ended, record.reason) == ("RH", "not a TLS handshake")


async def test_standing_connection_that_was_lost_is_dialled_again(
    serve: Serve, place: Place, pair: Pair, ca_file: Path, tunnels: Tunnels, site: Site
) -> None:
    """The edge drops the first connection while the client prepares its hello."""
    dropped = asyncio.Event()

    class Drops(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            dropped.set()

    async with serve(factory=Drops) as bad, serve(server_context(*pair)) as port:
        choose = in_order(place(bad, patience=5.0), place(port, patience=5.0))
        async with serve(factory=lambda: Proxy(tunnels, choose)) as near:
            assert await connect_through(near, ca_file) == b"answer"
        record = await site.records.get()
    assert [one.result for one in record.attempts] == [Result.RESET, None]
