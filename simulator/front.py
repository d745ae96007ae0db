"""The TCP front of one edge address: accepts, misbehaves as ordered, hands on.

Behind each accepted connection stands a pair of sockets within this process: the
delay line works on its near end, TLS and the service on its far end.
"""

import asyncio
import dataclasses
import socket
import ssl
from collections.abc import Callable

from simulator.certificates import NamedTLS
from simulator.delay import Connection, Line, linger_not
from simulator.faults import CERTIFICATES, Fault, Place
from simulator.ledger import Ledger
from simulator.tasks import Tasks

BACKLOG = 512
"Connections that the kernel holds until they are accepted."

MOST = 4096
"Connections at one address beyond which new ones are reset."

PATIENCE = 600.0
"Seconds for a TLS handshake: long, since a frozen edge never gives up."


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """One accepted connection, as the service behind sees it."""

    edge: str
    "Edge at which it arrived."
    address: str
    "Address at which it arrived."
    source: str
    "Far address and port."
    places: tuple[Place, ...]
    "Where faults may be at work: the address, then the edge."
    connection: Connection
    "The connection itself."
    transport: str
    "What is spoken there."


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """What all fronts of one edge have in common."""

    edge: str
    "Name of the edge."
    line: Line
    "How far away it is."
    sources: tuple[str, ...]
    "Source addresses that it answers; empty for all."
    accept: Callable[[Arrival], asyncio.Protocol]
    "What stands behind: gives the protocol of a new connection."
    context: Callable[[str, Fault | None], ssl.SSLContext] | None
    "The TLS context for an edge, its certificate flawed or not; None without TLS."
    ledger: Ledger
    "Where events are noted."
    transport: str = "https"
    "What is spoken here: `https`, or a transport of SIP."


