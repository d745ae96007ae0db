"""From which edge a flow comes, by its source, and whether it may come that way.

A private edge sends over its link, to what was announced there. The same source address
elsewhere is forged, or the route is not what it should be; either way the flow is not
private, and is refused. Where nothing is known about how a flow arrived, it is taken.
"""

import dataclasses
import enum
import ipaddress
from collections.abc import Iterator, Mapping

from router.addresses import IPAddress, IPNetwork
from router.catalogue import Catalogue
from router.endpoint import Kind, Protocol
from router.links import Link, behind


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where a source address belongs."""

    edge: str = ""
    "The edge; empty for a network that is of none, or of several."
    private: bool = False
    "Whether that is a private edge."
    link: str = ""
    "Name of the link by which it must come; empty if no link is known for it."


@dataclasses.dataclass(frozen=True, slots=True)
class Arrival:
    """How a flow came in, as far as that is known."""

    source: IPAddress
    "Where it comes from."
    local: IPAddress | None = None
    "The address that it was sent to; None where that is not known."
    interface: str | None = None
    "The interface that it came in by; None where that is not known."


class Verdict(enum.StrEnum):
    """What to do about a flow."""

    TAKE = "take"
    "Nothing speaks against it."
    UNLISTED = "unlisted"
    "No network of the provider holds its source."
    ASTRAY = "astray"
    "It has a private source and did not come by the link."


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one flow, with what led to it."""

    verdict: Verdict
    "What to do."
    origin: Origin = Origin()
    "Where it comes from."
    reason: str = ""
    "Why it is astray, in words."


class Origins:
    """The provider's networks and the site's links; never changes."""

    def __init__(self, catalogue: Catalogue, links: Mapping[str, Link]) -> None:
        self._links = links
        self._networks: dict[tuple[int, int], dict[int, Origin]] = {}
        linked = behind(links)
        for network, edge in _networks(catalogue):
            private = bool(edge) and catalogue.edges[edge].kind is Kind.PRIVATE
            origin = Origin(edge, private, linked.get(edge, ""))
            self._add(network, origin)
        self._sizes = sorted(self._networks, reverse=True)

    def _add(self, network: IPNetwork, origin: Origin) -> None:
        """A network that several edges have tells nothing of an edge."""
        same = self._networks.setdefault((network.version, network.prefixlen), {})
        first = int(network.network_address)
        same[first] = origin if same.get(first, origin) == origin else Origin()

    def find(self, source: IPAddress) -> Origin | None:
        """Where an address belongs, by the smallest network that holds it."""
        number = int(source)
        for version, length in self._sizes:
            if version == source.version:
                beyond = source.max_prefixlen - length
                found = self._networks[version, length].get(number >> beyond << beyond)
                if found is not None:
                    return found
        return None

    def judge(self, arrival: Arrival) -> Judgement:
        """Whether a flow may come as it does.

        Only listeners for which the provider names its networks refuse what is
        UNLISTED; what is ASTRAY none takes.
        """
        origin = self.find(mapped(arrival.source))
        if origin is None:
            return Judgement(Verdict.UNLISTED)
        reason = self._astray(origin, arrival)
        verdict = Verdict.ASTRAY if reason else Verdict.TAKE
        return Judgement(verdict, origin, reason)

    def _astray(self, origin: Origin, arrival: Arrival) -> str:
        """Why a flow cannot have come by its link; empty if it may have."""
        link = self._links.get(origin.link)
        if link is None:
            return ""
        by, wanted = arrival.interface, link.interface
        if by is not None and wanted is not None and by != wanted:
            return f"came in by {by}, link {origin.link} is {wanted}"
        local = arrival.local
        if local is None or not link.sources or local.is_unspecified:
            return ""
        if any(mapped(local) in prefix for prefix in link.prefixes):
            return ""
        return f"was sent to {local}, which is not announced over link {origin.link}"


def mapped(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 socket shows as ::ffff:192.0.2.1 (RFC 4291)."""
    four = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return four or address


def _networks(catalogue: Catalogue) -> Iterator[tuple[IPNetwork, str]]:
    """What tells edges apart, and what does not: media are the same for all edges."""
    for name, edge in catalogue.edges.items():
        for network in (*edge.networks.sip_signalling, *edge.networks.sdk_signalling):
            yield network, name
    for protocol in Protocol:
        yield from ((network, "") for network in catalogue.sources.get(protocol, ()))
