"""A relay on real sockets between a raw client and scripted origins."""

import asyncio
import contextlib
import dataclasses
import functools
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from typing import Any, cast

import h11

from protocols.http.pool import Keeping
from protocols.http.relay import Relay
from protocols.http.shared import Deadlines, Pace
from protocols.net.dial import Dialled, dial
from protocols.net.handshake import Contexts
from protocols.net.tasks import Tasks
from protocols.record import FlowRecord
from protocols.target import Outcome, Result, Target, Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Script = Callable[["Visit"], Awaitable[None]]
"What an origin does with one connection."


class Visit:
    """One connection at an origin; requests are parsed by h11, not by our own code."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer
        self._h11 = h11.Connection(h11.SERVER)

    async def request(self) -> tuple[h11.Request, bytes] | None:
        """The next whole request, or None when the peer closed."""
        request, body = None, b""
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                data = await self.reader.read(65536)
                if not data and request is None:
                    return None
                self._h11.receive_data(data)
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                # So that h11 reads on: we answer by hand.
                self._h11.send(h11.Response(status_code=204, headers=[]))
                self._h11.send(h11.EndOfMessage())
                if self._h11.our_state is h11.DONE:
                    self._h11.start_next_cycle()
                return request, body
            else:
                return None

    def reset(self) -> None:
        """Break the connection with a RST."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@contextlib.contextmanager
