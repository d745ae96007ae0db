"""Is a private edge really private? Judged by how its packets would leave the machine.

A private edge may be used only while packets to it leave by the link's own interface,
with a source address that was announced over the link. Else they would go over the
Internet: at best into the void, at worst to be read there. What the kernel says of that
is a `Found`; `router.kernel` asks it.
"""

import dataclasses
import enum
import ipaddress
from collections.abc import Iterable

from router.rtnetlink import (
    BLACKHOLE,
    NOWHERE,
    PROHIBIT,
    UNICAST,
    UNREACHABLE,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """How packets to one address of a private edge have to leave."""

    address: str
    "The address of the edge."
    interface: str
    "Name of the link's interface."
    source: str | None = None
    "Local address that we send from; None leaves it to the kernel."
    sources: frozenset[str] = frozenset()
    """Where the kernel picks the source: the addresses and networks that are right;
    empty for any."""

    def __post_init__(self) -> None:
        """Raises ValueError for what is no address, or of two families."""
        version = ipaddress.ip_address(self.address).version
        if self.source is not None and (
            ipaddress.ip_address(self.source).version != version
        ):
            raise ValueError(f"{self.source} cannot be a source for {self.address}")


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What the kernel says of one way."""

    index: int = 0
    "Number of the link's interface; 0 if it has none."

    exists: bool = True
    "Whether the link's interface exists."
    up: bool = True
    "Whether it is up."
    running: bool = True
    "Whether it has a carrier, and nothing else keeps packets from it."
    ours: bool = True
    "Whether the source that we send from is an address of this machine."
    kind: int = UNICAST
    "What becomes of the packets, as in `rtnetlink.Route.kind`."
    leaves: tuple[str, ...] = ()
    "Names of all interfaces by which they may leave."
    source: str = ""
    "The source address that the kernel would give them."


class Privacy(enum.StrEnum):
    """Whether a way is private."""

    PRIVATE = "private"
    EXPOSED = "exposed"
    "It is not, or leads nowhere: the edge is DOWN and must not even be probed."
    UNKNOWN = "unknown"
    "The kernel cannot be asked."


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be thought of one way."""

    privacy: Privacy
    "Whether it is private."
    reason: str = ""
    "Why it is not, in words; empty for a private one."
    index: int = 0
    "Number of the interface: another one once that was made anew; 0 if unknown."


_DEAD_ENDS = {
    NOWHERE: "no route",
    BLACKHOLE: "route is a blackhole",
    UNREACHABLE: "route is unreachable",
    PROHIBIT: "route is prohibited",
}


def judge(way: Way, found: Found) -> Verdict:
    """Whether packets leave as they have to."""
    reason = _interface(way, found) or _route(way, found)
    privacy = Privacy.EXPOSED if reason else Privacy.PRIVATE
    return Verdict(privacy, reason, found.index)


def unknown(reason: str) -> Verdict:
    """The verdict when the kernel cannot be asked."""
    return Verdict(Privacy.UNKNOWN, reason)


def _interface(way: Way, found: Found) -> str:
    """What is wrong with the interface or the source; empty if nothing is."""
    if not found.exists:
        return f"no interface {way.interface}"
    if not found.up:
        return f"{way.interface} is down"
    if not found.running:
        return f"{way.interface} has no carrier"
    if not found.ours:
        return f"{way.source} is not an address of this machine"
    return ""


def _route(way: Way, found: Found) -> str:
    """What is wrong with the route; empty if nothing is."""
    if found.kind in _DEAD_ENDS:
        return _DEAD_ENDS[found.kind]
    others = [name for name in found.leaves if name != way.interface]
    if others:
        # One next hop of several is enough: the kernel spreads flows over all of them.
        also = "also " if way.interface in found.leaves else ""
        return f"route leaves {also}by {others[0]}"
    if not found.leaves:
        return "route leaves by no interface"
    if way.source is None and way.sources and not _is_right(found.source, way.sources):
        return f"packets would carry the source {found.source or 'of another link'}"
    return ""


def _is_right(source: str, sources: Iterable[str]) -> bool:
    """Whether a source is one of those addresses, or within one of those networks."""
    if not source:
        return False
    address = ipaddress.ip_address(source)
    return any(address in ipaddress.ip_network(one) for one in sources)
