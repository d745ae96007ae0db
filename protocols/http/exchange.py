"""One request and its response: to a target, to the next if need be, and back.

An exchange belongs to the near connection (the client's) and holds at most one far
connection (the edge's, or the receiver's). It relays as bytes arrive, and never holds
more of a body than one buffer's worth: while one side does not take, the other is not
read.
"""

import asyncio
from typing import Protocol

from protocols.http import fields
from protocols.http.answers import answer
from protocols.http.far import Far
from protocols.http.framing import (
    Chunked,
    Reader,
    UntilClose,
    chunk,
    last_chunk,
    reader,
)
from protocols.http.head import (
    Body,
    HeadError,
    RequestHead,
    ResponseHead,
    parse_response,
)
from protocols.http.search import Search
from protocols.http.shared import Shared
from protocols.net.sockets import reset, words
from protocols.record import FlowRecord, UnderWay
from protocols.target import ALIVE, Outcome, Result, Target

PENDING = 65_536
"Bytes of a request body kept while there is no connection to send it on."
_RESENDS = 2
_INTERIM = 16  # 1xx responses relayed before one answer
# RFC 9110 section 9.2.2: "PUT, DELETE, and safe request methods are idempotent".
_IDEMPOTENT = frozenset([b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"])
_EDGE_FAULTS = frozenset([502, 503, 504])
_SERVER_ERROR = Outcome(Result.SERVER_ERROR)


class NearSide(Protocol):
    """What an exchange needs of the client's connection."""

    @property
    def client(self) -> str:
        """The client's address."""

    @property
    def forwarded(self) -> bytes:
        """Lines that tell a receiver of the site who the client is."""

    @property
    def transport(self) -> asyncio.Transport:
        """Where the response goes."""

    def read_on(self) -> None:
        """The exchange has no more reason to keep the client unread."""

    def exchange_ended(self, *, keep_alive: bool, complete: bool) -> None:
        """The response is written; `complete` says that the request was read whole."""


class Exchange:
    """One request on its way to a target, and its response on its way back."""

    # Defaults stand here and not in __init__: most exchanges never change them, and
    # there is one exchange per request.
    _far: Far | None = None
    _search: Search | None = None
    _response: ResponseHead | None = None
    _answer: Reader | None = None
    _first_byte: float | None = None
    _asked_at = 0.0
    _told_at = 0.0
    _marked_at = 0.0
    _mark = 0
    _received = 0
    _sent = 0
    _interim = 0
    _resends = 0
    _pending_size = 0
    _near_paused = False
    _far_paused = False
    _reused = False
    _awaits_continue = False
    _keep_alive = False
    _over = False

    def __init__(self, near: NearSide, shared: Shared, head: RequestHead) -> None:
        self.head = head
        self._near = near
        self._shared = shared
        self._reader: Reader = reader(head, 400)
        self._pending: list[bytes] = []
        self._started = shared.loop.time()

    # ---- The request -------------------------------------------------------------

    def start(self) -> None:
        """Send the request, with as much of its body as was received already."""
        if self._over:
            return
        shared = self._shared
        surely = not self._may_resend()
        target = shared.choose(())
        far = shared.pool.take(target, surely=surely) if target is not None else None
        if far is not None:
            self.found(far)
        else:
            self._search = Search(self, shared, surely=surely)
            self._search.go()

    def under_way(self) -> UnderWay:
        """What there is to tell before it ends."""
        shared, far = self._shared, self._far
        edge = far.target.label if far is not None else ""
        return UnderWay(
            shared.listener,
            "https",
            self._near.client,
            edge,
            self._started,
            self._received,
            self._sent,
        )

    def wants_body(self) -> bool:
        """Whether the request's body is still to come."""
        return not self._reader.done

    def body_received(self, data: bytes) -> bytes:
        """Relay what came of the request's body; returns what is no part of it."""
        try:
            body = self._reader.feed(data)
        except HeadError as error:
            self._fail(error.status, error.reason, who="R")
            return b""
        if self._awaits_continue:
            self._continued()
        self._received += len(body)
        if isinstance(self._reader, Chunked):
            body = chunk(body) if body else b""
            if self._reader.done:
                body += last_chunk(self._reader.trailers)
        if self._far is None:
            self._hold(body)
        else:
            self._far.transport.write(body)
            if self._reader.done:
                self._asked()
        return self._reader.rest

    def _hold(self, body: bytes) -> None:
        self._pending.append(body)
        self._pending_size += len(body)
        if self._pending_size > PENDING and not self._near_paused:
            self._near_paused = True
            self._near.transport.pause_reading()

    def found(self, far: Far) -> None:
        """A connection: send what there is of the request, in one write."""
        self._far = far
        far.exchange = self
        # It stood already if it has served before, or lay ready for whoever comes.
        self._reused = far.served > 0 or far.idle_since > 0.0
        far.served += 1
        if self._shared.to_provider:
            data = fields.request_to_provider(self.head, far.authority)
        else:
            data = fields.request_to_site(self.head, self._near.forwarded)
        if self._pending:
            data = b"".join((data, *self._pending))
            self._pending.clear()
            self._pending_size = 0
        # Before the write, which may fill the new connection and pause the client anew.
        if self._near_paused:
            self._release_near()
        if self._far_paused:
            far.transport.pause_reading()
        far.transport.write(data)
        if self._reader.done:
            self._asked()
        elif self.head.expects_continue and not self._received:
            # RFC 9110 section 10.1.1: "a client that will wait for a 100 (Continue)
            # response before sending the request content" says so: no fault of its own.
            self._awaits_continue = True
            self._asked()

    def not_found(self) -> None:
        """No target can be reached, or none that has not failed this request."""
        if self._resends:
            self._fail(502, "the far side closed without an answer", who="F")
        else:
            self._fail(503, self._shared.nobody, who="R")

    def _asked(self) -> None:
        """It is the far side's turn: from now on the answer is awaited, or 100."""
        self._told_at = now = self._shared.loop.time()
        self._asked_at = self._asked_at or now
        if self._response is None:
            self._shared.watch.add(self)

    def _continued(self) -> None:
        """The body is asked for, or comes unasked: it is the client's turn."""
        self._awaits_continue = False
        self._asked_at = 0.0
        self._shared.watch.remove(self)

    # ---- Waiting for the answer --------------------------------------------------

    def waits_since(self) -> float:
        """When the request was complete, or its silence last told of."""
        return self._told_at

    def patience(self) -> float:
        """Seconds of silence after which to tell of it."""
        return self._far.target.patience if self._far is not None else 0.0

    def is_silent(self, now: float) -> None:
        """Tell the health checker, which asks the target for a sign of life."""
        self._told_at = now
        if self._far is not None:
            self._shared.report(self._far.target, Outcome(Result.SILENT))

    def forsaken(self, target: Target) -> None:
        """Our target fell ill while we wait: turn to another, if that is safe."""
        far = self._far
        if far is None or target != far.target or not self._may_resend():
            return
        if self._shared.choose((target,)) is None:
            return  # nowhere better: it may yet answer
        far.exchange = None
        far.transport.abort()
        self._again(target, Result.SILENT, "no answer, and no sign of life")

    def far_lost(self, error: Exception | None) -> None:
        """The far connection ended under us."""
        far = self._far
        assert far is not None
        detail = words(error) if error is not None else "connection closed"
        if self._response is not None:
            self._answer_cut(error, detail)
            return
        # An idle connection may be closed by the far side just as we use it: that
        # is no sign of illness, only a reason to look.
        self._blame(far.target, Result.SILENT if self._reused else Result.RESET, detail)
        if self._may_resend():
            self._again(far.target, Result.RESET, detail)
        else:
            self._note(far.target, Result.RESET, detail)
            self._fail(502, "the far side closed without an answer", who="F")

    def _blame(self, target: Target, result: Result, detail: str) -> None:
        """Tell that a request ended badly at a target that was reached."""
        if result is not Result.SILENT and not self._shared.to_provider:
            # Anybody may send to the site, and a receiver that hangs up on one request
            # may do well with all others: no stranger shall take it out of service.
            result = Result.SERVER_ERROR
        self._shared.report(target, Outcome(result, detail=detail))

    def _may_resend(self) -> bool:
        # RFC 9110 section 9.2.2: a proxy "MUST NOT automatically retry non-idempotent
        # requests". Nor one with a body: it is not kept.
        return (
            self.head.body is Body.NONE
            and self.head.method in _IDEMPOTENT
            and self._shared.retry
            and self._resends < _RESENDS
        )

    def _again(self, target: Target, result: Result, detail: str) -> None:
        """Send the request a further time, to another target."""
        self._shared.watch.remove(self)
        self._far = None
        self._resends += 1
        self._note(target, result, detail).go()

    def _note(self, target: Target, result: Result, detail: str) -> Search:
        if self._search is None:
            surely = not self._may_resend()
            self._search = Search(self, self._shared, surely=surely)
        seconds = self._shared.loop.time() - self._started
        self._search.gave_up(target, result, detail, seconds)
        return self._search

    # ---- The answer --------------------------------------------------------------

    def answer_received(self, data: bytes) -> None:
        """Relay what came from the far side."""
        try:
            if self._response is None:
                self._answer_head(data)
            else:
                self._answer_body(data)
        except HeadError as error:
            self._bad_answer(error.reason)

    def _answer_head(self, data: bytes) -> None:
        far = self._far
        assert far is not None
        head = far.heads.feed(data)
        while head is not None:
            response = parse_response(head, self.head.method)
            if response.status >= 200:
                self._answer_begins(response, far)
                return
            self._relay_interim(response)
            data = far.heads.rest
            head = far.heads.feed(data) if data else None

    def _relay_interim(self, response: ResponseHead) -> None:
        self._interim += 1
        if response.status == 101 or self._interim > _INTERIM:
            raise HeadError(502, "unexpected interim response")
        if response.status == 100 and self._awaits_continue:
            self._continued()
        # RFC 9110 section 15.2: "A proxy MUST forward 1xx responses"; but "a server
        # MUST NOT send a 1xx response to an HTTP/1.0 client".
        if self.head.minor:
            data = fields.response(response, minor=1, close=False)
            self._near.transport.write(data)

    def _answer_begins(self, response: ResponseHead, far: Far) -> None:
        shared = self._shared
        shared.watch.remove(self)
        self._first_byte = shared.loop.time() - self._started
        answer = reader(response, 502)
        rest, body = far.heads.rest, b""
        if rest and not answer.done:
            # While nothing is written yet: what is malformed here becomes a 502.
            body = self._frame(answer, rest)
            rest = answer.rest
        fault = response.status in _EDGE_FAULTS
        shared.report(far.target, _SERVER_ERROR if fault else ALIVE)
        self._response = response
        self._answer = answer
        self._keep_alive = (
            self.head.keep_alive
            and self._reader.done
            and response.body is not Body.CLOSE
            and not shared.leaving
        )
        close = not self._keep_alive
        data = fields.response(response, minor=self.head.minor, close=close)
        self._near.transport.write(data + body)
        if answer.done:
            self._finish(far, response, clean=not rest)

    def _answer_body(self, data: bytes) -> None:
        answer = self._answer
        assert answer is not None
        self._near.transport.write(self._frame(answer, data))
        if answer.done:
            assert self._far is not None
            assert self._response is not None
            self._finish(self._far, self._response, clean=not answer.rest)

    def _frame(self, answer: Reader, data: bytes) -> bytes:
        """Body bytes as the client shall get them."""
        body = answer.feed(data)
        self._sent += len(body)
        if isinstance(answer, Chunked) and self.head.minor:
            body = chunk(body) if body else b""
            if answer.done:
                body += last_chunk(answer.trailers)
        return body

    def _finish(self, far: Far, response: ResponseHead, *, clean: bool) -> None:
        """The answer is out, whole. `clean`: nothing came behind it."""
        self._over = True
        self._far = None
        if self._far_paused:
            far.transport.resume_reading()
        complete = self._reader.done
        # A client that is paused here is so because the far side is full: answered
        # early, with some of the request's body still to take.
        if clean and complete and response.keep_alive and not self._near_paused:
            self._shared.pool.give(far)
        else:
            far.exchange = None
            far.transport.close()
        self._record(response.status, "--", "", far)
        if self._near_paused:
            self._release_near()
        self._near.exchange_ended(keep_alive=self._keep_alive, complete=complete)

    def _answer_cut(self, error: Exception | None, detail: str) -> None:
        """The far connection ended while its answer was relayed."""
        far, response = self._far, self._response
        assert far is not None
        assert response is not None
        # RFC 9112 section 9.8: without length or chunks, a response over TLS "is
        # complete only if a valid closure alert has been received".
        if isinstance(self._answer, UntilClose) and error is None and far.ended:
            self._finish(far, response, clean=False)
        else:
            self._abort("F", f"the answer broke off: {detail}")

    def _bad_answer(self, reason: str) -> None:
        far = self._far
        assert far is not None
        self._blame(far.target, Result.BAD_ANSWER, reason)
        cause = f"the answer is not plain HTTP/1.1: {reason}"
        if self._response is None:
            self._note(far.target, Result.BAD_ANSWER, reason)
        self._fail(502, cause, who="F")

    # ---- Back-pressure -----------------------------------------------------------

    def near_full(self) -> None:
        """The client does not take what is written: stop reading the far side."""
        if self._far is not None and not self._far_paused:
            self._far_paused = True
            self._far.transport.pause_reading()

    def near_drained(self) -> None:
        """The client took it: go on."""
        if self._far is not None and self._far_paused:
            self._far_paused = False
            self._far.transport.resume_reading()

    def far_full(self) -> None:
        """The far side does not take the body: stop reading the client."""
        if not self._near_paused:
            self._near_paused = True
            self._near.transport.pause_reading()

    def far_drained(self) -> None:
        """The far side took it: go on."""
        if self._near_paused:
            self._release_near()

    def _release_near(self) -> None:
        self._near_paused = False
        self._near.read_on()

    # ---- Ends --------------------------------------------------------------------

    def client_lost(self) -> None:
        """The client is gone: nobody wants the answer."""
        if not self._over:
            self._end(self._status(), "C", "the client left")

    def look(self, now: float) -> None:
        """End what takes too long; called about every second."""
        deadlines = self._shared.deadlines
        if self._response is not None:
            self._look_at_progress(now)
        elif self._far is None:
            if now - self._started > deadlines.connect:
                self._fail(503, "no target answered in time", who="R")
        elif not (self._reader.done or self._awaits_continue):
            self._look_at_pace(now)
        elif now - self._asked_at > deadlines.first_byte:
            self._note(self._far.target, Result.SILENT, "no answer")
            self._fail(504, "no answer in time", who="R")

    def _look_at_progress(self, now: float) -> None:
        mark = self._received + self._sent
        if mark != self._mark or not self._marked_at:
            self._mark, self._marked_at = mark, now
        elif now - self._marked_at > self._shared.deadlines.stall:
            if self._far_paused:
                self._abort("C", "the client stopped reading")
            else:
                self._abort("F", "the answer stopped coming")

    def _look_at_pace(self, now: float) -> None:
        pace, moved = self._shared.pace, self._received - self._mark
        if not self._marked_at or (self._near_paused and moved):
            self._mark, self._marked_at = self._received, now
        elif self._near_paused:
            # No fault of the client's: the far side does not take what there is.
            if now - self._marked_at > self._shared.deadlines.stall:
                self._fail(504, "the far side takes no more of the body", who="F")
        elif now - self._marked_at >= pace.window:
            if moved < pace.bytes:
                self._fail(408, "the request's body comes too slowly", who="C")
                return
            self._mark, self._marked_at = self._received, now

    def _fail(self, status: int, cause: str, *, who: str) -> None:
        """Answer in the far side's stead, or break off if it has begun to answer."""
        if self._response is not None:
            self._abort(who, cause)
            return
        complete = self._reader.done
        keep_alive = complete and self.head.keep_alive and not self._shared.leaving
        head_only = self.head.method == b"HEAD"
        data = answer(status, cause, close=not keep_alive, head_only=head_only)
        self._near.transport.write(data)
        self._end(status, who, cause)
        if self._near_paused:
            self._release_near()
        self._near.exchange_ended(keep_alive=keep_alive, complete=complete)

    def _abort(self, who: str, cause: str) -> None:
        """Break the client's connection: half an answer must not look whole."""
        self._end(self._status(), who, cause)
        reset(self._near.transport)

    def _end(self, status: int, who: str, cause: str) -> None:
        """Let go of the far side before its time, and record that."""
        far, phase = self._far, self._phase()
        self._over = True
        self._far = None
        self._shared.watch.remove(self)
        if self._search is not None:
            self._search.stop()
        if far is not None:
            far.exchange = None
            far.transport.abort()
        self._record(status, who + phase, cause, far)

    def _status(self) -> int:
        return self._response.status if self._response is not None else 0

    def _phase(self) -> str:
        if self._response is not None:
            return "D"
        if self._far is None and not self._resends:
            return "C"
        return "W" if self._reader.done or self._awaits_continue else "B"

    def _record(self, status: int, ended: str, reason: str, far: Far | None) -> None:
        head = self.head
        shared = self._shared
        record = FlowRecord(
            listener=shared.listener,
            protocol="https",
            direction=shared.direction,
            client=self._near.client,
            method=head.verb,
            host=head.host,
            path=head.path,
            status=status,
            first_byte=self._first_byte,
            total=shared.loop.time() - self._started,
            received=self._received,
            sent=self._sent,
            ended=ended,
            reason=reason,
        )
        if far is not None:
            record.edge = far.target.label
            record.address = far.target.address
            record.reused = self._reused
            if not self._reused:
                record.connect, record.tls = far.seconds
                record.resumed = far.resumed
        search, response = self._search, self._response
        if search is not None:
            record.attempts = search.attempts()
            if search.won_at is not None:
                record.waited = search.won_at - self._started
        if shared.request_id is not None and response is not None:
            record.request_id = fields.request_id(response, shared.request_id)
        shared.record(record)
