"""The sockets of a SIP listener, bound all or not at all."""

import socket
from collections.abc import Sequence
from typing import NamedTuple

from protocols.net import listen
from protocols.net.listen import BindError, Take, nothing
from protocols.sip import datagrams
from protocols.sip.peers import Side
from protocols.target import Transport


class Wanted(NamedTuple):
    """An address to listen on."""

    side: Side
    "Who is to reach it."
    transport: Transport
    "What is spoken there."
    address: str
    "IP address, as a literal."
    port: int
    "Port; 0 for any."


class Bound(NamedTuple):
    """A socket that is bound, and waits."""

    side: Side
    "Who reaches it."
    transport: Transport
    "What is spoken there."
    sock: socket.socket
    "The socket."


def bind(wanted: Sequence[Wanted], take: Take = nothing) -> list[Bound]:
    """Sockets for all these addresses in their order, or BindError and none."""
    bound: list[Bound] = []
    try:
        for one in wanted:
            if one.transport is Transport.UDP:
                found = take(socket.SOCK_DGRAM, one.address, one.port)
                sock = datagrams.bind(one.address, one.port, found)
            else:
                (sock,) = listen.bind([(one.address, one.port)], take)
            bound.append(Bound(one.side, one.transport, sock))
    except BindError:
        for other in bound:
            other.sock.close()
        raise
    return bound
