"""The endpoints of a configuration: every product in use at every edge in use."""

from collections.abc import Iterator

from protocols.target import Transport
from router.addresses import Receiver
from router.catalogue import Catalogue, Product, fill
from router.endpoint import Endpoint, Protocol
from router.links import device_to
from router.listeners import (
    Demand,
    FromProvider,
    HttpsConnect,
    HttpsPassthrough,
    HttpsTerminate,
    Listener,
    Sip,
    WebsocketToProvider,
)
from router.names import literal
from router.services import service_name
from router.settings import Config

ANYWHERE = "*"
"""In place of an edge: the endpoint of a product whose names have no edge. It has
nothing to choose, is never home, and its round trip says nothing about an edge."""


def products_of(listener: Listener, catalogue: Catalogue) -> tuple[str, ...]:
    """Names of the products that a listener can reach; none if it faces the site."""
    match listener:
        case HttpsConnect(products=None):
            return tuple(
                name
                for name, product in catalogue.products.items()
                if product.protocol is Protocol.HTTPS and product.has_edges
            )
        case HttpsConnect(products=tuple() as products):
            return products
        case HttpsTerminate() | HttpsPassthrough() | WebsocketToProvider() | Sip():
            return (listener.product,)
        case _:
            return ()


def is_required(listener: Listener) -> bool:
    """Whether flows of a listener may go by direct links only."""
    return not isinstance(listener, FromProvider) and (
        listener.privacy is Demand.REQUIRED
    )


def endpoints(catalogue: Catalogue, config: Config) -> tuple[Endpoint, ...]:
    """One endpoint for each product in use and each edge that offers it.

    Two SIP listeners of one product with different hosts make two endpoints at an edge.
    """
    found = (
        endpoint
        for listener in config.listeners.values()
        for name in products_of(listener, catalogue)
        for endpoint in _of_product(catalogue, config, listener, name)
    )
    return tuple(dict.fromkeys(found))


def receivers(config: Config) -> tuple[Endpoint, ...]:
    """One endpoint for each receiver of each listener from the provider, in order."""
    return tuple(
        Endpoint(
            product=name,
            edge=str(to),
            protocol=listener.protocol,
            transport=transport_to(listener, to),
            resolve=_resolve(listener, to),
            port=to.port,
            host=str(to),
            server_name=to.host if to.tls else "",
            verify_name=to.host if to.tls else "",
        )
        for name, listener in config.listeners.items()
        for to in receivers_of(listener)
    )


def receivers_of(listener: Listener) -> tuple[Receiver, ...]:
    """The machines of the site that a listener sends to, the preferred one first."""
    match listener:
        case FromProvider():
            return listener.to
        case Sip():
            return listener.site.to
        case _:
            return ()


def transport_to(listener: Listener, to: Receiver) -> Transport:
    """What carries flows to a receiver: as it says, or as the router is bound."""
    if to.tls:
        return Transport.TLS
    if not isinstance(listener, Sip):
        return Transport.TCP
    if to.transport is not None:
        return to.transport
    plain = (
        b.transport for b in listener.site.bind if b.transport is not Transport.TLS
    )
    return next(plain, Transport.UDP)


def _resolve(listener: Listener, to: Receiver) -> str:
    """What to look up for a receiver. RFC 3263 section 4.2: a port that is written down
    leaves nothing to SRV records."""
    if to.port_given:
        return to.host
    return _served(listener.protocol, transport_to(listener, to), to.host)


def _served(protocol: Protocol, transport: Transport, name: str) -> str:
    """The name of what is served at a name, which for SIP the DNS may tell."""
    if protocol is not Protocol.SIP or literal(name) is not None:
        return name
    return service_name(transport, name)


def _of_product(
    catalogue: Catalogue, config: Config, listener: Listener, name: str
) -> Iterator[Endpoint]:
    product = catalogue.products[name]
    region = config.provider.region
    edges = config.provider.edges if product.has_edges else (ANYWHERE,)
    for edge in edges:
        if is_required(listener) and device_to(config.provider.links, edge) is None:
            continue  # so that it is not even probed
        if edge == ANYWHERE or product.offered(edge, region):
            yield _endpoint(catalogue, config, listener, name, edge)


def _endpoint(
    catalogue: Catalogue, config: Config, listener: Listener, name: str, edge: str
) -> Endpoint:
    product = catalogue.products[name]
    entry = catalogue.edges.get(edge)

    def filled(template: str) -> str:
        return fill(
            template,
            product=name,
            edge=edge,
            region=config.provider.region,
            legacy_id=(entry.legacy_id if entry else None) or "",
            tenant="",
        )

    host = filled(product.hosts.get(edge) or product.host or "")
    if isinstance(listener, Sip):
        host = listener.host
    transport = _transport(listener, product)
    server_name = filled(product.server_name or host)
    encrypted = transport is Transport.TLS
    source = config.provider.source_addresses.get(edge)
    return Endpoint(
        product=name,
        edge=edge,
        protocol=product.protocol,
        transport=transport,
        resolve=_served(product.protocol, transport, filled(product.next_hop or host)),
        port=product.transports[transport],
        host=host,
        server_name=server_name if encrypted else "",
        verify_name=filled(product.verify_name or server_name) if encrypted else "",
        source=str(source) if source else None,
        device=device_to(config.provider.links, edge),
    )


def _transport(listener: Listener, product: Product) -> Transport:
    if isinstance(listener, Sip):
        return listener.edge.transport
    return Transport.TLS if Transport.TLS in product.transports else Transport.TCP
