"""Listening: bound all or not at all, and choosy before it spends anything.

Event loops accept connections and begin TLS before anybody can look at the address.
So a listener accepts by itself, closes what is not admitted, and hands only the rest
to the loop.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence

from protocols.net.admission import Admission, Refusal
from protocols.net.sockets import family, harden, words
from protocols.net.tasks import Tasks
from protocols.net.tls import Certificates
from protocols.target import hostport

HANDSHAKE_TIMEOUT = 5.0
"Seconds that a client has for its TLS handshake."

SHUTDOWN_TIMEOUT = 30.0
"""Seconds that a closed TLS connection has to pass on what was written, and to answer
our close_notify: less would cut the answers to slow clients."""

PAUSE = 0.5
"Seconds without accepting when the system is out of descriptors or memory."

BACKLOG = 4096
"Connections that may wait to be accepted; the system may lower it."

_BATCH = 64

Refused = Callable[[str, Refusal, str], None]
"Tell of a connection not served: client address, reason, detail. Never raises."


class BindError(Exception):
    """An address cannot be listened on."""

    def __init__(self, address: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {hostport(address, port)}: {reason}")
        self.address = address
        "The address asked for."
        self.port = port
        "The port asked for."


def bind(places: Sequence[tuple[str, int]]) -> list[socket.socket]:
    """Listening sockets for all these addresses and ports, or BindError and none.

    Clients may connect from now on, and wait until a `Listener` takes them.
    """
    sockets: list[socket.socket] = []
    try:
        for address, port in places:
            sockets.append(_bind(address, port))
    except BindError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bind(address: str, port: int) -> socket.socket:
    sock = socket.socket(family(address), socket.SOCK_STREAM)
    try:
        # Connections of an earlier run linger for a minute; they are no obstacle.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family is socket.AF_INET6:
            # "::" means IPv6 alone: else an IPv4 client has two kinds of address.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        harden(sock)
        sock.setblocking(False)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise BindError(address, port, reason) from None
    return sock


class Listener:
    """Accepts connections on one socket and serves those that are admitted."""

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[], asyncio.BaseProtocol],
        *,
        admission: Admission,
        refused: Refused,
        tasks: Tasks,
        certificates: Certificates | None = None,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
    ) -> None:
        """Serve plain TCP, or TLS if `certificates` are given."""
        self._sock = sock
        self._factory = factory
        self._admission = admission
        self._refused = refused
        self._tasks = tasks
        self._certificates = certificates
        self._handshake_timeout = handshake_timeout
        self._loop = asyncio.get_running_loop()
        self._resume: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept from now on."""
        self._resume = None
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more; connections that stand are not touched."""
        if self._sock.fileno() < 0:
            return
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                sock, peer = self._sock.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:  # gone while it waited
                continue
            except OSError as error:
                self._pause(error)
                return
            self._take(sock, peer[0].partition("%")[0])

    def _pause(self, error: OSError) -> None:
        """Wait for better times: the connection stays in the backlog meanwhile."""
        self._refused("", Refusal.NO_RESOURCES, error.strerror or str(error))
        self._loop.remove_reader(self._sock.fileno())
        self._resume = self._loop.call_later(PAUSE, self.start)

    def _take(self, sock: socket.socket, address: str) -> None:
        refusal = self._admission.admit(address)
        if refusal is not None:
            sock.close()
            self._refused(address, refusal, "")
            return
        admitted = _Admitted(sock, lambda: self._admission.leave(address))
        self._tasks.start(self._serve(admitted, address), name=f"accept {address}")

    async def _serve(self, sock: socket.socket, address: str) -> None:
        if self._certificates is None:
            await self._loop.connect_accepted_socket(self._factory, sock)
            return
        self._admission.handshakes += 1
        try:
            await self._loop.connect_accepted_socket(
                self._factory,
                sock,
                ssl=self._certificates.context,
                ssl_handshake_timeout=self._handshake_timeout,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
            )
        except OSError as error:
            self._refused(address, Refusal.HANDSHAKE_FAILED, _words(error))
        finally:
            self._admission.handshakes -= 1


class _Admitted(socket.socket):
    """A socket that tells when its descriptor is gone, by whichever way.

    The event loop owns it and detaches or closes it at the very end of the connection:
    after a failed handshake, a time-out, or a long life. So nothing above needs to
    keep count.
    """

    __slots__ = ("_gone",)

    def __init__(self, sock: socket.socket, gone: Callable[[], None]) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._gone: Callable[[], None] | None = gone
        self.setblocking(False)

    def detach(self) -> int:
        self._tell()
        return super().detach()

    def close(self) -> None:
        self._tell()
        super().close()

    def _tell(self) -> None:
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return words(error)
    if isinstance(error, ConnectionAbortedError):
        return "no TLS handshake in time"
    return error.strerror or "connection closed"
