"""An open WebSocket: bytes pass as they come, and its end is told as well as can be.

Each direction has a tracker, so that the router can say a Close of its own: between two
frames, in place of the side whose stream it is. From then on nothing more of that side
passes, but what comes of it is followed until its own Close.
"""

import asyncio
from collections.abc import Callable

from protocols.net.buffered import BUFFER
from protocols.net.sockets import reset, words
from protocols.net.splice import End, Splice, Spliced
from protocols.websocket.frames import FrameTracker, close

GOING_AWAY = 1001
"Close code: an endpoint is gone, or nothing has passed for long."
PROTOCOL_ERROR = 1002
"Close code: the stream is none of a WebSocket."
SERVICE_RESTART = 1012
"Close code (IANA registry): the service restarts; come back."
BAD_GATEWAY = 1014
"Close code (IANA registry): a gateway lost what is behind it."


class FrameEnd(End):
    """One end of a WebSocket; `tracker` follows what comes from it."""

    __slots__ = ("_code", "_farewell", "_mask", "_parting", "muted", "tracker")

    peer: "FrameEnd"
    splice: "Joined"

    def __init__(
        self, transport: asyncio.Transport, mask: Callable[[], bytes] | None
    ) -> None:
        """`mask` makes masking keys, for the end that opened the WebSocket."""
        super().__init__(transport)
        self._mask = mask
        self.tracker = FrameTracker(masked=mask is not None)
        self._parting = False
        self._code = 0
        self._farewell = b""
        self.muted = False
        "Whether nothing that comes from here passes any more."

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop when it has read."""
        # A bytearray's slice is one object and one copy; a view's bytes would be two.
        self.data_received(BUFFER[:nbytes])

    def data_received(self, data: bytes | bytearray) -> None:
        """Called by the loop."""
        self.count += len(data)
        if self._parting:
            self._part(data)
            return
        goes_on = self.tracker.feed(data)
        self.peer.transport.write(data)
        if not goes_on:
            self.splice.heard_last(self)

    def eof_received(self) -> bool:
        """Called by the loop on a half-close.

        The answer to a Close may be outstanding. Without one it is a loss: a WebSocket
        has no use for one direction alone.
        """
        peer = self.peer
        awaited = self.has_closed() and not (peer.has_closed() or peer.tracker.breach)
        return awaited and super().eof_received()

    def has_closed(self) -> bool:
        """Whether the peer was told a Close, by this end or in its place."""
        return self.tracker.code is not None or (self.muted and self._code > 0)

    def part(self, code: int, reason: str) -> None:
        """Say a Close to the peer in this end's place, at the next boundary."""
        if self._parting or self.tracker.ended():
            return
        self._parting = True
        self._code = code
        self._farewell = close(code, reason, mask=self._mask() if self._mask else b"")
        self._part(b"")

    def mute(self) -> None:
        """Let nothing more pass: the peer is gone."""
        if not self.muted:
            self._code = 0  # a Close that waited for a boundary is not said any more
            self._parting = True
            self._mute()

    def _mute(self) -> None:
        """Read on, however slow the peer is: what comes is not kept any more."""
        self.muted = True
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _part(self, data: bytes | bytearray) -> None:
        if not self.muted:
            end = self.tracker.to_boundary(data)
            if end < 0:
                self.peer.transport.write(data)
                if self.tracker.ended():
                    self.splice.heard_last(self)
                return
            self._mute()
            self.splice.said(self._code, "router")
            self.peer.transport.write(data[:end] + self._farewell)
            data = data[end:]
        if not self.tracker.feed(data):
            self.splice.heard_last(self)


