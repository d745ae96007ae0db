import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import cast

import pytest

from protocols.http.tunnel import Connect, Deadlines, Passthrough, Tunnels
from protocols.net.tasks import Tasks
from protocols.net.tls import client_context, server_context
from protocols.record import FlowRecord
from protocols.target import Choose, Outcome, Result, Target

Serve = Callable[..., AbstractAsyncContextManager[int]]
Place = Callable[..., Target]
Pair = tuple[Path, Path]

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


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


@pytest.fixture
async def site() -> Site:
    return Site()


@pytest.fixture
async def tunnels(site: Site, tasks: Tasks) -> AsyncIterator[Tunnels]:
    tunnels = Tunnels(
        "api",
        "to_provider",
        site.report,
        site.records.put_nowait,
        tasks,
        Deadlines(hello=2.0, connect=2.0, answer=0.5, idle=60.0),
    )
    yield tunnels
    tunnels.close()
    while tunnels.open:  # noqa: ASYNC110
        await asyncio.sleep(0)


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


async def test_passed_through_client_sees_the_edges_own_certificate(
    serve: Serve,
    place: Place,
    pair: Pair,
    ca_file: Path,
    tunnels: Tunnels,
    site: Site,
) -> None:
    async with serve(server_context(*pair)) as port:
        factory = passing(tunnels, in_order(place(port)))
        async with serve(factory=factory) as near:
            assert await talk(near, ca_file) == b"answer"
        record = await site.records.get()
    assert (record.protocol, record.listener) == ("passthrough", "api")
    assert (record.direction, record.client) == ("to_provider", "127.0.0.1")
    assert (record.host, record.edge, record.address) == (
        "edge.test",
        "edge",
        "127.0.0.1",
    )
    assert (record.ended, record.reason, record.attempts) == ("--", "", ())
    assert record.received > 500
    assert record.sent > 500
    assert record.connect is not None
    assert record.first_byte is not None
    assert 0 < record.connect < 1
    assert record.first_byte <= record.total < 5
    assert site.reports == [(port, Result.ALIVE)]


@pytest.mark.parametrize(
    ("bad", "result"), [(Silent, Result.SILENT), (Breaks, Result.RESET)]
)
async def test_hello_goes_to_the_next_target_when_the_first_is_silent_or_resets(
    bad: type[Silent],
    result: Result,
    serve: Serve,
    place: Place,
    pair: Pair,
    ca_file: Path,
    tunnels: Tunnels,
    site: Site,
) -> None:
    firsts: list[Silent] = []

    def first() -> Silent:
        firsts.append(bad())
        return firsts[-1]

    async with serve(factory=first) as dead, serve(server_context(*pair)) as port:
        choose = in_order(place(dead, patience=0.03), place(port, patience=5.0))
        async with serve(factory=passing(tunnels, choose)) as near:
            assert await talk(near, ca_file) == b"answer"
        record = await site.records.get()
    assert [one.result for one in record.attempts] == [result, None]
    assert site.reports == [(dead, result), (port, Result.ALIVE)]
    # What the dead one got is a ClientHello and nothing more.
    assert len(firsts) == 1
    assert firsts[0].heard.startswith(b"\x16\x03\x01")
    assert len(firsts[0].heard) < record.received


async def test_alert_pins_the_flow_and_proves_nothing(
    serve: Serve, place: Place, pair: Pair, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=Alerts) as bad, serve(server_context(*pair)) as port:
        choose = in_order(place(bad), place(port))
        async with serve(factory=passing(tunnels, choose)) as near:
            assert await hear(near, hello()) == b"\x15\x03\x03\0\x02\x02\x50"
        await site.records.get()
    assert site.reports == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "not a TLS handshake"),
        (hello("else.test"), "no route to this host"),
        (hello(""), "a ClientHello without server name"),
        (hello()[:-1], "no ClientHello within 2 s"),
    ],
    ids=["no-tls", "no-route", "no-name", "unfinished"],
)
async def test_client_without_a_route_is_closed(
    data: bytes, reason: str, serve: Serve, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=passing(tunnels, in_order())) as near:
        assert await hear(near, data) == b""
    record = await site.records.get()
    assert (record.ended, record.reason) == ("RH", reason)
    assert site.reports == []


