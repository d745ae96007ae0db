"""What the provider's console takes when a customer says which edges to use.

Written from the provider's documents: Elastic SIP Trunking (origination), Webhooks
connection overrides, the edge option of the client SDKs, and the variables that those
for servers make host names of.
"""

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from simulator.overrides import ignored, split
from simulator.plan import REGIONS, EdgePlan

URIS = 10
"Origination URIs that a trunk may have."
LAST_RESORT = "roaming"
"What client SDKs take beside edges."

_NUMBER = 65535
_URI = re.compile(
    r"sips?:(?P<host>\[[0-9a-f:]+\]|[A-Za-z0-9.-]+)(?::(?P<port>\d{1,5}))?"
    r"(?P<parameters>(?:;[a-z]+=[A-Za-z0-9-]+)*)"
)
_PARAMETERS = ("transport", "edge")


def refused_uris(
    uris: Sequence[tuple[str, int, int]], edges: Collection[str]
) -> list[str]:
    """What is wrong with origination URIs, each with its priority and weight."""
    found = [f"{len(uris)} URIs"] if len(uris) > URIS else []
    texts = [text for text, _, _ in uris]
    for text, priority, weight in uris:
        if not 0 <= priority <= _NUMBER:
            found.append(f"{text}: priority {priority}")
        if not 1 <= weight <= _NUMBER:
            found.append(f"{text}: weight {weight}")
        if texts.count(text) > 1:
            found.append(f"{text}: twice")
        found += [f"{text}: {why}" for why in _refused_uri(text, edges)]
    return found


def _refused_uri(text: str, edges: Collection[str]) -> Iterator[str]:
    match = _URI.fullmatch(text)
    if match is None:
        yield "no SIP URI"
        return
    if not _is_host(match["host"]):
        yield f"host {match['host']}"
    if match["port"] and not 0 < int(match["port"]) <= _NUMBER:
        yield f"port {match['port']}"
    pairs = [one.split("=") for one in match["parameters"].split(";") if one]
    names = [name for name, _ in pairs]
    for name, value in pairs:
        if name not in _PARAMETERS or names.count(name) > 1:
            yield f"parameter {name}"
        elif name == "transport" and value not in ("udp", "tcp", "tls"):
            yield f"transport {value}"
        elif name == "edge" and value not in edges:
            yield f"edge {value}"  # the call would come from the default edge


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return "[" not in host and not re.fullmatch(r"[0-9.]*|.*\.[0-9]+", host)
    return True


def refused_fragment(url: str, edges: Collection[str]) -> list[str]:
    """What of a webhook's fragment would be ignored, or lead from elsewhere."""
    _, overrides = split(url)
    unknown = [f"e={edge}" for edge in overrides.edges if edge not in edges]
    attempts = 1 + overrides.retries
    late = attempts * overrides.connect_timeout > 15.0
    slow = [f"{attempts} attempts of {overrides.connect_timeout} s"] if late else []
    return ignored(url) + unknown + slow


def refused_sdk_edges(listed: Sequence[str], edges: Collection[str]) -> list[str]:
    """Names in the list of a client SDK that would not resolve, or come twice."""
    return [
        name
        for name in listed
        if listed.count(name) > 1 or name not in (*edges, LAST_RESORT)
    ]


def refused_environment(
    environment: Mapping[str, str], edges: Collection[str]
) -> list[str]:
    """Variables of which a server SDK would make a host name that does not exist.

    It needs both: a region alone makes a name that has died, but for the default one.
    """
    edge, region = environment.get("TWILIO_EDGE"), environment.get("TWILIO_REGION")
    if edge is None:
        return [] if region in (None, REGIONS[0]) else [f"{region} without an edge"]
    if edge not in edges:
        return [f"edge {edge}"]
    offered = EdgePlan(edge).served
    return [] if (region or REGIONS[0]) in offered else [f"{edge} in {region}"]
