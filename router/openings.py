"""The provider's networks by purpose, and how firewalls are told of them."""

import dataclasses
import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from protocols.target import Transport
from router.addresses import IPNetwork
from router.catalogue import Catalogue
from router.endpoint import Protocol

TABLE = "edge_router"
"Table of nftables, unless another is wanted."


@dataclasses.dataclass(frozen=True, slots=True)
class Opening:
    """What one purpose needs."""

    purpose: str
    "sip_signalling, sdk_signalling or media."
    directions: str
    "Who begins, in words."
    ports: tuple[str, ...]
    "Ports on the provider's side, such as `udp 5060`; empty where they are not known."
    networks: tuple[IPNetwork, ...]
    "The provider's networks, IPv4 first, none inside another."


def openings(catalogue: Catalogue) -> tuple[Opening, ...]:
    """Every purpose for which the catalogue knows networks.

    Those of all edges: any edge may call any site.
    """
    edges = catalogue.edges.values()
    media = catalogue.dialect.media_ports
    sdk = [n for edge in edges for n in edge.networks.sdk_signalling]
    voice = [n for edge in edges for n in edge.networks.media]
    found = (
        Opening(
            "sip_signalling",
            "both ways",
            _ports(catalogue, Protocol.SIP),
            collapsed(catalogue.source_networks(Protocol.SIP)),
        ),
        Opening(
            "sdk_signalling",
            "to the provider",
            _ports(catalogue, Protocol.WEBSOCKET),
            collapsed(sdk),
        ),
        Opening(
            "media", "both ways", (f"udp {media}",) if media else (), collapsed(voice)
        ),
    )
    return tuple(opening for opening in found if opening.networks)


def collapsed(networks: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """The same addresses in as few networks as can be."""
    four, six = [], []
    for network in networks:
        if isinstance(network, ipaddress.IPv4Network):
            four.append(network)
        else:
            six.append(network)
    return (
        *ipaddress.collapse_addresses(four),
        *ipaddress.collapse_addresses(six),
    )


def _ports(catalogue: Catalogue, protocol: Protocol) -> tuple[str, ...]:
    ports = {
        f"{'udp' if transport is Transport.UDP else 'tcp'} {port}"
        for product in catalogue.products.values()
        if product.protocol is protocol
        for transport, port in product.transports.items()
    }
    return tuple(sorted(ports))


def plain(found: Sequence[Opening]) -> Iterator[str]:
    """One network a line, with comments."""
    for opening in found:
        ports = ", ".join(opening.ports) or "ports not known"
        yield f"# {opening.purpose}: {ports}, {opening.directions}"
        yield from map(str, opening.networks)


def nftables(found: Sequence[Opening], table: str = TABLE) -> Iterator[str]:
    """Sets for nft(8), to be loaded with `nft -f`, all at once or not at all.

    Loading them again replaces what is in them; rules that name them stay as they are.
    """
    yield f"add table inet {table}"
    for name, version, networks in _sets(found):
        kind = f"{{ type ipv{version}_addr; flags interval; }}"
        yield f"add set inet {table} {name} {kind}"
        yield f"flush set inet {table} {name}"
        yield f"add element inet {table} {name} {{ {', '.join(networks)} }}"


def ipset(found: Sequence[Opening]) -> Iterator[str]:
    """Sets for ipset(8), to be loaded with `ipset restore`."""
    for name, version, networks in _sets(found):
        yield f"create {name} hash:net family inet{'6' * (version == 6)} -exist"
        yield f"flush {name}"
        yield from (f"add {name} {network}" for network in networks)


def _sets(found: Sequence[Opening]) -> Iterator[tuple[str, int, list[str]]]:
    """Names, versions of IP and members: a set holds one version only."""
    for opening in found:
        for version in (4, 6):
            members = [str(n) for n in opening.networks if n.version == version]
            if members:
                yield f"provider_{opening.purpose}_{version}", version, members
