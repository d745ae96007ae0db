"""What to tell the provider, which alone picks the edge of flows that it opens.

Pure: made of the configuration, the catalogue, and the order in which the policy likes
the edges now.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from protocols.target import hostport
from router.addresses import Bind, IPAddress
from router.catalogue import Catalogue
from router.endpoint import Kind, Protocol
from router.endpoints import is_required, products_of
from router.fragment import Wishes, fragment
from router.links import device_at, device_to
from router.listeners import HttpsConnect, HttpsFromProvider, Sip
from router.openings import Opening, openings
from router.policy import rank, rank_edges
from router.reserved import not_unique
from router.settings import Config
from router.snapshot import Snapshot
from router.sources import Source, sources

STEP = 10
"Between the priorities of two URIs, so that others fit in by hand."

Orders = Mapping[str, Sequence[str]]
"By product, its edges from the best to the worst; all edges under ALL."

ALL = ""
"In place of a product: the order of the edges as such."


@dataclasses.dataclass(frozen=True, slots=True)
class Uri:
    """One origination URI of a trunk."""

    uri: str
    "The URI."
    priority: int
    "Lower ones are tried first, 0 to 65535."
    weight: int
    "Share among those of one priority, 1 to 65535."


@dataclasses.dataclass(frozen=True, slots=True)
class Trunk:
    """What to set for one trunk or domain."""

    listener: str
    "Name of the SIP listener."
    host: str
    "The trunk or domain."
    uris: tuple[Uri, ...]
    "Where the provider is to send calls; empty if it cannot be told of edges."
    access: tuple[Source, ...]
    "What must be on its access list."


@dataclasses.dataclass(frozen=True, slots=True)
class Webhook:
    """What to put behind the URLs of webhooks that lead to one listener."""

    listener: str
    "Name of the listener."
    fragment: str
    "The fragment, with its `#`."


@dataclasses.dataclass(frozen=True, slots=True)
class Advice:
    """All of it."""

    trunks: tuple[Trunk, ...]
    "For each SIP listener."
    webhooks: tuple[Webhook, ...]
    "For each listener of webhooks; empty if the provider reads no fragments."
    sdk_edges: tuple[str, ...]
    "The list of edges for client SDKs."
    environment: Mapping[str, str]
    "Environment variables of programs with server SDKs."
    networks: tuple[Opening, ...]
    "The provider's networks to open."
    notes: tuple[str, ...]
    "What has to be looked at by hand."


def advise(
    config: Config, catalogue: Catalogue, orders: Orders, wishes: Wishes
) -> Advice:
    """Advice for a settled configuration; `orders` is empty if no daemon was asked.

    Raises ValueError for wishes about webhooks that the provider would not fulfil.
    """
    notes: list[str] = []
    return Advice(
        trunks=tuple(_trunks(config, catalogue, orders, notes)),
        webhooks=tuple(_webhooks(config, catalogue, orders, wishes, notes)),
        sdk_edges=_sdk_edges(config, catalogue, orders),
        environment=_environment(config, catalogue, orders),
        networks=openings(catalogue),
        notes=tuple(notes),
    )


def advised(config: Config, catalogue: Catalogue, orders: Orders) -> dict[str, str]:
    """By listener, the edge that comes first in its advice.

    Those that the provider cannot be told about, or has no edge for, are left out.
    """
    found: dict[str, str] = {}
    for name, listener in config.listeners.items():
        edges: Iterable[str] = ()
        if isinstance(listener, Sip) and catalogue.dialect.edge_parameter is not None:
            edges = (
                edge
                for edge in _callers(listener, config, catalogue, orders)
                if not isinstance(_reached_at(edge, listener, config, catalogue), str)
            )
        elif isinstance(listener, HttpsFromProvider):
            edges = _reaching(listener, config, catalogue, orders)
        first = next(iter(edges), None)
        if first is not None:
            found[name] = first
    return found


def live(snapshot: Snapshot, *, now: float) -> Orders:
    """How the policy likes the edges now."""
    orders = {
        product: [place.endpoint.edge for place in rank(snapshot, product, now=now)]
        for product, services in snapshot.services.items()
        if all(one.endpoint.edge in snapshot.edges for one in services)
    }
    return orders | {ALL: list(rank_edges(snapshot, now=now))}


def order(
    product: str, config: Config, catalogue: Catalogue, orders: Orders
) -> tuple[str, ...]:
    """The edges that offer a product, the best one first."""
    liked = orders.get(product) or orders.get(ALL, ())
    offered, region = catalogue.products[product].offered, config.provider.region
    return tuple(e for e in _completed(liked, config, catalogue) if offered(e, region))


def _completed(
    liked: Iterable[str], config: Config, catalogue: Catalogue
) -> Iterator[str]:
    """The edges in use, as they are liked; then those of which no daemon has told:
    private ones, the default edge, the others."""
    default, edges = config.policy.default_edge, config.provider.edges
    configured = sorted(
        edges, key=lambda e: (not _is_private(e, catalogue), e != default)
    )
    live = [edge for edge in liked if edge in edges]
    yield from dict.fromkeys([*live, *configured])


def _is_private(edge: str, catalogue: Catalogue) -> bool:
    return catalogue.edges[edge].kind is Kind.PRIVATE


# ---- Calls -------------------------------------------------------------------------


def _trunks(
    config: Config, catalogue: Catalogue, orders: Orders, notes: list[str]
) -> Iterator[Trunk]:
    access = sources(config, catalogue)
    for name, listener in config.listeners.items():
        if isinstance(listener, Sip):
            edges = _callers(listener, config, catalogue, orders)
            yield Trunk(
                name,
                listener.host,
                tuple(_uris(name, listener, edges, config, catalogue, notes)),
                tuple(source for source in access if source.listener == name),
            )


def _callers(
    listener: Sip, config: Config, catalogue: Catalogue, orders: Orders
) -> list[str]:
    """The edges whose calls a listener takes, the best one first."""
    links = config.provider.links
    return [
        edge
        for edge in order(listener.product, config, catalogue, orders)
        if not is_required(listener) or device_to(links, edge) is not None
    ]


def _uris(
    name: str,
    listener: Sip,
    edges: Iterable[str],
    config: Config,
    catalogue: Catalogue,
    notes: list[str],
) -> Iterator[Uri]:
    dialect, priority = catalogue.dialect, 0
    if dialect.edge_parameter is None:
        return
    for edge in edges:
        if priority == STEP * dialect.uris:
            notes.append(f"{name}: {catalogue.name} takes {dialect.uris} URIs at most")
            return
        found = _reached_at(edge, listener, config, catalogue)
        if isinstance(found, str):
            notes.append(f"{name}: no URI for {edge}: {found}")
            continue
        address, port = found
        reason = "" if catalogue.simulated else not_unique(address)
        if reason:
            note = f"{name}: {address} is {reason}: put what your NAT makes of it there"
            notes.extend([note] if note not in notes else [])
        priority += STEP
        place = hostport(str(address), port)
        transport = f"transport={listener.edge.transport}"
        parameter = f"{dialect.edge_parameter}={edge}"
        yield Uri(f"sip:{place};{transport};{parameter}", priority, STEP)


def _reached_at(
    edge: str, listener: Sip, config: Config, catalogue: Catalogue
) -> tuple[IPAddress, int] | str:
    """Where the listener is for calls from an edge; or why that cannot be said.

    A private edge sends over its link only to what was announced there.
    """
    own, links = config.provider.source_addresses.get(edge), config.provider.links
    binds = [b for b in listener.edge.bind if b.transport is listener.edge.transport]
    if not _is_private(edge, catalogue):
        # What is bound for a link with an interface hears nobody else.
        binds = [b for b in binds if device_at(links, b.address) is None]
    if own is None and _is_private(edge, catalogue):
        own = _announced(edge, binds, config)
        if own is None:
            return "no address of the link is in edge.bind"
    bind = next((b for b in binds if own in (None, b.address)), None)
    if bind is None or not bind.port:
        return f"edge.bind has no {listener.edge.transport}:// address with a port"
    outer = listener.edge.advertise
    if own is None and outer is not None and outer.version == bind.address.version:
        return outer, bind.port
    return bind.address, bind.port


def _announced(edge: str, binds: Iterable[Bind], config: Config) -> IPAddress | None:
    """What is bound among the prefixes of an edge's link."""
    for link in config.provider.links.values():
        for bind in binds:
            if edge in link.edges and any(bind.address in p for p in link.prefixes):
                return bind.address
    return None


