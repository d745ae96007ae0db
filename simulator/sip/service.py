"""SIP of the whole provider: ports at every edge address, and the core behind them."""

import asyncio
import collections
import random
import ssl
from collections.abc import Callable, Sequence

from simulator.edge import Address, Edge
from simulator.faults import Active, Fault
from simulator.front import Arrival, Site
from simulator.ledger import Ledger
from simulator.sip.core import Core
from simulator.sip.datagrams import Datagrams
from simulator.sip.message import default_port
from simulator.sip.origination import Disaster, Placed, Uri, place
from simulator.sip.plan import SipPlan
from simulator.sip.streams import Dialler, Stream
from simulator.sip.transaction import Path
from simulator.zone import TENANTS, Zone

Context = Callable[[str, Fault | None], ssl.SSLContext]


class SipService:
    """What answers SIP at the edges, and calls the site."""

    def __init__(
        self,
        plan: SipPlan,
        zone: Zone,
        edges: dict[str, Edge],
        ledger: Ledger,
        chance: random.Random,
    ) -> None:
        self.trust: ssl.SSLContext | None = None
        "Context with which calls to a site over TLS verify it."
        self._zone = zone
        self._edges = edges
        self._ledger = ledger
        self._chance = chance
        self._addresses = {
            address.address: address
            for edge in edges.values()
            for address in edge.addresses
        }
        self._datagrams: dict[str, Datagrams] = {}
        self._aliases: dict[tuple[str, str, str, int], Path] = {}
        self._diallers: dict[tuple[str, str], Dialler] = {}
        now = asyncio.get_running_loop().time
        self.core = Core(plan, ledger, self._knows, self._outward, self._fault, now)

    @property
    def ports(self) -> dict[str, int]:
        """Port of each transport, the same at all addresses."""
        return dict(self.core.ports)

    def open(self, port: int, context: Context) -> None:
        """Bind `port` for UDP and TCP and the next one for TLS; raises OSError."""
        self.core.ports = {"udp": port, "tcp": port, "tls": port + 1}
        for edge in self._edges.values():
            sites = {
                way: Site(
                    edge.name,
                    edge.line,
                    edge.plan.sources,
                    self._stream,
                    context if way == "tls" else None,
                    self._ledger,
                    way,
                )
                for way in self.core.ports
            }
            for address in edge.addresses:
                self._open_address(address, sites)

    def _open_address(self, address: Address, sites: dict[str, Site]) -> None:
        at, ports = address.address, self.core.ports
        datagrams = Datagrams(sites["udp"], at, ports["udp"], self._datagram)
        self._datagrams[at] = datagrams
        address.add(datagrams)
        for way in ("tcp", "tls"):
            address.open(sites[way], ports[way])
            dialler = Dialler(
                sites[way],
                at,
                ports[way],
                self.core.take,
                self.core.transactions.failed,
                lambda: self.trust,
            )
            self._diallers[at, way] = dialler
            address.add(dialler)

    def stop(self) -> None:
        """Forget all calls; the ports are closed with their addresses."""
        self.core.stop()

    async def call(
        self,
        uris: Sequence[Uri | str],
        number: str = "+15551112222",
        disaster: Disaster | None = None,
    ) -> Placed:
        """Call a number at a site by its origination URIs, until one decides."""
        given = [Uri(one) if isinstance(one, str) else one for one in uris]
        return await place(
            self.core, given, number, self._way, self._chance, disaster=disaster
        )

    def rung(self) -> collections.Counter[str]:
        """How often the callee of each Call-ID was rung."""
        return collections.Counter(one.call for one in self._ledger.events("rung"))

    def fastest_options(self, period: float) -> int:
        """Most OPTIONS that one source sent one address within any `period` seconds."""
        times: dict[tuple[str, str], list[float]] = {}
        for one in self._ledger.events("options"):
            pair = (one.source.rpartition(":")[0], one.address)
            times.setdefault(pair, []).append(one.time)
        most = 0
        for all_of in times.values():
            first = 0
            for last, time in enumerate(all_of):
                while all_of[first] <= time - period:
                    first += 1
                most = max(most, last - first + 1)
        return most

    # ---- Between ports and core ---------------------------------------------------

    def _datagram(self, data: bytes, source: tuple[str, int], port: Datagrams) -> None:
        def way(far: tuple[str, int]) -> Path:
            return self._from(port.address, port.edge, "udp", far)

        self.core.take_datagram(data, source, way)

    def _stream(self, arrival: Arrival) -> Stream:
        host, _, port = arrival.source.rpartition(":")
        near = (arrival.address, self.core.ports[arrival.transport])
        return Stream(
            arrival.transport,
            near,
            (host, int(port)),
            self._arrived,
            edge=arrival.edge,
            closed=self._closed,
        )

    def _arrived(self, data: bytes, path: Path) -> None:
        """Take a message of a connection from outside, and learn its alias.

        RFC 5923 section 8: with `alias` in its Via, requests to what the Via names may
        go back on the same connection.
        """
        message = self.core.take(data, path)
        if message is not None and not message.code:
            via = message.via
            if "alias" in via.parameters:
                port = via.port or default_port(path.transport)
                self._aliases[path.near[0], path.transport, via.host, port] = path

    def _closed(self, stream: Stream) -> None:
        self.core.transactions.failed(stream.path)
        for key in [k for k, path in self._aliases.items() if path is stream.path]:
            del self._aliases[key]

    def _outward(self, hop: tuple[str, str, int], near: Path) -> Path:
        way, host, port = hop
        return self._from(near.near[0], near.edge, way, (host, port))

    def _way(self, edge: str, hop: tuple[str, str, int]) -> Path:
        """From the edge asked for, or else the default one, at any of its addresses.

        Raises ValueError for a private edge that the provider does not have.
        """
        if edge.endswith("-ix") and edge not in self._edges:
            raise ValueError(f"no private edge {edge!r}")
        chosen = self._edges.get(edge) or next(
            one for one in self._edges.values() if not one.plan.private
        )
        address = self._chance.choice(chosen.addresses).address
        way, host, port = hop
        return self._from(address, chosen.name, way, (host, port))

    def _from(self, at: str, edge: str, way: str, far: tuple[str, int]) -> Path:
        if way != "udp":
            alias = self._aliases.get((at, way, *far))
            return alias or self._diallers[at, way].path(far)
        port = self._datagrams[at]
        return Path(
            "udp", (at, port.port), far, lambda data: port.send(data, far), edge
        )

    def _fault(self, path: Path) -> Active | None:
        return self._addresses[path.near[0]].effective(path.transport)

    def _knows(self, host: str) -> bool:
        entry = self._zone.find(host)
        return entry is not None and entry.product in TENANTS
