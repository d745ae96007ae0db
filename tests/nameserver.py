"""A small real nameserver on loopback, by UDP and TCP, that says what it is told to."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclasses.dataclass
class Zone:
    """What the nameserver says at the moment."""

    records: dict[tuple[str, str], tuple[int, list[str]]] = dataclasses.field(
        default_factory=dict
    )
    "TTL and data per name and type; a name with none of either does not exist."
    rcode: dns.rcode.Rcode | None = None
    "The answer to everything, if set."
    refused: set[str] = dataclasses.field(default_factory=set)
    "Types of which it knows nothing: SERVFAIL."
    silent: bool = False
    "Whether to answer nothing at all."
    truncate: bool = False
    "Whether answers by UDP are cut to nothing, with the TC bit."
    asked: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)
    "Transport, name, type of every question."

    _question: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def until_asked(self, question: tuple[str, str, str], *, times: int) -> None:
        async with asyncio.timeout(10):
            while self.asked.count(question) < times:
                self._question.clear()
                await self._question.wait()

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((transport, name, kind))
        self._question.set()
        if self.silent:
            return None
        reply = dns.message.make_response(query)
        if self.rcode is not None:
            reply.set_rcode(self.rcode)
        elif kind in self.refused:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif self.truncate and transport == "udp":
            reply.flags |= dns.flags.TC
        elif not any(name == known for known, _ in self.records):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        else:
            self._fill(reply, name, kind)
        return reply.to_wire()

    def _fill(self, reply: dns.message.Message, name: str, kind: str) -> None:
        while (cname := self.records.get((name, "CNAME"))) is not None:
            ttl, (target,) = cname
            reply.answer.append(
                dns.rrset.from_text(f"{name}.", ttl, "IN", "CNAME", f"{target}.")
            )
            name = target
        if (record := self.records.get((name, kind))) is not None:
            ttl, data = record
            reply.answer.append(dns.rrset.from_text(f"{name}.", ttl, "IN", kind, *data))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if (reply := self._zone.answer(data, "udp")) is not None:
            self._transport.sendto(reply, addr)


@dataclasses.dataclass
class Nameserver:
    """A running nameserver and what it says."""

    zone: Zone
    address: tuple[str, int]


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Nameserver]:
    zone = Zone()

    async def by_tcp(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            size = int.from_bytes(await reader.readexactly(2), "big")
            reply = zone.answer(await reader.readexactly(size), "tcp")
            if reply is not None:
                writer.write(len(reply).to_bytes(2, "big") + reply)
        writer.close()

    server = await asyncio.start_server(by_tcp, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Udp(zone), local_addr=("127.0.0.1", port)
    )
    yield Nameserver(zone, ("127.0.0.1", port))
    transport.close()
    server.close()
    await server.wait_closed()


def addresses(
    zone: Zone, name: str, *v4: str, v6: tuple[str, ...] = (), ttl: int = 60
) -> None:
    """Let the zone give these addresses for the name."""
    zone.records[name, "A"] = (ttl, list(v4))
    zone.records.pop((name, "AAAA"), None)
    if v6:
        zone.records[name, "AAAA"] = (ttl, list(v6))
