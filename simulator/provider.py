"""The whole provider in a box: name server, edges, REST service, webhooks, ledger."""

import asyncio
import contextlib
import random
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from simulator.catalogue import catalogue
from simulator.certificates import Authority
from simulator.client import Answer, ask
from simulator.delay import Line
from simulator.edge import Edge
from simulator.faults import Fault, Region
from simulator.front import Arrival, Site
from simulator.ledger import Ledger
from simulator.nameserver import Nameserver
from simulator.plan import REGIONS, EdgePlan, addresses, read_edges
from simulator.resources import Account, Resources, account
from simulator.rest import Rest
from simulator.signalling import HEARTBEAT
from simulator.sip.plan import SipPlan
from simulator.sip.service import SipService
from simulator.sockets import VIDEO, VOICE, Sockets
from simulator.streams import StreamEngine
from simulator.webhooks import WebhookEngine
from simulator.zone import build

DNS_ADDRESS = "127.20.0.53"
"Loopback address of the name server, unless it is given another."

_PORTS = range(20_000, 30_000)
"Below the range from which the kernel takes ports for clients."

_SIP_PORTS = range(30_000, 32_000, 2)
"Apart from those of HTTPS, since two sockets that do not listen yet share a port."

_TRIES = 20


class Provider:
    """A running provider; `start` makes one."""

    def __init__(
        self,
        plans: Sequence[EdgePlan],
        directory: Path,
        *,
        cdn: str | None,
        ttl: int,
        ledger_file: Path | None,
        seed: int | None,
        sip: SipPlan,
        heartbeat: float,
    ) -> None:
        chance = random.Random(seed)
        at = addresses(plans)
        if cdn is not None and not any(p.name == cdn and not p.private for p in plans):
            raise ValueError(f"the content network needs a public edge, not {cdn!r}")
        self.plans = tuple(plans)
        self.port = 0
        "TCP port of all edges for HTTPS; those of SIP are in `sip.ports`."
        self.ledger = Ledger(asyncio.get_running_loop().time, ledger_file)
        self.zone = build(plans, at, cdn=cdn)
        self.dns = Nameserver(self.zone, self.ledger, chance, ttl=ttl)
        self.edges = {
            plan.name: Edge(
                plan,
                at[plan.name],
                Line(plan.round_trip, plan.jitter, chance),
                self.ledger,
            )
            for plan in plans
        }
        self.regions = {name: Region(name, self.ledger) for name in REGIONS}
        self.account: Account = account()
        self.sip = SipService(sip, self.zone, self.edges, self.ledger, chance)
        sources = {plan.name: at[plan.name][0] for plan in plans}
        token = self.account.tokens[REGIONS[0]]
        self.webhooks = WebhookEngine(sources, token, self.ledger)
        self.streams = StreamEngine(sources, self.account.sid, token, self.ledger)
        self._authority = Authority(directory)
        self._contexts: dict[tuple[str, Fault | None], ssl.SSLContext] = {}
        self._sockets = Sockets(self.ledger, heartbeat)
        self._rest = Rest(self.zone, self.ledger, Resources(self.account), self.regions)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        edges: Sequence[EdgePlan | str],
        *,
        directory: Path | None = None,
        port: int = 0,
        dns_port: int = 0,
        nameserver: str = DNS_ADDRESS,
        cdn: str | None = None,
        ttl: int = 600,
        ledger_file: Path | None = None,
        seed: int | None = None,
        sip: SipPlan | None = None,
        sip_port: int = 0,
        heartbeat: float = HEARTBEAT,
    ) -> AsyncIterator["Provider"]:
        """Run a provider with the given edges until the context ends.

        Args:
          edges: plans, or texts such as `ashburn=20ms` (see `plan.read_edge`).
          directory: for the authority's certificate; omitted, a temporary one.
          port: HTTPS port of all edges; 0 takes a free one.
          dns_port: port of the name server; 0 takes a free one.
          nameserver: address of the name server.
          cdn: public edge to which all public REST names lead.
          ttl: seconds for which DNS answers hold.
          ledger_file: file to which events are appended as lines of JSON.
          seed: makes jitter and the order of addresses repeatable.
          sip: the rules of SIP; omitted, those of the real provider.
          sip_port: port of SIP over UDP and TCP at all edges, TLS being on the next
            one; 0 takes free ones.
          heartbeat: seconds between two heartbeats to voice clients.

        Raises ValueError for edges that make no provider, OSError without a port.
        """
        plans = read_edges(edges)
        with contextlib.ExitStack() as stack:
            if directory is None:
                temporary = tempfile.TemporaryDirectory(prefix="simulator-")
                directory = Path(stack.enter_context(temporary))
            provider = cls(
                plans,
                directory,
                cdn=cdn,
                ttl=ttl,
                ledger_file=ledger_file,
                seed=seed,
                sip=sip or SipPlan(),
                heartbeat=heartbeat,
            )
            try:
                await provider._open(port, (nameserver, dns_port), sip_port)
                yield provider
            finally:
                await provider._close()

    @property
    def dns_address(self) -> tuple[str, int]:
        """Where the name server listens, on UDP and TCP."""
        return self.dns.address

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, which clients must trust."""
        return self._authority.file

    def trust(self) -> ssl.SSLContext:
        """A client's context that trusts this provider alone."""
        return self._authority.client()

    def catalogue(self) -> str:
        """The catalogue of this provider for a router, as YAML."""
        period = self.sip.core.plan.options_period
        return catalogue(self.zone, self.plans, self.port, period)

    async def ask(
        self,
        name: str,
        target: str = "/",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        data: bytes | Mapping[str, str] | None = None,
        address: str | None = None,
        source: str | None = None,
        timeout: float = 10.0,
    ) -> Answer:
        """Make one request directly, without a router: what `client.ask` does.

        It goes to the first address of the host name unless another is given.
        """
        entry = self.zone.find(name)
        assert entry is not None, f"{name} is no name of this provider"
        return await ask(
            address or entry.addresses[0],
            f"https://{name}:{self.port}{target}",
            self.trust(),
            method=method,
            headers=headers,
            data=data,
            source=source,
            timeout=timeout,
        )

    def heal(self) -> None:
        """End every fault, those of the DNS included."""
        for place in (*self.edges.values(), *self.regions.values()):
            place.heal()
        self.dns.heal()

    async def _open(self, port: int, dns: tuple[str, int], sip_port: int) -> None:
        await self._rest.start()
        for left in reversed(range(1 if port and sip_port else _TRIES)):
            self.port = port or random.choice(_PORTS)
            try:
                self._bind(self.port)
                self.sip.open(sip_port or random.choice(_SIP_PORTS), self._context)
            except OSError:
                await self._unbind()
                if not left:
                    raise
            else:
                break
        self.zone.ports = self.sip.ports
        await self.dns.start(*dns)
        for edge in self.edges.values():
            self._context(edge.name, None)
            edge.changed()

    def _bind(self, port: int) -> None:
        for edge in self.edges.values():
            site = Site(
                edge.name,
                edge.line,
                edge.plan.sources,
                self._accept,
                self._context,
                self.ledger,
            )
            for address in edge.addresses:
                address.open(site, port)

    async def _unbind(self) -> None:
        for edge in self.edges.values():
            for address in edge.addresses:
                await address.stop()

    async def _close(self) -> None:
        self.dns.stop()
        self.sip.stop()
        await self._unbind()
        await self._rest.stop()
        self.ledger.close()

    def _accept(self, arrival: Arrival, name: str) -> asyncio.Protocol:
        """What serves a connection, by its TLS server name."""
        entry = self.zone.find(name.lower())
        if entry is not None and entry.product in (VOICE, VIDEO):
            return self._sockets.accept(arrival, entry, name)
        return self._rest.accept(arrival)

    def _context(self, edge: str, flaw: Fault | None) -> ssl.SSLContext:
        """A TLS context of an edge, made when it is first needed."""
        context = self._contexts.get((edge, flaw))
        if context is None:
            at = [address.address for address in self.edges[edge].addresses]
            names = self.zone.certificate(edge, at)
            context = self._authority.context(names, flaw)
            self._contexts[edge, flaw] = context
        return context
