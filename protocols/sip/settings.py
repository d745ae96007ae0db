"""What the proxy is told once: addresses, keys, clocks and bounds."""

import dataclasses
import ipaddress
from collections.abc import Mapping

from protocols.sip.peers import Side
from protocols.target import Transport

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
"A range of addresses."


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """An address at which the router receives."""

    side: Side
    "Which side reaches it."
    transport: Transport
    "What to speak with it."
    host: str
    "IP address that is bound."
    port: int
    "Port."
    named: str = ""
    "IP address by which that side reaches it, if it is another one: behind a NAT."

    @property
    def hosts(self) -> tuple[str, ...]:
        """All addresses that mean it."""
        return (self.host, self.named) if self.named else (self.host,)


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often one request is tried. Seconds."""

    no_response: float
    "Silence after which it goes to the next target."
    no_progress: float
    "Silence after a 100, the same; 0 for none."
    seconds: float
    "From its arrival until no target may be turned to, and silence ends in a 503."
    attempts: int
    "Targets that it may be sent to, besides those that refuse it outright."


TO_EDGE = Limits(no_response=2.0, no_progress=10.0, seconds=12.0, attempts=3)
"A provider's edge answers an INVITE with a 100 within its round trip."
TO_SITE = Limits(no_response=2.0, no_progress=0.0, seconds=3.5, attempts=3)
"""A provider turns to the customer's next URI on a failure, and after 4 s of silence.

The 100 that the router gives ends that silence: a dead PBX must be a 503 as soon.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """All that does not change while calls pass."""

    places: tuple[Place, ...]
    "Where the router receives; the first of a side and transport is the one it names."
    keys: tuple[bytes, ...]
    "Keys for the Record-Route parameter: the first signs, all verify."
    host: str = ""
    "Host that a Request-URI naming the router gets towards the edge; empty: keep."
    names: frozenset[str] = frozenset()
    "Further names and addresses of the router in Route and Request-URI, lower case."
    networks: Mapping[Side, tuple[Network, ...]] = dataclasses.field(
        default_factory=dict
    )
    "Addresses in a route set that may be sent to, by side."
    to_edge: Limits = TO_EDGE
    "Towards the provider."
    to_site: Limits = TO_SITE
    "Towards the PBX."
    ringing: float = 185.0
    "Timer C: seconds without any answer but 100 (RFC 3261: more than 3 minutes)."
    mtu: int = 1_300
    "Size in bytes above which a request leaves UDP for TCP; 0 for never."
    retry_after: int = 5
    "Seconds that a 503 asks the peer to stay away."
    sips_as_sip: bool = False
    "Whether the provider takes sips as sip over TLS: then the router says it so."
    transactions: int = 25_000
    """Requests of one side under way at once; in-dialog ones may be twice as many.

    A side of its own for each, so that whoever floods one leaves the other alone.
    """
    memory: int = 256 << 20
    """Bytes of these and of their copies; with in-dialog ones twice as many.

    With 50,000 requests of usual size half of it is in use.
    """
    pins: int = 4_096
    "Calls remembered for their retry with credentials."
    nobody: str = ""
    "What a 503 says when nobody can be asked at the provider; empty for no more."
