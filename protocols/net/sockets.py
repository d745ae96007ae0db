"""Options of TCP sockets: silent peers are noticed, small writes leave at once."""

import asyncio
import os
import socket
import ssl
import struct
from typing import Protocol, cast

KEEPALIVE_IDLE = 30
"Seconds of silence before the first keep-alive probe."

KEEPALIVE_INTERVAL = 10
"Seconds between keep-alive probes."

KEEPALIVE_PROBES = 3
"Unanswered probes that end the connection."

_PKTINFO, _PKTOPTIONS = 8, 9  # linux/in.h
_CONTROL = struct.Struct("@Nii")  # struct cmsghdr: length, level, type

USER_TIMEOUT_MS = 30_000
"Milliseconds that written bytes may stay unacknowledged (RFC 5482 section 2)."


def harden(sock: socket.socket) -> None:
    """Set the options; on Linux, connections accepted from a listener inherit them."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    # Without it, unacknowledged data outlives the keep-alive limit by many minutes.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


class _TlsTransport(Protocol):
    """What event loops give beside `asyncio.Transport` where there is TLS."""

    def set_read_buffer_limits(self, high: int) -> None:
        """Read no more while so many bytes wait to be decrypted."""


def keep_nothing(transport: asyncio.BaseTransport) -> None:
    """Have a TLS transport read nothing while it is paused.

    uvloop drops what it has not decrypted yet when it reads the end of the stream. So
    that it reads none while the other side is slow, it must not read ahead.
    """
    if transport.get_extra_info("sslcontext") is not None:
        cast("_TlsTransport", transport).set_read_buffer_limits(high=1)


def reset(transport: asyncio.Transport) -> None:
    """End a connection by a RST, so that nobody takes what was cut off for whole.

    With TLS, too, which needs it less: no close_notify is sent. A client on OpenSSL may
    tell both as an "EOF in violation of protocol".
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        linger = struct.pack("ii", 1, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def device(sock: socket.socket) -> str:
    """The interface that a socket is confined to; empty for all (socket(7))."""
    name = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
    return name.rstrip(b"\0").decode("latin-1")


def interface(sock: socket.socket) -> str:
    """The interface that an accepted connection came in by; empty if unknown.

    Linux keeps with it where its first packet came in, and tells those who ask for what
    comes with packets: IP_PKTINFO in ip(7), IP_PKTOPTIONS in net/ipv4/ip_sockglue.c.
    """
    if sock.family is not socket.AF_INET:
        return ""
    try:
        sock.setsockopt(socket.IPPROTO_IP, _PKTINFO, 1)
        told = sock.getsockopt(socket.IPPROTO_IP, _PKTOPTIONS, 64)
        return socket.if_indextoname(_index(told))
    except (OSError, struct.error):
        return ""


def _index(told: bytes) -> int:
    """The number of the interface in a control message of struct in_pktinfo."""
    _, level, kind = _CONTROL.unpack_from(told)
    if (level, kind) != (socket.IPPROTO_IP, _PKTINFO):
        return 0
    (index,) = struct.unpack_from("=i", told, _CONTROL.size)
    return int(index)


def words(error: Exception) -> str:
    """Why a connection failed, without the numbers that Python's own text has."""
    if isinstance(error, ssl.SSLError):
        return getattr(error, "reason", None) or str(error)
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error)


def family(address: str) -> socket.AddressFamily:
    """The family of an IP address literal."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def peer_address(transport: asyncio.BaseTransport) -> str:
    """Address of the far end as a literal; empty if it left before anybody looked."""
    peer = transport.get_extra_info("peername")
    return peer[0] if peer else ""
