"""Options of TCP sockets: silent peers are noticed, small writes leave at once."""

import socket

KEEPALIVE_IDLE = 30
"Seconds of silence before the first keep-alive probe."

KEEPALIVE_INTERVAL = 10
"Seconds between keep-alive probes."

KEEPALIVE_PROBES = 3
"Unanswered probes that end the connection."

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


def family(address: str) -> socket.AddressFamily:
    """The family of an IP address literal."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET
