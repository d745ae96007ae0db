"""Direct links to the provider, as a configuration describes them."""

import re
from typing import Annotated

import pydantic

from router.addresses import Address, Network
from router.units import Bandwidth, as_text, provisioned, read_text, wrong
from router.validation import Name, Section, Text

_INTERFACE = r"[!-.0-9;-~]{1,15}"


def _interface(value: object) -> str:
    # dev_valid_name() in Linux' net/core/dev.c: below IFNAMSIZ, no space, '/' or ':'.
    expected = "the name of a network interface, such as eth1"
    text = read_text(value, expected)
    if not re.fullmatch(_INTERFACE, text) or text in (".", ".."):
        raise wrong(expected)
    return text


Interface = Annotated[
    str, pydantic.PlainValidator(_interface), as_text(pattern=f"^{_INTERFACE}$")
]
"The name of a network interface."


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
