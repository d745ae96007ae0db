"""A SIP listener as its proxy wants it: addresses, networks, clocks, place names."""

import dataclasses
import functools
import ipaddress
from collections.abc import Iterator

from protocols.sip.peers import Side
from protocols.sip.settings import TO_EDGE, TO_SITE, Place, Settings
from protocols.target import Target, Transport
from router.addresses import IPNetwork
from router.catalogue import Catalogue
from router.choice import WITHOUT_LINK, HoldsSnapshot, by_link
from router.config import Loaded
from router.endpoint import Protocol
from router.endpoints import is_required
from router.listeners import Sip

_KNOWN = 4_096  # addresses whose place is remembered


def networks_of(listener: Sip, loaded: Loaded) -> tuple[IPNetwork, ...]:
    """Where calls of the provider may come from, and requests of a dialog go.

    For a listener that demands privacy, only what is behind a link with an interface.
    """
    if not is_required(listener):
        return loaded.catalogue.source_networks(Protocol.SIP)
    links = loaded.config.provider.links.values()
    edges = [edge for link in links if link.interface for edge in link.edges]
    found = (
        n for e in edges for n in loaded.catalogue.edges[e].networks.sip_signalling
    )
    return tuple(dict.fromkeys(found))


def settings_of(
    listener: Sip,
    networks: tuple[IPNetwork, ...],
    places: tuple[Place, ...],
    keys: tuple[bytes, ...],
    sources: frozenset[str] = frozenset(),
) -> Settings:
    """What the proxy of a listener is told once; the first of the keys signs.

    `networks` are those of the provider, `places` where it is bound; `sources` are
    further addresses of the router, from which it sends to some edges.
    """
    return Settings(
        places=places,
        keys=keys,
        host=listener.host,
        names=sources,
        networks={
            Side.SITE: listener.site.allow,
            Side.EDGE: networks,
        },
        nobody=WITHOUT_LINK if is_required(listener) else "",
        to_edge=dataclasses.replace(TO_EDGE, no_response=listener.no_response),
        to_site=dataclasses.replace(
            TO_SITE,
            # So that a second PBX has as much time as the first.
            no_response=min(TO_SITE.no_response, listener.site_no_response / 2),
            seconds=listener.site_no_response,
        ),
        sips_as_sip=True,
    )


def place_of(
    listener: Sip,
    side: Side,
    transport: Transport,
    bound: tuple[str, int],
    sources: frozenset[str] = frozenset(),
) -> Place:
    """A socket of a listener, as its peers know it.

    `sources` are the addresses for private edges: behind them there is no NAT, and what
    was announced to the provider is what is bound.
    """
    host, port = bound[:2]
    outer = listener.edge.advertise if side is Side.EDGE else None
    if outer is None or host in sources or (outer.version == 6) is not (":" in host):
        return Place(side, transport, host, port)
    return Place(side, transport, host, port, named=str(outer))


@dataclasses.dataclass(frozen=True, slots=True)
class Belongs:
    """Whether an endpoint at an edge is a listener's: others may share the product."""

    listener: Sip
    "The listener."

    def __call__(self, target: Target) -> bool:
        """Look at any target of the endpoint."""
        listener = self.listener
        ours = listener.host, listener.edge.transport
        if is_required(listener) and not by_link(target):
            return False
        return (target.host, target.transport) == ours


class PlaceNames:
    """What the policy knows of the addresses of a listener's peers."""

    def __init__(
        self, name: str, listener: Sip, catalogue: Catalogue, source: HoldsSnapshot
    ) -> None:
        self._product = (name, listener.product)  # by Side
        self._belongs = Belongs(listener)
        self._source = source
        self._services: object = None
        self._by_label: tuple[dict[str, Target], dict[str, Target]] = ({}, {})
        self._networks = tuple(
            (network, name)
            for name, edge in catalogue.edges.items()
            for network in edge.networks.sip_signalling
        )
        self._of_network = functools.lru_cache(_KNOWN)(self._in_network)

    def label(self, side: Side, address: str) -> str:
        """Name of the edge, or of the PBX, that an address belongs to; else empty."""
        if side is Side.EDGE and (name := self._of_network(address)):
            return name
        # The name to verify hangs on the label; a PBX may be known without one, too.
        there = [one for one in self._targets(side) if one.address == address]
        return max(there, key=_has_name).label if there else ""

    def target(self, side: Side, label: str) -> Target | None:
        """Any target of that edge or PBX, the last one if it has none any more.

        Dialogs go on at an edge that is not in the configuration any more: the name to
        verify there is still the same. None for one that never had an address.
        """
        services = self._source.snapshot.services
        if services is not self._services:  # the snapshot is a new one
            site, edge = self._by_label
            site |= self._labelled(Side.SITE)
            edge |= self._labelled(Side.EDGE)
            self._services = services
        return self._by_label[side].get(label)

    def _labelled(self, side: Side) -> dict[str, Target]:
        found: dict[str, Target] = {}
        for target in self._targets(side):
            found.setdefault(target.label, target)
        return found

    def _targets(self, side: Side) -> Iterator[Target]:
        services = self._source.snapshot.services.get(self._product[side], ())
        found = (one.target for service in services for one in service.addresses)
        return filter(self._belongs, found) if side is Side.EDGE else found

    def _in_network(self, address: str) -> str:
        found = ipaddress.ip_address(address)
        networks = self._networks
        return next((name for network, name in networks if found in network), "")


def _has_name(target: Target) -> bool:
    return bool(target.verify_name)
