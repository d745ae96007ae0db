"""Real peers on loopback around one SIP endpoint: PBXs and edges, by any transport."""

import asyncio
import contextlib
import dataclasses
import functools
import ipaddress
import itertools
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import Any, cast

from protocols.net.admission import Limits
from protocols.net.handshake import Contexts
from protocols.net.tasks import Tasks
from protocols.net.tls import Certificates
from protocols.sip.bound import Wanted, bind
from protocols.sip.connection import Patience
from protocols.sip.endpoint import Endpoint
from protocols.sip.guard import Guard, Pace
from protocols.sip.message import Message, parse
from protocols.sip.peers import Side
from protocols.sip.records import CallRecord
from protocols.sip.settings import Place, Settings
from protocols.sip.stream import Stream
from protocols.sip.terms import Terms
from protocols.target import Outcome, Result, Target, Transport
from tests.protocols.sip.stage import KEYS, Known, in_order

UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS
HERE = "127.0.0.1"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
PACE, PATIENCE, LIMITS = Pace(), Patience(), Limits()
NOWHERE = (ipaddress.ip_network("192.0.2.0/24"),)


class Telephone(asyncio.DatagramProtocol):
    """A peer by UDP: hears messages, and says some."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.source: tuple[str, int] = ("", 0)
        self.over = asyncio.Event()
        self.transport: asyncio.DatagramTransport

    @property
    def port(self) -> int:
        return cast("int", self.transport.get_extra_info("sockname")[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.source = addr[:2]
        self.heard.put_nowait(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()

    async def hear(self) -> Message:
        """The next message, bare line ends left out."""
        return parse(await asyncio.wait_for(self.heard.get(), 2))

    def say(self, data: bytes, to: tuple[str, int] | None = None) -> None:
        self.transport.sendto(data, to or self.source)

    @property
    def waiting(self) -> int:
        return self.heard.qsize()


@contextlib.asynccontextmanager
async def telephone(address: str = HERE, port: int = 0) -> AsyncIterator[Telephone]:
    loop = asyncio.get_running_loop()
    transport, phone = await loop.create_datagram_endpoint(
        Telephone, local_addr=(address, port)
    )
    try:
        yield phone
    finally:
        transport.close()
        await phone.over.wait()


class Line(asyncio.Protocol):
    """A peer's end of a stream."""

    def __init__(self, came: Callable[["Line"], None] = lambda line: None) -> None:
        self._came = came
        self._stream = Stream()
        self._heard: asyncio.Queue[Message] = asyncio.Queue()
        self.blanks: asyncio.Queue[bytes] = asyncio.Queue()
        self.lost = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._came(self)

    def data_received(self, data: bytes) -> None:
        if not data.strip(b"\r\n"):
            self.blanks.put_nowait(data)
            return
        for message in self._stream.feed(data):
            self._heard.put_nowait(message)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(exc)

    async def hear(self) -> Message:
        return await asyncio.wait_for(self._heard.get(), 2)

    def say(self, data: bytes) -> None:
        self.transport.write(data)

    @property
    def waiting(self) -> int:
        return self._heard.qsize()

    @property
    def port(self) -> int:
        return cast("int", self.transport.get_extra_info("sockname")[1])


class Switch:
    """A peer that accepts streams."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[Line] = asyncio.Queue()
        self.all: list[Line] = []
        self.port = 0

    def made(self) -> Line:
        return Line(self._came)

    def _came(self, line: Line) -> None:
        self.all.append(line)
        self.lines.put_nowait(line)

    async def line(self) -> Line:
        """The next connection that was made to it."""
        return await asyncio.wait_for(self.lines.get(), 2)


@contextlib.asynccontextmanager
async def switch(
    context: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Switch]:
    loop = asyncio.get_running_loop()
    peer = Switch()
    server = await loop.create_server(peer.made, HERE, port, ssl=context)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for line in peer.all:
            line.transport.abort()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def calling(
    port: int, context: ssl.SSLContext | None = None
) -> AsyncIterator[Line]:
    """A peer's own connection to the router."""
    loop = asyncio.get_running_loop()
    transport, line = await loop.create_connection(
        Line, HERE, port, ssl=context, server_hostname="edge.test" if context else None
    )
    try:
        yield line
    finally:
        transport.abort()
        await line.lost


def at(port: int, transport: Transport = UDP, **fields: Any) -> Target:
    """A target on loopback."""
    names = {"server_name": "edge.test", "verify_name": "edge.test"}
    values: dict[str, Any] = {
        "address": HERE,
        "port": port,
        "transport": transport,
        "host": "trunk.test",
        "label": f"edge{port}",
        **(names if transport is TLS else {}),
    }
    return Target(**{**values, **fields})


