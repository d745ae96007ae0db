import asyncio
import contextlib
import ipaddress
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocols.net.admission import Admission, Limits, Refusal
from protocols.net.listen import BindError, Listener, Serving, bind
from protocols.net.tasks import Tasks
from protocols.net.tls import Certificates

Pair = tuple[Path, Path]


class Greeter(asyncio.Protocol):
    """Greets and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"hello")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        raise AssertionError("nobody says anything to a greeter")


class Refusals:
    """Keeps what was refused, and lets a test wait for it."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Refusal, str]] = []
        self._came = asyncio.Event()

    def __call__(self, address: str, refusal: Refusal, detail: str) -> None:
        self.all.append((address, refusal, detail))
        self._came.set()

    async def wait(self, count: int) -> None:
        while len(self.all) < count:
            self._came.clear()
            await self._came.wait()


@pytest.fixture
async def refusals() -> Refusals:
    return Refusals()


@contextlib.asynccontextmanager
async def listening(
    tasks: Tasks,
    refusals: Refusals,
    address: str = "127.0.0.1",
    **fields: Any,
) -> AsyncIterator[tuple[int, Admission]]:
    (sock,) = bind([(address, 0)])
    port: int = sock.getsockname()[1]
    listener = Listener(sock, Serving(Greeter, refusals, **fields), tasks)
    listener.start()
    try:
        yield port, listener.admission
    finally:
        listener.close()
        listener.close()


async def greeting(port: int, address: str = "127.0.0.1", **fields: Any) -> bytes:
    reader, writer = await asyncio.open_connection(address, port, **fields)
    try:
        return await reader.read(5)
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


async def gone(admission: Admission) -> None:
    """Wait until the loop has closed all connections."""
    while admission.total:  # noqa: ASYNC110 - the descriptor itself has no event
        await asyncio.sleep(0)


async def test_admitted_client_is_served_and_counted_until_it_leaves(
    tasks: Tasks, refusals: Refusals
) -> None:
    limits = Limits(per_client=1)
    async with listening(tasks, refusals, limits=limits) as (port, admission):
        assert await greeting(port) == b"hello"
        await gone(admission)
        assert await greeting(port) == b"hello"
        await gone(admission)
    assert refusals.all == []


async def test_accepted_connection_inherits_the_options_of_its_listener(
    tasks: Tasks, refusals: Refusals
) -> None:
    (sock,) = bind([("127.0.0.1", 0)])
    with sock, socket.create_connection(sock.getsockname()), sock.accept()[0] as here:
        assert here.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert here.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert here.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        assert here.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_client_that_is_not_allowed_is_closed_before_tls(
    tasks: Tasks, refusals: Refusals, pair: Pair
) -> None:
    allow = [ipaddress.ip_network("10.0.0.0/8")]
    async with listening(
        tasks, refusals, allow=allow, certificates=Certificates(*pair)
    ) as (port, admission):
        assert await greeting(port) == b""
    assert refusals.all == [("127.0.0.1", Refusal.NOT_ALLOWED, "")]
    assert admission.total == 0


async def test_tls_client_is_served(
    tasks: Tasks, refusals: Refusals, pair: Pair, ca_file: Path
) -> None:
    context = ssl.create_default_context(cafile=ca_file)
    async with listening(tasks, refusals, certificates=Certificates(*pair)) as (
        port,
        admission,
    ):
        assert (
            await greeting(port, ssl=context, server_hostname="edge.test") == b"hello"
        )
        await gone(admission)
    assert admission.handshakes == 0


async def test_replaced_certificate_serves_the_next_handshake(
    tasks: Tasks,
    refusals: Refusals,
    ca_file: Path,
    issue: Callable[..., Pair],
) -> None:
    certificates = Certificates(*issue("old.test"))
    context = ssl.create_default_context(cafile=ca_file)
    async with listening(tasks, refusals, certificates=certificates) as (
        port,
        admission,
    ):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="old.test"
        )
        issue("new.test")
        certificates.reload()
        greeted = await greeting(port, ssl=context, server_hostname="new.test")
        assert greeted == b"hello"
        assert await reader.readexactly(5) == b"hello"
        writer.transport.abort()
        await gone(admission)


