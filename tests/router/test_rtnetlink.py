"""Messages of rtnetlink: what is asked, and what replies say."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rtnetlink import (
    LOCAL,
    UNICAST,
    Link,
    NetlinkError,
    Refusal,
    Reply,
    Route,
    ask_link,
    ask_route,
    read,
)

netlink = pytest.mark.skipif(
    not hasattr(socket, "AF_NETLINK"), reason="needs netlink, as Linux has it"
)


def reply(kind: int, body: bytes, number: int = 7) -> bytes:
    return struct.pack("=LHHLL", 16 + len(body), kind, 0, number, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    padding = bytes(-len(value) % 4)
    return struct.pack("=HH", 4 + len(value), kind) + value + padding


def route(*attributes: bytes, kind: int = UNICAST) -> bytes:
    head = struct.pack("=BBBBBBBBL", 2, 32, 0, 0, 254, 3, 0, kind, 0)
    return reply(24, head + b"".join(attributes))


def link(name: bytes, flags: int) -> bytes:
    return reply(16, struct.pack("=BxHiLL", 0, 1, 4, flags, 0) + attribute(3, name))


def hop(index: int, *attributes: bytes) -> bytes:
    rest = b"".join(attributes)
    return struct.pack("=HBBi", 8 + len(rest), 0, 0, index) + rest


def ask(request: bytes, number: int) -> Reply:
    """What this machine's own kernel says."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(request)
        return read(kernel.recv(1 << 16), number)


@netlink
@pytest.mark.parametrize(
    ("address", "source"), [("127.0.0.9", "127.0.0.5"), ("127.1.2.3", None)]
)
def test_route_of_loopback_is_told_by_the_kernel(
    address: str, source: str | None
) -> None:
    loopback = ask(ask_link(1, "lo"), 1)
    assert isinstance(loopback, Link)
    assert loopback.name == "lo"
    for entry in (False, True):
        found = ask(ask_route(2, address, source, entry=entry), 2)
        assert isinstance(found, Route)
        assert (found.kind, found.interfaces) == (LOCAL, (loopback.index,))
    assert ask(ask_link(3, loopback.index), 3) == loopback


@netlink
def test_interface_that_is_none_is_refused_by_the_kernel() -> None:
    assert isinstance(ask(ask_link(1, "no-such-link"), 1), Refusal)


def test_route_with_one_interface_and_a_source_is_read() -> None:
    data = route(
        attribute(4, struct.pack("=i", 3)), attribute(7, bytes([203, 0, 113, 10]))
    )
    assert read(data, 7) == Route(UNICAST, (3,), "203.0.113.10")


def test_every_interface_of_a_multipath_route_is_read_once() -> None:
    hops = hop(3, attribute(5, bytes(4))) + hop(5) + hop(3)
    assert read(route(attribute(9, hops)), 7) == Route(UNICAST, (3, 5), "")


@pytest.mark.parametrize(
    ("flags", "up", "running"), [(0x43, True, True), (0x3, True, False), (0, 0, 0)]
)
def test_flags_of_an_interface_are_read(flags: int, up: bool, running: bool) -> None:
    assert read(link(b"eth1\0", flags), 7) == Link(4, "eth1", bool(up), bool(running))


def test_refusal_bears_its_number() -> None:
    assert read(reply(2, struct.pack("=i", -101)), 7) == Refusal(101)


def test_source_of_ipv6_is_asked_for_with_all_its_bits() -> None:
    request = ask_route(1, "2001:db8::1", "2001:db8::2")
    family, bits, source_bits = struct.unpack_from("=BBB", request, 16)
    assert (family, bits, source_bits) == (10, 128, 128)


@pytest.mark.parametrize("address", ["", "edge", "10.0.0.0/8", "10.0.0.256"])
def test_what_is_no_address_is_not_asked_for(address: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        ask_route(1, address)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        reply(24, b"\0" * 3),
        reply(24, b"", number=8),
        reply(99, b""),
        reply(2, b"\0"),
        route(attribute(4, b"\0")),
        route(attribute(7, b"\0" * 5)),
        route(struct.pack("=HH", 3, 4)),
        route(struct.pack("=HH", 90, 4)),
        route(attribute(9, struct.pack("=HBBi", 2, 0, 0, 3))),
        reply(2, b"\0" * 4)[:-1],
    ],
)
def test_malformed_reply_is_refused(data: bytes) -> None:
    with pytest.raises(NetlinkError):
        read(data, 7)


@given(st.sampled_from([2, 16, 24]), st.binary(max_size=120))
def test_no_bytes_do_harm(kind: int, body: bytes) -> None:
    try:
        read(reply(kind, body), 7)
    except NetlinkError:
        pass
