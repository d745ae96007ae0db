"""A PBX for tests: calls, answers, re-invites and hangs up, over UDP, TCP or TLS."""

import asyncio
import contextlib
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable

from simulator.sip.agent import Agent
from simulator.sip.call import Call
from simulator.sip.digest import Credentials, credentials
from simulator.sip.message import Fields, Received, compose, description
from simulator.sip.streams import Stream
from simulator.sip.transaction import Client, Path
from simulator.tasks import Tasks

SEEN = 100_000
"Events kept."


class Pbx(Agent):
    """A PBX at one address; `start` makes one."""

    def __init__(
        self,
        address: str,
        transport: str,
        proxy: tuple[str, int],
        *,
        trust: ssl.SSLContext | None,
        server_name: str,
        known_as: Credentials | None,
        script: Callable[["Pbx", Call], None],
        t1: float,
    ) -> None:
        super().__init__(t1=t1)
        self.address = address
        self.transport = transport
        self.proxy = proxy
        "Where calls go first."
        self.script = script
        "What is done with calls to this PBX."
        self.ports: dict[str, int] = {}
        "Port of each transport on which it listens."
        self.incoming: asyncio.Queue[Call] = asyncio.Queue()
        "Calls to this PBX, in order."
        self.heard: list[tuple[str, str, int, str]] = []
        "What happened: event, Call-ID, status, detail."
        self._trust = trust
        self._server_name = server_name or proxy[0]
        self._known_as = known_as
        self._datagrams: asyncio.DatagramTransport | None = None
        self._servers: list[asyncio.Server] = []
        self._accepted: set[Stream] = set()
        self._dialled: dict[tuple[str, str, int], Stream] = {}
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        proxy: tuple[str, int],
        *,
        transport: str = "udp",
        address: str = "127.0.0.1",
        trust: ssl.SSLContext | None = None,
        server_name: str = "",
        serves: ssl.SSLContext | None = None,
        known_as: Credentials | None = None,
        script: Callable[["Pbx", Call], None] | None = None,
        t1: float = 0.5,
    ) -> AsyncIterator["Pbx"]:
        """Run a PBX until the context ends.

        Args:
          proxy: address and port to which its calls go.
          transport: `udp`, `tcp` or `tls`, for its calls.
          address: of this PBX, for listening and as source.
          trust: a client's context for TLS.
          server_name: name to ask for and to verify on every connection it makes; the
            proxy's address without one.
          serves: a server's context, with which it listens for TLS.
          known_as: answers a 407.
          script: what to do with a call to the PBX: omitted, rings and answers.
          t1: seconds until something unanswered is sent again.
        """
        pbx = cls(
            address,
            transport,
            proxy,
            trust=trust,
            server_name=server_name,
            known_as=known_as,
            script=script or answer,
            t1=t1,
        )
        try:
            await pbx._listen(serves)
            yield pbx
        finally:
            await pbx.close()

    def call(
        self,
        number: str,
        host: str = "example.pstn.twilio.com",
        *,
        fields: Fields = (),
        call_id: str = "",
    ) -> Call:
        """Call a number at the provider; `call.outcome` will have the final status.

        A challenge is answered within the same call if credentials are known.
        """
        sender = f"<sip:+15550001111@{self.address}>"
        path = self._way(self.transport, *self.proxy)
        uri = f"sip:{number}@{host}"
        return self.invite(path, uri, sender, call_id=call_id, fields=fields)

    def options(self, host: str = "example.pstn.twilio.com") -> "asyncio.Future[int]":
        """Send OPTIONS; the future has the status of its answer, 0 without one."""
        status: asyncio.Future[int] = self._loop.create_future()
        path, branch = (
            self._way(self.transport, *self.proxy),
            f"z9hG4bK{secrets.token_hex(8)}",
        )
        uri = f"sip:{host}"

        def heard(message: Received | None) -> None:
            if not status.done():
                status.set_result(0 if message is None else message.code)

        head = [
            *(("Via", via) for via in self.vias(path, branch)),
            ("From", f"<sip:pbx@{self.address}>;tag={secrets.token_hex(6)}"),
            ("Call-ID", secrets.token_hex(12)),
        ]
        more = [("To", f"<{uri}>"), ("CSeq", "1 OPTIONS"), ("Max-Forwards", "70")]
        data = compose(f"OPTIONS {uri} SIP/2.0", [*head, *more])
        self.transactions.ask(Client("OPTIONS", branch, uri, head, path, heard), data)
        return status

    async def asked(self, call: Call, method: str) -> int:
        """Send a request in a dialog and wait for its final status; 0 without one."""
        status: asyncio.Future[int] = self._loop.create_future()

        def heard(code: int) -> None:
            if not status.done():
                status.set_result(code)

        if method == "INVITE":
            self.reinvite(call, heard)
        elif method == "BYE":
            self.hang_up(call, heard)
        else:
            self.ask(call, method, heard)
        return await status

    def happened(self, event: str, call_id: str = "") -> int:
        """How often something happened, to one call or to all."""
        return sum(one[0] == event and call_id in ("", one[1]) for one in self.heard)

    async def close(self) -> None:
        """End every call, and close every port and connection, once for all."""
        self.stop()
        if self._datagrams is not None:
            self._datagrams.abort()
        for server in self._servers:
            server.close()
        for stream in (*self._dialled.values(), *self._accepted):
            stream.abort()
        await self._tasks.finish()

    # ---- As an agent -------------------------------------------------------------

    def invited(self, call: Call) -> None:
        """Take a call as the script says."""
        self.note("rung", call.path, call.request)
        self.incoming.put_nowait(call)
        self.script(self, call)

    def contact(self, path: Path, call: Call) -> str:
        """The listening address, by the transport of the call."""
        way = "" if path.transport == "udp" else f";transport={path.transport}"
        port = self.ports.get(path.transport, self.ports["tcp"])
        return f"sip:pbx@{self.address}:{port}{way}"

    def outward(self, hop: tuple[str, str, int], call: Call) -> Path:
        """The connection there is, or a new one."""
        return self._way(*hop)

    def _way(self, way: str, host: str, port: int) -> Path:
        if way == "udp":
            return self.datagrams_to((host, port))
        hop = (way, host, port)
        stream = self._dialled.get(hop)
        if stream is None:
            stream = Stream(
                way,
                (self.address, self.ports.get(way, 0)),
                (host, port),
                self.take,
                closed=self._gone,
            )
            self._dialled[hop] = stream
            self._tasks.start(self._dial(stream))
        return stream.path

    def body(self) -> bytes:
        """Media at the PBX itself."""
        return description(self.address, formats=self.formats)

    def challenged(self, call: Call, message: Received) -> bool:
        """Answer a challenge with credentials, once (RFC 3261 section 22.2)."""
        asked = message.headers.get("Proxy-Authenticate")
        if self._known_as is None or message.code != 407 or not asked:
            return False
        if 407 in call.statuses[:-1]:
            return False
        given = credentials(
            asked, self._known_as, "INVITE", call.uri, secrets.token_hex(8)
        )
        self.invite_again(call, [("Proxy-Authorization", given)])
        return True

    def note(
        self,
        event: str,
        path: Path,
        message: Received | None = None,
        *,
        call: str = "",
        status: int = 0,
        detail: str = "",
    ) -> None:
        """Keep it for the test."""
        if message is not None:
            call = message.call_id
        if len(self.heard) < SEEN:
            self.heard.append((event, call, status, detail))

    # ---- Sockets -----------------------------------------------------------------

    async def _listen(self, serves: ssl.SSLContext | None) -> None:
        """UDP and TCP at one port, TLS at another."""
        for left in reversed(range(20)):
            server = await self._loop.create_server(
                lambda: self._connected("tcp"), self.address, 0
            )
            port = server.sockets[0].getsockname()[1]
            try:
                self._datagrams, _ = await self._loop.create_datagram_endpoint(
                    lambda: _Port(self), (self.address, port)
                )
            except OSError:
                server.close()
                if not left:
                    raise
            else:
                sock = self._datagrams.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                self._servers.append(server)
                self.ports = {"udp": port, "tcp": port}
                break
        if serves is not None:
            server = await self._loop.create_server(
                lambda: self._connected("tls"), self.address, 0, ssl=serves
            )
            self._servers.append(server)
            self.ports["tls"] = server.sockets[0].getsockname()[1]

    def _connected(self, transport: str) -> Stream:
        stream = Stream(
            transport,
            (self.address, self.ports.get(transport, 0)),
            None,
            self.take,
            closed=self._accepted.discard,
        )
        self._accepted.add(stream)
        return stream

    def datagrams_to(self, far: tuple[str, int]) -> Path:
        """The way to an address by UDP."""

        def send(data: bytes) -> None:
            if self._datagrams is not None and not self._datagrams.is_closing():
                self._datagrams.sendto(data, far)

        return Path("udp", (self.address, self.ports["udp"]), far, send)

    async def _dial(self, stream: Stream) -> None:
        secure = stream.path.transport == "tls"
        try:
            if secure and self._trust is None:
                raise ConnectionError("no authority to trust")
            await self._loop.create_connection(
                lambda: stream,
                *stream.path.far,
                ssl=self._trust if secure else None,
                server_hostname=self._server_name if secure else None,
                local_addr=(self.address, 0),
            )
        except OSError as error:
            self.note("dial-failed", stream.path, detail=str(error))
            stream.abort()

    def _gone(self, stream: Stream) -> None:
        hop = (stream.path.transport, *stream.path.far)
        if self._dialled.get(hop) is stream:
            del self._dialled[hop]
        self.transactions.failed(stream.path)


class _Port(asyncio.DatagramProtocol):
    def __init__(self, pbx: Pbx) -> None:
        self._pbx = pbx

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._pbx.take_datagram(data, addr, self._pbx.datagrams_to)


def answer(pbx: Pbx, call: Call) -> None:
    """Ring and answer at once."""
    pbx.ring(call)
    pbx.answer(call)


def silent(pbx: Pbx, call: Call) -> None:
    """Give no sign of life."""


def ring(pbx: Pbx, call: Call) -> None:
    """Ring; the test goes on from there."""
    pbx.ring(call)


def busy(pbx: Pbx, call: Call) -> None:
    """Be busy."""
    pbx.refuse(call, 486)
