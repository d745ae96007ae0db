"""One stream connection: messages in and out, keep-alives, and when it is over."""

import asyncio
import dataclasses
import random
import time
from collections import deque
from typing import Protocol, cast

from protocols.net.buffered import Buffered
from protocols.sip.message import Message
from protocols.sip.peers import Peer, Side
from protocols.sip.stream import MESSAGE, Stream
from protocols.target import Target, Transport

PING = b"\r\n\r\n"
"Asks whether the far side is there (RFC 5626 section 4.4.1)."
PONG = b"\r\n"
"Says so."
MOST_BETWEEN_PINGS = 120.0
"Seconds; the least is a matter of patience."


@dataclasses.dataclass(frozen=True, slots=True)
class Patience:
    """What a connection is borne with. Seconds are looked at about once a second."""

    connect: float = 2.0
    "Seconds for TCP and TLS together, while messages wait."
    message: float = 10.0
    "Seconds from a message's first byte to its last."
    stall: float = 10.0
    "Seconds in which the far side takes nothing of much that waits for it."
    idle: float = 600.0
    "Seconds without a message."
    call: float = 4 * 3_600.0
    "The same where the site has connected: a call may stand on it."
    ping: float = 95.0
    "Least seconds between two pings."
    pong: float = 10.0
    "Seconds for the answer to one (RFC 5626 section 4.4.1)."
    queue: int = 1 << 18
    "Bytes that may wait for a connection to stand, or for the far side to read."
    message_size: int = MESSAGE
    "Bytes that a message may have."
    attempts: int = 8_192
    "The latest requests on one connection; they fail with it."


class Owner(Protocol):
    """Who takes what a connection has to say. Nothing of it may raise."""

    def opened(self, connection: "Connection") -> None:
        """It stands."""

    def heard(self, connection: "Connection", messages: list[Message]) -> None:
        """Messages came, in this order."""

    def garbled(self, connection: "Connection") -> None:
        """What came is no message; `stream.error` says why."""

    def gone(self, connection: "Connection", detail: str) -> None:
        """It is over; why, in words."""


