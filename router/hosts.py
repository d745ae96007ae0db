"""Which product a host name is for: what keeps the router from being an open relay.

Every name that a catalogue can form is written out once, so that matching is an exact
look-up, label by label. Only {tenant} is open: it stands for one or more labels in
front of a known ending, which is found from the right.
"""

import dataclasses
import enum
import itertools
from collections.abc import Collection, Iterator, Mapping

from router.addresses import is_host
from router.catalogue import Catalogue, Product, RegionSource, fill
from router.endpoint import Protocol

_USUAL_PORT = 443
_LONGEST = 253  # RFC 1035 section 3.1 allows 255 octets on the wire


class Reason(enum.StrEnum):
    """Why a host name was refused."""

    UNKNOWN_HOST = "unknown_host"
    "No product of the catalogue has that name."
    OTHER_PORT = "other_port"
    "The product has the name, but not on that port."
    OTHER_REGION = "other_region"
    "The name belongs to a region other than the configured one."
    NOT_OFFERED = "not_offered"
    "The provider does not offer the product at that edge for that region."


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """What a host name is for."""

    product: str
    "Name of the product."
    edge: str | None = None
    "The edge that the name asks for; None if it names none."


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """Why a host name leads nowhere."""

    reason: Reason
    "The kind of reason."
    text: str
    "The reason in words."


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    match: Match
    region: str | None
    offered: bool
    ports: frozenset[int]


@dataclasses.dataclass(frozen=True, slots=True)
class HostNames:
    """All the names that lead to some products of a catalogue."""

    exact: Mapping[str, _Entry]
    "Whole names."
    endings: Mapping[str, _Entry]
    "What follows a tenant, without the dot between."


def host_names(catalogue: Catalogue, products: Collection[str]) -> HostNames:
    """Write out the names of these products; done once, when the catalogue is read."""
    exact: dict[str, _Entry] = {}
    endings: dict[str, _Entry] = {}
    for product in products:
        for name, entry in _names(catalogue, product):
            ending = name.removeprefix("{tenant}.")
            # The first to claim a name has it: a product before its further names.
            (exact if ending == name else endings).setdefault(ending, entry)
    return HostNames(exact, endings)


def match_host(
    names: HostNames, host: str, port: int, region: str | None
) -> Match | Refusal:
    """Find the product that `host` and `port` are for, in the configured region."""
    entry = _find(names, host)
    if entry is None:
        return Refusal(Reason.UNKNOWN_HOST, "no product of the provider has this name")
    if port not in entry.ports:
        known = ", ".join(map(str, sorted(entry.ports)))
        return Refusal(Reason.OTHER_PORT, f"the product is on port {known} only")
    if entry.region not in (None, region):
        text = f"the name is of region {entry.region}, this router's is {region}"
        return Refusal(Reason.OTHER_REGION, text)
    if not entry.offered:
        text = f"{entry.match.product} is not offered at {entry.match.edge} there"
        return Refusal(Reason.NOT_OFFERED, text)
    return entry.match


def _find(names: HostNames, host: str) -> _Entry | None:
    # RFC 4343: names are compared without regard to case; one final dot is the root.
    name = host.removesuffix(".").lower()
    if len(name) > _LONGEST:
        return None
    found = names.exact.get(name)
    if found is not None or not is_host(name):
        return found
    # From the right: the shortest known ending, whatever the tenant looks like.
    labels = name.split(".")
    for start in range(len(labels) - 1, 0, -1):
        found = names.endings.get(".".join(labels[start:]))
        if found is not None:
            return found
    return None


def _names(catalogue: Catalogue, name: str) -> Iterator[tuple[str, _Entry]]:
    """Every name of a product, its own templates first."""
    product = catalogue.products[name]
    ports = frozenset(product.transports.values())
    if product.protocol is not Protocol.SIP:
        ports |= {_USUAL_PORT}
    for template, edges in _templates(catalogue, product):
        regions = list(catalogue.regions) if "{region}" in template else [None]
        for edge, region in itertools.product(edges, regions):
            legacy_id = catalogue.edges[edge].legacy_id if edge is not None else None
            text = fill(
                template,
                product=name,
                edge=edge or "",
                region=region or "",
                legacy_id=legacy_id or "",
                tenant="{tenant}",
            )
            bound = _region(catalogue, product, region)
            offered = edge is None or product.offered(edge, bound or "")
            yield text.lower(), _Entry(Match(name, edge), bound, offered, ports)


def _templates(
    catalogue: Catalogue, product: Product
) -> Iterator[tuple[str, list[str | None]]]:
    """The templates of a product, each with the edges that it can be filled with."""
    for edge, template in product.hosts.items():
        yield template, [edge]
    for template in filter(None, (product.host, *product.also)):
        if "{edge}" in template or "{legacy_id}" in template:
            yield template, list(catalogue.edges)
        else:
            yield template, [None]


def _region(catalogue: Catalogue, product: Product, region: str | None) -> str | None:
    """The region that a name binds its flow to; None if the name does not matter."""
    if region is not None or product.region_from is not RegionSource.LABEL:
        return region
    return catalogue.default_region
