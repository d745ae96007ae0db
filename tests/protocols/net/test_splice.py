import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from protocols.net.splice import End, Splice, Spliced

Make = Callable[[], Any]


class Joined:
    """A splice between two sockets; a test holds their far ends."""

    def __init__(self, idle: float = 60.0) -> None:
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Spliced] = self.loop.create_future()
        self.idle = idle

    async def join(self) -> None:
        self.client, client = await self._pair()
        self.far, far = await self._pair()
        self.splice = Splice(
            End(client), End(far), idle=self.idle, ended=self.ended.set_result
        )

    async def _pair(self) -> tuple[socket.socket, asyncio.Transport]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            outside = socket.create_connection(server.getsockname())
            inside, _ = server.accept()
        outside.setblocking(False)
        inside.setblocking(False)
        transport, _ = await self.loop.connect_accepted_socket(asyncio.Protocol, inside)
        transport.pause_reading()
        return outside, transport

    async def send(self, sock: socket.socket, data: bytes) -> None:
        await self.loop.sock_sendall(sock, data)

    async def receive(self, sock: socket.socket) -> bytes:
        return await self.loop.sock_recv(sock, 65536)

    def close(self) -> None:
        self.client.close()
        self.far.close()


@pytest.fixture
async def joined() -> Any:
    both = Joined()
    await both.join()
    yield both
    both.close()


async def test_bytes_pass_both_ways_and_are_counted(joined: Joined) -> None:
    joined.splice.count_sent(10)
    joined.splice.give(b"early")
    assert await joined.receive(joined.client) == b"early"
    assert joined.splice.passed == (10, 5)
    await joined.send(joined.client, b"question")
    assert await joined.receive(joined.far) == b"question"
    await joined.send(joined.far, b"answer")
    assert await joined.receive(joined.client) == b"answer"
    joined.close()
    ended = await joined.ended
    assert (ended.received, ended.sent) == (18, 11)
    assert (ended.ended, ended.reason) == ("--", "")


@pytest.mark.parametrize("side", ["client", "far"])
async def test_half_close_passes_on_and_the_other_half_still_works(
    joined: Joined, side: str
) -> None:
    near, other = (
        (joined.client, joined.far) if side == "client" else (joined.far, joined.client)
    )
    near.shutdown(socket.SHUT_WR)
    assert await joined.receive(other) == b""
    await joined.send(other, b"last words")
    assert await joined.receive(near) == b"last words"
    other.shutdown(socket.SHUT_WR)
    assert await joined.receive(near) == b""
    assert (await joined.ended).ended == "--"


@pytest.mark.parametrize(("side", "code"), [("client", "CD"), ("far", "FD")])
async def test_reset_of_one_side_ends_the_other_and_is_told(
    joined: Joined, side: str, code: str
) -> None:
    near, other = (
        (joined.client, joined.far) if side == "client" else (joined.far, joined.client)
    )
    # Lingering for no time at all makes close send RST.
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    near.close()
    assert await joined.receive(other) == b""
    ended = await joined.ended
    assert ended.ended == code
    assert ended.reason


async def test_reader_that_stops_stops_the_writer(joined: Joined) -> None:
    """What is in flight is bounded, however much the writer has."""
    sent = 0
    block = bytes(65536)
    loop = asyncio.get_running_loop()
    while True:
        try:
            async with asyncio.timeout(0.2):
                await loop.sock_sendall(joined.client, block)
        except TimeoutError:
            break
        sent += len(block)
        assert sent < 64 * 1024 * 1024
    # It goes on when the reader does, and nothing is lost.
    received = 0
    while received < sent:
        data = await joined.receive(joined.far)
        assert data
        received += len(data)
    joined.splice.abort("RD", "enough")
    assert (await joined.ended).ended == "RD"


async def test_silence_both_ways_ends_the_splice() -> None:
    joined = Joined(idle=0.04)
    await joined.join()
    await joined.send(joined.client, b"x")
    assert await joined.receive(joined.far) == b"x"
    ended = await joined.ended
    assert (ended.ended, ended.reason) == ("RD", "no byte either way for 0.04 s")
    assert ended.received == 1
    joined.close()


async def test_abort_cuts_both_and_keeps_its_reason(joined: Joined) -> None:
    joined.splice.abort("RD", "the router stops")
    ended = await joined.ended
    assert (ended.ended, ended.reason) == ("RD", "the router stops")


async def test_far_side_lost_before_the_joining_ends_the_client_in_good_order() -> None:
    joined = Joined()
    joined.client, client = await joined._pair()
    joined.far, far = await joined._pair()
    far.abort()
    await asyncio.sleep(0)
    while not far.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    splice = Splice(End(client), End(far), idle=60, ended=joined.ended.set_result)
    splice.give(b"farewell")
    splice.far_lost()
    assert await joined.receive(joined.client) == b"farewell"
    assert await joined.receive(joined.client) == b""
    assert (await joined.ended).ended == "--"
    joined.close()
