import asyncio
import dataclasses
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from simulator.delay import FULL, Connection, Line


@dataclasses.dataclass
class Joined:
    """A client's socket and a server's, with a delay line between."""

    client: socket.socket
    server: socket.socket
    connection: Connection


Join = Callable[[Line], Awaitable[Joined]]


def line(round_trip: float = 0.0, jitter: float = 0.0) -> Line:
    return Line(round_trip, jitter, random.Random(1))


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
async def join() -> AsyncIterator[Join]:
    loop = asyncio.get_running_loop()
    made: list[Joined] = []

    async def joined(between: Line) -> Joined:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            outer, _ = listener.accept()
        inner, server = socket.socketpair()
        client.setblocking(False)
        server.setblocking(False)
        connection = Connection(between, accepted=loop.time())
        await loop.create_unix_connection(lambda: connection.inner, sock=inner)
        await loop.connect_accepted_socket(lambda: connection.outer, outer)
        connection.settle()
        made.append(Joined(client, server, connection))
        return made[-1]

    yield joined
    for one in made:
        one.connection.abort()
        await asyncio.wait_for(one.connection.done, 5)
        one.client.close()
        one.server.close()


async def receive(sock: socket.socket, count: int = 65536) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, count), 10)


async def send(sock: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def exchange(both: Joined) -> float:
    """Seconds that one byte takes there, and one back."""
    begun = now()
    await send(both.client, b"?")
    assert await receive(both.server) == b"?"
    await send(both.server, b"!")
    assert await receive(both.client) == b"!"
    return now() - begun


async def fill(sock: socket.socket) -> int:
    """Send until nothing is taken for a while; how many bytes were."""
    taken = 0
    try:
        while True:
            async with asyncio.timeout(0.5):
                await send(sock, b"x" * 4096)
                taken += 4096
    except TimeoutError:
        return taken


async def test_first_exchange_costs_the_handshake_too(join: Join) -> None:
    both = await join(line(0.05))

    assert await exchange(both) >= 2 * 0.05 - 0.005


async def test_later_exchange_costs_one_round_trip(join: Join) -> None:
    both = await join(line(0.05))
    await exchange(both)

    assert 0.05 <= await exchange(both) < 0.1


async def test_answer_travels_half_the_round_trip(join: Join) -> None:
    both = await join(line(0.1))
    begun = now()

    await send(both.server, b"!")
    await receive(both.client)

    assert 0.05 <= now() - begun < 0.1


async def test_new_distance_holds_for_later_bytes(join: Join) -> None:
    between = line()
    both = await join(between)
    await exchange(both)

    between.round_trip = 0.1

    assert await exchange(both) >= 0.1


async def test_jitter_changes_no_order(join: Join) -> None:
    both = await join(line(0.0, jitter=0.01))
    sent = b"".join(b"%04d" % number for number in range(200))
    received = b""

    for start in range(0, len(sent), 4):
        await send(both.client, sent[start : start + 4])
        await asyncio.sleep(0)
    while len(received) < len(sent):
        received += await receive(both.server)

    assert received == sent


async def test_bytes_that_nobody_takes_make_the_sender_wait(join: Join) -> None:
    both = await join(line())

    taken = await fill(both.client)

    # The line itself, and what the kernel holds on either side of it.
    assert FULL <= taken <= FULL + (16 << 20)
    received = 0
    while received < taken:
        received += len(await receive(both.server, 1 << 20))


async def test_held_connection_stands_still_and_goes_on_complete(join: Join) -> None:
    both = await join(line())
    await exchange(both)

    both.connection.hold(True)
    await send(both.client, b"one")
    await send(both.server, b"two")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await asyncio.get_running_loop().sock_recv(both.server, 10)
    both.connection.hold(False)

    assert await receive(both.server) == b"one"
    assert await receive(both.client) == b"two"


async def test_end_of_the_client_leaves_the_answer_on_its_way(join: Join) -> None:
    both = await join(line(0.02))

    await send(both.client, b"question")
    both.client.shutdown(socket.SHUT_WR)

    assert await receive(both.server) == b"question"
    assert await receive(both.server) == b""
    await send(both.server, b"answer")
    assert await receive(both.client) == b"answer"


async def test_end_of_the_server_comes_after_its_last_bytes(join: Join) -> None:
    both = await join(line(0.02))

    await send(both.server, b"x" * 100_000)
    both.server.close()

    received = 0
    while data := await receive(both.client):
        received += len(data)
    assert received == 100_000
    both.client.close()
    await asyncio.wait_for(both.connection.done, 5)


async def test_client_that_breaks_off_ends_the_server_side(join: Join) -> None:
    both = await join(line(0.02))
    await exchange(both)

    both.connection.outer.abort(reset=False)

    assert await receive(both.server) == b""
    await asyncio.wait_for(both.connection.done, 5)


async def test_abort_resets_the_client_and_drops_what_is_under_way(join: Join) -> None:
    both = await join(line(0.2))
    await send(both.server, b"never seen")
    await asyncio.sleep(0)

    both.connection.abort()

    with pytest.raises(ConnectionResetError):
        await receive(both.client)
