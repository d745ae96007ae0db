"""What the daemon knows, as one value: which edge is home and why, and what is broken.

The terminal, the status page and the metrics all show this value, so that they say the
same. It is made when somebody asks. Times are Unix seconds, as people compare them with
their logs and clocks.
"""

import dataclasses
import datetime
import enum

from router.egress import Privacy
from router.endpoint import Kind
from router.health import State
from router.history import Sample
from router.policy import Reasons

SCHEMA = "edge-router/status/1"
"Version of what `as_json` gives: a new number once a key goes or changes its meaning."


class Condition(enum.StrEnum):
    """How it goes, in one word."""

    OK = "ok"
    "New flows go where they should. An edge that nobody needs may be down."
    STARTING = "starting"
    "No home is chosen yet: new flows go to the default edge."
    DEGRADED = "degraded"
    "New flows find their way, but not the best one, or the last one that is left."
    FAILED = "failed"
    "New flows of a listener have no way that is known to work."


@dataclasses.dataclass(frozen=True, slots=True)
class Listener:
    """Where flows come in."""

    name: str
    "Its name in the configuration."
    protocol: str
    "https, websocket or sip."
    direction: str
    "to_provider, from_provider, or both."
    addresses: tuple[str, ...]
    "What it listens on."
    leads_to: tuple[str, ...]
    "Its products; for flows from the provider the listener itself."


@dataclasses.dataclass(frozen=True, slots=True)
class About:
    """What does not come from measuring; times in Unix seconds."""

    version: str
    "Version of edge-router."
    started: float
    "When it started."
    config: str
    "The configuration file."
    loaded: float
    "When that was read."
    region: str
    "The provider's region."
    default_edge: str
    "The edge for new flows until a home is chosen."
    listeners: tuple[Listener, ...]
    "In the order of the file."


@dataclasses.dataclass(frozen=True, slots=True)
class FlowCount:
    """How many flows there are of one sort."""

    listener: str
    "Name of the listener."
    protocol: str
    "What is spoken, as access records have it."
    edge: str
    "The edge or receiver; empty for flows that reached none, or none yet."
    open: int
    "How many are under way."
    ended: int
    "How many have ended since the daemon started."


@dataclasses.dataclass(frozen=True, slots=True)
class AddressStatus:
    """One address of an endpoint."""

    address: str
    "IP address."
    port: int
    "Its port."
    transport: str
    "udp, tcp or tls."
    state: State
    "Its health."
    since: float
    "When that last changed, in Unix seconds."
    reason: str
    "The evidence, in words."
    round_trip: float | None
    "Seconds, smoothed; None while unmeasured."


@dataclasses.dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One product at an edge, or one receiver of the site."""

    product: str
    "The product, or the listener that a receiver serves."
    protocol: str
    "What is spoken with it."
    place: str
    "Name of the edge or the receiver."
    state: State
    "UP while any address is."
    since: float
    "When that last changed, in Unix seconds."
    reason: str
    "Why it is not UP; empty while it is."
    addresses: tuple[AddressStatus, ...]
    "Its addresses."


@dataclasses.dataclass(frozen=True, slots=True)
class EdgeStatus:
    """One edge."""

    name: str
    "Its name."
    kind: Kind
    "How it is reached."
    state: State
    "DOWN when two of its endpoints are, or all."
    since: float
    "When that last changed, in Unix seconds."
    reason: str
    "Why it is not UP; empty while it is."
    drained: float | None
    "Since when an operator wants no new flows there, in Unix seconds; None if not."
    flips: int
    "How often it went DOWN within the last hour."
    reasons: Reasons
    "The arithmetic that placed it."
    services: tuple[ServiceStatus, ...]
    "Its products."
    samples: tuple[Sample, ...]
    "How far away it was, the latest last; times in Unix seconds."


@dataclasses.dataclass(frozen=True, slots=True)
class BgpStatus:
    """What BIRD says of a link: evidence, by which nothing is decided."""

    session: str
    "Name of the session."
    state: str
    "Its state, as Established; empty if that is not known."
    error: str
    "Its last error, if there was one."
    prefixes: tuple[str, ...]
    "The best routes to the link's edges."
    trouble: str
    "Why nothing is known; empty if something is."


@dataclasses.dataclass(frozen=True, slots=True)
class LinkUse:
    """What a direct link carries, in bits per second of its fuller direction."""

    bandwidth: float
    "What was ordered."
    reserve: float
    "What new calls must leave of it."
    calls: int
    "Calls on it."
    taken: float
    "What they take."
    other: float
    "What requests and WebSockets took in the last seconds."
    room: float
    "What is left for new calls; below 0 where calls have come to take more."
    spilled: int
    "Calls that went elsewhere for want of room, since the start."


@dataclasses.dataclass(frozen=True, slots=True)
class LinkStatus:
    """One direct link."""

    name: str
    "Its name."
    exchange: str
    "Where it meets the provider."
    interface: str | None
    "The interface by which it leaves this machine; None where nobody looks."
    privacy: Privacy
    "Whether packets to its edges leave by it."
    reason: str
    "Why they do not, or why that is not known; empty if they do."
    edges: tuple[str, ...]
    "The edges behind it."
    bgp: BgpStatus | None
    "What BIRD says; None where it is not asked."
    use: LinkUse | None = None
    "What it carries; None where nobody counts."


@dataclasses.dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is broken."""

    subject: str
    "What it is, as it reads in a sentence."
    state: str
    "What is wrong with it, as it reads in a sentence."
    since: float
    "Since when, in Unix seconds."
    reason: str
    "Why, in words; empty where the state says all."
    condition: Condition
    "What it makes of the whole."


