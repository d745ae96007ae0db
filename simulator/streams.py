"""Media streams: the provider opens a WebSocket to the site and sends it sound."""

import asyncio
import base64
import contextlib
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import OPEN

from simulator.ledger import Ledger
from simulator.messages import Messages
from simulator.tasks import Tasks
from simulator.webhooks import sign

FRAME = 0.020
"Seconds of sound in one message."

_BYTES = 160
"Bytes of these: 8,000 samples a second, one byte each."


class Stream:
    """One media stream, from its `start` on."""

    def __init__(self, connection: ClientConnection, account: str) -> None:
        self.sid = f"MZ{secrets.token_hex(16)}"
        "Its identifier, which the site has to name in its messages."
        self.sent, self.received = Messages(), Messages()
        self.marks: list[str] = []
        "Names of the site's marks, each told back to it."
        self._news = asyncio.Event()
        self._over = False
        self._connection = connection
        self._call = {"accountSid": account, "callSid": f"CA{secrets.token_hex(16)}"}
        self._number = 0
        self._chunk = 0

    @property
    def code(self) -> int:
        """Code with which it was closed; 0 as long as it is open."""
        return self._connection.close_code or 0

    async def play(self, frames: int, *, pace: float = FRAME) -> None:
        """Send so many messages of sound, one each `pace` seconds.

        Raises websockets.exceptions.ConnectionClosed once the stream is no more.
        """
        clock = asyncio.get_running_loop().time
        due = clock()
        for _ in range(frames):
            self._chunk += 1
            sound = bytes((self._chunk % 256,)) * _BYTES
            media = {
                "track": "inbound",
                "chunk": str(self._chunk),
                "timestamp": str(round((self._chunk - 1) * FRAME * 1000)),
                "payload": base64.b64encode(sound).decode(),
            }
            await self._tell("media", {"media": media})
            due += pace
            await asyncio.sleep(max(0.0, due - clock()))

    async def marked(self, count: int) -> None:
        """Wait until the site has set so many marks; ConnectionError if it leaves."""
        while len(self.marks) < count:
            if self._over:
                raise ConnectionError(f"{len(self.marks)} marks, then the end")
            self._news.clear()
            await self._news.wait()

    async def begin(self, parameters: Mapping[str, str]) -> None:
        """Say what this is."""
        await self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        sound = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {
            **self._call,
            "streamSid": self.sid,
            "tracks": ["inbound"],
            "mediaFormat": sound,
            "customParameters": dict(parameters),
        }
        await self._tell("start", {"start": start})

    async def end(self) -> None:
        """Say that this is over, if there is still somebody to hear it."""
        with contextlib.suppress(ConnectionClosed):
            await self._tell("stop", {"stop": self._call})
        await self._connection.close()

    async def listen(self) -> None:
        """Hear the site until the end; its marks come back, as if played at once."""
        with contextlib.suppress(ConnectionClosed):
            async for message in self._connection:
                self.received.add(message)
                mark = _mark(message)
                if mark is not None:
                    self.marks.append(mark)
                    await self._tell("mark", {"mark": {"name": mark}})
                    self._news.set()
        self._over = True
        self._news.set()

    async def _tell(self, event: str, more: Mapping[str, Any]) -> None:
        self._number += 1
        number = {"sequenceNumber": str(self._number), "streamSid": self.sid}
        await self._send({"event": event, **number, **more})

    async def _send(self, message: Mapping[str, Any]) -> None:
        text = json.dumps(message)
        if self._connection.state is OPEN:
            # Now, since here is where its place among the others is decided.
            self.sent.add(text)
        await self._connection.send(text)


class StreamEngine:
    """Opens media streams as the provider does; no DNS leads it to the site."""

    def __init__(
        self, edges: Mapping[str, str], account: str, token: str, ledger: Ledger
    ) -> None:
        """Come from the source address that `edges` gives for each edge."""
        self._edges = edges
        self._account = account
        self._token = token
        self._ledger = ledger

    @contextlib.asynccontextmanager
    async def open(
        self,
        url: str,
        *,
        address: str,
        port: int = 443,
        trust: ssl.SSLContext,
        edge: str | None = None,
        parameters: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> AsyncIterator[Stream]:
        """A stream to an address and port in place of those in the URL.

        It comes from the first edge unless one is named, and is stopped when the
        context ends. Raises ValueError for a URL that the provider refuses; OSError,
        TimeoutError or websockets.exceptions.InvalidHandshake if it does not open.
        """
        parts = urlsplit(url)
        if parts.scheme != "wss" or parts.port is not None or parts.query:
            raise ValueError(f"a stream takes wss://, no port and no query, not {url}")
        edge = edge or next(iter(self._edges))
        note = {"edge": edge, "address": self._edges[edge], "target": url}
        try:
            connection = await connect(
                url,
                host=address,
                port=port,
                local_addr=(self._edges[edge], 0),
                ssl=trust,
                server_hostname=parts.hostname,
                proxy=None,
                compression=None,
                ping_interval=None,
                open_timeout=timeout,
                user_agent_header="Twilio.TmeWs/1.0",
                additional_headers={"X-Twilio-Signature": sign(self._token, url, {})},
            )
        except InvalidStatus as refused:
            status = refused.response.status_code
            self._ledger.record("stream", **note, status=status)
            raise
        stream = Stream(connection, self._account)
        self._ledger.record("stream", **note, request=stream.sid, status=101)
        listening = Tasks()
        listening.start(stream.listen())
        try:
            await stream.begin(parameters or {})
            yield stream
        finally:
            await stream.end()
            await listening.finish()
            self._note_end(stream, edge)

    def _note_end(self, stream: Stream, edge: str) -> None:
        ours = {"edge": edge, "address": self._edges[edge], "request": stream.sid}
        for event, sum_ in (("received", stream.received), ("sent", stream.sent)):
            self._ledger.record(
                event,
                **ours,
                messages=sum_.count,
                size=sum_.size,
                digest=sum_.digest,
            )
        self._ledger.record("closed", **ours, code=stream.code)


def _mark(message: str | bytes) -> str | None:
    """The name of a mark; None for a message that is none."""
    try:
        read = json.loads(message)
        name = read["mark"]["name"] if read["event"] == "mark" else None
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return name if isinstance(name, str) else None
