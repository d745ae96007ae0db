import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from protocols.sip.connection import PING, PONG, Connection, Patience
from protocols.sip.message import Message
from protocols.sip.peers import Peer, Side
from tests.protocols.sip.peers import HERE, TCP, Line, asking, at, switch

INVITE = b"INVITE sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"


class Owner:
    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.over = asyncio.get_running_loop().create_future()
        self.stands = False
        self.errors: list[str] = []

    def opened(self, connection: Connection) -> None:
        self.stands = True

    def heard(self, connection: Connection, messages: list[Message]) -> None:
        for message in messages:
            self.messages.put_nowait(message)

    def garbled(self, connection: Connection) -> None:
        assert connection.stream.error is not None
        self.errors.append(connection.stream.error.reason)

    def gone(self, connection: Connection, detail: str) -> None:
        self.over.set_result(detail)

    async def hear(self) -> Message:
        return await asyncio.wait_for(self.messages.get(), 2)


class Pair:
    """A connection, its owner, and the far end."""

    def __init__(self, patience: Patience, dialled: bool) -> None:
        loop = asyncio.get_running_loop()
        self.owner = Owner()
        self.loop = loop
        self.near = Connection(
            self.owner, 5, Side.EDGE, TCP, patience, loop, at(1) if dialled else None
        )
        self.far: Line

    async def said(self) -> None:
        """Have all arrived that the far end said before."""
        self.far.say(asking("OPTIONS", self.far, "TCP"))
        while (await self.owner.hear()).method != b"OPTIONS":
            pass


@contextlib.asynccontextmanager
async def connected(
    patience: Patience = Patience(),  # noqa: B008 - frozen
    *,
    dialled: bool = True,
    queued: bytes = b"",
) -> AsyncIterator[Pair]:
    async with switch() as peer:
        pair = Pair(patience, dialled)
        if queued:
            assert pair.near.send(queued, 1) == ""
        await pair.loop.create_connection(lambda: pair.near, HERE, peer.port)
        pair.far = await peer.line()
        try:
            yield pair
        finally:
            pair.near.abort()
            await asyncio.wait_for(pair.owner.over, 2)


async def test_what_was_queued_is_sent_once_it_stands() -> None:
    async with connected(queued=INVITE) as pair:
        assert (await pair.far.hear()).method == b"INVITE"
        assert pair.owner.stands
        assert pair.near.opened is not None
        assert pair.near.peer.connection == 5
        assert pair.near.send(INVITE, 2) == ""
        assert (await pair.far.hear()).method == b"INVITE"
        assert [*pair.near.attempts] == [1, 2]


async def test_queue_is_bounded_in_bytes() -> None:
    near = Pair(Patience(queue=100), dialled=True).near
    assert near.send(b"x" * 60, 1) == ""
    assert near.send(b"x" * 60, 2) == "too much waits for the connection"
    assert near.send(b"x" * 40, 3) == ""
    assert [*near.attempts] == [1, 3]


async def test_connection_that_closes_takes_nothing() -> None:
    async with connected() as pair:
        pair.near.close()
        assert pair.near.is_closing
        assert pair.near.send(INVITE) == "connection is closing"
        assert pair.near.overdue(1e9) == ""


async def test_messages_come_in_their_order_with_their_source() -> None:
    async with connected() as pair:
        first, second = (asking(m, pair.far, "TCP") for m in ("INVITE", "BYE"))
        pair.far.say(first + second)
        assert (await pair.owner.hear()).method == b"INVITE"
        assert (await pair.owner.hear()).method == b"BYE"
        port = pair.far.port
        assert pair.near.peer == Peer(Side.EDGE, TCP, HERE, port, 5)


async def test_each_ping_is_answered() -> None:
    async with connected() as pair:
        pair.far.say(PING)
        assert await asyncio.wait_for(pair.far.blanks.get(), 2) == PONG


async def test_garbled_stream_is_told_of_once_and_closed() -> None:
    async with connected() as pair:
        pair.far.say(b"what is this?\r\n\r\n")
        pair.far.say(b"and this?\r\n\r\n")
        assert await asyncio.wait_for(pair.owner.over, 2) == "connection closed"
        assert len(pair.owner.errors) == 1