class Joined(Splice):
    """Joins the two ends of a WebSocket, and sees to its end.

    Who is lost is mourned by a Close to the other, if that one's stream stands between
    two frames, or else by a reset.
    """

    near: FrameEnd
    far: FrameEnd

    def __init__(
        self,
        near: FrameEnd,
        far: FrameEnd,
        *,
        idle: float,
        closing: float,
        ended: Callable[[Spliced], None],
    ) -> None:
        """`idle` and `closing` are in seconds: without a byte, and after a Close."""
        self.near, self.far = near, far
        self.code = 0
        "Code of the first Close; 0 while there was none."
        self.closed_by = ""
        "Who said it, as records have it."
        self._closing = closing
        self._last_code = GOING_AWAY
        self._expiry: asyncio.TimerHandle | None = None
        super().__init__(near, far, idle=idle, ended=ended)

    def go_away(self, reason: str) -> None:
        """Ask the near side to come back: its answer passes on to the far side."""
        self._note("RD", reason)
        self._say(self.far, SERVICE_RESTART, reason)
        self._begin_closing()

    def forsake(self, reason: str) -> None:
        """The far side is dead, though nobody said so."""
        self._note("FD", reason)
        self.far.transport.abort()

    def abort(self, code: str, reason: str) -> None:
        """Break both connections."""
        self._note(code, reason)
        self._cut()

    def heard_last(self, end: FrameEnd) -> None:
        """A Close came from `end`, or a breach."""
        if end.tracker.breach:
            who = "client" if end is self.near else "far side"
            self._note(self._who(end), f"the {who} sent {end.tracker.breach}")
            # Whoever it was sent to ends the connection by itself, in its own words.
            self._last_code = PROTOCOL_ERROR
            self._begin_closing()
            return
        assert end.tracker.code is not None
        self.said(end.tracker.code, "client" if end is self.near else "far_side")
        if end.peer.finished:
            end.transport.close()
        elif end.peer.has_closed():
            self._begin_closing()

    def said(self, code: int, who: str) -> None:
        """A Close was said to a side: by the other one, or by the router."""
        if not self.code:
            self.code, self.closed_by = code, who

    def lost(self, end: End, error: Exception | None) -> None:
        """One end is gone: the other is told, and may answer."""
        assert isinstance(end, FrameEnd)
        end.finished = True
        self._open -= 1
        if not self._open:
            self._over()
            return
        peer = end.peer
        if not end.has_closed():
            if not self.code:
                reason = words(error) if error is not None else "left without a Close"
                self._note(self._who(end), reason)
            code = GOING_AWAY if end is self.near else BAD_GATEWAY
            if end.tracker.at_boundary():
                self._say(end, code, "connection lost")
        peer.mute()
        refused = end.tracker.breach and peer.has_closed()
        if not (end.has_closed() or refused):
            reset(peer.transport)
        elif peer.tracker.ended() or peer.finished:
            peer.transport.close()
        else:
            self._begin_closing()

    def _idled(self, reason: str) -> None:
        self._note("RD", reason)
        for end in (self.near, self.far):
            self._say(end, GOING_AWAY, reason)
        self._begin_closing()

    def _say(self, end: FrameEnd, code: int, reason: str) -> None:
        """Say a Close in the place of `end`."""
        if not end.peer.transport.is_closing():
            end.part(code, reason)

    def _begin_closing(self) -> None:
        if self._expiry is None:
            self._expiry = self._loop.call_later(self._closing, self._expire)

    def _expire(self) -> None:
        """End what has not ended by itself."""
        for end in (self.near, self.far):
            self._say(end, self._last_code, "connection ends")
        for end in (self.near, self.far):
            if end.peer.has_closed():
                end.transport.close()
            else:
                reset(end.transport)
        self._expiry = self._loop.call_later(self._closing, self._cut)

    def _cut(self) -> None:
        """End what does not take its end: who does not read takes no Close."""
        for end in (self.near, self.far):
            reset(end.transport)

    def _who(self, end: FrameEnd) -> str:
        return "CD" if end is self.near else "FD"

    def _over(self) -> None:
        self._timer.cancel()
        if self._expiry is not None:
            self._expiry.cancel()
        received, sent = self.near.count, self.far.count
        self._ended(Spliced(received, sent, self._code, self._reason))