@dataclasses.dataclass(frozen=True, slots=True)
class Past:
    """A change."""

    time: float
    "When it was, in Unix seconds."
    kind: str
    "switch; edge, product or address for a flip there; or the change's own name."
    edge: str
    "The edge or receiver concerned; empty for all."
    state: str
    "What it is now: a state of health, or home."
    text: str
    "It in words."


@dataclasses.dataclass(frozen=True, slots=True)
class Pinned:
    """That an operator has chosen home."""

    edge: str
    "The edge."
    until: float
    "Until when, in Unix seconds."


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """All of it; times in Unix seconds."""

    time: float
    "When it was made."
    condition: Condition
    "How it goes, in one word."
    verdict: str
    "The first line: the condition, which edge is home, and what is broken."
    about: About
    "What does not come from measuring."
    home: str | None
    "The edge for new flows; None until one is chosen."
    home_since: float
    "Since when, or when the daemon began to look for one."
    home_reason: str
    "Why it became home; empty while there is none."
    pinned: Pinned | None
    "Which edge an operator wants for home, if any."
    uplink_suspect: bool
    "Whether our own uplink is in doubt: then home stays."
    troubles: tuple[Trouble, ...]
    "What is broken, the gravest first."
    edges: tuple[EdgeStatus, ...]
    "From best to worst."
    receivers: tuple[ServiceStatus, ...]
    """The site's own, by listener, in configured order; and products that lead to the
    same place at every edge."""
    links: tuple[LinkStatus, ...]
    "The direct links, in configured order."
    flows: tuple[FlowCount, ...]
    "How many there are, by listener, protocol and edge."
    past: tuple[Past, ...]
    "What changed lately, the latest first."


def as_json(status: Status) -> dict[str, object]:
    """The same as data that JSON can hold: times in ISO 8601, round trips in ms.

    The samples are left out: thousands of numbers that a picture shows better.
    """
    return {"schema": SCHEMA, **plain(status)}


def plain(value: object) -> dict[str, object]:
    """The fields of a frozen value as data that JSON can hold."""
    assert dataclasses.is_dataclass(value)
    return dict(
        _member(field.name, getattr(value, field.name))
        for field in dataclasses.fields(value)
        if field.name != "samples" or not isinstance(value, EdgeStatus)
    )


_TIMES = frozenset(
    {"time", "since", "started", "loaded", "home_since", "until", "drained"}
)
_MILLISECONDS = frozenset({"round_trip", "value", "penalty", "gain", "needed"})
_SECONDS = frozenset({"age", "window", "lead"})
_BITS = frozenset({"bandwidth", "reserve", "taken", "other", "room"})


def _member(name: str, value: object) -> tuple[str, object]:
    """One key, with its unit in its name, and its value."""
    if name in _MILLISECONDS:
        short = f"{name}_ms"
        return short, round(value * 1000, 3) if isinstance(value, float) else None
    if name in _SECONDS and isinstance(value, float):
        return f"{name}_s", round(value, 1)
    if name in _BITS and isinstance(value, float):
        return f"{name}_bps", round(value)
    if name in _TIMES and isinstance(value, float):
        return name, iso(value)
    return name, _data(value)


def _data(value: object) -> object:
    match value:
        case tuple():
            return [_data(one) for one in value]
        case enum.StrEnum():
            return value.value
        case _ if dataclasses.is_dataclass(value):
            return plain(value)
        case _:
            return value


def megabits(rate: float) -> str:
    """Bits per second as those who sell lines write them."""
    return f"{rate / 1e6:.2f} Mbit/s"


def iso(unix: float) -> str:
    """A time in UTC as ISO 8601 has it, to the millisecond."""
    then = datetime.datetime.fromtimestamp(unix, datetime.UTC)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")
