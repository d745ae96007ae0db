"""What a provider is asked to look like: its edges, and how far away each one is."""

import dataclasses
import ipaddress
import re
from collections.abc import Sequence

REGIONS = ("us1", "ie1", "au1")
"Where data can be processed; the first is the default."

BESIDE = {"dublin": ("us1", "ie1"), "sydney": ("us1", "au1")}
"Edges that serve a region of their own beside the default one."

_EDGE = re.compile(
    r"(?P<name>[a-z][a-z0-9-]*)=(?P<rtt>\d+(?:\.\d+)?(?:ms|s))"
    r"(?:~(?P<jitter>\d+(?:\.\d+)?(?:ms|s)))?(?:@(?P<sources>[0-9.,]+))?"
)


@dataclasses.dataclass(frozen=True, slots=True)
class EdgePlan:
    """One edge to simulate."""

    name: str
    "Label in host names, such as `ashburn` or `ashburn-ix`."
    round_trip: float = 0.0
    "Seconds that a packet takes to the edge and back."
    jitter: float = 0.0
    "Largest extra delay of a chunk, in seconds one way."
    sources: tuple[str, ...] = ()
    "Addresses that a private edge answers; empty for a public edge."
    regions: tuple[str, ...] = ()
    "Regions that its names carry; empty for what the provider offers there."
    addresses: int = 4
    "How many addresses it has, 1 to 250."
    at: tuple[str, ...] = ()
    "Addresses to take in place of those of loopback, where the machine has them."

    @property
    def private(self) -> bool:
        """Whether only announced source addresses reach it."""
        return bool(self.sources)

    @property
    def served(self) -> tuple[str, ...]:
        """The regions that a name of this edge may carry."""
        return self.regions or BESIDE.get(self.name, REGIONS[:1])


def seconds(text: str) -> float:
    """Read a time such as `20ms` or `1.5s`; raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text)
    if match is None:
        raise ValueError(f"not a time with a unit: {text!r}; write 20ms or 1.5s")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def read_edge(text: str) -> EdgePlan:
    """Read `NAME=ROUND_TRIP[~JITTER][@SOURCE,...]`; raises ValueError otherwise.

    An edge with sources is a private one.
    """
    match = _EDGE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"not an edge: {text!r}; write ashburn=20ms, ashburn=20ms~2ms with "
            "jitter, or ashburn-ix=5ms@127.0.0.9 for a private one"
        )
    sources = tuple((match["sources"] or "").split(",")) if match["sources"] else ()
    for source in sources:
        ipaddress.IPv4Address(source)
    return EdgePlan(
        match["name"],
        seconds(match["rtt"]),
        seconds(match["jitter"]) if match["jitter"] else 0.0,
        sources,
    )


def read_edges(given: Sequence[EdgePlan | str]) -> tuple[EdgePlan, ...]:
    """Read a whole provider; raises ValueError if it is empty, double or too big."""
    plans = tuple(read_edge(one) if isinstance(one, str) else one for one in given)
    names = [one.name for one in plans]
    if not any(not one.private for one in plans):
        raise ValueError("a provider needs at least one public edge")
    if len(set(names)) != len(names):
        raise ValueError(f"an edge is named twice: {', '.join(names)}")
    if len(plans) > 250 or any(not 1 <= one.addresses <= 250 for one in plans):
        raise ValueError("at most 250 edges, of 1 to 250 addresses each")
    return plans


def addresses(plans: Sequence[EdgePlan]) -> dict[str, tuple[str, ...]]:
    """The addresses of each edge: its own, or of loopback, a block for private ones."""
    return {
        one.name: one.at
        or tuple(
            f"127.{21 if one.private else 20}.{place}.{last}"
            for last in range(1, one.addresses + 1)
        )
        for place, one in enumerate(plans, start=1)
    }