class Front:
    """One listening socket and the connections that came through it."""

    def __init__(
        self, site: Site, address: str, port: int, places: tuple[Place, ...]
    ) -> None:
        """Bind, but do not listen yet; raises OSError."""
        self.address = address
        self.port = port
        self.transport = site.transport
        self._site = site
        self._places = places
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks()
        self._connections: set[Connection] = set()
        self._plug: socket.socket | None = None
        self._plug_source: tuple[str, int] | None = None
        self._listening = False
        self._accepting = False
        self._fault: Fault | None = None
        self._listener = socket.socket(
            socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK
        )
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What is accepted inherits it; asyncio sets it only on sockets that were made
        # by the number of TCP, and otherwise answers wait for the client's ACK.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._listener.bind((address, port))
        except OSError:
            self._listener.close()
            raise

    def apply(self, fault: Fault | None) -> None:
        """Put a fault into effect, in place of the former one."""
        self._fault = fault
        held = fault in (Fault.FREEZE, Fault.BLACKHOLE)
        if fault in (Fault.REFUSE, Fault.KILL):
            self._refuse()
        elif fault is Fault.BLACKHOLE:
            self._plug_up()
        else:
            self._listen()
        for connection in tuple(self._connections):
            if fault in (Fault.RESET, Fault.KILL):
                connection.abort()
            else:
                connection.hold(held, mute=fault is Fault.MUTE)

    async def stop(self) -> None:
        """Close the port and every connection, and wait until they are gone."""
        self._unplug()
        self._ignore()
        self._listener.close()
        gone = [connection.done for connection in self._connections]
        for connection in tuple(self._connections):
            connection.abort()
        await self._tasks.finish()
        await asyncio.gather(*gone)

    def _listen(self) -> None:
        self._unplug()
        self._listener.listen(BACKLOG)
        self._listening = True
        if not self._accepting:
            self._accepting = True
            self._loop.add_reader(self._listener, self._accept)

    def _ignore(self) -> None:
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._listener)

    def _refuse(self) -> None:
        self._unplug()
        self._ignore()
        if self._listening:
            self._listening = False
            # Linux: a listener that was shut down keeps its port and refuses, until
            # it listens again; closing it would let others take the port.
            self._listener.shutdown(socket.SHUT_RD)

    def _plug_up(self) -> None:
        """Fill the accept queue with a connection of our own.

        Linux drops every SYN to a listener whose queue is full. To drop packets
        otherwise takes privileges.
        """
        if self._plug is not None:
            return
        self._ignore()
        self._listener.listen(0)
        self._listening = True
        self._plug = socket.socket(
            socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK
        )
        self._plug.connect_ex((self.address, self.port))
        self._plug_source = self._plug.getsockname()

    def _unplug(self) -> None:
        if self._plug is not None:
            self._plug.close()
            self._plug = None

    def _accept(self) -> None:
        try:
            sock, source = self._listener.accept()
        except OSError:
            # It has gone again, or descriptors are used up: the loop comes back.
            return
        if source == self._plug_source:
            sock.close()
            return
        sock.setblocking(False)
        origin = f"{source[0]}:{source[1]}"
        if self._fault is Fault.RESET or len(self._connections) >= MOST:
            self._note("reset", origin)
            linger_not(sock)
            sock.close()
        elif self._site.sources and source[0] not in self._site.sources:
            self._note("unannounced", origin)
            self._tasks.start(self._ignore_client(sock, self._connection(mute=True)))
        elif self._fault is Fault.STALL:
            self._note("stalled", origin)
            self._tasks.start(self._ignore_client(sock, self._connection(mute=True)))
        else:
            self._note("accepted", origin)
            self._tasks.start(self._serve(sock, origin, self._connection(mute=False)))

    def _connection(self, *, mute: bool) -> Connection:
        connection = Connection(
            self._site.line, accepted=self._loop.time(), half_open=not mute
        )
        held = self._fault in (Fault.FREEZE, Fault.BLACKHOLE)
        connection.hold(held, mute=self._fault is Fault.MUTE)
        self._connections.add(connection)
        connection.done.add_done_callback(
            lambda _: self._connections.discard(connection)
        )
        return connection

    async def _ignore_client(self, sock: socket.socket, connection: Connection) -> None:
        """Read and never answer: what comes leads nowhere."""
        await self._loop.connect_accepted_socket(lambda: connection.outer, sock)
        connection.settle()

    async def _serve(
        self, sock: socket.socket, source: str, connection: Connection
    ) -> None:
        """Join a client with the service, through the delay line and TLS."""
        site = self._site
        try:
            near, far = socket.socketpair()
        except OSError as error:
            sock.close()
            connection.settle()
            self._note("exhausted", source, str(error))
            return
        arrival = Arrival(
            site.edge, self.address, source, self._places, connection, site.transport
        )
        flaw = self._fault if self._fault in CERTIFICATES else None
        context = None if site.context is None else site.context(site.edge, flaw)
        await self._loop.create_unix_connection(lambda: connection.inner, sock=near)
        await self._loop.connect_accepted_socket(lambda: connection.outer, sock)
        connection.settle()
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: site.accept(arrival),
                far,
                ssl=context,
                ssl_handshake_timeout=None if context is None else PATIENCE,
            )
        except OSError as error:
            # Among them ssl.SSLError and TimeoutError: the client's fault, or a
            # certificate that it does not like.
            self._note("tls-failed", source, str(error))
            return
        if context is None:
            return
        session = transport.get_extra_info("ssl_object")
        assert isinstance(session, NamedTLS)
        site.ledger.record(
            "tls",
            edge=site.edge,
            address=self.address,
            transport=site.transport,
            source=source,
            server_name=session.server_name,
            detail=f"{session.version()} "
            f"{'resumed' if session.session_reused else 'full'} "
            f"{session.selected_alpn_protocol() or 'no alpn'}",
        )

    def _note(self, event: str, source: str, detail: str = "") -> None:
        self._site.ledger.record(
            event,
            edge=self._site.edge,
            address=self.address,
            transport=self.transport,
            source=source,
            round_trip=self._site.line.round_trip,
            detail=detail,
        )
