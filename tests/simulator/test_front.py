"""Every fault of the network, on real sockets."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine

import aiohttp
import pytest

from simulator.faults import Fault
from simulator.provider import Provider
from tests.simulator.conftest import writes_at_once

API = "api.ashburn.us1.twilio.com"
PRIVATE = "api.ashburn-ix.us1.twilio.com"
SOON = 0.3
"Seconds in which a healthy edge on loopback has long answered."


class Client:
    """A client's connection to the first address of ashburn."""

    def __init__(self, provider: Provider) -> None:
        self.address = (provider.edges["ashburn"].addresses[0].address, provider.port)
        self.trust = provider.trust()
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """TCP alone."""
        await asyncio.get_running_loop().sock_connect(self.sock, self.address)

    @property
    def near(self) -> tuple[str, int]:
        """Its own address and port."""
        address, port = self.sock.getsockname()
        return address, port

    async def send(self, data: bytes) -> None:
        """Bytes below TLS."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self) -> bytes:
        """Bytes below TLS."""
        return await asyncio.get_running_loop().sock_recv(self.sock, 65536)

    async def start_tls(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(
            sock=self.sock, ssl=self.trust, server_hostname=API
        )

    async def exchange(self) -> bytes:
        """One request on the connection, which stays open."""
        assert self.writer is not None
        self.writer.write(f"HEAD / HTTP/1.1\r\nHost: {API}\r\n\r\n".encode())
        return await self.reader.readuntil(b"\r\n\r\n")

    async def close(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()
            with contextlib.suppress(OSError):
                await self.writer.wait_closed()
        self.sock.close()


Connect = Callable[[], Coroutine[None, None, Client]]


@pytest.fixture
async def connect(provider: Provider) -> AsyncIterator[Connect]:
    """Connects by TCP; all connections are closed in the end."""
    clients: list[Client] = []

    async def connected() -> Client:
        clients.append(Client(provider))
        await clients[-1].connect()
        return clients[-1]

    yield connected
    for client in clients:
        await client.close()


async def opened(connect: Connect) -> Client:
    """Connected by TCP and TLS, and known to answer."""
    client = await connect()
    await client.start_tls()
    assert (await client.exchange()).startswith(b"HTTP/1.1 200")
    return client


async def stands_still(task: "asyncio.Task[None] | asyncio.Task[bytes]") -> None:
    """Wait for what a healthy edge would have done long ago; it goes on."""
    done, _ = await asyncio.wait([task], timeout=SOON)
    assert not done


async def test_refused_edge_refuses_and_established_connections_live_on(
    provider: Provider, connect: Connect
) -> None:
    established = await opened(connect)

    provider.edges["ashburn"].refuse()

    with pytest.raises(ConnectionRefusedError):
        await connect()
    await established.exchange()
    provider.edges["ashburn"].heal()
    await opened(connect)


async def test_answers_of_an_edge_do_not_wait_for_an_ack(connect: Connect) -> None:
    client = await opened(connect)

    assert writes_at_once(client.address, client.near)


async def test_fault_of_one_address_spares_the_others(provider: Provider) -> None:
    first, second, *_ = provider.edges["ashburn"].addresses

    first.refuse()

    with pytest.raises(aiohttp.ClientConnectorError):
        await provider.ask(API, address=first.address)
    assert (await provider.ask(API, address=second.address)).status == 200


async def test_reset_edge_resets_new_and_established_connections(
    provider: Provider, connect: Connect
) -> None:
    established = await opened(connect)

    provider.edges["ashburn"].reset()

    with pytest.raises(ConnectionResetError):
        await established.exchange()
    with pytest.raises(ConnectionResetError):
        await opened(connect)
    provider.edges["ashburn"].heal()
    await opened(connect)


async def test_killed_edge_resets_what_is_and_refuses_what_comes(
    provider: Provider, connect: Connect
) -> None:
    established = await opened(connect)

    provider.edges["ashburn"].kill()

    with pytest.raises(ConnectionResetError):
        await established.exchange()
    with pytest.raises(ConnectionRefusedError):
        await connect()
    provider.edges["ashburn"].heal()
    await opened(connect)


async def test_blackholed_edge_never_answers_a_connection_attempt(
    provider: Provider, connect: Connect
) -> None:
    provider.edges["ashburn"].blackhole()

    async with asyncio.TaskGroup() as group:
        attempts = [group.create_task(connect()) for _ in range(5)]
        done, _ = await asyncio.wait(attempts, timeout=SOON)
        assert not done
        provider.edges["ashburn"].heal()
        await opened(connect)
        # The kernel repeats a lost SYN after a second, and now it is heard.


async def test_blackholed_edge_holds_established_connections_until_healed(
    provider: Provider, connect: Connect
) -> None:
    established = await opened(connect)

    provider.edges["ashburn"].blackhole()

    async with asyncio.TaskGroup() as group:
        answer = group.create_task(established.exchange())
        await stands_still(answer)
        provider.edges["ashburn"].heal()
    assert answer.result().startswith(b"HTTP/1.1 200")


async def test_frozen_edge_accepts_and_stands_still_until_healed(
    provider: Provider, connect: Connect
) -> None:
    established = await opened(connect)

    provider.edges["ashburn"].freeze()

    fresh = await connect()
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(established.exchange())
        handshake = group.create_task(fresh.start_tls())
        await stands_still(answer)
        await stands_still(handshake)
        provider.edges["ashburn"].heal()
    assert answer.result().startswith(b"HTTP/1.1 200")
    assert (await fresh.exchange()).startswith(b"HTTP/1.1 200")


async def test_stalled_edge_reads_the_client_hello_and_is_silent(
    provider: Provider, connect: Connect
) -> None:
    established = await opened(connect)

    provider.edges["ashburn"].fail(Fault.STALL)

    fresh = await connect()
    async with asyncio.TaskGroup() as group:
        handshake = group.create_task(fresh.start_tls())
        await stands_still(handshake)
        await established.exchange()
        handshake.cancel()
    assert provider.ledger.events("stalled")


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        (Fault.EXPIRED, "certificate has expired"),
        (Fault.WRONG_NAME, "Hostname mismatch"),
        (Fault.UNKNOWN_CA, "unable to get local issuer"),
    ],
)
async def test_certificate_fault_spoils_new_handshakes_only(
    provider: Provider, connect: Connect, flaw: Fault, reason: str
) -> None:
    established = await opened(connect)

    provider.edges["ashburn"].fail(flaw)

    fresh = await connect()
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        await fresh.start_tls()
    await established.exchange()
    provider.edges["ashburn"].heal()
    await opened(connect)


async def test_one_fault_after_another_leaves_a_healthy_edge(
    provider: Provider, connect: Connect
) -> None:
    edge = provider.edges["ashburn"]

    for fault in (*Fault, *reversed(Fault)):
        edge.fail(fault)
    edge.heal()

    await opened(connect)


async def test_blackhole_and_refusal_follow_each_other(
    provider: Provider, connect: Connect
) -> None:
    edge = provider.edges["ashburn"]
    for _ in range(2):
        edge.blackhole()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connect(), SOON)
        edge.refuse()
        with pytest.raises(ConnectionRefusedError):
            await connect()


async def test_connection_that_plugs_a_blackhole_is_no_arrival(
    provider: Provider, connect: Connect
) -> None:
    provider.edges["ashburn"].blackhole()
    provider.edges["ashburn"].heal()

    await opened(connect)

    assert len(provider.ledger.events("accepted")) == 1


async def test_private_edge_answers_announced_sources_only(provider: Provider) -> None:
    answer = await provider.ask(PRIVATE, source="127.0.0.9")

    assert answer.json()["edge"] == "ashburn-ix"
    with pytest.raises(TimeoutError):
        await provider.ask(PRIVATE, source="127.0.0.10", timeout=SOON)
    (event,) = provider.ledger.events("unannounced")
    assert event.source.startswith("127.0.0.10:")


async def test_handshake_is_noted_with_its_name_and_resumption(
    provider: Provider, connect: Connect
) -> None:
    await opened(connect)

    (event,) = provider.ledger.events("tls")
    assert (event.edge, event.server_name) == ("ashburn", API)
    assert event.detail == "TLSv1.3 full no alpn"


async def test_bytes_that_are_no_tls_are_noted_and_end_the_connection(
    provider: Provider, connect: Connect
) -> None:
    client = await connect()

    await client.send(b"GET / HTTP/1.1\r\n\r\n")

    assert await client.receive() == b""
    (event,) = provider.ledger.events("tls-failed")
    assert "HTTP_REQUEST" in event.detail


async def test_distance_is_felt_from_the_handshake_on(
    provider: Provider, connect: Connect
) -> None:
    provider.edges["ashburn"].round_trip = 0.1
    clock = asyncio.get_running_loop().time

    client = await connect()
    begun = clock()
    await client.start_tls()
    shaken = clock()
    await client.exchange()

    # The round trip of TCP, which loopback cannot show, and that of TLS 1.3.
    assert shaken - begun >= 0.2 - 0.01
    assert clock() - shaken >= 0.1 - 0.01