async def test_passthrough_without_any_living_target_is_closed_and_told(
    serve: Serve, place: Place, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=Silent) as dead:
        choose = in_order(place(dead, patience=0.15))
        async with serve(factory=passing(tunnels, choose)) as near:
            assert await hear(near, hello()) == b""
    record = await site.records.get()
    assert record.ended == "RC"
    assert record.reason == f"edge 127.0.0.1:{dead}: timeout"
    assert [one.result for one in record.attempts] == [Result.TIMEOUT]
    assert record.attempts[0].detail == "no answer to the ClientHello within 0.5 s"
    assert site.reports == [(dead, Result.SILENT), (dead, Result.TIMEOUT)]


async def test_client_that_leaves_while_connecting_is_told_so(
    serve: Serve, place: Place, tunnels: Tunnels, site: Site
) -> None:
    # The client leaves before any deadline does the same to its flow.
    tunnels.deadlines = Deadlines(hello=60.0, connect=60.0, answer=60.0)
    heard = asyncio.Event()

    class Hears(Silent):
        def data_received(self, data: bytes) -> None:
            heard.set()

    async with serve(factory=Hears) as dead:
        factory = passing(tunnels, in_order(place(dead, patience=5.0)))
        async with serve(factory=factory) as near:
            _, writer = await asyncio.open_connection("127.0.0.1", near)
            writer.write(hello())
            await heard.wait()
            writer.transport.abort()
            record = await site.records.get()
            assert tunnels.open == set()
    assert (record.ended, record.reason) == ("CC", "the client left")


async def test_client_that_leaves_before_its_hello_is_told_so(
    serve: Serve, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=passing(tunnels, in_order())) as near:
        _, writer = await asyncio.open_connection("127.0.0.1", near)
        writer.close()
        record = await site.records.get()
    assert (record.ended, record.reason) == ("CH", "the client left")


async def test_stopping_cuts_tunnels_in_every_phase(
    serve: Serve, place: Place, pair: Pair, ca_file: Path, tunnels: Tunnels, site: Site
) -> None:
    async with serve(server_context(*pair)) as port:
        factory = passing(tunnels, in_order(place(port)))
        async with serve(factory=factory) as near:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                near,
                ssl=client_context(ca_file),
                server_hostname="edge.test",
            )
            writer.write(b"ask")
            await reader.readexactly(6)
            _, early = await asyncio.open_connection("127.0.0.1", near)
            while len(tunnels.open) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
            tunnels.close()
            records = [await site.records.get() for _ in range(2)]
            writer.transport.abort()
            early.transport.abort()
    assert {(record.ended, record.reason) for record in records} == {
        ("RD", "the router stops"),
        ("RH", "the router stops"),
    }


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


async def test_shutdown_of_the_tasks_breaks_an_opening_off(
    serve: Serve, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=passing(tunnels, in_order())) as near:
        _, writer = await asyncio.open_connection("127.0.0.1", near)
        while not len(tunnels.tasks):  # noqa: ASYNC110
            await asyncio.sleep(0)
        await tunnels.tasks.close()
        record = await site.records.get()
        writer.close()
    assert (record.ended, record.reason) == ("RH", "opening it was broken off")


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


EARLY_DATA = b"\0\x2a\0\0"


def with_early_data(stream: bytes) -> bytes:
    """The same ClientHello with the early_data extension at its end."""
    body = bytearray(stream[9:])
    place = 34 + 1 + body[34]
    place += 2 + int.from_bytes(body[place : place + 2])
    place += 1 + body[place]
    size = int.from_bytes(body[place : place + 2]) + len(EARLY_DATA)
    body[place : place + 2] = size.to_bytes(2)
    body += EARLY_DATA
    message = b"\x01" + len(body).to_bytes(3) + bytes(body)
    return b"\x16\x03\x01" + len(message).to_bytes(2) + message


