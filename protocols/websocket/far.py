"""The far side of a WebSocket until it is joined: asked, and its answer judged."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import cast

from protocols.http.head import HeadBuffer, HeadError, ResponseHead, parse_response
from protocols.net.buffered import Buffered
from protocols.net.dial import DialError, Dialled
from protocols.net.sockets import keep_nothing
from protocols.target import Result, Target
from protocols.websocket.handshake import Opening, is_accepted
from protocols.websocket.shared import Dial

_INTERIM = 16  # 1xx responses borne before one answer
_EDGE_FAULTS = frozenset([502, 503, 504])


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What the far side said to the opening handshake."""

    head: bytes
    "The head as it came."
    response: ResponseHead
    "The same, read."
    accepted: bool
    "Whether it agreed; if not, this is an ordinary response."
    rest: bytes
    "What came behind the head with it."


class Far(Buffered):
    """The far end, from the connection to the joining."""

    __slots__ = (
        "_heads",
        "_interim",
        "_offer",
        "answered",
        "ended",
        "gone",
        "lost",
        "more",
        "transport",
    )

    def __init__(self, offer: Opening) -> None:
        self._offer = offer
        self._heads = HeadBuffer()
        self._interim = 0
        loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[Answer | HeadError | None] = loop.create_future()
        "The answer; what is wrong with it; or None if the connection ended before."
        self.more = b""
        "What came behind the answer until reading paused."
        self.ended = False
        "Whether the far side has ended what it sends."
        self.lost = False
        "Whether the connection is gone."
        self.gone: Callable[[Exception | None], None] | None = None
        "Whom to tell that it is gone, once the near side is joined."
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the loop."""
        self.transport = cast("asyncio.Transport", transport)
        keep_nothing(transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop until the near side is joined."""
        if self.answered.done():
            self.more += data
            return
        try:
            answer = self._read(data)
        except HeadError as error:
            self.transport.pause_reading()
            self.answered.set_result(error)
            return
        if answer is not None:
            self.transport.pause_reading()
            self.answered.set_result(answer)

    def eof_received(self) -> None:
        """Called by the loop when the far side ends what it sends."""
        self.ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once by the loop, unless the near side was joined well before.

        With TLS the loop decides whom to call one turn before it does.
        """
        self.lost = True
        if not self.answered.done():
            self.answered.set_result(None)
        elif self.gone is not None:
            self.gone(exc)

    def _read(self, data: bytes) -> Answer | None:
        head = self._heads.feed(data)
        while head is not None:
            response = parse_response(head, b"GET")
            if response.status >= 200 or response.status == 101:
                accepted = is_accepted(head, response, self._offer)
                return Answer(head, response, accepted, self._heads.rest)
            # RFC 9110 section 15.2 has a proxy forward these; they say nothing that
            # whoever opens a WebSocket could use, and many would stumble.
            self._interim += 1
            if self._interim > _INTERIM:
                raise HeadError(502, "too many interim responses")
            rest = self._heads.rest
            head = self._heads.feed(rest) if rest else None
        return None


async def ask(
    dial: Dial, target: Target, request: bytes, offer: Opening, limit: float
) -> Dialled:
    """A connection on which the handshake was answered, by yes or no.

    Raises DialError where there is none within `limit` seconds of the connection, or
    where the answer is a fault of the target's own: then another one may do better.
    """
    dialled = await dial(target, lambda: Far(offer))
    far = cast("Far", dialled.protocol)
    try:
        if not far.lost:
            far.transport.write(request)
        async with asyncio.timeout(limit):
            answer = await far.answered
        _check(answer)
    except TimeoutError:
        far.transport.abort()
        detail = f"no answer to the opening handshake within {limit:g} s"
        raise DialError(Result.TIMEOUT, detail, "answer") from None
    except BaseException:
        far.transport.abort()
        raise
    return dialled


def _check(answer: Answer | HeadError | None) -> None:
    match answer:
        case None:
            detail = "closed instead of an answer to the opening handshake"
            raise DialError(Result.RESET, detail, "answer")
        case HeadError():
            raise DialError(Result.BAD_ANSWER, answer.reason, "answer")
        case Answer() if answer.response.status in _EDGE_FAULTS:
            detail = f"answered {answer.response.status} to the opening handshake"
            raise DialError(Result.SERVER_ERROR, detail, "answer")
        case Answer():
            pass