async def test_change_serves_the_next_connection_and_counts_those_that_stand(
    tasks: Tasks, refusals: Refusals
) -> None:
    class Other(Greeter):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.write(b"other")  # type: ignore[attr-defined]

    (sock,) = bind([("127.0.0.1", 0)])
    port = sock.getsockname()[1]
    listener = Listener(sock, Serving(Greeter, refusals), tasks)
    listener.start()
    with contextlib.closing(listener):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readexactly(5) == b"hello"
        listener.change(Serving(Other, refusals, limits=Limits(per_client=2)))
        assert await greeting(port) == b"other"
        listener.change(Serving(Other, refusals, limits=Limits(per_client=1)))
        assert await greeting(port) == b""
        writer.transport.abort()
        await gone(listener.admission)
    assert [one[1] for one in refusals.all] == [Refusal.CLIENT_LIMIT]


async def test_silent_handshake_ends_at_its_deadline(
    tasks: Tasks, refusals: Refusals, pair: Pair
) -> None:
    async with listening(
        tasks,
        refusals,
        certificates=Certificates(*pair),
        handshake_timeout=0.05,
    ) as (port, admission):
        assert await greeting(port) == b""
        await refusals.wait(1)
        await gone(admission)
    assert refusals.all == [
        ("127.0.0.1", Refusal.HANDSHAKE_FAILED, "no TLS handshake in time")
    ]


async def test_client_without_tls_is_refused_with_the_reason(
    tasks: Tasks, refusals: Refusals, pair: Pair
) -> None:
    async with listening(tasks, refusals, certificates=Certificates(*pair)) as (
        port,
        admission,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.transport.abort()
        (await asyncio.open_connection("127.0.0.1", port))[1].close()
        await refusals.wait(2)
        await gone(admission)
    assert [one[1:] for one in refusals.all] == [
        (Refusal.HANDSHAKE_FAILED, "HTTP_REQUEST"),
        (Refusal.HANDSHAKE_FAILED, "connection closed"),
    ]


async def test_port_in_use_binds_nothing_at_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
        with pytest.raises(BindError) as caught:
            bind([("127.0.0.1", free), ("127.0.0.1", taken)])
        assert str(caught.value) == (
            f"cannot listen on 127.0.0.1:{taken}: Address already in use"
        )
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", free))


async def test_socket_that_is_there_is_taken_with_who_waits_on_it(
    tasks: Tasks, refusals: Refusals
) -> None:
    found = socket.create_server(("127.0.0.1", 0))
    place = found.getsockname()
    waiting = socket.create_connection(place)
    asked = []

    def take(*place: object) -> socket.socket:
        asked.append(place)
        return found

    (sock,) = bind([place], take)
    assert asked == [(socket.SOCK_STREAM, *place)]
    assert sock is found
    assert not sock.getblocking()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    listener = Listener(sock, Serving(Greeter, refusals), tasks)
    listener.start()
    waiting.setblocking(False)
    with waiting:
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recv(waiting, 9), 5) == b"hello"
    listener.close()


async def test_closed_listener_lets_handshakes_under_way_end(
    tasks: Tasks, refusals: Refusals, pair: Pair, ca_file: Path
) -> None:
    trust = ssl.create_default_context(cafile=ca_file)
    (sock,) = bind([("127.0.0.1", 0)])
    port = sock.getsockname()[1]
    serving = Serving(Greeter, refusals, certificates=Certificates(*pair))
    listener = Listener(sock, serving, tasks)
    listener.start()
    asking = greeting(port, ssl=trust, server_hostname="edge.test")
    client = tasks.start(asking, name="client")
    while not listener.admission.handshakes:  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0)
    listener.close()
    await listener.settle(10)
    assert not listener.admission.handshakes
    assert await client == b"hello"
    await listener.settle(10)


async def test_foreign_address_is_named_in_the_error() -> None:
    with pytest.raises(BindError, match=r"\[2001:db8::1\]:8443: Cannot assign"):
        bind([("2001:db8::1", 8443)])


