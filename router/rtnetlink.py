"""The few messages of rtnetlink(7) that tell which way a packet would leave.

Requests are made and replies read here; `router.kernel` sends and receives them. All of
it is in the byte order of the machine, for nobody but its own kernel is talked to.
"""

import dataclasses
import ipaddress
import struct
from collections.abc import Iterator

MAX_REPLY = 1 << 16
"Bytes of one reply at most; a link with its statistics has about 1,500."

ROUTE = 0
"The protocol to open a netlink socket for: NETLINK_ROUTE."
GROUPS = (1, 5, 7, 8, 9, 11, 19, 32)
"""What to be told of: links; addresses, routes and rules of IPv4 (5, 7, 8) and of
IPv6 (9, 11, 19); next hops (enum rtnetlink_groups)."""
ADD_MEMBERSHIP = 1
"The socket option that joins one group, at level SOL_NETLINK."
SOL_NETLINK = 270
"Level of that option."

_HEADER = struct.Struct("=LHHLL")
_ERROR = struct.Struct("=i")
_ATTRIBUTE = struct.Struct("=HH")
_ROUTE = struct.Struct("=BBBBBBBBL")
_LINK = struct.Struct("=BxHiLL")
_HOP = struct.Struct("=HBBi")
_INDEX = struct.Struct("=i")

_REQUEST = 1
_GET_LINK, _GET_ROUTE = 18, 26
_ERROR_REPLY, _LINK_REPLY, _ROUTE_REPLY = 2, 16, 24
_DST, _SRC, _OIF, _PREFSRC, _MULTIPATH, _IFNAME = 1, 2, 4, 7, 9, 3
_FIB_MATCH = 0x2000
_NESTED = 0x3FFF
_UP, _RUNNING = 0x1, 0x40
_IPV4, _IPV6 = 2, 10

NOWHERE, UNICAST, LOCAL, BLACKHOLE, UNREACHABLE, PROHIBIT = 0, 1, 2, 6, 7, 8
"Kinds of routes (rtnetlink(7), rtm_type); the first one is no route."


class NetlinkError(Exception):
    """What came is no sound reply to what was asked."""


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """The kernel says no."""

    number: int
    "Its errno."


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """A network interface."""

    index: int
    "Its number."
    name: str
    "Its name."
    up: bool
    "Whether an administrator has it up."
    running: bool
    "Whether it can carry packets: carrier, and no reason against it."


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """Where packets to an address go."""

    kind: int
    "What becomes of them: UNICAST, LOCAL, BLACKHOLE and so on."
    interfaces: tuple[int, ...]
    "Numbers of all interfaces by which they may leave, each once."
    source: str
    "The source address that the kernel would give them; empty if it does not say."


Reply = Link | Route | Refusal


def ask_route(
    number: int, address: str, source: str | None = None, *, entry: bool = False
) -> bytes:
    """Ask for the route of a packet to an address, from a source if one is given.

    With `entry` the entry of the table is told, with all its next hops, in place of
    the one next hop that was taken just now. Raises ValueError for no IP address.
    """
    to = ipaddress.ip_address(address)
    attributes = _attribute(_DST, to.packed)
    bits = 0
    if source is not None:
        packed = ipaddress.ip_address(source).packed
        attributes += _attribute(_SRC, packed)
        bits = 8 * len(packed)
    family = _IPV4 if to.version == 4 else _IPV6
    flags = _FIB_MATCH if entry else 0
    body = _ROUTE.pack(family, to.max_prefixlen, bits, 0, 0, 0, 0, 0, flags)
    return _message(_GET_ROUTE, number, body + attributes)


def ask_link(number: int, link: str | int) -> bytes:
    """Ask for an interface, by its name or its number."""
    index, attributes = 0, b""
    if isinstance(link, int):
        index = link
    else:
        attributes = _attribute(_IFNAME, link.encode() + b"\0")
    return _message(_GET_LINK, number, _LINK.pack(0, 0, index, 0, 0) + attributes)


def read(data: bytes, number: int) -> Reply:
    """The reply to request `number`. Raises NetlinkError for anything else."""
    try:
        length, kind, _, sequence, _ = _HEADER.unpack_from(data)
        if sequence != number or not _HEADER.size <= length <= len(data):
            raise NetlinkError("not the reply that was asked for")
        body = data[_HEADER.size : length]
        if kind == _ERROR_REPLY:
            return Refusal(-_ERROR.unpack_from(body)[0])
        if kind == _LINK_REPLY:
            return _link(body)
        if kind == _ROUTE_REPLY:
            return _route(body)
    except (struct.error, ValueError) as error:
        raise NetlinkError(f"malformed reply: {error}") from None
    raise NetlinkError(f"reply of unknown type {kind}")


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = dict(_attributes(body[_LINK.size :]))
    name = found.get(_IFNAME, b"").rstrip(b"\0").decode("utf-8", "replace")
    return Link(index, name, bool(flags & _UP), bool(flags & _RUNNING))


def _route(body: bytes) -> Route:
    kind = _ROUTE.unpack_from(body)[7]
    found = dict(_attributes(body[_ROUTE.size :]))
    interfaces = list(_hops(found.get(_MULTIPATH, b"")))
    if _OIF in found:
        interfaces.insert(0, _INDEX.unpack(found[_OIF])[0])
    source = found.get(_PREFSRC, b"")
    said = str(ipaddress.ip_address(source)) if source else ""
    return Route(kind, tuple(dict.fromkeys(interfaces)), said)


def _hops(data: bytes) -> Iterator[int]:
    """Interface of each next hop of a multipath route (rtnetlink(7), rtnexthop)."""
    while data:
        length, _, _, index = _HOP.unpack_from(data)
        if length < _HOP.size:
            raise ValueError("next hop without an end")
        yield index
        data = data[_aligned(length) :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            raise ValueError("attribute without an end")
        yield kind & _NESTED, data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    padding = bytes(_aligned(length) - length)
    return _ATTRIBUTE.pack(length, kind) + value + padding


def _message(kind: int, number: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST, number, 0) + body


def _aligned(length: int) -> int:
    return (length + 3) & ~3