# ---- Webhooks and SDKs -------------------------------------------------------------


def _webhooks(
    config: Config,
    catalogue: Catalogue,
    orders: Orders,
    wishes: Wishes,
    notes: list[str],
) -> Iterator[Webhook]:
    if not catalogue.dialect.webhook_edges:
        return
    for name, listener in config.listeners.items():
        if isinstance(listener, HttpsFromProvider):
            reaching = _reaching(listener, config, catalogue, orders)
            if any(_is_private(edge, catalogue) for edge in reaching):
                notes.append(
                    f"{name}: the URL's name must lead to an address announced over "
                    "the link, or private edges call over the Internet"
                )
            yield Webhook(name, f"#{fragment(reaching, wishes)}")


def _reaching(
    listener: HttpsFromProvider, config: Config, catalogue: Catalogue, orders: Orders
) -> list[str]:
    """The edges whose webhooks reach a listener, the best one first."""
    known = catalogue.dialect.webhook_edges
    return [
        edge
        for edge in _completed(orders.get(ALL, ()), config, catalogue)
        if edge in known
        and (
            not _is_private(edge, catalogue)
            or _over_link(edge, listener.bind.address, config)
        )
    ]


def _over_link(edge: str, address: IPAddress, config: Config) -> bool:
    """Whether a listener can be reached over an edge's link."""
    return any(
        address.is_unspecified or any(address in prefix for prefix in link.prefixes)
        for link in config.provider.links.values()
        if edge in link.edges
    )


