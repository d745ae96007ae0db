"""The delay line: bytes between two sockets take their time, and keep their order.

A connection has two ends: the outer one faces the client, the inner one the server
of the same process. What comes in at one end leaves at the other after half the round
trip. The kernel completes the TCP handshake on loopback at once, and nothing in user
space can delay it; so its round trip is added before the first bytes of the client,
which cost three halves instead of one.
"""

import asyncio
import collections
import random
import socket
import struct
from collections.abc import Callable
from typing import cast

FULL = 1 << 20
"Bytes under way in one direction at which its sender is made to wait."


class Line:
    """How far away an edge is; may change at any time, for bytes yet to come."""

    def __init__(self, round_trip: float, jitter: float, chance: random.Random) -> None:
        """Delay by `round_trip` seconds there and back, `jitter` at most on top."""
        self.round_trip = round_trip
        self.jitter = jitter
        self._chance = chance

    def transit(self) -> float:
        """Seconds that the next chunk needs in one direction."""
        extra = self._chance.uniform(0.0, self.jitter) if self.jitter else 0.0
        return self.round_trip / 2 + extra


class End(asyncio.Protocol):
    """One end of a connection, with the bytes received there and not yet passed on."""

    def __init__(
        self,
        line: Line,
        *,
        opened: Callable[[], None],
        closed: Callable[[], None],
        opens: float,
        half_open: bool,
    ) -> None:
        """Pass nothing on before the loop's time `opens`.

        Call `opened` and `closed` when its socket is. With `half_open` the far side
        may end its own direction alone.
        """
        self.peer: End
        self._line = line
        self._opened = opened
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._queue: collections.deque[tuple[float, bytes]] = collections.deque()
        self._size = 0
        self._latest = opens
        self._half_open = half_open
        self._timer: asyncio.TimerHandle | None = None
        self._held = False
        self._full = False
        self._peer_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read, unless all stands still."""
        self._transport = cast(asyncio.Transport, transport)
        self._opened()
        self._read_on()

    def data_received(self, data: bytes) -> None:
        """Send a chunk on its way."""
        self._latest = max(self._latest, self._loop.time() + self._line.transit())
        self._queue.append((self._latest, data))
        self._size += len(data)
        if self._size >= FULL:
            self._full = True
            self._read_on()
        self._go_on()

    def eof_received(self) -> bool:
        """Send the end on its way; the other direction may stay open."""
        if self._half_open:
            self.data_received(b"")
        return self._half_open

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the peer, as late as if it had been a chunk."""
        self._transport = None
        self.data_received(b"")
        self._closed()

    def pause_writing(self) -> None:
        """Let the peer's bytes wait."""
        self.peer._peer_full = True

    def resume_writing(self) -> None:
        """Take the peer's bytes again."""
        self.peer._peer_full = False
        self.peer._go_on()

    def hold(self, held: bool) -> None:
        """Stand still, or go on."""
        self._held = held
        self._read_on()
        self._go_on()

    def abort(self, *, reset: bool) -> None:
        """Drop everything now; with `reset` the far side gets a RST."""
        self._queue.clear()
        self._size = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            if reset and not self._transport.is_closing():
                linger_not(self._transport.get_extra_info("socket"))
            self._transport.abort()

    def _read_on(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        wanted = not (self._held or self._full)
        if wanted and not transport.is_reading():
            transport.resume_reading()
        elif not wanted and transport.is_reading():
            transport.pause_reading()

    def _go_on(self) -> None:
        """Pass on what is due, and come back for the rest."""
        now = self._loop.time()
        while self._queue and not (self._held or self._peer_full):
            due, data = self._queue[0]
            if due > now:
                if self._timer is None:
                    self._timer = self._loop.call_at(due, self._wake)
                return
            self._queue.popleft()
            self._size -= len(data)
            self.peer._take(data, gone=self._transport is None)
        if self._full and self._size <= FULL // 2:
            self._full = False
            self._read_on()

    def _wake(self) -> None:
        self._timer = None
        self._go_on()

    def _take(self, data: bytes, *, gone: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if data:
            transport.write(data)
        elif gone or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()


class Connection:
    """Both ends of one connection of a client with an edge."""

    def __init__(self, line: Line, *, accepted: float, half_open: bool = True) -> None:
        """Delay by the line; `accepted` is the loop's time of the TCP handshake.

        With `half_open` a client that ended its direction may still be answered.
        """
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sockets = 0
        self._settled = False
        self._aborted: bool | None = None
        # The handshake's round trip comes first, then the half of the first chunk.
        opens = accepted + 1.5 * line.round_trip
        self.outer = self._end(line, opens=opens, half_open=half_open)
        self.inner = self._end(line, opens=accepted, half_open=False)
        self.outer.peer = self.inner
        self.inner.peer = self.outer

    def hold(self, held: bool, *, mute: bool = False) -> None:
        """Stand still in both directions, or, if mute, in the server's; or go on."""
        self.outer.hold(held)
        self.inner.hold(held or mute)

    def settle(self) -> None:
        """Say that every socket is open; before, the connection cannot be done."""
        self._settled = True
        if self._aborted is not None:
            # It was in the meantime, and the later socket missed it.
            self.abort(reset=self._aborted)
        self._finish()

    def abort(self, *, reset: bool = True) -> None:
        """End at once; with `reset` the client gets a RST, without it a FIN."""
        self._aborted = reset
        self.outer.abort(reset=reset)
        self.inner.abort(reset=False)

    def _end(self, line: Line, *, opens: float, half_open: bool) -> End:
        return End(
            line,
            opened=self._opened,
            closed=self._closed,
            opens=opens,
            half_open=half_open,
        )

    def _opened(self) -> None:
        self._sockets += 1

    def _closed(self) -> None:
        self._sockets -= 1
        self._finish()

    def _finish(self) -> None:
        if self._settled and not self._sockets and not self.done.done():
            self.done.set_result(None)


def linger_not(sock: socket.socket) -> None:
    """Have the kernel send a RST when this socket is closed."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
