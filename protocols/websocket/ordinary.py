"""The far side said no: its answer passes on as the HTTP response that it is."""

import asyncio
from collections.abc import Callable

from protocols.http import fields
from protocols.http.framing import Chunked, UntilClose, chunk, last_chunk, reader
from protocols.http.head import HeadError
from protocols.net.splice import End, Splice, Spliced
from protocols.websocket.far import Answer, Far


class _Asker(End):
    """The client's end: it has asked all that it may."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Called by the loop; nothing goes behind a handshake that failed."""

    def eof_received(self) -> bool:
        """Called by the loop: a client that leaves wants no answer."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once by the loop."""
        if not self.peer.finished:
            exc = exc or ConnectionError("the client left")
        super().connection_lost(exc)


class _Answerer(End):
    """The far end: its body is framed anew, so that its end is known."""

    __slots__ = ("_ended", "_reader")

    def __init__(self, far: Far, answer: Answer) -> None:
        super().__init__(far.transport)
        self._ended = far.ended
        self._reader = reader(answer.response, 502)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        body_reader = self._reader
        try:
            body = body_reader.feed(data)
        except HeadError as error:
            self.splice.abort("FD", error.reason)
            return
        self.count += len(body)
        if isinstance(body_reader, Chunked):
            body = chunk(body) if body else b""
            if body_reader.done:
                body += last_chunk(body_reader.trailers)
        self.peer.transport.write(body)
        if body_reader.done:
            self._done()

    def eof_received(self) -> bool:
        """Called by the loop when the far side ends what it sends, by close_notify."""
        self._ended = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once by the loop."""
        if self._reader.done:
            exc = None
        elif not (isinstance(self._reader, UntilClose) and self._ended):
            exc = exc or ConnectionError("the answer broke off")
        super().connection_lost(exc)

    def begin(self, rest: bytes) -> None:
        """Pass on what came with the head; a body of nothing ends at once."""
        if self._reader.done:
            self._done()
        elif rest:
            self.data_received(rest)

    def _done(self) -> None:
        self.finished = True
        self.transport.close()


def relay_answer(
    client: asyncio.Transport,
    far: Far,
    answer: Answer,
    *,
    stall: float,
    ended: Callable[[Spliced], None],
) -> Splice:
    """Relay an ordinary response, then close; `ended` is called once, at the end.

    The client's connection ends with it, so that nothing behind the handshake is taken
    for a request. `stall` is in seconds without a byte.
    """
    client.write(fields.response(answer.response, minor=1, close=True))
    end = _Answerer(far, answer)
    splice = Splice(_Asker(client), end, idle=stall, ended=ended)
    end.begin(answer.rest + far.more)
    return splice