class Connection(Buffered):
    """A connection that was accepted, or is dialled: until it stands, it queues."""

    __slots__ = (
        "_clock",
        "_next_ping",
        "_owner",
        "_partial",
        "_patience",
        "_pinged",
        "_queue",
        "_queued",
        "_stalled",
        "_transport",
        "_used",
        "attempts",
        "connect_seconds",
        "is_alias",
        "kind",
        "names",
        "number",
        "opened",
        "peer",
        "pongs",
        "side",
        "stream",
        "target",
    )

    def __init__(
        self,
        owner: Owner,
        number: int,
        side: Side,
        kind: Transport,
        patience: Patience,
        loop: asyncio.AbstractEventLoop,
        target: Target | None = None,
    ) -> None:
        """`target` is what it is dialled for; None if it is accepted."""
        self._owner = owner
        self._patience = patience
        self._clock = loop.time
        self._transport: asyncio.Transport | None = None
        self._queue: list[bytes] = []
        self._queued = 0
        self._used = loop.time()
        self._partial: float | None = None
        self._stalled: float | None = None
        self._pinged: float | None = None
        self._next_ping = 0.0
        self.number = number
        self.side = side
        self.kind = kind
        self.target = target
        self.stream = Stream(patience.message_size)
        self.peer = Peer(side, kind, "", 0, number)
        "Where its messages come from; known once it stands."
        self.attempts: deque[int] = deque(maxlen=patience.attempts)
        "Numbers of the requests that were given to it, the last one last."
        self.opened: float | None = None
        "When it stood, by `time.perf_counter`."
        self.connect_seconds: float | None = None
        "How long TCP took, of a dialled one."
        self.pongs = False
        "Whether the far side is known to answer pings."
        self.names: list[tuple[Transport, str, int]] = []
        "The addresses by which it is found for requests of dialogs."
        self.is_alias = False
        "Whether its far side has asked for new requests on it, too."

    @property
    def is_closing(self) -> bool:
        """Whether it stood, and will not for long."""
        return self._transport is not None and self._transport.is_closing()

    def send(self, data: bytes, attempt: int = 0) -> str:
        """Send a message; returns in words why it cannot be, empty if all is well."""
        transport = self._transport
        if transport is None:
            waiting = self._queued
        elif transport.is_closing():
            return "connection is closing"
        else:
            waiting = transport.get_write_buffer_size()
        if waiting + len(data) > self._patience.queue:
            return "too much waits for the connection"
        self._used = self._clock()
        if attempt:
            self.attempts.append(attempt)
        if transport is None:
            self._queue.append(data)
            self._queued += len(data)
        else:
            transport.write(data)
        return ""

    @property
    def stands(self) -> bool:
        """Whether it was made: a dial is over."""
        return self._transport is not None

    def overdue(self, now: float) -> str:
        """Why it is to be given up, in words; empty if it is not. May send a ping."""
        patience = self._patience
        if self._transport is None or self._transport.is_closing():
            return ""  # a dial has a deadline of its own
        if _long_ago(self._stalled, patience.stall, now):
            return "takes nothing"
        if _long_ago(self._partial, patience.message, now):
            return "message took too long"
        # The site may be out of reach but for the connections that it has made.
        calls = self.target is None and self.names
        if _long_ago(self._used, patience.call if calls else patience.idle, now):
            return "idle"
        if _long_ago(self._pinged, patience.pong, now) and not self._answered():
            return "no answer to a ping"
        if self.target is not None and now >= self._next_ping:
            self._ping(self._transport, now)
        return ""

    def close(self) -> None:
        """End it once all is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=65_536)
        self.opened = time.perf_counter()
        place = transport.get_extra_info("peername") or ("", 0)
        address = place[0].partition("%")[0]
        self.peer = Peer(self.side, self.kind, address, place[1], self.number)
        self._owner.opened(self)
        self._plan_ping(self._clock())
        if self._queue:
            self._transport.write(b"".join(self._queue))
            self._queue.clear()

    def data_received(self, data: bytes) -> None:
        """Called by the loop for all that comes."""
        stream = self.stream
        asked = stream.awaits_pong
        messages = stream.feed(data)
        self.pongs = self.pongs or (asked and not stream.awaits_pong)
        if messages or stream.pings:
            self._used = self._clock()
        if not stream.waiting:
            self._partial = None
        elif messages or self._partial is None:
            self._partial = self._clock()
        if stream.pings:
            self.send(PONG * stream.pings)
        if messages:
            self._owner.heard(self, messages)
        if stream.error is not None and not self.is_closing:
            self._owner.garbled(self)
            self.close()

    def eof_received(self) -> None:
        """Called by the loop when the far side will send no more.

        It reads no more either, as a rule. The loop would close as well, but over TLS
        does not say so before the shutdown is over.
        """
        self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Called once by the loop."""
        words = getattr(error, "strerror", None) or "connection closed"
        self._owner.gone(self, words)

    def pause_writing(self) -> None:
        """Called by the loop when its buffer is above the high-water mark."""
        self._stalled = self._clock()

    def resume_writing(self) -> None:
        """Called by the loop when its buffer is below the low-water mark."""
        self._stalled = None

    def _ping(self, transport: asyncio.Transport, now: float) -> None:
        transport.write(PING)
        self.stream.awaits_pong = True
        self._pinged = now
        self._plan_ping(now)

    def _plan_ping(self, now: float) -> None:
        longest = max(self._patience.ping, MOST_BETWEEN_PINGS)
        self._next_ping = now + random.uniform(self._patience.ping, longest)

    def _answered(self) -> bool:
        """Whether the last ping was answered, or means nothing.

        RFC 5626 has a flow fail whose ping is not answered, but only where both sides
        agreed on pings. So it counts with those alone who have answered one before.
        """
        self._pinged = None
        waits, self.stream.awaits_pong = self.stream.awaits_pong, False
        return not waits or not self.pongs


def _long_ago(since: float | None, seconds: float, now: float) -> bool:
    return since is not None and now - since >= seconds
