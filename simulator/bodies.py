"""Answers that are hard to relay, each at a path of its own below `/simulator/`.

| path | answer |
|---|---|
| `status/503` | that status, final, without a body |
| `bytes/1000000?chunked=1` | that many bytes, with a length or in chunks |
| `slow?first=1.5&every=0.1&parts=5` | waits, then parts of a body at intervals |
| `trailers` | chunks, then the trailer fields `Digest` and `Server-Timing` |
| `until-close` | a body without a length: the end of the connection ends it |
| `cut?after=100&length=1000` | closes the connection in the middle of the body |
"""

import asyncio

from aiohttp import web

from simulator.visit import read

_PART = b"0123456789abcdef" * 4096
_MOST = 1 << 32


class _Written(web.StreamResponse):
    """An answer whose bytes, head included, are written as they are."""

    def __init__(self, wire: bytes, *, close: bool) -> None:
        super().__init__()
        self._wire = wire
        if close:
            self.force_close()

    @property
    def keep_alive(self) -> bool | None:
        return super().keep_alive is not False

    async def prepare(self, request: web.BaseRequest) -> None:
        if not request.keep_alive:
            self.force_close()
        if request.transport is not None:
            request.transport.write(self._wire)

    async def write_eof(self, data: bytes = b"") -> None:
        """All is written."""


def _number(request: web.Request, name: str, default: float, most: float) -> float:
    text = request.query.get(name, "")
    try:
        number = float(text) if text else default
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise web.HTTPBadRequest(text=f"{name}: not a number from 0 to {most:g}\n")
    return number


async def status(request: web.Request) -> web.StreamResponse:
    """The status that the path names."""
    await read(request)
    return web.Response(status=int(request.match_info["status"]))


async def octets(request: web.Request) -> web.StreamResponse:
    """As many bytes as the path says, streamed."""
    left = min(int(request.match_info["count"]), _MOST)
    response = web.StreamResponse()
    response.content_type = "application/octet-stream"
    if request.query.get("chunked"):
        response.enable_chunked_encoding()
    else:
        response.content_length = left
    await response.prepare(request)
    while left:
        part = _PART[:left]
        await response.write(part)
        left -= len(part)
    return response


async def slow(request: web.Request) -> web.StreamResponse:
    """A body whose parts take their time, in seconds."""
    first = _number(request, "first", 0.0, 3600.0)
    every = _number(request, "every", 0.1, 3600.0)
    parts = int(_number(request, "parts", 5, 10_000))
    await asyncio.sleep(first)
    response = web.StreamResponse()
    await response.prepare(request)
    for part in range(parts):
        await response.write(b"part %d\n" % part)
        await asyncio.sleep(every)
    return response


async def trailers(request: web.Request) -> web.StreamResponse:
    """Two chunks with an extension, and trailer fields (RFC 9112 section 7.1)."""
    await read(request)
    return _Written(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
        b"Transfer-Encoding: chunked\r\nTrailer: Digest, Server-Timing\r\n\r\n"
        b"6;note=first\r\nhello \r\n5\r\nworld\r\n"
        b"0\r\nDigest: none\r\nServer-Timing: total;dur=1\r\n\r\n",
        close=False,
    )


async def until_close(request: web.Request) -> web.StreamResponse:
    """A body that ends with the connection (RFC 9112 section 6.3, rule 8)."""
    await read(request)
    return _Written(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
        b"this body ends when the connection does",
        close=True,
    )


async def cut(request: web.Request) -> web.StreamResponse:
    """A body that is never completed."""
    after = int(_number(request, "after", 100, 1 << 20))
    length = int(_number(request, "length", 1000, 1 << 20))
    return cut_short(b"x" * length, after)


def cut_short(body: bytes, after: int, *, status: int = 200) -> web.StreamResponse:
    """An answer that promises a body and closes the connection within it."""
    head = b"HTTP/1.1 %d Cut\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return _Written(head + body[:after], close=True)


async def drip(
    request: web.Request, whole: web.Response, seconds: float
) -> web.StreamResponse:
    """Send an answer's body in ten parts, each after a pause of so many seconds."""
    body = whole.body if isinstance(whole.body, bytes) else b""
    response = web.StreamResponse(status=whole.status, headers=whole.headers)
    response.content_length = len(body)
    await response.prepare(request)
    step = max(1, -(-len(body) // 10))
    for start in range(0, len(body), step):
        await asyncio.sleep(seconds)
        await response.write(body[start : start + step])
    return response


ROUTES = (
    web.route("*", r"/simulator/status/{status:[2-5]\d\d}", status),
    web.route("*", r"/simulator/bytes/{count:\d{1,12}}", octets),
    web.route("*", "/simulator/slow", slow),
    web.route("*", "/simulator/trailers", trailers),
    web.route("*", "/simulator/until-close", until_close),
    web.route("*", "/simulator/cut", cut),
)
