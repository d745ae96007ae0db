"""Reads byte streams with the cores, piece by piece, as a relay does."""

import dataclasses
from collections.abc import Iterable

from protocols.http.framing import Chunked, Reader, chunk, last_chunk, reader
from protocols.http.head import HeadBuffer, RequestHead, parse_request


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


def framed(request: Request) -> bytes:
    """The body as it is framed for the next hop, in two chunks if in chunks at all."""
    if b"transfer-encoding" not in request.head.values:
        return request.body
    half = len(request.body) // 2
    parts = [part for part in (request.body[:half], request.body[half:]) if part]
    return b"".join(map(chunk, parts)) + last_chunk(request.trailers)