@functools.cache
def _system_trust() -> Contexts:
    return Contexts(alpn=())


@dataclasses.dataclass
class Around:
    """An endpoint that serves, and what it told."""

    endpoint: Endpoint
    ports: dict[tuple[Side, Transport], int]
    observed: list[tuple[Target, Outcome]]
    records: list[CallRecord]
    refused: "asyncio.Queue[tuple[str, str, str]]"
    turned_down: list[tuple[str, int, str]]
    terms: Terms

    async def turned_away(self, count: int) -> list[tuple[str, str, str]]:
        """Wait until so many were turned away; tells whom and why."""
        async with asyncio.timeout(2):
            return [await self.refused.get() for _ in range(count)]

    def reach(self, side: Side, transport: Transport = UDP) -> tuple[str, int]:
        return HERE, self.ports[side, transport]

    def results(self) -> list[Result]:
        return [outcome.result for _, outcome in self.observed]


@contextlib.asynccontextmanager
async def serving(
    edges: Sequence[Target] = (),
    site: Sequence[Target] = (),
    *,
    contexts: Contexts | None = None,
    certificates: Certificates | None = None,
    networks: Collection[Any] = LOOPBACK,
    pace: Pace = PACE,
    patience: Patience = PATIENCE,
    limits: Limits = LIMITS,
    address: str = HERE,
    outside: str = "",
    **settings: Any,
) -> AsyncIterator[Around]:
    """Serve both sides on loopback, by UDP and TCP, and TLS with a certificate.

    The provider's side is at `outside`, if that is another address.
    """
    kinds = (UDP, TCP, *([TLS] if certificates else []))
    hosts = {Side.SITE: address, Side.EDGE: outside or address}
    wanted = [Wanted(side, kind, hosts[side], 0) for side in Side for kind in kinds]
    bound = bind(wanted)
    places = tuple(
        Place(one.side, one.transport, *one.sock.getsockname()[:2]) for one in bound
    )
    counter = itertools.count(1)
    trust = contexts or _system_trust()
    tasks = Tasks()
    observed: list[tuple[Target, Outcome]] = []
    records: list[CallRecord] = []
    refused: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
    turned_down: list[tuple[str, int, str]] = []
    guard = Guard(tuple(networks), pace)
    terms = Terms(
        bound,
        Settings(
            places=places,
            keys=KEYS,
            networks={Side.SITE: LOOPBACK, Side.EDGE: LOOPBACK},
            **{"host": "trunk.test", "mtu": 0, **settings},
        ),
        choose_edge=in_order(edges),
        choose_site=in_order(site),
        names=Known([*edges, *site]),
        guards={Side.SITE: guard, Side.EDGE: guard},
        contexts={Side.SITE: trust, Side.EDGE: trust},
        certificates={} if certificates is None else dict.fromkeys(Side, certificates),
    )
    endpoint = Endpoint(
        terms,
        token=lambda: b"token%d" % next(counter),
        report=lambda target, outcome: observed.append((target, outcome)),
        record=records.append,
        refused=lambda *told: refused.put_nowait(told),
        turned_down=lambda *told: turned_down.append(told),
        tasks=tasks,
        loop=asyncio.get_running_loop(),
        limits=limits,
        patience=patience,
    )
    endpoint.start()
    ports = {(one.side, one.transport): one.port for one in places}
    try:
        yield Around(endpoint, ports, observed, records, refused, turned_down, terms)
    finally:
        endpoint.close()
        await tasks.close()


def invite(phone: Telephone | Line, kind: str = "UDP", **fields: Any) -> bytes:
    return asking("INVITE", phone, kind, **fields)


_branches = itertools.count(1)


def asking(
    method: str,
    phone: Telephone | Line,
    kind: str = "UDP",
    more: Sequence[str] = (),
    via: str = "",
) -> bytes:
    """A request of a peer on loopback, new each time."""
    number = next(_branches)
    lines = (
        f"{method} sip:+15551234567@trunk.test SIP/2.0",
        f"Via: SIP/2.0/{kind} {HERE}:{phone.port};branch=z9hG4bKx{number}{via}",
        f"From: <sip:100@{HERE}>;tag=f{number}",
        "To: <sip:+15551234567@trunk.test>",
        f"Call-ID: call{number}@{HERE}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:100@{HERE}:{phone.port}>",
        "Max-Forwards: 70",
        *more,
        "Content-Length: 0",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
