"""Direct links to the provider, as a configuration describes them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import pydantic

from router.addresses import Address, IPAddress, Network
from router.units import (
    Bandwidth,
    Seconds,
    Written,
    between,
    matching,
    provisioned,
    read_text,
    wrong,
)
from router.validation import FilePath, Name, Section, Text

_INTERFACE = r"[!-.0-9;-~]{1,15}"


def _interface(value: object) -> str:
    # dev_valid_name() in Linux' net/core/dev.c: below IFNAMSIZ, no space, '/' or ':'.
    expected = "the name of a network interface, such as eth1"
    text = read_text(value, expected)
    if not re.fullmatch(_INTERFACE, text) or text in (".", ".."):
        raise wrong(expected)
    return text


_SESSION = r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}"


Session = Annotated[
    str, matching(_SESSION, "the name of a protocol in BIRD's configuration")
]
"The name of a BGP session."

Interface = Annotated[str, Written(_interface, pattern=f"^{_INTERFACE}$")]
"The name of a network interface."


class Bgp(Section):
    """Where to ask BIRD what it knows of a link; nothing is decided by it."""

    socket: FilePath = Path("/run/bird/bird.ctl")
    "BIRD's control socket; the daemon's user must be in its group."
    session: Session
    "Name of the link's BGP session in BIRD's configuration."


class Link(Section):
    """A direct link: a cross connect, a port of a carrier, or a tunnel."""

    exchange: Text
    "Where it meets the provider; two links at one exchange fail together."
    edges: Annotated[tuple[Name, ...], pydantic.Field(min_length=1, max_length=16)]
    "The private edges behind it."
    sources: Annotated[tuple[Address, ...], pydantic.Field(max_length=16)] = ()
    """Local addresses to connect from, the preferred one first. Omitted: the one that
    the system chooses on the interface."""
    interface: Interface | None = None
    "The interface by which it leaves this machine. Omitted: not looked at."
    prefixes: Annotated[
        tuple[Network, ...], pydantic.Field(min_length=1, max_length=64)
    ]
    "What is announced to the provider over it."
    bandwidth: Annotated[Bandwidth, provisioned("64kbit/s", "400Gbit/s")]
    "What was ordered."
    reserve: Annotated[float, pydantic.Strict(), pydantic.Field(ge=0, lt=1)] = 0.1
    "Share of the bandwidth that calls leave free, for what cannot be counted ahead."
    session_limit: Annotated[Seconds, between("5m", "7d")] = 4 * 3600.0
    "Time after which an answered call whose end nobody has seen frees its room."
    session_audit: Annotated[Seconds, between("30s", "1d")] | None = None
    """Time after which it does if nothing of it was heard, OPTIONS within the call
    included. Omitted: calls may be silent."""
    bgp: Bgp | None = None
    "Where to ask BIRD what it knows of the link. Omitted: nobody is asked."

    def holds(self, address: IPAddress) -> bool:
        """Whether an address of this machine is the link's: flows leave from there."""
        if self.sources:
            return address in self.sources
        return any(address in prefix for prefix in self.prefixes)


Links = Mapping[str, Link]
"Links by name."


def behind(links: Links) -> dict[str, str]:
    """The link of each edge that is behind one, by its name."""
    return {edge: name for name, link in links.items() for edge in link.edges}


def device_to(links: Links, edge: str) -> str | None:
    """The interface by which packets to an edge have to leave; None for any."""
    found = (one.interface for one in links.values() if edge in one.edges)
    return next(found, None)


def device_at(links: Links, address: IPAddress) -> str | None:
    """The interface by which packets from an address have to leave; None for any."""
    found = (one.interface for one in links.values() if one.holds(address))
    return next(found, None)