def blackhole() -> Iterator[Target]:
    """A target that answers no SYN: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        yield Target("127.0.0.1", port, Transport.TCP, "o.test", label="black")


def answering(*answers: bytes) -> Script:
    """An origin that gives these answers in turn, the last one for ever."""

    async def script(visit: Visit) -> None:
        given = 0
        while await visit.request() is not None:
            visit.writer.write(answers[min(given, len(answers) - 1)])
            given += 1

    return script


class Origin:
    """A server that runs a script for each connection and keeps what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.visits: list[Visit] = []
        self.requests: list[tuple[h11.Request, bytes]] = []
        self.asked = asyncio.Event()
        self.visited = asyncio.Event()
        self.target: Target
        self._server: asyncio.Server

    async def open(
        self, label: str, patience: float, tls: ssl.SSLContext | None = None
    ) -> None:
        """Listen; with TLS, as edge.test."""
        self._server = await asyncio.start_server(self._visit, "127.0.0.1", 0, ssl=tls)
        name = "edge.test" if tls else ""
        self.target = Target(
            "127.0.0.1",
            self._server.sockets[0].getsockname()[1],
            Transport.TLS if tls else Transport.TCP,
            "o.test",
            server_name=name,
            verify_name=name,
            label=label,
            patience=patience,
        )

    async def close(self) -> None:
        """Refuse from now on; connections that stand are not touched."""
        self._server.close()

    async def end(self) -> None:
        """Break all connections, too."""
        self._server.close()
        for visit in self.visits:
            visit.writer.transport.abort()

    async def _visit(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        visit = Visit(reader, writer)
        self.visits.append(visit)
        self.visited.set()
        ask = visit.request

        async def request() -> tuple[h11.Request, bytes] | None:
            asked = await ask()
            if asked is not None:
                self.requests.append(asked)
                self.asked.set()
            return asked

        visit.request = request  # type: ignore[method-assign]
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await self.script(visit)
        with contextlib.suppress(ConnectionError):
            writer.close()


@dataclasses.dataclass
class Client:
    """A raw client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def transport(self) -> asyncio.Transport:
        """To stop reading, and to go on."""
        return cast("asyncio.Transport", self.writer.transport)

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)

    async def head(self) -> bytes:
        """The next head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def exactly(self, count: int) -> bytes:
        """So many bytes."""
        return await self.reader.readexactly(count)

    async def rest(self) -> bytes:
        """All until the end of the connection."""
        return await self.reader.read()

    async def ask(self, data: bytes) -> tuple[int, bytes]:
        """Send a request; status and body of its answer, which has a length."""
        self.send(data)
        head = await self.head()
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return int(head.split(b" ")[1]), await self.exactly(length)

    def close(self) -> None:
        """Leave."""
        self.writer.transport.abort()


@functools.cache
def _contexts() -> Contexts:
    return Contexts()  # loading the authorities of the system takes a while


class Stage:
    """The relay under test, and all that it told."""

    make: Callable[..., Any] = Relay
    "What makes the relay."
    relay: Relay

    def __init__(self, *origins: Origin, to_provider: bool, **options: Any) -> None:
        self.origins = origins
        self.records: list[FlowRecord] = []
        self.reports: list[tuple[str, Result]] = []
        self.refusals: list[tuple[int, str]] = []
        self.dials = 0
        self.dialling: asyncio.Event | None = None
        "What dials wait for, if given."
        self.told = asyncio.Event()
        self.tasks = Tasks()
        self.hidden: set[str] = set()
        self._clients: list[Client] = []
        self.contexts = _contexts()
        self.relay = self.make(
            "test",
            to_provider=to_provider,
            choose=self.choose,
            report=self.report,
            record=self._record,
            refused=lambda client, status, reason: self.refusals.append(
                (status, reason)
            ),
            dial=self._dial,
            tasks=self.tasks,
            loop=asyncio.get_running_loop(),
            **options,
        )

    def choose(self, tried: Collection[Target]) -> Target | None:
        """The first origin not tried and not hidden."""
        for origin in self.origins:
            target = origin.target
            if target not in tried and target.label not in self.hidden:
                return target
        return None

    def report(self, target: Target, outcome: Outcome) -> None:
        """What the relay says of its targets."""
        self.reports.append((target.label, outcome.result))
        self.told.set()

    def results(self, label: str) -> list[Result]:
        """The findings about one origin, in order."""
        return [result for name, result in self.reports if name == label]

    async def _dial(
        self, target: Target, factory: Callable[[], asyncio.BaseProtocol]
    ) -> Dialled:
        self.dials += 1
        self.told.set()
        if self.dialling is not None:
            await self.dialling.wait()
        return await dial(
            target,
            factory,
            contexts=self.contexts,
            connect_timeout=1.0,
            tls_timeout=1.0,
        )

    def _record(self, record: FlowRecord) -> None:
        self.records.append(record)
        self.told.set()

    async def recorded(self, count: int = 1) -> FlowRecord:
        """The record of that number, once it is there."""
        await self.until(lambda: len(self.records) >= count)
        return self.records[count - 1]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something the relay tells; the test's own time-out ends it."""
        while not condition():
            self.told.clear()
            await self.told.wait()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection."""
        return socket.socketpair()

    async def client(self) -> Client:
        """A new connection to the relay."""
        loop = asyncio.get_running_loop()
        ours, theirs = self.pair()
        theirs.setblocking(False)
        await loop.connect_accepted_socket(self.relay.connection, theirs)
        reader, writer = await asyncio.open_connection(sock=ours, limit=2**20)
        client = Client(reader, writer)
        self._clients.append(client)
        return client

    async def end(self) -> None:
        """Close everything."""
        self.relay.close()
        for client in self._clients:
            client.close()
        await self.tasks.close()
        for origin in self.origins:
            await origin.end()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def stage(
    *scripts: Script,
    to_provider: bool = True,
    patience: float = 5.0,
    **options: Any,
) -> AsyncIterator[Stage]:
    """A relay before origins `a`, `b`, ... with these scripts."""
    origins = [Origin(script) for script in scripts]
    for origin, label in zip(origins, "abcdefgh", strict=False):
        await origin.open(label, patience)
    options.setdefault("keeping", Keeping())
    options.setdefault("deadlines", Deadlines())
    options.setdefault("pace", Pace())
    scene = Stage(*origins, to_provider=to_provider, **options)
    try:
        yield scene
    finally:
        await scene.end()
