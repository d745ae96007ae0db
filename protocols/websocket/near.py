"""The near side of a WebSocket until it is joined: one handshake, asked and answered.

The far side is asked first, and the near side gets its very answer: so a client hears
of dead edges by a proper 503, and nothing passes unread before both ends agree.
"""

import asyncio
import functools
import secrets
from collections.abc import Callable
from typing import cast

from protocols.http.answers import answer
from protocols.http.head import HeadBuffer, HeadError, RequestHead, parse_request
from protocols.net.buffered import Buffered
from protocols.net.hedge import NoTarget, Won
from protocols.net.sockets import keep_nothing, peer_address
from protocols.net.splice import Splice, Spliced
from protocols.record import FlowRecord, UnderWay
from protocols.target import Target
from protocols.websocket import handshake
from protocols.websocket.far import Answer, Far
from protocols.websocket.handshake import Opening
from protocols.websocket.joined import FrameEnd, Joined
from protocols.websocket.ordinary import relay_answer
from protocols.websocket.search import Asked, find
from protocols.websocket.shared import Shared

_DOUBTS = 5  # looks at which the far side must be heard to be spared
_DEAD = "the health checks hold it for dead"

_MASK = functools.partial(secrets.token_bytes, 4)


class Near(Buffered):
    """The client's end, from the connection to the record."""

    __slots__ = (
        "_began",
        "_came",
        "_doubts",
        "_gone",
        "_heads",
        "_heard",
        "_over",
        "_record",
        "_shared",
        "_silent",
        "_splice",
        "_task",
        "_timer",
        "joined",
        "target",
        "transport",
    )

    def __init__(
        self,
        shared: Shared,
        came: Callable[["Near"], None],
        gone: Callable[["Near"], None],
    ) -> None:
        self._shared = shared
        self._came = came
        self._gone = gone
        self._began = shared.loop.time()
        self._heads: HeadBuffer | None = HeadBuffer(shared.head)
        self._heard = 0
        self._doubts = 0
        self._over = False
        self._silent = False
        self._record = FlowRecord(shared.listener, "websocket", shared.direction, "")
        self._splice: Splice | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.joined: Joined | None = None
        "The open WebSocket, once there is one."
        self.target: Target | None = None
        "Where it leads."
        self.transport: asyncio.Transport

    # ---- The handshake -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the loop, after the TLS handshake."""
        self.transport = cast("asyncio.Transport", transport)
        keep_nothing(transport)
        self._came(self)
        self._record.client = peer_address(transport)
        allowed = self._shared.deadlines.head
        self._timer = self._shared.loop.call_later(allowed, self._late)

    def data_received(self, data: bytes) -> None:
        """Called by the loop until the far side is joined."""
        if self._over:
            return
        heads = self._heads
        try:
            if heads is None:
                # RFC 6455 section 4.1: the client "MUST wait for a response from the
                # server before sending any further data".
                raise HeadError(400, "data before the handshake was answered")
            head = heads.feed(data)
            if head is not None:
                self._serve(head, heads.rest)
        except HeadError as error:
            self._refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once by the loop, unless the far side was joined well before.

        With TLS the loop decides whom to call one turn before it does.
        """
        if self._splice is not None:
            self._splice.client_lost(exc)
            return
        if not self._over:
            self._break_off("C", "the client left")
        self._forget()

    def is_open(self) -> bool:
        """Whether a handshake came, and what followed it has not ended."""
        return self._heads is None

    def under_way(self) -> UnderWay | None:
        """What there is to tell of a WebSocket that is open or being opened."""
        if self._over or not self.is_open():
            return None
        record = self._record
        return UnderWay(
            record.listener,
            record.protocol,
            record.client,
            record.edge,
            self._began,
            *(self.joined.passed if self.joined is not None else (0, 0)),
        )

    def leave(self, reason: str) -> None:
        """End it in good order: an open WebSocket, or the search for a far side."""
        if self.joined is not None:
            self.joined.go_away(reason)
        elif self._task is not None and not (self._over or self._splice is not None):
            self._task.cancel()
            self._answer(503, reason, "RC")

    def forsake(self, target: Target) -> None:
        """The target fell ill: leave it, unless it shows life."""
        joined = self.joined
        if joined is None or target != self.target:
            return
        self._doubts = _DOUBTS
        if self._silent and joined.far.count == self._heard:
            joined.forsake(_DEAD)

    def look(self) -> bool:
        """Whether the far side was heard since the last look, about a second ago."""
        joined = self.joined
        if joined is None:
            return False
        before, self._heard = self._heard, joined.far.count
        self._silent = before == self._heard
        if not self._silent:
            self._doubts = max(0, self._doubts - 1)
        elif self._doubts:
            joined.forsake(_DEAD)
        return not self._silent

    def cut(self, reason: str) -> None:
        """End it now."""
        if self._splice is not None:
            self._splice.abort("RD", reason)
            return
        if not self._over:
            self._break_off("R", reason)
        self.transport.abort()

    def _serve(self, head: bytes, rest: bytes) -> None:
        shared, record = self._shared, self._record
        self._heads = None
        request = parse_request(head)
        record.method, record.host = request.verb, request.host
        record.path = request.path
        offer = handshake.opening(head, request)
        if rest:
            raise HeadError(400, "data before the handshake was answered")
        self._stop_timer()
        if shared.draining:
            self._answer(503, "the router stops", "RC")
            return
        opening = self._open(request, offer)
        self._task = shared.tasks.start(opening, name="open websocket")
        self._task.add_done_callback(self._opened)

    async def _open(self, request: RequestHead, offer: Opening) -> None:
        """Find a far side that answers, and pass its answer on."""
        secure = self.transport.get_extra_info("sslcontext") is not None
        asked = Asked(request, offer, self._record.client, secure)
        shared = self._shared
        try:
            won = await find(shared, asked)
        except NoTarget as error:
            self._record.attempts = error.attempts
            nobody = shared.nobody
            detail = str(error) if error.attempts else nobody
            self._answer(503, nobody, "RC", detail)
        else:
            self._connect(won)

    def _opened(self, task: asyncio.Task[None]) -> None:
        # Neither joined nor answered: the task was cancelled from above, or failed.
        if not (self._over or self._splice is not None):
            self.cut("opening it was broken off")

    # ---- The answer --------------------------------------------------------------

    def _connect(self, won: Won) -> None:
        """Join the two sides, or let the far one say why not."""
        shared, record, dialled = self._shared, self._record, won.dialled
        far = cast("Far", dialled.protocol)
        said = far.answered.result()
        assert isinstance(said, Answer)
        self.target = won.target
        record.edge, record.address = won.target.label, won.target.address
        record.attempts = won.attempts if len(won.attempts) > 1 else ()
        record.connect, record.tls = dialled.connect_seconds, dialled.tls_seconds
        record.resumed = dialled.resumed
        record.first_byte = shared.loop.time() - self._began
        record.status = said.response.status
        deadlines = shared.deadlines
        if not said.accepted:
            self._splice = relay_answer(
                self.transport,
                far,
                said,
                stall=deadlines.stall,
                ended=self._ended,
            )
        else:
            self.transport.write(said.head)
            self._splice = self.joined = Joined(
                FrameEnd(self.transport, _MASK),
                FrameEnd(far.transport, None),
                idle=deadlines.idle,
                closing=deadlines.closing,
                ended=self._ended,
            )
            if said.rest or far.more:
                self._splice.give(said.rest + far.more)
        if far.lost:
            self._splice.far_lost()
        else:
            far.gone = self._splice.far_lost

    def _ended(self, spliced: Spliced) -> None:
        record, joined = self._record, self.joined
        record.received, record.sent = spliced.received, spliced.sent
        if joined is not None:
            record.received_messages = joined.near.tracker.messages
            record.sent_messages = joined.far.tracker.messages
            record.close_code = joined.code
            record.closed_by = joined.closed_by
        self._end(spliced.ended, spliced.reason)
        self._forget()

    def _late(self) -> None:
        heads = self._heads
        if heads is not None and len(heads):
            self._refuse(HeadError(408, "the request's head took too long"))
        else:
            self.transport.abort()

    def _refuse(self, error: HeadError) -> None:
        if self._task is not None:
            self._task.cancel()
        self._shared.refused(self._record.client, error.status, error.reason)
        self._answer(error.status, error.reason, "RH")

    def _answer(self, status: int, cause: str, ended: str, reason: str = "") -> None:
        """Answer in the far side's stead, and close."""
        self._record.status = status
        self._end(ended, reason or cause)
        self.transport.write(answer(status, cause, close=True, allow="GET"))
        # RFC 9112 section 9.6: closing with data unread resets the connection, and the
        # client may lose the response. So only our half is closed, and what still
        # comes is read and dropped; with TLS, its own closing handshake does that.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()
        linger = self._shared.deadlines.linger
        self._timer = self._shared.loop.call_later(linger, self.transport.abort)

    # ---- The end -----------------------------------------------------------------

    def _end(self, ended: str, reason: str) -> None:
        """Give the record; the connection may last a little longer."""
        record = self._record
        self._over = True
        self._stop_timer()
        record.ended, record.reason = ended, reason
        record.total = self._shared.loop.time() - self._began
        self._shared.record(record)

    def _break_off(self, who: str, reason: str) -> None:
        """End what was not answered yet; of a client that asked nothing none knows."""
        if self._task is not None:
            self._task.cancel()
            self._end(f"{who}C", reason)
        elif self._heads is not None and len(self._heads):
            self._end(f"{who}H", reason)
        self._over = True

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget(self) -> None:
        """The connection is gone."""
        self._stop_timer()
        self._gone(self)
