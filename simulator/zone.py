"""The provider's host names: what exists, where it leads, what a certificate covers.

One table serves the name server, the REST service and the certificates, so that they
cannot disagree. Only pairs of edge and region that the provider offers have a name.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from simulator.plan import REGIONS, EdgePlan

REST = (
    "api",
    "conversations",
    "eventgw",
    "insights",
    "lookups",
    "messaging",
    "studio",
    "trunking",
    "verify",
    "video",
    "voice",
    "webhooks",
)
"Products whose names carry an edge and a region."

TENANTS = ("pstn", "sip")
"Products whose customers have names of their own below them."

LEGACY = {
    "ashburn": "us1",
    "umatilla": "us2",
    "dublin": "ie1",
    "frankfurt": "de1",
    "tokyo": "jp1",
    "singapore": "sg1",
    "sydney": "au1",
    "sao-paulo": "br1",
}
"Labels that edges had before they had names; alive below `pstn` and `sip` alone."


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One name of the provider, or one wildcard."""

    name: str
    "Name in lower case without a final dot; `*.` at its beginning is a wildcard."
    product: str
    "What the name is for."
    edge: str | None
    "Edge label that it carries, if any."
    region: str | None
    "Region in which its requests are processed; None where no label decides it."
    addresses: tuple[str, ...]
    "Addresses to which it leads."


SERVICES = {"tls": "_sips._tcp", "tcp": "_sip._tcp", "udp": "_sip._udp"}
"Labels of the SRV records of each transport (RFC 3263 section 4.1), best first."

_FLAGS = {"tls": "SIPS+D2T", "tcp": "SIP+D2T", "udp": "SIP+D2U"}


class Zone:
    """All names of one provider."""

    def __init__(self, domain: str, entries: Sequence[Entry]) -> None:
        self.domain = domain
        self.entries = {entry.name: entry for entry in entries}
        self.ports: Mapping[str, int] = {}
        "Port of each transport of SIP, once known."

    def holds(self, name: str) -> bool:
        """Whether a name lies in this zone, existing or not."""
        return name == self.domain or name.endswith(f".{self.domain}")

    def find(self, name: str) -> Entry | None:
        """The entry for a name, wildcards of any depth included (RFC 4592)."""
        entry = self.entries.get(name)
        rest = name
        while entry is None and "." in rest:
            rest = rest.partition(".")[2]
            entry = self.entries.get(f"*.{rest}")
        return entry

    def pointers(self, name: str) -> list[str]:
        """NAPTR records of a next hop of SIP, as text (RFC 3263 section 4.1)."""
        if not self._gateways(name):
            return []
        return [
            f'{10 * place} 10 "S" "{_FLAGS[way]}" "" {SERVICES[way]}.{name}.'
            for place, way in enumerate(SERVICES, start=1)
        ]

    def services(self, name: str) -> list[str]:
        """SRV records of one transport of a next hop, as text (RFC 2782)."""
        for way, labels in SERVICES.items():
            if name.startswith(f"{labels}."):
                gateways = self._gateways(name.removeprefix(f"{labels}."))
                return [f"10 10 {self.ports.get(way, 0)} {one}." for one in gateways]
        return []

    def _gateways(self, name: str) -> list[str]:
        """Names of the single addresses of an edge's next hop."""
        entry = self.entries.get(name)
        if entry is None or entry.product not in TENANTS or entry.edge is None:
            return []
        names = [f"gw{n}.{name}" for n in range(1, len(entry.addresses) + 1)]
        return names if all(one in self.entries for one in names) else []

    def certificate(self, edge: str, addresses: Sequence[str]) -> tuple[str, ...]:
        """Names for an edge's certificate, each a wildcard of a single label.

        They cover what bears the edge's label or none, and what leads to it.
        """
        ours = set(addresses)
        return tuple(
            sorted(
                {
                    f"*.{entry.name.partition('.')[2]}"
                    for entry in self.entries.values()
                    if entry.edge in (edge, None) or ours.intersection(entry.addresses)
                }
            )
        )


def build(
    plans: Sequence[EdgePlan],
    addresses: Mapping[str, tuple[str, ...]],
    *,
    domain: str = "twilio.com",
    cdn: str | None = None,
) -> Zone:
    """Name everything that the given edges offer.

    Names without an edge lead to the nearest public edge. With `cdn`, so do the REST
    names of all public edges, to that edge: a content network picks the entry, and
    the label no longer does. Private edges keep their own.
    """
    nearest = min((one for one in plans if not one.private), key=lambda p: p.round_trip)
    near = addresses[cdn or nearest.name]
    entries = list(_without_edge(near, addresses[nearest.name]))
    for plan in plans:
        own = addresses[plan.name]
        entries += _rest(plan, own if plan.private or cdn is None else near)
        entries += _voice(plan.name, own)
    return Zone(
        domain,
        [
            dataclasses.replace(entry, name=f"{entry.name}.{domain}")
            for entry in entries
        ],
    )


def _without_edge(rest: tuple[str, ...], other: tuple[str, ...]) -> Iterator[Entry]:
    default = REGIONS[0]
    for product in REST:
        yield Entry(product, product, None, default, rest)
        # Of the names with a region and no edge, only the default region's still live.
        yield Entry(f"{product}.{default}", product, None, default, rest)
    for product in TENANTS:
        yield Entry(f"*.{product}", product, None, None, other)
    yield Entry("voice-js.roaming", "voice-js", None, None, other)
    for region in ("global", *REGIONS):
        yield Entry(f"{region}.vss", "vss", None, None, other)


def _rest(plan: EdgePlan, addresses: tuple[str, ...]) -> Iterator[Entry]:
    for region in plan.served:
        for product in REST:
            name = f"{product}.{plan.name}.{region}"
            yield Entry(name, product, plan.name, region, addresses)


def _voice(edge: str, addresses: tuple[str, ...]) -> Iterator[Entry]:
    yield Entry(f"voice-js.{edge}", "voice-js", edge, None, addresses)
    labels = [edge, LEGACY[edge]] if edge in LEGACY else [edge]
    for product in TENANTS:
        for label in labels:
            yield Entry(f"{product}.{label}", product, edge, None, addresses)
            yield Entry(f"*.{product}.{label}", product, edge, None, addresses)
            for number, address in enumerate(addresses, start=1):
                name = f"gw{number}.{product}.{label}"
                yield Entry(name, product, edge, None, (address,))
