"""Transactions (RFC 3261 section 17): what is sent again, and what is not obeyed twice.

Written for short tests: T1 may be made small, and what RFC 3261 keeps for 64 times T1
is kept as long for all transports.
"""

import asyncio
import dataclasses
from collections.abc import Callable

from simulator.sip.message import Fields, Received, compose, reply

T2 = 8
"Longest pause between two copies of a request that is no INVITE, in units of T1."
END = 64
"Life of a transaction without an answer, in units of T1."


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Path:
    """A way to one far end, and where it begins."""

    transport: str
    "`udp`, `tcp` or `tls`."
    near: tuple[str, int]
    "Address and port of this end, as others may dial it."
    far: tuple[str, int]
    "Address and port of the other end."
    send: Callable[[bytes], None]
    "Sends a message; never raises."
    edge: str = ""
    "Edge of the provider at which this end is."

    @property
    def source(self) -> str:
        """The far end in one word."""
        return f"{self.far[0]}:{self.far[1]}"


class Timers:
    """Timers that can be stopped all at once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._handles: set[asyncio.TimerHandle] = set()

    def after(self, delay: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        """Do something after some seconds, unless stopped before."""

        def due() -> None:
            self._handles.discard(handle)
            action()

        handle = self._loop.call_later(delay, due)
        self._handles.add(handle)
        return handle

    def cancel(self, handle: asyncio.TimerHandle) -> None:
        """Stop one."""
        handle.cancel()
        self._handles.discard(handle)

    def stop(self) -> None:
        """Stop all."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()


class Repeat:
    """Sends the same again until stopped: after `first` seconds, then twice as late."""

    def __init__(
        self, timers: Timers, send: Callable[[], None], first: float, most: float
    ) -> None:
        self._timers = timers
        self._send = send
        self._pause = first
        self._most = most
        self._handle = timers.after(first, self._due)

    def stop(self) -> None:
        """Send it no more."""
        self._timers.cancel(self._handle)

    def _due(self) -> None:
        self._send()
        self._pause = min(2 * self._pause, self._most)
        self._handle = self._timers.after(self._pause, self._due)


@dataclasses.dataclass(slots=True, eq=False)
class Client:
    """A request of ours, until its final response."""

    method: str
    "Method."
    branch: str
    "Branch parameter."
    uri: str
    "Request-URI."
    head: Fields
    "Via, From, Call-ID and Route: what an ACK of a failure repeats."
    path: Path
    "Where it was sent."
    heard: Callable[[Received | None], None]
    "Takes each response; None when there will be none."
    repeat: Repeat | None = None
    "Sends it again."
    expiry: asyncio.TimerHandle | None = None
    "When it is given up."
    final: bool = False
    "Whether a final response came."


@dataclasses.dataclass(slots=True, eq=False)
class Server:
    """A request of the other side, until it is forgotten."""

    request: Received
    "The request."
    path: Path
    "Where it came from."
    last: bytes = b""
    "The last response."
    code: int = 0
    "Its status."
    repeat: Repeat | None = None
    "Sends a final response to an INVITE again until its ACK."


class Transactions:
    """All transactions of one agent."""

    def __init__(self, timers: Timers, t1: float) -> None:
        """Wait `t1` seconds before something is repeated (section 17.1.1.1)."""
        self.timers = timers
        self.t1 = t1
        self._clients: dict[tuple[str, str], Client] = {}
        self._servers: dict[tuple[str, str, str], Server] = {}

    # ---- Ours --------------------------------------------------------------------

    def ask(self, client: Client, data: bytes) -> None:
        """Send a request."""
        key = client.branch, client.method
        self._clients[key] = client
        if client.path.transport == "udp":
            most = END if client.method == "INVITE" else T2
            client.repeat = Repeat(
                self.timers,
                lambda: client.path.send(data),
                self.t1,
                most * self.t1,
            )
        client.expiry = self.timers.after(END * self.t1, lambda: self.give_up(client))
        client.path.send(data)

    def response(self, message: Received) -> bool:
        """Take a response; False if it belongs to no request."""
        client = self._clients.get((message.branch, message.method))
        if client is None:
            return False
        if message.code < 200:
            if client.method == "INVITE":
                self._still(client)
        else:
            self._still(client)
            if client.method == "INVITE" and message.code >= 300:
                client.path.send(_acknowledge(client, message))
            if client.final and message.code >= 300:
                return True
            if not client.final:
                client.final = True
                self.timers.after(END * self.t1, lambda: self._forget(client))
        client.heard(message)
        return True

    def give_up(self, client: Client) -> None:
        """Expect no answer any more."""
        self._still(client)
        self._forget(client)
        if not client.final:
            client.final = True
            client.heard(None)

    def still(self, client: Client) -> None:
        """Send it no more, but keep it for a late answer."""
        self._still(client)
        self.timers.after(END * self.t1, lambda: self._forget(client))

    def failed(self, path: Path) -> None:
        """Give up whatever was sent there."""
        for client in [one for one in self._clients.values() if one.path is path]:
            self.give_up(client)

    def _still(self, client: Client) -> None:
        if client.repeat is not None:
            client.repeat.stop()
        if client.expiry is not None:
            self.timers.cancel(client.expiry)

    def _forget(self, client: Client) -> None:
        self._clients.pop((client.branch, client.method), None)

    # ---- Those of the other side -------------------------------------------------

    def find(self, request: Received) -> Server | None:
        """The transaction that a request belongs to, if it is not a new one."""
        return self._servers.get(request.transaction)

    def find_invite(self, cancel: Received) -> Server | None:
        """The INVITE that a CANCEL is for (RFC 3261 section 9.2)."""
        branch, sent_by, _ = cancel.transaction
        return self._servers.get((branch, sent_by, "INVITE"))

    def open(self, request: Received, path: Path) -> Server:
        """Begin a transaction."""
        server = Server(request, path)
        self._servers[request.transaction] = server
        return server

    def again(self, server: Server) -> None:
        """A request came again: so does its last response."""
        if server.last:
            server.path.send(server.last)

    def acknowledged(self, server: Server) -> None:
        """Its ACK came."""
        if server.repeat is not None:
            server.repeat.stop()
            server.repeat = None

    def respond(
        self,
        server: Server,
        code: int,
        phrase: str = "",
        *,
        tag: str = "",
        fields: Fields = (),
        body: bytes = b"",
    ) -> None:
        """Send a response."""
        if server.code >= 200:
            return
        server.code = code
        server.last = reply(
            server.request, code, phrase, tag=tag, fields=fields, body=body
        )
        server.path.send(server.last)
        if code < 200:
            return
        if server.request.method == "INVITE" and (
            code < 300 or server.path.transport == "udp"
        ):
            server.repeat = Repeat(
                self.timers, lambda: self.again(server), self.t1, T2 * self.t1
            )
        self.timers.after(END * self.t1, lambda: self._drop(server))

    def _drop(self, server: Server) -> None:
        self.acknowledged(server)
        self._servers.pop(server.request.transaction, None)


def _acknowledge(client: Client, response: Received) -> bytes:
    """RFC 3261 section 17.1.1.3: the To of the response, the rest of the request."""
    return compose(
        f"ACK {client.uri} SIP/2.0",
        [
            *client.head,
            ("To", response.recipient),
            ("CSeq", f"{response.sequence} ACK"),
            ("Max-Forwards", "70"),
        ],
    )
