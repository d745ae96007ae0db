"""All UDP sockets of a SIP listener: which one to send from, and who is not there.

An ICMP error names an address, and no request. So for each address the numbers of the
latest requests are kept; the error fails all of them that are still unanswered.
"""

import socket
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from protocols.sip.bound import Bound
from protocols.sip.datagrams import Datagrams
from protocols.sip.peers import Peer, Side
from protocols.target import Result, Target, Transport

ATTEMPTS = 256
"The latest requests to one address that an ICMP error fails."
PLACES = 2_048
"Addresses and ports that are remembered."

Place = tuple[str, int]
"An address and a port."


_Named = tuple[Side, str | None, bool, str | None]
"A side, an interface, whether it is IPv6, and the address that is bound; None for any."


class Hears(Protocol):
    """Who takes datagrams, and news of failures. Nothing of it may raise."""

    def datagram(self, data: bytes, source: Peer) -> None:
        """A datagram came."""

    def broken(self, attempts: Iterable[int], result: Result, detail: str) -> None:
        """These requests could not be sent."""


class _Way(NamedTuple):
    """How requests get to one target."""

    socket: Datagrams
    "The socket that they leave from."
    place: Place
    "Where they go."
    attempts: deque[int]
    "The latest of them, by number."


class Udp:
    """The sockets of both sides. A peer's `connection` is the number of its socket."""

    def __init__(self, hears: Hears, bound: Iterable[Bound]) -> None:
        """The sockets are its own from now on."""
        self._hears = hears
        self._bound: dict[socket.socket, tuple[int, Datagrams]] = {}
        self._sockets: dict[int, Datagrams] = {}
        self._named: dict[_Named, Datagrams] = {}
        self._ways: tuple[dict[str, _Way], dict[str, _Way]] = ({}, {})
        self._asked: dict[Place, deque[int]] = {}
        self._number = 0
        self.change(bound)

    def start(self) -> None:
        """Receive from now on."""
        for one in self._sockets.values():
            one.start()

    def change(self, bound: Iterable[Bound]) -> tuple[socket.socket, ...]:
        """Send requests from these sockets and no others; `start` is yet to follow.

        Returns the others: they receive, and send answers, until they are dropped.
        """
        wanted = {one.sock: one for one in bound}
        self._named.clear()
        for ways in self._ways:
            ways.clear()
        for sock, one in wanted.items():
            if sock not in self._bound:
                self._add(one.side, sock)
            address, datagrams = sock.getsockname()[0], self._bound[sock][1]
            kind = one.side, one.device, ":" in address
            self._named.setdefault((*kind, None), datagrams)
            self._named.setdefault((*kind, address), datagrams)
        return tuple(sock for sock in self._bound if sock not in wanted)

    def drop(self, sockets: Iterable[socket.socket]) -> None:
        """Close these; a request that one of them received is answered by nobody."""
        for sock in sockets:
            if sock in self._bound:
                number, datagrams = self._bound.pop(sock)
                del self._sockets[number]
                datagrams.close()

    def send(self, side: Side, target: Target, data: bytes, attempt: int) -> None:
        """Send a request; `Hears.broken` is told if it cannot be."""
        way = self._ways[side].get(target.key) or self._find(side, target)
        if way is None:
            words = "no UDP socket to send from"
        else:
            if attempt:
                way.attempts.append(attempt)
            words = way.socket.send(data, way.place)
        if words and attempt:
            self._hears.broken((attempt,), Result.REFUSED, words)

    def answer(self, peer: Peer, data: bytes) -> bool:
        """Send an answer from the socket that received; False if it cannot be."""
        way = self._sockets.get(peer.connection)
        return way is not None and not way.send(data, (peer.address, peer.port))

    def way_of(self, peer: Peer) -> tuple[str, str]:
        """The address that a peer's datagrams were sent to, and the interface that they
        came by; empty for what their socket does not tell."""
        socket = self._sockets.get(peer.connection)
        return socket.way if socket is not None else ("", "")

    def has_asked(self, address: str, port: int) -> bool:
        """Whether a request was sent there, so that answers are expected."""
        return (address, port) in self._asked

    def close(self) -> None:
        """Receive no more."""
        self.drop(self.change(()))

    @property
    def open(self) -> list[tuple[str, int]]:
        """Addresses and ports of all sockets, those that are yet to be dropped too."""
        return [sock.getsockname()[:2] for sock in self._bound]

    def _add(self, side: Side, sock: socket.socket) -> None:
        number, self._number = self._number, self._number + 1
        peers: dict[Place, Peer] = {}
        datagram = self._hears.datagram

        def received(data: bytes, source: Place) -> None:
            peer = peers.get(source)
            if peer is None:
                if len(peers) >= PLACES:
                    peers.clear()
                peer = peers[source] = Peer(side, Transport.UDP, *source, number)
            datagram(data, peer)

        datagrams = Datagrams(sock, received, self._unreachable)
        self._sockets[number] = datagrams
        self._bound[sock] = number, datagrams

    def _find(self, side: Side, target: Target) -> _Way | None:
        # A socket that is confined to an interface is for targets behind that alone.
        kind = side, target.device, ":" in target.address
        one = self._named.get((*kind, target.source))
        if one is None:
            return None
        if len(self._ways[side]) >= PLACES:
            self._ways[side].clear()
        place = (target.address, target.port)
        way = self._ways[side][target.key] = _Way(one, place, self._attempts(place))
        return way

    def _attempts(self, place: Place) -> deque[int]:
        attempts = self._asked.get(place)
        if attempts is None:
            if len(self._asked) >= PLACES:
                del self._asked[next(iter(self._asked))]
                for ways in self._ways:
                    ways.clear()  # they may hold what is no longer looked at
            attempts = self._asked[place] = deque(maxlen=ATTEMPTS)
        return attempts

    def _unreachable(self, address: str, port: int, detail: str) -> None:
        attempts = self._asked.get((address, port))
        if attempts:
            told = tuple(attempts)
            attempts.clear()
            self._hears.broken(told, Result.REFUSED, detail)
