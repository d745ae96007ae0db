"""One bound UDP socket that learns of ICMP errors.

The socket is read by ourselves: on a socket that is not connected, Linux tells of ICMP
errors only through its error queue (IP_RECVERR), which no event loop reads. With that
option uvloop's own datagram transports crash, and its readers stop at the first error;
so the loop watches an epoll descriptor in between, which never has errors of its own.
"""

import asyncio
import errno
import os
import select
import socket
import struct
from collections.abc import Callable

from protocols.net.devices import confine_or_silence, side_by_side
from protocols.net.listen import BindError
from protocols.net.sockets import device, family, words

BATCH = 16
"Datagrams that are read before others have their turn."

RECEIVE_BUFFER = 4 << 20
"Bytes that may wait in the kernel; the system may lower it."

Received = Callable[[bytes, tuple[str, int]], None]
"Take a datagram, with the address and port that it came from. Never raises."

Unreachable = Callable[[str, int, str], None]
"Take that nobody is at an address and port, and why, in words. Never raises."

_LARGEST = 65_535
_RCVBUFFORCE = 33  # asm-generic/socket.h
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11)} | {
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25)
}
_ERROR = struct.Struct(
    "=IBBB"
)  # of struct sock_extended_err: errno, origin, type, code
# RFC 3261 section 18.4: "host, network, port or protocol unreachable errors, or
# parameter problem errors SHOULD cause the transport layer to inform the transport
# user of a failure in sending." Others, such as TTL exceeded, are to be ignored.
_TELLING = frozenset(((2, 3), (2, 12), (3, 1), (3, 4)))  # (origin, type): ICMP, ICMPv6


def bind(
    address: str,
    port: int,
    found: socket.socket | None = None,
    *,
    device: str | None = None,
    beside: socket.socket | None = None,
) -> socket.socket:
    """A bound UDP socket, be it one that was bound before, or BindError.

    A new one is confined to the interface `device`, which need not be there yet;
    `beside` is one of ours at that place.
    """
    sock = found or socket.socket(family(address), socket.SOCK_DGRAM)
    try:
        enlarge(sock)
        sock.setsockopt(*_RECVERR[sock.family], 1)
        sock.setblocking(False)
        if found is None:
            if sock.family is socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if device is not None:
                confine_or_silence(sock, device)
            with side_by_side(beside, sock):
                sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise BindError(address, port, words(error)) from None
    return sock


def enlarge(sock: socket.socket) -> None:
    """Have at least RECEIVE_BUFFER bytes wait for us, as far as the system lets us."""
    if room(sock) < RECEIVE_BUFFER:
        try:
            sock.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, RECEIVE_BUFFER)
        except OSError:  # needs CAP_NET_ADMIN
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def room(sock: socket.socket) -> int:
    """Bytes that may wait, as they are asked for: the kernel tells twice as much."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


class Datagrams:
    """Receives and sends on one socket, which it owns, until it is closed."""

    def __init__(
        self, sock: socket.socket, received: Received, unreachable: Unreachable
    ) -> None:
        """Must be called within the event loop; receives nothing before `start`."""
        self._sock = sock
        self._received = received
        self._unreachable = unreachable
        self._sendto = sock.sendto
        self._recvfrom = sock.recvfrom
        self._is_ipv6 = sock.family is socket.AF_INET6
        self.way = sock.getsockname()[0], device(sock)
        "The address that it is bound to; the only interface, if there is but one."
        self._epoll = select.epoll()
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._loop = asyncio.get_running_loop()
        self.lost = 0
        "Datagrams not sent, since the system had no room for them."

    def start(self) -> None:
        """Receive from now on."""
        self._loop.add_reader(self._epoll.fileno(), self._read)

    def send(self, data: bytes, place: tuple[str, int]) -> str:
        """Send a datagram to an address and port.

        Returns in words why it cannot be sent; empty if it is. What a system without
        buffers loses is no failure: that is what retransmissions are for.
        """
        try:
            self._sendto(data, place)
        except BlockingIOError:
            self.lost += 1
        except OSError:
            return self._send_again(data, place)
        return ""

    def close(self) -> None:
        """Receive no more."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._sock.close()

    def _send_again(self, data: bytes, place: tuple[str, int]) -> str:
        """The error may have been that of an earlier datagram, to somebody else."""
        self._read_errors()
        try:
            self._sendto(data, place)
        except BlockingIOError:
            self.lost += 1
        except OSError as error:
            return words(error)
        return ""

    def _read(self) -> None:
        for number in range(BATCH):
            try:
                data, source = self._recvfrom(_LARGEST)
            except BlockingIOError:
                # With errors in its queue alone, the socket looks readable, too.
                if not number:
                    self._read_errors()
                return
            except OSError:  # an error came since the last call; this told of it
                self._read_errors()
                continue
            if self._is_ipv6:
                source = (source[0].partition("%")[0], source[1])
            self._received(data, source)
            if self._sock.fileno() < 0:
                return

    def _read_errors(self) -> None:
        for _ in range(BATCH):
            try:
                _, details, _, place = self._sock.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            for level, kind, detail in details:
                if (level, kind) == _RECVERR[self._sock.family]:
                    self._tell(_ERROR.unpack_from(detail), place)

    def _tell(self, error: tuple[int, int, int, int], place: tuple[str, int]) -> None:
        number, origin, kind, _ = error
        # A packet too large for the way is cut smaller when it is sent again.
        if (origin, kind) in _TELLING and number != errno.EMSGSIZE:
            address = place[0].partition("%")[0]
            self._unreachable(address, place[1], os.strerror(number))
