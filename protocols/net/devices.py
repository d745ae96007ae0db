"""Sockets that are confined to one interface, so that no packet takes another way.

The kernel keeps to it, whatever becomes of routes. It remembers an interface by its
number, though: one that was taken away and made again is another one. Without
privileges a socket can be confined once; after that it takes a new one in its place.
"""

import contextlib
import socket
from collections.abc import Iterator

LOOPBACK = "lo"
"Where sockets are confined to while their interface is not there: nothing leaves."

_FREEBIND = {
    socket.AF_INET: (socket.IPPROTO_IP, 15),  # linux/in.h
    socket.AF_INET6: (socket.IPPROTO_IPV6, 78),  # linux/in6.h
}
_BOUND_TO_INDEX = 62  # SO_BINDTOIFINDEX in asm-generic/socket.h, since Linux 5.0


def confine(sock: socket.socket, device: str) -> None:
    """Have packets leave by the interface of this name only, and come by it.

    socket(7), SO_BINDTODEVICE; since Linux 5.7 without privileges, as long as the
    socket is not confined already. Raises OSError, for want of the interface ENODEV.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())


def confine_or_silence(sock: socket.socket, device: str) -> None:
    """Confine a socket; to loopback as long as there is no such interface.

    It may be bound to an address that is not there either (ip(7), IP_FREEBIND). Raises
    OSError.
    """
    sock.setsockopt(*_FREEBIND[sock.family], 1)
    confine(sock, device if _index(device) else LOOPBACK)


def is_confined(sock: socket.socket, device: str | None) -> bool:
    """Whether a socket is confined to that interface, as it is now; for None, to none.

    While there is no such interface, it is to be loopback.
    """
    try:
        bound = sock.getsockopt(socket.SOL_SOCKET, _BOUND_TO_INDEX)
    except OSError:
        return device is None  # a kernel that cannot say: it is bound anew if need be
    if device is None:
        return bound == 0
    return bound == (_index(device) or _index(LOOPBACK)) != 0


@contextlib.contextmanager
def side_by_side(old: socket.socket | None, new: socket.socket) -> Iterator[None]:
    """Let a new socket be bound, and listen, where an old one of ours does already.

    socket(7), SO_REUSEPORT: nobody else's can join, and nobody of ours later on.
    """
    both = () if old is None else (old, new)
    for sock in both:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        yield
    finally:
        for sock in both:
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)


def _index(device: str) -> int:
    try:
        return socket.if_nametoindex(device)
    except OSError:
        return 0
