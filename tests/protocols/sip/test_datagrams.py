import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator

import pytest

from protocols.net.listen import BindError
from protocols.sip.datagrams import BATCH, RECEIVE_BUFFER, Datagrams, bind, room


class Heard:
    """What one socket received, and what it was told of."""

    def __init__(self, address: str) -> None:
        sock = bind(address, 0)
        self.place: tuple[str, int] = sock.getsockname()[:2]
        self.data: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()
        self.errors: asyncio.Queue[tuple[str, int, str]] = asyncio.Queue()
        self.datagrams = Datagrams(
            sock,
            lambda *got: self.data.put_nowait(got),
            lambda *told: self.errors.put_nowait(told),
        )
        self.datagrams.start()

    def send(self, data: bytes, to: tuple[str, int]) -> str:
        return self.datagrams.send(data, to)

    async def hear(self) -> tuple[bytes, tuple[str, int]]:
        return await asyncio.wait_for(self.data.get(), 2)

    async def error(self) -> tuple[str, int, str]:
        return await asyncio.wait_for(self.errors.get(), 2)


def test_socket_that_nobody_reads_keeps_what_comes_in_two_seconds() -> None:
    """1,000 messages a second, of the size of an INVITE with its SDP."""
    with bind("127.0.0.1", 0) as reader, bind("127.0.0.1", 0) as sender:
        if room(reader) < RECEIVE_BUFFER:
            pytest.skip("net.core.rmem_max is too small")
        for _ in range(2_000):
            sender.sendto(bytes(1_400), reader.getsockname())
        for _ in range(2_000):
            assert len(reader.recv(2_000)) == 1_400


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2 * RECEIVE_BUFFER, 2)])
def test_socket_that_was_there_gets_room_and_keeps_more(
    before: int, after: int
) -> None:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind(("127.0.0.1", 0))
    place = found.getsockname()
    force = 33  # SO_RCVBUFFORCE
    try:
        found.setsockopt(socket.SOL_SOCKET, force, before)
    except PermissionError:
        found.close()
        pytest.skip("needs CAP_NET_ADMIN")
    with bind("127.0.0.1", place[1], found) as sock:
        assert sock is found
        assert sock.getsockname() == place
        assert room(sock) == after * RECEIVE_BUFFER
        assert not sock.getblocking()


@pytest.fixture(params=["127.0.0.1", "::1"])
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def here(address: str) -> AsyncIterator[Heard]:
    one = Heard(address)
    yield one
    one.datagrams.close()


@pytest.fixture
async def there(address: str) -> AsyncIterator[Heard]:
    one = Heard(address)
    yield one
    one.datagrams.close()


@pytest.fixture
def nobody(address: str) -> tuple[str, int]:
    """A place at which nobody listens."""
    sock = bind(address, 0)
    place = sock.getsockname()[:2]
    sock.close()
    return str(place[0]), int(place[1])


async def test_datagrams_come_with_the_place_that_they_came_from(
    here: Heard, there: Heard
) -> None:
    assert here.send(b"one", there.place) == ""
    assert here.send(b"", there.place) == ""
    assert await there.hear() == (b"one", here.place)
    assert await there.hear() == (b"", here.place)


async def test_more_than_one_batch_comes_whole_and_in_order(
    here: Heard, there: Heard
) -> None:
    for number in range(3 * BATCH + 1):
        here.send(b"%d" % number, there.place)
    heard = [int((await there.hear())[0]) for _ in range(3 * BATCH + 1)]
    assert heard == [*range(3 * BATCH + 1)]


async def test_place_without_a_listener_is_told_of(
    here: Heard, nobody: tuple[str, int]
) -> None:
    assert here.send(b"x" * 700, nobody) == ""
    assert await here.error() == (*nobody, os.strerror(errno.ECONNREFUSED))


async def test_each_of_many_errors_is_told_of_and_receiving_goes_on(
    here: Heard, there: Heard, nobody: tuple[str, int]
) -> None:
    for _ in range(5):
        for _ in range(3):
            here.send(b"x", nobody)
        assert [(await here.error())[:2] for _ in range(3)] == [nobody] * 3
        there.send(b"still here?", here.place)
        assert await here.hear() == (b"still here?", there.place)


async def test_error_of_one_place_does_not_keep_datagrams_from_another(
    here: Heard, there: Heard, nobody: tuple[str, int]
) -> None:
    for number in range(20):
        # The error of the first is pending when the second is sent.
        assert here.send(b"lost", nobody) == ""
        assert here.send(b"%d" % number, there.place) == ""
    assert [int((await there.hear())[0]) for _ in range(20)] == [*range(20)]


async def test_datagram_that_cannot_be_sent_says_why(here: Heard) -> None:
    assert here.send(b"x" * 70_000, here.place) == os.strerror(errno.EMSGSIZE)


async def test_closing_in_the_middle_of_a_batch_is_the_end_of_it(
    here: Heard, there: Heard
) -> None:
    heard = []

    def received(data: bytes, source: tuple[str, int]) -> None:
        heard.append(data)
        one.close()

    sock = bind(here.place[0], 0)
    place = sock.getsockname()[:2]
    one = Datagrams(sock, received, lambda *told: None)
    for _ in range(3):
        here.send(b"x", place)
    one.start()
    here.send(b"y", there.place)
    await there.hear()
    assert heard == [b"x"]
    one.close()


def test_taken_port_is_told(address: str) -> None:
    taken = bind(address, 0)
    port = taken.getsockname()[1]
    with pytest.raises(BindError, match="Address already in use"):
        bind(address, port)
    taken.close()