async def test_hello_with_early_data_is_sent_to_one_target_only(
    serve: Serve, place: Place, tunnels: Tunnels, site: Site
) -> None:
    silent: list[Silent] = []
    heard = asyncio.Event()

    class Hears(Silent):
        def __init__(self) -> None:
            super().__init__()
            silent.append(self)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            heard.set()

    stream = with_early_data(hello())
    async with serve(factory=Hears) as one, serve(factory=Hears) as two:
        choose = in_order(place(9), place(one, patience=0.02), place(two))
        async with serve(factory=passing(tunnels, choose)) as near:
            _, writer = await asyncio.open_connection("127.0.0.1", near)
            writer.write(stream + b"early")
            await heard.wait()
            tunnels.close()
            record = await site.records.get()
            writer.transport.abort()
    assert [one.heard for one in silent] == [stream + b"early"]
    assert [one.result for one in record.attempts] == [Result.REFUSED, None]


async def test_bytes_after_the_hello_are_bounded_and_passed_on(
    serve: Serve, place: Place, tunnels: Tunnels, site: Site
) -> None:
    """A client need not wait; what it may send ahead is limited all the same."""
    go = asyncio.Event()
    heard = bytearray()
    enough = asyncio.Event()
    hello_bytes = hello()
    stream = hello_bytes + bytes(20_000_000)

    class Late(asyncio.Protocol):
        """Answers the ClientHello when told to, then takes all."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)
            self.waits = tasks.start(self.answer(), name="answer")

        async def answer(self) -> None:
            await go.wait()
            self.transport.write(b"\x16")

        def data_received(self, data: bytes) -> None:
            heard.extend(data)
            if len(heard) == len(stream):
                enough.set()

    tasks = tunnels.tasks
    async with serve(factory=Late) as port:
        factory = passing(tunnels, in_order(place(port, patience=5.0)))
        async with serve(factory=factory) as near:
            _, writer = await asyncio.open_connection("127.0.0.1", near)
            writer.write(stream)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.1)
            assert heard == hello_bytes
            go.set()
            await enough.wait()
            assert heard == stream
            writer.transport.abort()
            record = await site.records.get()
    assert record.received == len(stream)


async def test_client_that_reset_before_it_was_accepted_leaves_only_a_record(
    tunnels: Tunnels, site: Site
) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = socket.create_connection(listener.getsockname())
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        theirs, _ = listener.accept()
    theirs.setblocking(False)
    await loop.connect_accepted_socket(passing(tunnels, in_order()), theirs)
    record = await site.records.get()
    assert (record.client, record.ended) == ("", "CH")
    assert not tunnels.open


async def test_tunnel_that_ends_while_draining_is_not_cut(
    tunnels: Tunnels, site: Site, serve: Serve
) -> None:
    async with serve(factory=passing(tunnels, in_order())) as near:
        _, writer = await asyncio.open_connection("127.0.0.1", near)
        while not tunnels.open:  # noqa: ASYNC110
            await asyncio.sleep(0)
        draining = asyncio.gather(tunnels.drain(10.0))
        await asyncio.sleep(0)
        writer.transport.abort()
        (cut,) = await draining
        assert cut == 0
        assert site.records.get_nowait().ended == "CH"


async def test_tunnel_that_outlasts_draining_is_cut_and_recorded(
    tunnels: Tunnels, site: Site, serve: Serve
) -> None:
    async with serve(factory=passing(tunnels, in_order())) as near:
        _, writer = await asyncio.open_connection("127.0.0.1", near)
        while not tunnels.open:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert await tunnels.drain(0.05) == 1
        record = site.records.get_nowait()
        assert (record.ended, record.reason) == ("RH", "the router stops")
        writer.transport.abort()


async def test_nothing_open_is_drained_at_once(tunnels: Tunnels) -> None:
    assert await tunnels.drain(0.0) == 0