def _sdk_edges(config: Config, catalogue: Catalogue, orders: Orders) -> tuple[str, ...]:
    product = _first(Protocol.WEBSOCKET, config, catalogue)
    if product is None:
        return ()
    return (*order(product, config, catalogue, orders), *catalogue.dialect.sdk_last)


def _environment(
    config: Config, catalogue: Catalogue, orders: Orders
) -> dict[str, str]:
    product = _first(Protocol.HTTPS, config, catalogue)
    if product is None:
        return {}
    edge = next(iter(order(product, config, catalogue, orders)), "")
    written = catalogue.dialect.environment.items() if edge else ()
    named = {"{edge}": edge, "{region}": config.provider.region}
    found = {}
    for name, value in written:
        for placeholder, meant in named.items():
            value = value.replace(placeholder, meant)
        found[name] = value
    for listener in config.listeners.values():
        if (
            isinstance(listener, HttpsConnect)
            and not listener.bind.address.is_unspecified
        ):
            found["HTTPS_PROXY"] = f"http://{listener.bind}"
            break
    return found


def _first(protocol: Protocol, config: Config, catalogue: Catalogue) -> str | None:
    """The product that shows the order of a protocol: one in use, else any."""
    used = [
        name
        for listener in config.listeners.values()
        for name in products_of(listener, catalogue)
    ]
    return next(
        (
            name
            for name in (*used, *catalogue.products)
            if catalogue.products[name].protocol is protocol
            and catalogue.products[name].has_edges
        ),
        None,
    )
