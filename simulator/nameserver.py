"""An authoritative name server for the provider's zone, over UDP and TCP."""

import asyncio
import enum
import ipaddress
import random
import struct
from collections.abc import Callable, Sequence
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset

from simulator.ledger import Ledger
from simulator.zone import Zone

EVERYTHING = "*"
"Scope of a fault that concerns every name."

_LARGEST = 65_535
_QUERY = 4_096
"Bytes of a query over TCP beyond which the connection is closed."


class DnsFault(enum.StrEnum):
    """How the name server misbehaves."""

    NXDOMAIN = "nxdomain"
    "The name does not exist."
    SERVFAIL = "servfail"
    "The server failed."
    TIMEOUT = "timeout"
    "No answer at all."
    EMPTY = "empty"
    "The name exists and has no address."


class Nameserver:
    """Answers for one zone; the order of addresses is drawn anew for each answer."""

    def __init__(
        self, zone: Zone, ledger: Ledger, chance: random.Random, *, ttl: int = 600
    ) -> None:
        """Give answers a time to live of `ttl` seconds."""
        self.ttl = ttl
        self.address: tuple[str, int] = ("", 0)
        self.zone = zone
        "Names that it answers for."
        self._ledger = ledger
        self._chance = chance
        self._faults: dict[str, DnsFault] = {}
        self._changed: dict[str, tuple[str, ...]] = {}
        self._server: asyncio.Server | None = None
        self._datagrams: asyncio.DatagramTransport | None = None
        self._streams: set[_Stream] = set()

    def fail(self, fault: DnsFault, scope: str = EVERYTHING) -> None:
        """Misbehave for a name and what is below, for an edge's label, or for all."""
        self._faults[scope] = fault
        self._note(f"{fault} {scope}")

    def change(self, name: str, addresses: Sequence[str]) -> None:
        """Answer for a name with other addresses from now on; raises ValueError."""
        self._changed[name] = tuple(
            str(ipaddress.ip_address(address)) for address in addresses
        )
        self._note(f"answer={','.join(addresses)} {name}")

    def heal(self, scope: str = EVERYTHING) -> None:
        """End what was ordered for this scope; for everything: end all of it."""
        if scope == EVERYTHING:
            self._faults.clear()
            self._changed.clear()
        self._faults.pop(scope, None)
        self._changed.pop(scope, None)
        self._note(f"healed {scope}")

    async def start(self, address: str, port: int = 0) -> None:
        """Listen on UDP and TCP, on a port that both can have; raises OSError."""
        for left in reversed(range(1 if port else 20)):
            try:
                await self._listen(address, port)
            except OSError:
                self.stop()
                if not left:
                    raise
            else:
                return

    async def _listen(self, address: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._datagrams, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self.respond), (address, port)
        )
        self.address = self._datagrams.get_extra_info("sockname")[:2]
        self._server = await loop.create_server(
            lambda: _Stream(self.respond, self._streams),
            *self.address,
            reuse_address=True,
        )

    def stop(self) -> None:
        """Close all sockets."""
        if self._datagrams is not None:
            self._datagrams.abort()
        if self._server is not None:
            self._server.close()
        for stream in tuple(self._streams):
            stream.abort()

    def respond(self, wire: bytes, source: str, limit: int | None) -> bytes | None:
        """The answer to one query, or None for silence.

        Over UDP `limit` is None: what the client announced holds (RFC 6891), or 512.
        """
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR or len(query.question) != 1:
            return None
        response = self.answer(query, source)
        if response is None:
            return None
        if limit is None:
            limit = max(512, query.payload)
        return response.to_wire(max_size=limit, prefer_truncation=True)

    def answer(
        self, query: dns.message.Message, source: str = ""
    ) -> dns.message.Message | None:
        """Answer a query of one question; None for silence."""
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        fault = self._fault(name)
        response = dns.message.make_response(query)
        if query.opcode() != dns.opcode.QUERY or not self.zone.holds(name):
            response.set_rcode(dns.rcode.REFUSED)
        elif fault is DnsFault.SERVFAIL:
            response.set_rcode(dns.rcode.SERVFAIL)
        else:
            self._fill(response, name, fault)
        self._ledger.record(
            "dns",
            source=source,
            target=name,
            detail=f"{dns.rdatatype.to_text(question.rdtype)} "
            + (
                "silence"
                if fault is DnsFault.TIMEOUT
                else dns.rcode.to_text(response.rcode())
            ),
        )
        return None if fault is DnsFault.TIMEOUT else response

    def _fill(
        self, response: dns.message.Message, name: str, fault: DnsFault | None
    ) -> None:
        response.flags |= dns.flags.AA
        addresses = self._addresses(name)
        if addresses is None or fault is DnsFault.NXDOMAIN:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif fault is None:
            question = response.question[0]
            given = self._given(name, question.rdtype, addresses)
            self._chance.shuffle(given)
            if given:
                rrset = dns.rrset.from_text_list(
                    question.name, self.ttl, "IN", question.rdtype, given
                )
                response.answer.append(rrset)
        if not response.answer:
            # RFC 2308 section 3: "Name servers authoritative for a zone MUST include
            # the SOA record of the zone in the authority section of the response".
            response.authority.append(self._soa())

    def _given(
        self, name: str, kind: dns.rdatatype.RdataType, addresses: Sequence[str]
    ) -> list[str]:
        """Records of one kind that a name has, as text."""
        if kind == dns.rdatatype.NAPTR:
            return self.zone.pointers(name)
        if kind == dns.rdatatype.SRV:
            return self.zone.services(name)
        version = {dns.rdatatype.A: False, dns.rdatatype.AAAA: True}.get(kind)
        return [one for one in addresses if (":" in one) is version]

    def _addresses(self, name: str) -> tuple[str, ...] | None:
        if name in self._changed:
            return self._changed[name]
        entry = self.zone.find(name)
        if entry is None:
            return () if name == self.zone.domain else None
        return entry.addresses

    def _fault(self, name: str) -> DnsFault | None:
        labels = name.split(".")
        above = (".".join(labels[start:]) for start in range(len(labels)))
        for scope in (*above, *labels, EVERYTHING):
            if scope in self._faults:
                return self._faults[scope]
        return None

    def _note(self, order: str) -> None:
        self._ledger.record("fault", detail=f"dns {order}")

    def _soa(self) -> dns.rrset.RRset:
        domain = f"{self.zone.domain}."
        return dns.rrset.from_text(
            domain, self.ttl, "IN", "SOA", f"ns.{domain} hostmaster.{domain} 1 1 1 1 1"
        )


_Respond = Callable[[bytes, str, int | None], bytes | None]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, respond: _Respond) -> None:
        self._respond = respond

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._respond(data, f"{addr[0]}:{addr[1]}", None)
        if answer is not None:
            self._transport.sendto(answer, addr)


class _Stream(asyncio.Protocol):
    """DNS over TCP: each message after its length in two bytes (RFC 1035 4.2.2)."""

    def __init__(self, respond: _Respond, streams: set["_Stream"]) -> None:
        self._respond = respond
        self._streams = streams
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._source = "{}:{}".format(*transport.get_extra_info("peername")[:2])
        self._streams.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._streams.discard(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= 2:
            (length,) = struct.unpack_from("!H", self._received)
            if length > _QUERY:
                self._transport.abort()
                return
            if len(self._received) < 2 + length:
                return
            wire = self._received[2 : 2 + length]
            self._received = self._received[2 + length :]
            answer = self._respond(wire, self._source, _LARGEST)
            if answer is not None:
                self._transport.write(struct.pack("!H", len(answer)) + answer)

    def abort(self) -> None:
        self._transport.abort()
