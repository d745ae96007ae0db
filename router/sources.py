"""The addresses that calls to the provider may come from, whichever edge they take.

A provider that knows a trunk by its address refuses calls from any other (403): a
failover over an address that is not on its list is none.
"""

import dataclasses

from protocols.target import Transport
from router.addresses import IPAddress
from router.catalogue import Catalogue
from router.endpoints import is_required
from router.links import Links, device_at, device_to
from router.listeners import Sip
from router.reserved import not_unique
from router.settings import Config


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One entry for the access list of a trunk or domain at the provider."""

    listener: str
    "Name of the SIP listener."
    host: str
    "The trunk or domain."
    network: str
    "The address; or the prefix, where the system chooses an address in it."
    edges: tuple[str, ...]
    "The edges that may be called from there."
    note: str
    "Why it is there, in words."

    def __str__(self) -> str:
        return f"{self.network}: {self.note}, to {', '.join(self.edges)}"


def sources(config: Config, catalogue: Catalogue) -> tuple[Source, ...]:
    """Every source of every SIP listener; `config` is settled with the catalogue."""
    return tuple(
        source
        for name, listener in config.listeners.items()
        if isinstance(listener, Sip)
        for source in _of_listener(name, listener, config, catalogue)
    )


def _of_listener(
    name: str, listener: Sip, config: Config, catalogue: Catalogue
) -> list[Source]:
    found: dict[tuple[str, str], list[str]] = {}
    product = catalogue.products[listener.product]
    for edge in config.provider.edges:
        barred = (
            is_required(listener) and device_to(config.provider.links, edge) is None
        )
        if product.offered(edge, config.provider.region) and not barred:
            for place in _places(edge, listener, config):
                found.setdefault(place, []).append(edge)
    return [
        Source(name, listener.host, network, tuple(edges), note)
        for (network, note), edges in found.items()
    ]


def _places(edge: str, listener: Sip, config: Config) -> list[tuple[str, str]]:
    """Where calls to an edge may come from, and why, the preferred one first."""
    own = config.provider.source_addresses.get(edge)
    for name, link in config.provider.links.items():
        if edge in link.edges and link.sources:
            note = f"source of link {name}"
            return [(str(source), note) for source in link.sources]
        if edge in link.edges and own is None:
            note = f"prefix of link {name}, which has no source of its own"
            return [(str(prefix), note) for prefix in link.prefixes]
    if own is not None:
        return [(str(own), "source address of the edge")]
    return _bound(listener, config.provider.links)


def _bound(listener: Sip, links: Links) -> list[tuple[str, str]]:
    """What edges without a source of their own see: the first address of each family
    that carries the transport, or what a NAT makes of it. What is bound for a link with
    an interface is for that alone."""
    outer = listener.edge.advertise
    first: dict[int, IPAddress] = {}
    for bind in listener.edge.bind:
        free = device_at(links, bind.address) is None
        if free and _carries(bind.transport, listener.edge.transport):
            first.setdefault(bind.address.version, bind.address)
    if outer is not None:
        first[outer.version] = outer
    return [(str(one), _seen(one, outer)) for one in first.values()]


def _carries(bound: Transport, chosen: Transport) -> bool:
    """Whether calls may leave by it. RFC 3261 section 18.1.1: what is too large for UDP
    goes by TCP."""
    return bound is chosen or (chosen is Transport.UDP and bound is Transport.TCP)


def _seen(address: IPAddress, outer: IPAddress | None) -> str:
    if address == outer:
        return "edge.advertise"
    reason = not_unique(address)
    return (
        f"edge.bind, {reason}: list what your NAT makes of it"
        if reason
        else "edge.bind"
    )
