"""Two transports joined: bytes pass both ways, as they come, until both have ended.

Back-pressure reaches through: who does not read is not written to, and whoever writes
to it is not read. A half-close is passed on where the transport can, since some
protocols answer after it.
"""

import asyncio
import dataclasses
from collections.abc import Callable

from protocols.net.buffered import Buffered
from protocols.net.sockets import words

HIGH_WATER = 65_536
"Bytes that may wait for a slow reader before the other side is paused."


@dataclasses.dataclass(frozen=True, slots=True)
class Spliced:
    """What passed, and how it ended."""

    received: int
    "Bytes taken from the client."
    sent: int
    "Bytes given to the client."
    ended: str
    "Who ended it and in which phase, as in `protocols.record`."
    reason: str
    "In words, why it did not run to its end."


class End(Buffered):
    """One of the two ends; becomes its transport's protocol when they are joined."""

    __slots__ = ("count", "finished", "peer", "splice", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.splice: Splice
        self.peer = self
        self.count = 0
        "Bytes that came from here."
        self.finished = False
        "Whether no more will come."

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self.count += len(data)
        self.peer.transport.write(data)

    def eof_received(self) -> bool:
        """Called by the loop on a half-close; true keeps the other half open."""
        self.finished = True
        if self.peer.finished:
            return False
        if not (self.transport.can_write_eof() and self.peer.transport.can_write_eof()):
            return False
        self.peer.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once by the loop."""
        self.splice.lost(self, exc)

    def pause_writing(self) -> None:
        """Called by the loop when this end takes less than the other gives."""
        if not self.peer.finished:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        """Called by the loop when it has caught up."""
        if not self.peer.finished:
            self.peer.transport.resume_reading()


class Splice:
    """Joins a client with a far side from now on; both may be paused before."""

    def __init__(
        self,
        client: End,
        far: End,
        *,
        idle: float,
        ended: Callable[[Spliced], None],
    ) -> None:
        """Join them, and call `ended` once when both are gone.

        After `idle` to one and a half times `idle` seconds without a byte either way
        they are cut.
        """
        self._client, self._far = client, far
        client.peer, far.peer = far, client
        self._open = 2
        self._ended = ended
        self._code = "--"
        self._reason = ""
        self._tick = idle / 2
        self._seen = -1
        self._still = 0
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._tick, self._look)
        for end in (client, far):
            end.splice = self
            end.transport.set_protocol(end)
            if not end.transport.is_closing():
                end.transport.set_write_buffer_limits(high=HIGH_WATER)
                end.transport.resume_reading()

    @property
    def passed(self) -> tuple[int, int]:
        """Bytes that came from the client, and from the far side, so far."""
        return self._client.count, self._far.count

    def give(self, data: bytes) -> None:
        """Pass bytes to the client that came from the far side before the joining."""
        self._far.data_received(data)

    def count_sent(self, count: int) -> None:
        """Count bytes that the client sent before the joining."""
        self._client.count += count

    def client_lost(self, error: Exception | None = None) -> None:
        """Tell that the client's end came, which only its former protocol heard."""
        self._client.connection_lost(error)

    def far_lost(self, error: Exception | None = None) -> None:
        """Tell that the far side's end came, which only its former protocol heard."""
        self._far.connection_lost(error)

    def abort(self, code: str, reason: str) -> None:
        """Cut both connections."""
        self._note(code, reason)
        self._client.transport.abort()
        self._far.transport.abort()

    def lost(self, end: End, error: Exception | None) -> None:
        """One end is gone: so goes the other, once it has what was written to it."""
        end.finished = True
        self._open -= 1
        if self._open == 0:
            self._timer.cancel()
            self._ended(
                Spliced(self._client.count, self._far.count, self._code, self._reason)
            )
        elif error is None:
            end.peer.transport.close()
        else:
            who = "CD" if end is self._client else "FD"
            self._note(who, words(error) or "connection lost")
            end.peer.transport.abort()

    def _note(self, code: str, reason: str) -> None:
        if self._code == "--":
            self._code, self._reason = code, reason

    def _look(self) -> None:
        # The counts say whether anything moved: no clock is read per chunk.
        moved = self._client.count + self._far.count
        self._still = self._still + 1 if moved == self._seen else 0
        self._seen = moved
        if self._still >= 2:
            self._idled(f"no byte either way for {2 * self._tick:g} s")
        else:
            self._timer = self._loop.call_later(self._tick, self._look)

    def _idled(self, reason: str) -> None:
        """Nothing has passed for long."""
        self.abort("RD", reason)