async def test_ipv6_and_ipv4_listen_on_one_port_side_by_side(
    tasks: Tasks, refusals: Refusals
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for sock in bind([("0.0.0.0", port), ("::", port)]):
        sock.close()
    async with listening(tasks, refusals, address="::1") as (port, _):
        assert await greeting(port, address="::1") == b"hello"


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_shortage_of_descriptors_pauses_and_then_serves(
    tasks: Tasks, refusals: Refusals
) -> None:
    async with listening(tasks, refusals) as (port, admission):
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        with no_descriptors():
            await refusals.wait(1)
        loop = asyncio.get_running_loop()
        for sock in waiting:
            sock.setblocking(False)
            assert await loop.sock_recv(sock, 5) == b"hello"
            sock.close()
        await gone(admission)
    assert refusals.all[0] == ("", Refusal.NO_RESOURCES, "Too many open files")


async def test_closing_while_paused_accepts_no_more(
    tasks: Tasks, refusals: Refusals
) -> None:
    async with listening(tasks, refusals) as (port, _):
        waiting = socket.create_connection(("127.0.0.1", port))
        with no_descriptors():
            await refusals.wait(1)
    with waiting:
        waiting.setblocking(False)
        loop = asyncio.get_running_loop()
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(waiting, 5)


def memory() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


HOSTILE = int(os.environ.get("EDGE_ROUTER_HOSTILE", "300"))
"How many hostile connections to make; 10000 is the full size."

BATCH = 10
"At once. Each has a read buffer of 256 KiB, which the allocator keeps for the next."


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"]
)
@pytest.mark.timeout(300)
async def test_hostile_handshakes_leave_memory_and_descriptors_as_they_were(
    data: bytes, tasks: Tasks, refusals: Refusals, pair: Pair
) -> None:
    """Failed ones, and half-open ones that send a part and fall silent."""
    loop = asyncio.get_running_loop()

    async def batch(port: int, admission: Admission) -> None:
        sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(BATCH)]
        for sock in sockets:
            sock.setblocking(False)
            await loop.sock_sendall(sock, data)
        await refusals.wait(BATCH)
        for sock in sockets:
            sock.close()
        await gone(admission)
        while len(tasks):  # noqa: ASYNC110
            await asyncio.sleep(0)
        refusals.all.clear()

    async with listening(
        tasks,
        refusals,
        certificates=Certificates(*pair),
        handshake_timeout=0.05,
    ) as (port, admission):
        for _ in range(3):
            await batch(port, admission)
        before, descriptors = memory(), len(os.listdir("/proc/self/fd"))
        for _ in range(HOSTILE // BATCH):
            await batch(port, admission)
        assert memory() < before * 1.05
        assert len(os.listdir("/proc/self/fd")) == descriptors


async def test_who_is_in_the_handshake_when_the_listener_changes_is_waited_for(
    tasks: Tasks, refusals: Refusals, pair: Pair
) -> None:
    made: list[str] = []

    def serving(name: str) -> Serving:
        def factory() -> asyncio.BaseProtocol:
            made.append(name)
            return Greeter()

        return Serving(factory, refusals, certificates=Certificates(*pair))

    (sock,) = bind([("127.0.0.1", 0)])
    listener = Listener(sock, serving("old"), tasks)
    listener.start()
    await listener.settle(1.0)  # nobody is there
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    while not listener.admission.handshakes:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)
    listener.change(serving("new"))
    settling = tasks.start(listener.settle(5.0), name="settle")
    await listener.settle(0.0)
    assert not settling.done()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    await writer.start_tls(context)
    await settling
    assert await reader.read(5) == b"hello"
    assert made == ["old"]
    writer.transport.abort()
    listener.close()


async def test_client_that_came_astray_is_closed_with_the_reason_and_not_counted(
    tasks: Tasks, refusals: Refusals
) -> None:
    looked: list[tuple[str, str, str]] = []

    def strays(source: str, local: str, interface: str) -> str:
        looked.append((source, local, interface))
        return "came by lo" if len(looked) == 1 else ""

    async with listening(tasks, refusals, strays=strays) as (port, admission):
        assert await greeting(port) == b""
        assert admission.total == 0
        assert await greeting(port) == b"hello"
        await gone(admission)
    assert looked == [("127.0.0.1", "127.0.0.1", "lo")] * 2
    assert refusals.all == [("127.0.0.1", Refusal.ASTRAY, "came by lo")]


async def test_client_of_no_allowed_network_is_not_looked_at(
    tasks: Tasks, refusals: Refusals
) -> None:
    def strays(*way: str) -> str:
        raise AssertionError(way)

    allow = [ipaddress.ip_network("192.0.2.0/24")]
    async with listening(tasks, refusals, strays=strays, allow=allow) as (port, _):
        assert await greeting(port) == b""
    assert [refusal for _, refusal, _ in refusals.all] == [Refusal.NOT_ALLOWED]
