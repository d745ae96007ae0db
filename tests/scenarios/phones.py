"""Voice clients for scenarios: they speak the provider's signalling, and keep count."""

import itertools
import json

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from simulator.messages import Messages
from simulator.provider import Provider
from tests.scenarios.sockets import dial
from tests.stage import HUSH, Site

_numbers = itertools.count(1)


class Phone:
    """A client on one WebSocket; `ring` makes one."""

    def __init__(self, connection: ClientConnection, marker: str) -> None:
        self.connection = connection
        self.marker = marker
        "By which the provider's ledger knows the WebSocket."
        self.edge = ""
        "The edge that answered, by its own word."
        self.sent, self.received = Messages(), Messages()
        self._acknowledged = 0

    async def send(self, kind: str, **payload: object) -> None:
        """Say something."""
        text = json.dumps({"type": kind, "version": "1.6", "payload": payload})
        self.sent.add(text)
        await self.connection.send(text)

    async def hear(self, kind: str) -> dict[str, str]:
        """The next thing that is told, which has to be of this kind."""
        while True:
            text = await self.connection.recv()
            assert isinstance(text, str)
            self.received.add(text)
            if text != "\n":
                break
            self.sent.add("\n")
            await self.connection.send("\n")
        told = json.loads(text)
        assert told["type"] == kind, text
        payload: dict[str, str] = told["payload"]
        return payload

    async def talk(self, messages: int) -> None:
        """Send messages, and have each acknowledged."""
        for _ in range(messages):
            self._acknowledged += 1
            name = f"KX{self._acknowledged}"
            await self.send("message", callsid="CA1", voiceeventsid=name)
            assert (await self.hear("ack"))["voiceeventsid"] == name

    async def end(self) -> int | None:
        """Wait for the end: the code of the Close; None without one."""
        try:
            while True:
                await self.connection.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None

    async def end_of_talk(self) -> None:
        """Close, and take in what was told meanwhile."""
        await self.connection.close()
        try:
            while True:
                text = await self.connection.recv()
                assert isinstance(text, str)
                self.received.add(text)
        except ConnectionClosed:
            pass

    async def hang_up(self, provider: Provider) -> None:
        """Close; each message must have arrived at either side as it was sent."""
        await self.connection.close()
        closed = await provider.ledger.wait("closed", marker=self.marker)
        assert closed.code == 1000, closed
        for event, ours in (("received", self.sent), ("sent", self.received)):
            (theirs,) = provider.ledger.events(event, marker=self.marker)
            assert (theirs.messages, theirs.digest) == (ours.count, ours.digest)


async def ring(port: int, place: Site) -> Phone:
    """A client whose WebSocket through the daemon is open."""
    marker = f"phone-{next(_numbers)}"
    headers = {"Idempotency-Key": marker}
    connection = await dial(port, place, "/signal", additional_headers=headers)
    phone = Phone(connection, marker)
    await phone.send("listen", token=HUSH)
    phone.edge = (await phone.hear("connected"))["edge"]
    return phone
