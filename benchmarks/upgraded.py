"""Both ends of WebSockets under load: an origin that echoes, clients that wait for it.

Frames are made once and answered by their length alone, so that most of what a round
costs is the proxy's. Whether what passes is right is not judged here but by
`benchmarks.streams` and the tests.
"""

import asyncio
import base64
import hashlib
import ssl
import struct
from typing import TypeVar, cast

_KEY = base64.b64encode(bytes(16))
_END = b"\r\n\r\n"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_OPENING = (
    b"GET /%d HTTP/1.1\r\nHost: edge-router.test\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    + _KEY
    + _END
)


def frame(payload: bytes, *, mask: bytes = b"") -> bytes:
    """A message in one binary frame; `mask` is four bytes, or empty from an origin."""
    size, masked = len(payload), 0x80 if mask else 0
    head = bytes((0x82, masked | size)) if size < 126 else b""
    if not head:
        head = bytes((0x82, masked | 126)) + struct.pack("!H", size)
    if not mask:
        return head + payload
    key = int.from_bytes((mask * (size // 4 + 1))[:size])
    return head + mask + (int.from_bytes(payload) ^ key).to_bytes(size)


def accepted(head: bytes) -> bytes:
    """The answer of an origin to an opening handshake."""
    lines = head.lower().split(b"\r\n")
    place = next(
        n for n, line in enumerate(lines) if line.startswith(b"sec-websocket-k")
    )
    key = head.split(b"\r\n")[place].partition(b":")[2].strip()
    proof = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + proof + _END
    )


class Opened(asyncio.Protocol):
    """A connection until its head has come, and after."""

    def __init__(self) -> None:
        self._head = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the loop."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop until the head has come."""
        self._head += data
        head, end, rest = self._head.partition(_END)
        if end:
            self.data_received = self.took  # type: ignore[method-assign]
            self.opened(head)
            if rest:
                self.took(rest)

    def opened(self, head: bytes) -> None:
        """The head has come."""
        raise NotImplementedError

    def took(self, data: bytes) -> None:
        """Bytes came after the head."""
        raise NotImplementedError


class Echo(Opened):
    """The origin's end: a message of so many bytes, as its path says, for each."""

    def opened(self, head: bytes) -> None:
        """Accept."""
        size = int(head.split()[1].lstrip(b"/") or 0)
        self._answer = frame(bytes(size))
        self._each = len(self._answer) + 4
        self._left = self._each
        self.transport.write(accepted(head))

    def took(self, data: bytes) -> None:
        """Answer what is whole."""
        self._left -= len(data)
        while self._left <= 0:
            self._left += self._each
            self.transport.write(self._answer)


class Client(Opened):
    """The client's end; sends its next message when the last was answered."""

    def __init__(self, size: int) -> None:
        """`size` of its messages, in bytes, is also the path that it asks for."""
        super().__init__()
        self._frame = frame(bytes(size), mask=b"\x5a\xa5\x3c\xc3")
        self._each = len(self._frame) - 4
        self._opening = _OPENING % size
        self._left = 0
        self.going = False
        "Whether it goes on."
        self.answered = 0
        "Messages that came back."
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        "Whether it stands; fails with a ConnectionError."
        self.ended: asyncio.Future[None] = loop.create_future()
        "Done when it is gone."

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the loop."""
        super().connection_made(transport)
        self.transport.write(self._opening)

    def opened(self, head: bytes) -> None:
        """Refused, or ready."""
        if head.startswith(b"HTTP/1.1 101"):
            self.ready.set_result(None)
        else:
            status = head.partition(b"\r\n")[0].decode("latin-1")
            self.ready.set_exception(ConnectionError(status))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once by the loop."""
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("lost before the answer"))
        self.ended.set_result(None)

    def go(self) -> None:
        """Send the first message."""
        self.going = True
        self._left = self._each
        self.transport.write(self._frame)

    def took(self, data: bytes) -> None:
        """Send the next one, if the answer is whole."""
        self._left -= len(data)
        if self._left == 0:
            self.answered += 1
            if self.going:
                self._left = self._each
                self.transport.write(self._frame)


Kind = TypeVar("Kind", bound=Client)


async def dial(address: str, port: int, trust: ssl.SSLContext, client: Kind) -> Kind:
    """Open a WebSocket for this client; raises OSError."""
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: client, address, port, ssl=trust)
    await client.ready
    return client
