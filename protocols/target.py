"""The seam between relays and the policy: where to connect, and what became of it.

A relay is built with a `Choose` and a `Report` and knows no more. Choosing is
synchronous and never waits: addresses are resolved, and their order decided, before
any flow asks.
"""

import dataclasses
import enum
from collections.abc import Awaitable, Callable, Collection


class Transport(enum.StrEnum):
    """What carries a flow to its target."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One address to connect to now, with the names to put on the wire.

    Two targets are equal when a connection to one may serve for the other. `patience`
    and `round_trip` are advice of the moment and take no part in that.
    """

    address: str
    "IP address to connect to, as a literal."
    port: int
    "Port to connect to."
    transport: Transport
    "What to speak below the protocol."
    host: str
    "Name by which the far side knows itself: the HTTP Host, the SIP domain."
    server_name: str = ""
    "TLS server name to indicate (RFC 6066 section 3); empty without TLS."
    verify_name: str = ""
    "Name that the far certificate must bear; empty without TLS."
    source: str | None = None
    "Local address to connect from; None leaves it to the system."
    device: str | None = None
    "Interface that all packets have to leave by; None for any."
    label: str = ""
    "Name of the place in logs and records: the edge, or the site's receiver."
    patience: float = 1.0
    "Seconds of silence after which a flow also tries the next target."
    round_trip: float | None = None
    "Expected round trip in seconds; None while unmeasured."
    key: str = dataclasses.field(init=False, repr=False)
    "All that makes two targets the same, in one string: quick to look up."

    def __post_init__(self) -> None:
        parts = (
            self.transport.value,
            self.address,
            str(self.port),
            self.host,
            self.server_name,
            self.verify_name,
            self.source or "",
            self.device or "",
            self.label,
        )
        object.__setattr__(self, "key", "|".join(parts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        place, address = self.label or self.host, hostport(self.address, self.port)
        return address if place == address else f"{place} {address}"


def hostport(host: str, port: int) -> str:
    """Both as URIs have them: an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Result(enum.StrEnum):
    """What a flow or a probe found out about a target."""

    ALIVE = "alive"
    "It answered, whatever it said: a 404 or a 403 comes from a living edge."
    REFUSED = "refused"
    "The connection was refused outright (RST to a SYN, ICMP unreachable)."
    RESET = "reset"
    "The connection broke before the answer began."
    TIMEOUT = "timeout"
    "No connection or no TLS handshake within the deadline."
    SILENT = "silent"
    "Connected and asked, no answer within `Target.patience`: a doubt, not a verdict."
    CERTIFICATE = "certificate"
    "The far certificate is expired, for another name, or of an unknown authority."
    TLS = "tls"
    "The TLS handshake failed for another reason."
    SERVER_ERROR = "server_error"
    "It answered with a failure that is the edge's own (502, 503, 504; SIP 5xx)."
    BAD_ANSWER = "bad_answer"
    "It answered with something that is not the protocol."


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt at one target."""

    result: Result
    "The finding."
    round_trip: float | None = None
    "One network round trip in seconds with little server work in it, if seen."
    connect: float | None = None
    "Seconds until the transport was connected, if it was; a middlebox can fake it."
    detail: str = ""
    "The cause in words, for the log; from our own text or the operating system's."


ALIVE = Outcome(Result.ALIVE)
"The outcome that relays report per flow; one value, since it is reported so often."

NOBODY = "no target can be reached now"
"What a client is told that can be taken nowhere, if nothing more is known."

Choose = Callable[[Collection[Target]], Target | None]
"Given the targets that this flow already tried, the next one; None when all are."

Report = Callable[[Target, Outcome], None]
"Tell what became of a target. Never raises, never waits."

Probe = Callable[[Target, float], Awaitable[Outcome]]
"Ask one target for a sign of life within so many seconds. Never raises."
