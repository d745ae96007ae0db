"""Listening: bound all or not at all, and choosy before it spends anything.

Event loops accept connections and begin TLS before anybody can look at the address.
So a listener accepts by itself, closes what is not admitted, and hands only the rest
to the loop.
"""

import asyncio
import dataclasses
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

from protocols.net.admission import Admission, Limits, Network, Refusal
from protocols.net.devices import confine_or_silence, side_by_side
from protocols.net.sockets import family, harden, interface, words
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

Take = Callable[[int, str, int], socket.socket | None]
"""Give the socket that listens on a kind, address and port already, if there is one: a
service manager may have bound it, or kept it since the last run."""

Strays = Callable[[str, str, str], str]
"""Say why a connection cannot have come the way that it came; empty if it may have. By
its source, the address that it was made to, and the interface, empty if unknown."""

Refused = Callable[[str, Refusal, str], None]
"Tell of a connection not served: client address, reason, detail. Never raises."


AcceptNoMore = Callable[[], Awaitable[None]]
"Have a listener take no further clients, and hand over those that it has taken."


class BindError(Exception):
    """An address cannot be listened on."""

    def __init__(self, address: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {hostport(address, port)}: {reason}")
        self.address = address
        "The address asked for."
        self.port = port
        "The port asked for."


def nothing(kind: int, address: str, port: int) -> None:
    """Where no socket is there before it is bound."""


def bind(
    places: Sequence[tuple[str, int]], take: Take = nothing
) -> list[socket.socket]:
    """Listening sockets for all these addresses and ports, or BindError and none.

    Clients may connect from now on, and wait until a `Listener` takes them.
    """
    sockets: list[socket.socket] = []
    try:
        for address, port in places:
            found = take(socket.SOCK_STREAM, address, port)
            sockets.append(_bind(address, port, found))
    except BindError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bind(address: str, port: int, found: socket.socket | None) -> socket.socket:
    if found is None:
        return bind_confined(address, port, None)
    try:
        harden(found)
        found.setblocking(False)
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise _bind_error(address, port, error) from None
    return found


def bind_confined(
    address: str, port: int, device: str | None, beside: socket.socket | None = None
) -> socket.socket:
    """A listening socket, for what comes by this interface only; or BindError.

    `beside` is one of ours at that place. While there is no such interface, nobody is
    heard.
    """
    sock = socket.socket(family(address), socket.SOCK_STREAM)
    try:
        harden(sock)
        sock.setblocking(False)
        # Connections of an earlier run linger for a minute; they are no obstacle.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family is socket.AF_INET6:
            # "::" means IPv6 alone: else an IPv4 client has two kinds of address.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if device is not None:
            confine_or_silence(sock, device)
        with side_by_side(beside, sock):
            sock.bind((address, port))
            sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _bind_error(address, port, error) from None
    return sock


def _bind_error(address: str, port: int, error: OSError) -> BindError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return BindError(address, port, reason)


Factory = Callable[[], asyncio.BaseProtocol]
"Makes the protocol of a new connection."


@dataclasses.dataclass(frozen=True, slots=True)
class Serving:
    """How the connections of a listener are served."""

    factory: Factory
    "Makes the protocol of each."
    refused: Refused
    "Told of those that are not."
    allow: Sequence[Network] | None = None
    "Networks that may connect; None for all."
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    "How many there may be."
    certificates: Certificates | None = None
    "What clients are shown; None for plain TCP."
    handshake_timeout: float = HANDSHAKE_TIMEOUT
    "Seconds for the TLS handshake of each."
    strays: Strays | None = None
    "Looks at the way that each came; None where any way is right."


class Listener:
    """Accepts connections on one socket and serves those that are admitted."""

    def __init__(self, sock: socket.socket, serving: Serving, tasks: Tasks) -> None:
        """The socket is its own from now on."""
        self.sock = sock
        "Where clients come."
        self._serving = serving
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._resume: asyncio.TimerHandle | None = None
        self._arriving: set[asyncio.Task[None]] = set()
        self.admission = Admission(serving.allow, serving.limits)
        "Counts those who are in."

    def change(self, serving: Serving) -> None:
        """Serve new connections this way; those that stand go on as they began."""
        self._serving = serving
        self.admission.change(serving.allow, serving.limits)

    def start(self) -> None:
        """Accept from now on."""
        self._resume = None
        self._loop.add_reader(self.sock.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more; connections that stand are not touched."""
        if self.sock.fileno() < 0:
            return
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self.sock.fileno())
        self.sock.close()

    async def settle(self, seconds: float) -> None:
        """Wait until all that was accepted is served or gone, but not longer."""
        if self._arriving:
            await asyncio.wait(self._arriving, timeout=seconds)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                sock, peer = self.sock.accept()
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
        reason = error.strerror or str(error)
        self._serving.refused("", Refusal.NO_RESOURCES, reason)
        self._loop.remove_reader(self.sock.fileno())
        self._resume = self._loop.call_later(PAUSE, self.start)

    def _take(self, sock: socket.socket, address: str) -> None:
        refusal = self.admission.admit(address)
        if refusal is not None:
            sock.close()
            self._serving.refused(address, refusal, "")
            return
        strays = self._serving.strays
        if strays is not None:
            reason = strays(address, sock.getsockname()[0], interface(sock))
            if reason:
                self.admission.leave(address)
                sock.close()
                self._serving.refused(address, Refusal.ASTRAY, reason)
                return
        admitted = _Admitted(sock, lambda: self.admission.leave(address))
        serving = self._serve(admitted, address, self._serving)
        task = self._tasks.start(serving, name=f"accept {address}")
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _serve(self, sock: socket.socket, address: str, serving: Serving) -> None:
        if serving.certificates is None:
            await self._loop.connect_accepted_socket(serving.factory, sock)
            return
        self.admission.handshakes += 1
        try:
            await self._loop.connect_accepted_socket(
                serving.factory,
                sock,
                ssl=serving.certificates.context,
                ssl_handshake_timeout=serving.handshake_timeout,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
            )
        except OSError as error:
            serving.refused(address, Refusal.HANDSHAKE_FAILED, _words(error))
        finally:
            self.admission.handshakes -= 1


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
