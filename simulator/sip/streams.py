"""SIP on connections: those that came, and those that an edge address dials itself."""

import asyncio
import dataclasses
import socket
import ssl
from collections.abc import Callable
from typing import cast

from simulator.delay import Connection
from simulator.faults import Fault
from simulator.front import Site
from simulator.sip.framing import PING, PONG, Framer
from simulator.sip.transaction import Path
from simulator.tasks import Tasks

Deliver = Callable[[bytes, Path], object]
"Takes one message and the way back; an empty one for bytes that are none."


class Stream(asyncio.Protocol):
    """One connection, as messages."""

    def __init__(
        self,
        transport: str,
        near: tuple[str, int],
        far: tuple[str, int] | None,
        deliver: Deliver,
        *,
        edge: str = "",
        closed: Callable[["Stream"], None] = lambda _: None,
    ) -> None:
        """Deliver what comes; what is sent before there is a connection, waits.

        Without `far` it is the address of whoever connects.
        """
        self.path = Path(transport, near, far or ("", 0), self.send, edge)
        self._deliver = deliver
        self._closed = closed
        self._framer = Framer()
        self._waiting: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._over = False

    def send(self, data: bytes) -> None:
        """Send bytes, now or once connected; none after the end."""
        if self._transport is not None:
            self._transport.write(data)
        elif not self._over:
            self._waiting.append(data)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
        else:
            self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what waited."""
        self._transport = cast(asyncio.Transport, transport)
        if not self.path.far[1]:
            far = transport.get_extra_info("peername")[:2]
            self.path = dataclasses.replace(self.path, far=far)
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._transport = None
        if not self._over:
            self._over = True
            self._closed(self)

    def data_received(self, data: bytes) -> None:
        """Cut into messages; answer keep-alives."""
        try:
            for one in self._framer.feed(data):
                if one == PING:
                    self.send(PONG)
                else:
                    self._deliver(one, self.path)
        except ValueError:
            self._deliver(b"", self.path)
            self.abort()


class Dialler:
    """Connections from one edge address to SIP listeners elsewhere."""

    def __init__(
        self,
        site: Site,
        address: str,
        port: int,
        deliver: Deliver,
        failed: Callable[[Path], None],
        trust: Callable[[], ssl.SSLContext | None],
    ) -> None:
        """Dial from `address`; `port` is where it can be dialled itself.

        `trust` gives the context for TLS; None makes a call over TLS fail.
        """
        self.transport = site.transport
        self._site = site
        self._near = (address, port)
        self._deliver = deliver
        self._failed = failed
        self._trust = trust
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks()
        self._fault: Fault | None = None
        self._streams: dict[tuple[str, int], Stream] = {}
        self._connections: set[Connection] = set()

    def path(self, far: tuple[str, int]) -> Path:
        """The way to a listener: the connection there is, or a new one."""
        stream = self._streams.get(far)
        if stream is None:
            stream = Stream(
                self.transport,
                self._near,
                far,
                self._deliver,
                edge=self._site.edge,
                closed=self._gone,
            )
            self._streams[far] = stream
            self._tasks.start(self._dial(stream))
        return stream.path

    def apply(self, fault: Fault | None) -> None:
        """Put a fault into effect, in place of the former one."""
        self._fault = fault
        for connection in tuple(self._connections):
            self._obey(connection)

    async def stop(self) -> None:
        """Close every connection."""
        for connection in tuple(self._connections):
            connection.abort()
        for stream in tuple(self._streams.values()):
            stream.abort()
        await self._tasks.finish()

    def _obey(self, connection: Connection) -> None:
        fault = self._fault
        if fault in (Fault.RESET, Fault.KILL):
            connection.abort()
        else:
            held = fault in (Fault.FREEZE, Fault.BLACKHOLE)
            connection.hold(held, mute=fault is Fault.MUTE)

    def _gone(self, stream: Stream) -> None:
        if self._streams.get(stream.path.far) is stream:
            del self._streams[stream.path.far]
        self._failed(stream.path)

    async def _dial(self, stream: Stream) -> None:
        """Join a new connection with the stream, through the delay line and TLS."""
        context = self._trust() if self.transport == "tls" else None
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        connection = Connection(self._site.line, accepted=self._loop.time())
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.bind((self._near[0], 0))
            await self._loop.sock_connect(sock, stream.path.far)
            if self.transport == "tls" and context is None:
                raise ConnectionError("no authority to trust")
            near, far = socket.socketpair()
        except OSError as error:
            sock.close()
            self._fail(stream, error)
            return
        self._connections.add(connection)
        connection.done.add_done_callback(
            lambda _: self._connections.discard(connection)
        )
        await self._loop.create_unix_connection(lambda: connection.inner, sock=near)
        await self._loop.create_connection(lambda: connection.outer, sock=sock)
        connection.settle()
        self._obey(connection)
        try:
            await self._loop.create_unix_connection(
                lambda: stream,
                sock=far,
                ssl=context,
                server_hostname=None if context is None else stream.path.far[0],
            )
        except OSError as error:
            self._fail(stream, error)

    def _fail(self, stream: Stream, error: OSError) -> None:
        self._site.ledger.record(
            "dial-failed",
            edge=self._site.edge,
            address=self._near[0],
            transport=self.transport,
            source=stream.path.source,
            detail=str(error),
        )
        stream.abort()