async def test_far_end_that_leaves_is_told_with_the_reason() -> None:
    async with connected() as pair:
        pair.far.transport.close()
        assert await asyncio.wait_for(pair.owner.over, 2) == "connection closed"


async def test_dialled_connection_pings_and_takes_the_pong() -> None:
    async with connected() as pair:
        now = pair.loop.time()
        assert pair.near.overdue(now + 94) == ""
        assert pair.far.blanks.empty()
        assert pair.near.overdue(now + 121) == ""
        assert await asyncio.wait_for(pair.far.blanks.get(), 2) == PING
        pair.far.say(PONG)
        await pair.said()
        assert pair.near.pongs
        assert pair.near.overdue(now + 132) == ""


async def test_ping_without_answer_ends_who_has_answered_before() -> None:
    async with connected() as pair:
        pair.near.pongs = True
        now = pair.loop.time()
        pair.near.overdue(now + 121)
        assert pair.near.overdue(now + 130) == ""
        assert pair.near.overdue(now + 132) == "no answer to a ping"


async def test_ping_without_answer_means_nothing_from_who_never_answered() -> None:
    async with connected() as pair:
        now = pair.loop.time()
        pair.near.overdue(now + 121)
        assert pair.near.overdue(now + 132) == ""
        # What comes now is a ping of its own, and not the late answer.
        await asyncio.wait_for(pair.far.blanks.get(), 2)
        pair.far.say(PING)
        assert await asyncio.wait_for(pair.far.blanks.get(), 2) == PONG


async def test_accepted_connection_is_not_pinged() -> None:
    async with connected(dialled=False) as pair:
        assert pair.near.overdue(pair.loop.time() + 130) == ""
        pair.far.say(PING)
        assert await asyncio.wait_for(pair.far.blanks.get(), 2) == PONG


async def test_message_that_does_not_end_is_not_waited_for() -> None:
    async with connected() as pair:
        await pair.said()
        pair.far.say(asking("INVITE", pair.far, "TCP") + b"OPTIONS sip:a@b SIP")
        await pair.owner.hear()
        now = pair.loop.time()
        assert pair.near.overdue(now + 9) == ""
        assert pair.near.overdue(now + 11) == "message took too long"


async def test_message_that_ends_late_is_forgiven() -> None:
    async with connected() as pair:
        message = asking("INVITE", pair.far, "TCP")
        pair.far.say(asking("BYE", pair.far, "TCP") + message[:50])
        await pair.owner.hear()
        pair.far.say(message[50:])
        await pair.owner.hear()
        assert pair.near.overdue(pair.loop.time() + 11) == ""


async def test_idle_connection_is_ended() -> None:
    async with connected() as pair:
        now = pair.loop.time()
        assert pair.near.overdue(now + 599) == ""
        assert pair.near.overdue(now + 601) == "idle"


async def test_far_end_that_reads_nothing_is_told_of() -> None:
    async with connected(Patience(queue=1 << 24)) as pair:
        pair.far.transport.pause_reading()
        words = ""
        for _ in range(1 << 10):
            words = words or pair.near.send(b"x" * 60_000, 1)
        assert words == "too much waits for the connection"
        await asyncio.sleep(0)
        now = pair.loop.time()
        assert pair.near.overdue(now + 9) == ""
        assert pair.near.overdue(now + 11) == "takes nothing"
        pair.far.transport.resume_reading()


async def test_far_end_that_reads_again_is_forgiven() -> None:
    async with connected(Patience(queue=1 << 24)) as pair:
        message = b"INVITE sip:a@b SIP/2.0\r\nContent-Length: 60000\r\n\r\n"
        pair.far.transport.pause_reading()
        for _ in range(200):
            pair.near.send(message + b"x" * 60_000)
        pair.far.transport.resume_reading()
        for _ in range(200):
            await pair.far.hear()
        assert pair.near.overdue(pair.loop.time() + 11) == ""


@pytest.mark.parametrize("method", ["close", "abort"])
async def test_connection_that_never_stood_can_be_ended(method: str) -> None:
    near = Pair(Patience(), dialled=True).near
    getattr(near, method)()
    assert near.overdue(1e9) == ""
