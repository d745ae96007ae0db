import asyncio
import socket

import pytest

from protocols.net.buffered import Buffered


class Kept(Buffered):
    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.received.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set()


async def test_connections_sharing_the_buffer_each_keep_their_own_bytes() -> None:
    loop = asyncio.get_running_loop()
    pairs = [socket.socketpair() for _ in range(3)]
    ends = [
        (await loop.connect_accepted_socket(Kept, theirs))[1] for _, theirs in pairs
    ]
    for number, (ours, _) in enumerate(pairs):
        with ours:
            ours.sendall(b"%d" % number * 100_000)
    for end in ends:
        await end.ended.wait()
    assert [b"".join(end.received) for end in ends] == [
        b"0" * 100_000,
        b"1" * 100_000,
        b"2" * 100_000,
    ]


def test_receiving_is_left_to_the_protocol() -> None:
    with pytest.raises(NotImplementedError):
        Buffered().buffer_updated(0)
