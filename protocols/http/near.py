"""One connection of a client: requests come one by one, answers go back in order."""

import asyncio
from collections.abc import Callable
from typing import cast

from protocols.http.answers import answer
from protocols.http.exchange import Exchange
from protocols.http.fields import forwarded_lines
from protocols.http.head import HeadBuffer, HeadError, RequestHead, parse_request
from protocols.http.shared import Shared
from protocols.net.buffered import Buffered
from protocols.net.sockets import peer_address
from protocols.record import FlowRecord, UnderWay

QUEUED = 65_536
"Bytes of further requests kept while one is served; then the client is not read."

FIRST = 1.0
"Seconds that a new client has for its first request when the daemon stops."


class Near(Buffered):
    """The client's end: reads heads, hands bodies to the exchange under way.

    A pipelined request waits until the one before it is answered (RFC 9112 section
    9.3.2); it is served in order or not at all.
    """

    __slots__ = (
        "_came",
        "_deadline",
        "_exchange",
        "_full",
        "_gone",
        "_heads",
        "_is_new",
        "_lingering",
        "_queued",
        "_shared",
        "client",
        "forwarded",
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
        self._heads = HeadBuffer(shared.head)
        self._exchange: Exchange | None = None
        self._queued = b""
        self._full = False
        self._lingering = False
        self._is_new = True
        self._deadline = shared.loop.time() + shared.deadlines.head
        self.client = ""
        self.forwarded = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the loop, after the TLS handshake."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=65_536)
        self._came(self)
        self.client = peer_address(transport)
        if not self._shared.to_provider:
            secure = transport.get_extra_info("sslcontext") is not None
            scheme = "https" if secure else "http"
            self.forwarded = forwarded_lines(self.client, scheme)
        if self._shared.draining:
            self.drain()  # its handshake was under way when that began

    def data_received(self, data: bytes) -> None:
        """Called by the loop for all that comes."""
        exchange = self._exchange
        if exchange is None and not (self._queued or self._full):
            if not self._lingering:
                self._read_head(data)
        elif exchange is not None and exchange.wants_body():
            self._queue(exchange.body_received(data))
        else:
            self._queue(data)

    def pause_writing(self) -> None:
        """Called by the loop when the client does not take what is written."""
        self._full = True
        if self._exchange is not None:
            self._exchange.near_full()

    def resume_writing(self) -> None:
        """Called by the loop when it does again."""
        self._full = False
        if self._exchange is not None:
            self._exchange.near_drained()
        elif self._queued:
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """Called once by the loop."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_lost()
        self._gone(self)

    def read_on(self) -> None:
        """Called by the exchange when it bears more; the queue may still be full."""
        if len(self._queued) <= QUEUED:
            self.transport.resume_reading()

    def exchange_ended(self, *, keep_alive: bool, complete: bool) -> None:
        """Called by the exchange when the response is written."""
        self._exchange = None
        self._is_new = False
        if keep_alive and not self._shared.draining:
            self._deadline = self._shared.loop.time() + self._shared.deadlines.idle
            # A client that does not take its answers gets no further ones: they would
            # pile up here, since the loop tells of a full buffer only once.
            if self._queued and not self._full:
                self._shared.loop.call_soon(self._next)
        elif complete:
            self._close(self._shared.deadlines.stall)
        else:
            self._linger()

    def look(self, now: float) -> None:
        """End what takes too long; called about every second."""
        if self._exchange is not None:
            self._exchange.look(now)
        elif now > self._deadline:
            if len(self._heads) and not self._lingering:
                error = HeadError(408, "the request's head took too long")
                self._refuse(error, fresh=False)
            else:
                self.transport.abort()

    def under_way(self) -> UnderWay | None:
        """The request that is served, if there is one."""
        return self._exchange.under_way() if self._exchange is not None else None

    def drain(self) -> None:
        """Close if idle; else after the exchange under way.

        Whoever has connected just now has sent a request already, as a rule, and is
        given a moment for it.
        """
        if self._exchange is not None or self._queued or len(self._heads):
            return
        if self._is_new:
            soon = self._shared.loop.time() + FIRST
            self._deadline = min(self._deadline, soon)
        else:
            self._close(self._shared.deadlines.linger)

    def _next(self) -> None:
        data, self._queued = self._queued, b""
        if len(data) > QUEUED:
            self.transport.resume_reading()
        if not self.transport.is_closing():
            self._read_head(data)

    def _queue(self, data: bytes) -> None:
        if data and not self._lingering:
            before = len(self._queued)
            self._queued += data
            if before <= QUEUED < len(self._queued):
                self.transport.pause_reading()

    def _read_head(self, data: bytes) -> None:
        fresh = not len(self._heads)
        try:
            head = self._heads.feed(data)
            if head is None:
                if fresh:
                    allowed = self._shared.deadlines.head
                    self._deadline = self._shared.loop.time() + allowed
                return
            request = parse_request(head)
            if request.method == b"CONNECT":
                raise HeadError(501, "this listener is no forward proxy")
        except HeadError as error:
            self._refuse(error, fresh=fresh)
            return
        self._serve(request, self._heads.rest)

    def _serve(self, request: RequestHead, rest: bytes) -> None:
        exchange = self._exchange = Exchange(self, self._shared, request)
        if rest:
            if exchange.wants_body():
                rest = exchange.body_received(rest)
            self._queue(rest)
        exchange.start()

    def _refuse(self, error: HeadError, *, fresh: bool) -> None:
        """Answer what is no request, and close; `fresh` if it came just now."""
        shared = self._shared
        self.transport.write(answer(error.status, error.reason, close=True))
        shared.refused(self.client, error.status, error.reason)
        waited = shared.loop.time() - self._deadline + shared.deadlines.head
        shared.record(
            FlowRecord(
                shared.listener,
                "https",
                shared.direction,
                self.client,
                status=error.status,
                total=0.0 if fresh else waited,
                ended="RH",
                reason=error.reason,
            )
        )
        self._linger()

    def _linger(self) -> None:
        """Close, but let the client read why."""
        # RFC 9112 section 9.6: closing with data unread resets the connection, and the
        # client may lose the response. So only our half is closed, and what still
        # comes is read and dropped; with TLS, its own closing handshake does that.
        allowed = self._shared.deadlines.linger
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._last(allowed)
        else:
            self._close(allowed)

    def _close(self, allowed: float) -> None:
        """Close; the client has so many seconds to take what is written."""
        self.transport.close()
        self._last(allowed)

    def _last(self, allowed: float) -> None:
        """Nothing more is served here, and after so many seconds it is cut."""
        self._lingering = True
        self._queued = b""
        self._deadline = self._shared.loop.time() + allowed
