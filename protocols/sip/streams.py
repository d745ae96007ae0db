"""All stream connections of a SIP listener: found, dialled, reused, given up.

A connection that we dialled serves for all requests to its target. One that the site
made serves for answers and for the requests of its dialogs; for new ones only by the
rule of RFC 5923: its far side must have asked for it. On the side of the provider
nobody is known by a certificate, so there we always dial.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from protocols.net.dial import DialError, dial
from protocols.net.handshake import Contexts
from protocols.net.tasks import Tasks
from protocols.sip.connection import Connection, Patience
from protocols.sip.headers import parse_via
from protocols.sip.message import Message, MessageError
from protocols.sip.peers import Peer, Side
from protocols.sip.token import Hop
from protocols.target import Result, Target, Transport

DIALLED = 1_024
"Connections of our own making at once."
PONGING = 4_096
"Targets that are known to answer pings."


class Listens(Protocol):
    """Who takes messages, and news of failures. Nothing of it may raise."""

    def received(self, message: Message, source: Peer, asked: bool) -> None:
        """A message came; `asked` tells whether on a connection of our making."""

    def garbled(
        self, source: Peer, error: MessageError, refused: Message | None
    ) -> bytes:
        """What came is no message. Returns what to answer, empty for nothing."""

    def broken(self, attempts: Iterable[int], result: Result, detail: str) -> None:
        """These requests could not be sent, or can no longer be answered."""


Sources = Callable[[Side, Target], str | None]
"The local address to dial a target from on a side; None if there is none to use."


class Streams:
    """The connections of both sides. Numbers of connections begin at 1."""

    def __init__(
        self,
        listens: Listens,
        contexts: Mapping[Side, Contexts],
        sources: Sources,
        *,
        tasks: Tasks,
        loop: asyncio.AbstractEventLoop,
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> None:
        """`sources` gives the local address to dial from."""
        self._listens = listens
        self._contexts = contexts
        self._sources = sources
        self._tasks = tasks
        self._loop = loop
        self._patience = patience
        self._number = 0
        self._all: dict[int, Connection] = {}
        self._dialled: dict[str, Connection] = {}
        self._named: dict[tuple[Transport, str, int], Connection] = {}
        self._ponging: dict[str, None] = {}
        self._closed = False

    def change(self, contexts: Mapping[Side, Contexts], sources: Sources) -> None:
        """Dial this way from now on; connections that stand go on.

        Those that could not be dialled any more are ended by the next look.
        """
        self._contexts = contexts
        self._sources = sources

    def accepting(self, side: Side, kind: Transport) -> Callable[[], Connection]:
        """Makes the protocol of connections that are accepted on a side."""
        return lambda: self._new(side, kind)

    def send(self, side: Side, target: Target, data: bytes, attempt: int) -> bool:
        """Send a message, on a new connection if there is none; it never waits.

        False if it cannot be sent; `Listens.broken` is told of it, too, if it has a
        number, and of all that is lost later on.
        """
        connection = self.find(side, target)
        result = Result.TIMEOUT
        try:
            if connection is None:
                connection = self._dial(side, target)
            words = connection.send(data, attempt)
        except DialError as error:
            result, words = error.result, error.detail
        if words and attempt:
            self._listens.broken((attempt,), result, words)
        return not words

    def answer(self, peer: Peer, data: bytes) -> bool:
        """Send an answer where its request came from; False if that is gone."""
        connection = self._all.get(peer.connection)
        return connection is not None and not connection.send(data)

    def find(self, side: Side, target: Target) -> Connection | None:
        """The connection that a request to a target would take; maybe not yet up."""
        connection = self._dialled.get(target.key)
        if connection is None and side is Side.SITE:
            connection = self._found(target)
        if connection is not None and connection.is_closing:
            self.gone(connection, "connection closed")
            return None
        return connection

    def standing(self, hop: Hop) -> int:
        """The port that a connection of the site comes from which a hop made.

        Or else of one whose first request named the hop's own address and port: the
        same far side has connected again. 0 if there is none.
        """
        for port in (hop.flow, hop.port):
            connection = self._named.get((hop.transport, hop.address, port))
            if connection is not None and not connection.is_closing:
                return connection.peer.port
        return 0

    def look(self, now: float) -> None:
        """Give up what takes too long by `now`, and send pings; for every second."""
        for connection in list(self._all.values()):
            detail = connection.overdue(now) or self._unwanted(connection)
            if detail:
                self.gone(connection, detail)
                connection.abort()
            elif connection.pongs and connection.target is not None:
                self._note_ponging(connection.target.key)

    def close(self) -> None:
        """End all, once what was written is sent."""
        self._closed = True
        for connection in list(self._all.values()):
            connection.close()

    def __len__(self) -> int:
        """Connections that stand, or are dialled."""
        return len(self._all)

    # ---- What connections tell -----------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A connection stands."""
        if self._closed:  # it was accepted before the end, and in its handshake since
            connection.close()
        self._all[connection.number] = connection
        if connection.side is Side.SITE and connection.target is not None:
            self._name(connection, connection.peer.port)

    def heard(self, connection: Connection, messages: list[Message]) -> None:
        """Messages came."""
        if connection.side is Side.SITE and not connection.names:
            self._note_names(connection, messages[0])
        asked = connection.target is not None
        for message in messages:
            self._listens.received(message, connection.peer, asked)

    def garbled(self, connection: Connection) -> None:
        """What came is no message."""
        stream = connection.stream
        assert stream.error is not None, "it is why this was called"
        data = self._listens.garbled(connection.peer, stream.error, stream.refused)
        if data:
            connection.send(data)
        self._end(connection, Result.BAD_ANSWER, stream.error.reason)

    def gone(self, connection: Connection, detail: str) -> None:
        """A connection is over, or as good as that."""
        self._end(connection, Result.RESET, detail)

    # ---- Dialling ------------------------------------------------------------------

    def _new(
        self, side: Side, kind: Transport, target: Target | None = None
    ) -> Connection:
        self._number += 1
        return Connection(
            self, self._number, side, kind, self._patience, self._loop, target
        )

    def _dial(self, side: Side, target: Target) -> Connection:
        """A connection that will stand soon, or fail. Raises DialError."""
        if len(self._dialled) >= DIALLED or self._closed:
            raise DialError(Result.TIMEOUT, "too many connections", "connect")
        if target.transport is Transport.TLS and not target.verify_name:
            raise DialError(Result.TIMEOUT, "no name to verify", "tls")
        source = self._source(side, target)
        if source is None:
            # As over UDP: what came back to us would be for nobody.
            detail = "no address of its family is bound"
            raise DialError(Result.REFUSED, detail, "connect")
        connection = self._new(side, target.transport, target)
        connection.pongs = target.key in self._ponging
        self._all[connection.number] = self._dialled[target.key] = connection
        target = dataclasses.replace(target, source=source)
        self._tasks.start(self._connect(connection, target), name=f"dial {target}")
        return connection

    def _source(self, side: Side, target: Target) -> str | None:
        """The local address to dial from; None if there is none for this target."""
        return target.source or self._sources(side, target)

    def _unwanted(self, connection: Connection) -> str:
        """Why a connection that stands may not any more; empty if it may."""
        target = connection.target
        if target is None or not connection.stands:
            return ""
        if self._source(connection.side, target) is not None:
            return ""
        return "nothing is bound for it any more"

    async def _connect(self, connection: Connection, target: Target) -> None:
        seconds = self._patience.connect
        try:
            async with asyncio.timeout(seconds):
                dialled = await dial(
                    target,
                    lambda: connection,
                    contexts=self._contexts[connection.side],
                    connect_timeout=seconds,
                    tls_timeout=seconds,
                )
        except DialError as error:
            self._end(connection, error.result, error.detail)
        except TimeoutError:
            detail = f"no connection within {seconds:g} s"
            self._end(connection, Result.TIMEOUT, detail)
            connection.abort()
        else:
            connection.connect_seconds = dialled.connect_seconds
            if self._closed:
                connection.close()

    def _end(self, connection: Connection, result: Result, detail: str) -> None:
        """Forget a connection, and tell whose requests were on it."""
        if self._all.pop(connection.number, None) is None:
            return
        if connection.target is not None:
            del self._dialled[connection.target.key]
        for name in connection.names:
            if self._named.get(name) is connection:
                del self._named[name]
        if connection.attempts:
            self._listens.broken(tuple(connection.attempts), result, detail)

    # ---- Reuse ---------------------------------------------------------------------

    def _found(self, target: Target) -> Connection | None:
        """The connection of the site that comes from where a target is, or is an alias.

        One that verified another name, or none, is not for a target with a name.
        """
        named = self._named.get((target.transport, target.address, target.port))
        if named is None or named.is_alias:
            return named
        is_it = named.peer.port == target.port and not target.verify_name
        return named if is_it else None

    def _note_names(self, connection: Connection, message: Message) -> None:
        """Let a PBX have requests on the connection that it made.

        RFC 5923 section 5 wants proof by certificate of who asks. Within the networks
        of the site its address stands for that: the port in its Via is all that is
        taken on trust.
        """
        self._name(connection, connection.peer.port)
        try:
            via = parse_via(message.first(b"via") or b"")
        except MessageError:
            return
        if not message.method:
            return
        connection.is_alias = b"alias" in via.parameters
        own = via.host.decode("latin-1") == connection.peer.address
        if connection.is_alias or own:
            default = 5061 if connection.kind is Transport.TLS else 5060
            self._name(connection, via.port or default)

    def _name(self, connection: Connection, port: int) -> None:
        name = (connection.kind, connection.peer.address, port)
        connection.names.append(name)
        self._named[name] = connection

    def _note_ponging(self, key: str) -> None:
        if len(self._ponging) >= PONGING:
            self._ponging.clear()
        self._ponging[key] = None


def dials_from(bound: Iterable[tuple[Side, Transport, str, str | None]]) -> Sources:
    """Dial from the address that is listened on, as a provider may know us by it.

    That of the same transport, as the far side is told to send there; and of the same
    interface, where a socket is confined to one.
    """
    found: dict[tuple[Side, str | None, bool, Transport | None], str] = {}
    for side, transport, address, device in bound:
        found.setdefault((side, device, ":" in address, transport), address)
        found.setdefault((side, device, ":" in address, None), address)

    def source(side: Side, target: Target) -> str | None:
        place = side, target.device, ":" in target.address
        return found.get((*place, target.transport)) or found.get((*place, None))

    return source
