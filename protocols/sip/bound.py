"""The sockets of a SIP listener, bound all or not at all."""

import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from protocols.net import listen
from protocols.net.devices import is_confined
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
    device: str | None = None
    "The only interface by which packets come and leave; None for any."


class Bound(NamedTuple):
    """A socket that is bound, and waits."""

    side: Side
    "Who reaches it."
    transport: Transport
    "What is spoken there."
    sock: socket.socket
    "The socket."
    device: str | None = None
    "The only interface by which packets come and leave; None for any."

    @property
    def is_true(self) -> bool:
        """Whether the kernel sees its interface as it is now."""
        return is_confined(self.sock, self.device)


Held = Mapping[tuple[Transport, str, int], socket.socket]
"Sockets of ours, by what is spoken there, address and port."


def bind(
    wanted: Sequence[Wanted],
    take: Take = nothing,
    held: Held = {},  # noqa: B006 - nobody changes it
) -> list[Bound]:
    """Sockets for all these addresses in their order, or BindError and none.

    They may be bound beside those that are `held`.
    """
    bound: list[Bound] = []
    try:
        for one in wanted:
            sock = _bind(one, take, held)
            bound.append(Bound(one.side, one.transport, sock, one.device))
    except BindError:
        for other in bound:
            other.sock.close()
        raise
    return bound


def _bind(one: Wanted, take: Take, held: Held) -> socket.socket:
    is_udp = one.transport is Transport.UDP
    kind = socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM
    came = take(kind, one.address, one.port)
    if came is None or is_confined(came, one.device):
        beside = held.get((one.transport, one.address, one.port))
        return _made(one, came, beside)
    # It was bound for another interface, or for one that has been made anew since.
    with came:
        return _made(one, None, came)


def _made(
    one: Wanted, came: socket.socket | None, beside: socket.socket | None
) -> socket.socket:
    place = one.address, one.port
    if beside is not None:
        place = beside.getsockname()[:2]
    if one.transport is Transport.UDP:
        return datagrams.bind(*place, came, device=one.device, beside=beside)
    if came is not None:
        (sock,) = listen.bind([place], lambda *_: came)
        return sock
    return listen.bind_confined(*place, one.device, beside)
