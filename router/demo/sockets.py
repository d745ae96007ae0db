"""WebSockets of the site: a voice client that comes back, and a receiver of sound."""

import asyncio
import dataclasses
import json
import ssl
from collections.abc import Mapping
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake

PACE = 0.1
"Seconds between an acknowledgement and the next message."

AGAIN = 0.2
"Seconds after which a client that was refused tries again."


@dataclasses.dataclass(frozen=True, slots=True)
class Visit:
    """One WebSocket of a voice client."""

    edge: str
    "Edge that answered, by its own word."
    opened: float
    "When, in monotonic seconds."
    closed: float
    "When it ended."
    code: int
    "Code of the Close that came; 1006 for none."


class Phone:
    """Signals without end: each message is sent until it is acknowledged."""

    def __init__(self, ports: Mapping[str, int], ca: Path) -> None:
        """Signal to the port of `voice`, which a new daemon may change."""
        self.visits: list[Visit] = []
        "WebSockets that have ended."
        self.edge = ""
        "Edge of the one that is open; empty while there is none."
        self.sent = 0
        "Messages, each counted once."
        self.again = 0
        "How often one had to be sent again, since its WebSocket ended."
        self.acknowledged = 0
        self.slowest = 0.0
        "Seconds that the slowest message took, a lost WebSocket included."
        self._ports = ports
        self._trust = ssl.create_default_context(cafile=str(ca))
        self._time = asyncio.get_running_loop().time
        self._news = asyncio.Condition()
        self._since = 0.0
        self._leaving = False

    async def run(self) -> None:
        """Signal, and come back whenever the WebSocket ends; until told to leave."""
        while not self._leaving:
            try:
                await self._signal()
            except (InvalidHandshake, OSError):
                await asyncio.sleep(AGAIN)

    def leave(self) -> None:
        """Hang up after the message that is under way."""
        self._leaving = True

    async def reach(self, *, visits: int, but: str = "") -> str:
        """Wait until one is open after so many have ended: its edge, and not `but`."""
        async with self._news:
            await self._news.wait_for(
                lambda: len(self.visits) >= visits and self.edge not in ("", but)
            )
        return self.edge

    async def _signal(self) -> None:
        async with connect(
            f"wss://127.0.0.1:{self._ports['voice']}/signal",
            ssl=self._trust,
            proxy=None,
            ping_interval=None,
        ) as socket:
            opened, edge, code = self._time(), "", 1006
            try:
                await socket.send('{"type": "listen", "payload": {}}')
                edge = json.loads(await socket.recv())["payload"]["edge"]
                await self._tell(edge)
                while not self._leaving:
                    await self._exchange(socket)
                    await asyncio.sleep(PACE)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else code
            finally:
                self.visits.append(Visit(edge, opened, self._time(), code))
                await self._tell("")

    async def _exchange(self, socket: ClientConnection) -> None:
        if self._since:
            self.again += 1
        else:
            self._since = self._time()
            self.sent += 1
        name = f"KX{self.sent}"
        message = {"type": "message", "payload": {"voiceeventsid": name}}
        await socket.send(json.dumps(message))
        while (told := await socket.recv()) == "\n":
            await socket.send("\n")
        if json.loads(told)["payload"]["voiceeventsid"] == name:
            self.acknowledged += 1
        self.slowest = max(self.slowest, self._time() - self._since)
        self._since = 0.0

    async def _tell(self, edge: str) -> None:
        async with self._news:
            self.edge = edge
            self._news.notify_all()


class Sound:
    """Takes media streams, and looks at the numbers of what comes."""

    def __init__(self) -> None:
        self.received = 0
        "Messages whose number was due."
        self.repeated = 0
        "Messages whose number had been there before."

    async def take(self, connection: ServerConnection) -> None:
        """Serve one stream."""
        due = 1
        async for message in connection:
            number = int(json.loads(message).get("sequenceNumber", 0))
            if number == due:
                due += 1
                self.received += 1
            elif 0 < number < due:
                self.repeated += 1
