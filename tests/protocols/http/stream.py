"""Reads byte streams with the cores, piece by piece, as a relay does."""

import dataclasses
from collections.abc import Iterable

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
    HeadBuffer,
    RequestHead,
    ResponseHead,
    parse_request,
    parse_response,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One request as it was read."""

    head: RequestHead
    "Its head."
    body: bytes
    "Its body without the framing."
    trailers: bytes
    "The trailer lines that go on."

    def same(self) -> tuple[bytes, bytes, bytes, bytes, bytes, bytes]:
        """What two readings of one request have in common."""
        head = self.head
        return (
            *(head.method, head.target, head.authority, head.lines),
            *(self.body, self.trailers),
        )


def read_requests(pieces: Iterable[bytes]) -> list[Request]:
    """The whole requests within a stream that arrives in these pieces.

    Raises HeadError where the relay would refuse.
    """
    buffer = HeadBuffer()
    requests = []
    head: RequestHead | None = None
    body: Reader | None = None
    taken = b""
    for piece in pieces:
        data = piece
        while data:
            if head is None:
                raw = buffer.feed(data)
                if raw is None:
                    break
                head, data, taken = parse_request(raw), buffer.rest, b""
                body = reader(head, 400)
            assert body is not None
            if not body.done:
                taken += body.feed(data)
                data = body.rest
            if not body.done:
                break
            trailers = body.trailers if isinstance(body, Chunked) else b""
            requests.append(Request(head, taken, trailers))
            head = None
    return requests


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """One response as it was read."""

    head: ResponseHead
    "Its head."
    body: bytes
    "Its body without the framing."
    trailers: bytes
    "The trailer lines that go on."


def read_response(pieces: Iterable[bytes]) -> Response:
    """The final response to a GET, which is all that arrives before the far side ends.

    Raises HeadError where the relay would refuse, and EOFError where it is cut short.
    """
    buffer = HeadBuffer()
    head: ResponseHead | None = None
    body: Reader = UntilClose()
    taken = b""
    for piece in filter(None, pieces):
        data = piece
        if head is None:
            raw = buffer.feed(piece)
            if raw is None:
                continue
            head, data = parse_response(raw, b"GET"), buffer.rest
            body = reader(head, 502)
        if not body.done:
            taken += body.feed(data)
    if head is None or not (body.done or head.body is Body.CLOSE):
        raise EOFError
    return Response(head, taken, body.trailers if isinstance(body, Chunked) else b"")


def framed(message: Request | Response) -> bytes:
    """The body as it is framed for the next hop, in two chunks if in chunks at all."""
    if message.head.body is not Body.CHUNKED:
        return message.body
    half = len(message.body) // 2
    parts = [part for part in (message.body[:half], message.body[half:]) if part]
    return b"".join(map(chunk, parts)) + last_chunk(message.trailers)
