"""Where SIP is served: what NAPTR and SRV records mean (RFC 3263, RFC 2782).

The service of a name goes by the name at which its SRV records are asked for when no
NAPTR record says otherwise: `_sip._udp.example.com`. So it is followed, kept and logged
like any other name.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping

from protocols.target import Transport
from router.location import Location
from router.names import Finding, Verdict

MAX_SERVERS = 16
"SRV records of a service used; the table keeps as many addresses of a name."

_WHOLE = math.lcm(*range(1, 15))
"What a weight is multiplied by, so that up to fourteen addresses can divide it."

_LABELS = {
    Transport.UDP: "_sip._udp.",
    Transport.TCP: "_sip._tcp.",
    Transport.TLS: "_sips._tcp.",
}
_POINTERS = {
    "_sip._udp.": "SIP+D2U",
    "_sip._tcp.": "SIP+D2T",
    "_sips._tcp.": "SIPS+D2T",
}


def service_name(transport: Transport, name: str) -> str:
    """What the service of SIP by a transport at a name goes by."""
    return _LABELS[transport] + name


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """SIP by one transport at one name."""

    name: str
    "What it goes by."
    host: str
    "The name whose NAPTR records may point elsewhere, and that may have addresses."
    pointer: str
    "Service field of its NAPTR records."


def service_of(name: str) -> Service | None:
    """The service that goes by a name; None for the name of a host."""
    for label, pointer in _POINTERS.items():
        if name.startswith(label):
            return Service(name, name.removeprefix(label), pointer)
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class Pointer:
    """A NAPTR record (RFC 3403 section 4.1)."""

    order: int
    "Lower ones come first."
    preference: int
    "Lower ones come first among those of one order."
    flags: str
    "What is found at the replacement."
    service: str
    "What it is for."
    replacement: str
    "The next name to ask for; empty for none."


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """An SRV record (RFC 2782)."""

    priority: int
    "Lower ones are used while any of them works."
    weight: int
    "Its share among those of the same priority."
    port: int
    "Port."
    host: str
    "Name of the host; empty for none."


def pointed(service: Service, pointers: Iterable[Pointer]) -> str:
    """The name at which to ask for SRV records.

    Departs from RFC 3263 section 4.1: the order of the transports is not followed,
    since the listener says which one it takes. Without a pointer for that one, the
    usual name is asked.
    """
    fitting = [
        one
        for one in pointers
        if one.flags.upper() == "S"
        and one.service.upper() == service.pointer
        and one.replacement
    ]
    if not fitting:
        return service.name
    return min(fitting, key=lambda one: (one.order, one.preference)).replacement


def used(servers: Iterable[Server]) -> list[Server]:
    """The records to use, the most preferred ones if there are too many.

    None, if there is no such service. RFC 2782: "A Target of "." means that the service
    is decidedly not available at this domain."
    """
    usable = {one for one in servers if one.host and one.port}
    wanted = sorted(usable, key=lambda s: (s.priority, -s.weight, s.host, s.port))
    return wanted[:MAX_SERVERS]


def placed(
    servers: Iterable[Server], found: Mapping[str, Mapping[str, Finding]], ttl: float
) -> dict[str, Finding]:
    """The findings about the hosts of SRV records, by record and address family.

    `found` has those of each host by family; `ttl` is that of the SRV records. A record
    whose host has several addresses divides its weight among them.
    """
    servers = list(servers)
    counts = {
        host: sum(len(finding.locations) for finding in families.values())
        for host, families in found.items()
    }
    weights = [one.weight * _WHOLE // max(1, counts[one.host]) for one in servers]
    common = math.gcd(*weights) or 1
    return {
        f"{one.host}:{one.port} {family}": _at(one, weight // common, finding, ttl)
        for one, weight in zip(servers, weights, strict=True)
        for family, finding in found[one.host].items()
    }


def _at(server: Server, weight: int, finding: Finding, ttl: float) -> Finding:
    """A finding about the host of an SRV record as one about the service.

    A host that is gone is no word on the service, which has others or should have.
    """
    if finding.verdict is Verdict.GONE:
        return dataclasses.replace(finding, verdict=Verdict.EMPTY)
    return dataclasses.replace(
        finding,
        ttl=min(ttl, finding.ttl),
        locations=tuple(
            Location(one.address, server.port, server.priority, weight)
            for one in finding.locations
        ),
    )
