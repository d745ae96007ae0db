"""A WebSocket relay on real sockets between a raw client and scripted origins."""

import asyncio
import contextlib
import dataclasses
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from typing import Any

from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side
from websockets.utils import accept_key

from protocols.net.handshake import Contexts
from protocols.websocket.relay import Relay
from protocols.websocket.shared import Deadlines, Drain
from tests.protocols.http import stage as http
from tests.protocols.http.stage import Client, Origin, Script, Visit

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
OPENING = (
    "GET /signal?token=hush HTTP/1.1\r\nHost: voice.test\r\nConnection: Upgrade\r\n"
    f"Upgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    "X-Twilio-Signature: c2lnbmVk\r\n\r\n"
).encode()
"An opening handshake as many clients send it."
ACCEPTED = (
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection:upgrade\r\n"
    f"Sec-WebSocket-Accept: {accept_key(KEY)}\r\nX-Odd:  spelt\r\n\r\n"
).encode()
"The answer of a far side that agrees, in its own spelling."
MOST = 1_000
"Bytes of a message that `judge` takes."
MASK = b"\x37\xfa\x21\x3d"


def text(payload: bytes, *, masked: bool) -> bytes:
    """A text message."""
    return Frame(Opcode.TEXT, payload).serialize(mask=masked)


def closing(code: int, *, masked: bool) -> bytes:
    """A Close frame."""
    return Frame(Opcode.CLOSE, Close(code, "").serialize()).serialize(mask=masked)


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame, in either direction."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", await reader.readexactly(8))
    mask = await reader.readexactly(4) if second & 0x80 else bytes(4)
    payload = await reader.readexactly(length)
    plain = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return Frame(Opcode(first & 0x0F), plain, fin=bool(first & 0x80))


async def read_close(reader: asyncio.StreamReader) -> int:
    """The code of the next frame, a Close."""
    frame = await read_frame(reader)
    assert frame.opcode is Opcode.CLOSE, frame
    return int(Close.parse(frame.data).code)


async def judge(
    side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Be an end that answers as the library does, until nothing more comes."""
    end = Protocol(side, max_size=MOST)
    while data := await reader.read(65_536):
        end.receive_data(data)
        for said in end.data_to_send():
            if said:
                writer.write(said)
            else:
                writer.write_eof()
    writer.close()


async def accepting(visit: Visit) -> None:
    """An origin that agrees, and then leaves everything to the test."""
    await visit.reader.readuntil(b"\r\n\r\n")
    visit.writer.write(ACCEPTED)
    await visit.writer.wait_closed()


async def turns(count: int) -> None:
    """Let the loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


def saying(answer: bytes) -> Script:
    """An origin that answers every handshake like this, and waits."""

    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        visit.writer.write(answer)
        await visit.writer.wait_closed()

    return script


async def silent(visit: Visit) -> None:
    """An origin that takes the handshake and says nothing."""
    await visit.writer.wait_closed()


@dataclasses.dataclass(frozen=True)
class Tls:
    """What a scene with TLS on both sides needs."""

    served: ssl.SSLContext
    "Of the relay and the origins, which are edge.test."
    trust: ssl.SSLContext
    "Of clients."
    contexts: Contexts
    "Of the relay, towards origins."


class Stage(http.Stage):
    """The relay under test, and all that it told."""

    make = Relay
    relay: Relay  # type: ignore[assignment]
    tls: Tls | None = None

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection that can be reset."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.create_connection(server.getsockname())
            return ours, server.accept()[0]

    async def client(self) -> Client:
        """A new connection to the relay."""
        if self.tls is None:
            return await super().client()
        ours, theirs = self.pair()
        theirs.setblocking(False)
        taking = asyncio.get_running_loop().connect_accepted_socket(
            self.relay.connection, theirs, ssl=self.tls.served
        )
        taken = self.tasks.start(taking, name="accept")
        reader, writer = await asyncio.open_connection(
            sock=ours, ssl=self.tls.trust, server_hostname="edge.test"
        )
        await taken
        self._clients.append(client := Client(reader, writer))
        return client

    async def open(self, origin: int = 0) -> tuple[Client, Visit]:
        """A client with an open WebSocket, and the far end of it."""
        client = await self.client()
        client.send(OPENING)
        assert await client.head() == ACCEPTED
        return client, self.origins[origin].visits[-1]

    def ask_to_leave(self) -> None:
        """What a drain does to each open WebSocket, at once."""
        for near in list(self.relay._nears):
            near.leave("the router stops")


@contextlib.asynccontextmanager
async def stage(
    *scripts: Script,
    to_provider: bool = True,
    patience: float = 5.0,
    deadlines: dict[str, float] | None = None,
    tls: Tls | None = None,
    **options: Any,
) -> AsyncIterator[Stage]:
    """A relay before origins `a`, `b`, ... with these scripts."""
    origins = [Origin(script) for script in scripts]
    for origin, label in zip(origins, "abcdefgh", strict=False):
        await origin.open(label, patience, tls.served if tls else None)
    options.setdefault("draining", Drain(spread=0.0))
    chosen = Deadlines(**{"closing": 2.0, **(deadlines or {})})
    scene = Stage(*origins, to_provider=to_provider, deadlines=chosen, **options)
    if tls:
        scene.tls, scene.contexts = tls, tls.contexts
    mistakes: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: mistakes.append(context))
    try:
        yield scene
    finally:
        await scene.end()
        loop.set_exception_handler(None)
    assert not mistakes, mistakes


def status(answer: bytes) -> int:
    """The status of the only answer that came."""
    assert answer.startswith(b"HTTP/1.1 "), answer
    assert b"\nHTTP/1.1 " not in answer
    return int(answer.split(b" ")[1])
