"""Route sets: our own out, the next hop from what is left, and no open relay."""

import dataclasses
import ipaddress

import pytest

from protocols.sip import routing
from protocols.sip.headers import split_list
from protocols.sip.message import Message, MessageError, parse
from protocols.sip.peers import Side
from protocols.sip.places import Places
from protocols.sip.routing import Routes
from protocols.sip.seals import Seals
from protocols.sip.token import Hop, Hops, Kind, seal
from tests.protocols.sip.stage import KEYS, SETTINGS, TCP, TLS, UDP, request

SITE = Hop(UDP, "10.0.0.10", 5060)
EDGE = Hop(UDP, "192.0.2.1", 5060, "edge1")
CALL = b"call1@10.0.0.10"
TOKEN = seal(Hops(SITE, EDGE), Kind.DIALOG, CALL, KEYS).decode()
OWN = f"<sip:203.0.113.5:5060;lr;er={TOKEN}>"
NEAR = "<sip:10.0.0.2:5060;lr>"
NETWORKS = {Side.EDGE: (ipaddress.ip_network("192.0.2.0/24"),)}


def routes(**changes: object) -> Routes:
    settings = dataclasses.replace(SETTINGS, networks=NETWORKS, **changes)  # type: ignore[arg-type]
    return Routes(settings, Places(settings), Seals(settings.keys))


def asked(*route: str, uri: str = "sip:edge@172.25.0.1") -> Message:
    more = [f"Route: {one}" for one in route]
    return parse(request("BYE", uri=uri, more=more))


def left(message: Message) -> list[str]:
    values = [one for line in message.all(b"route") for one in split_list(line)]
    return [value.decode() for value in values]


@pytest.mark.parametrize(
    "route",
    [
        [NEAR, OWN],
        [OWN, NEAR],
        [f"{NEAR}, {OWN}"],
        [f"{NEAR},{OWN} , <sip:192.0.2.1;lr>"],
        [OWN],
        [f'"name" {OWN};x=y'],
        [OWN.replace("lr", "transport=udp;lr")],
    ],
)
def test_own_route_is_taken_out_and_its_signature_read(route: list[str]) -> None:
    message = asked(*route)
    assert routes().take_own(message) == Hops(SITE, EDGE)
    assert left(message) == [one for one in ["<sip:192.0.2.1;lr>"] if one in route[0]]


def test_request_without_route_has_no_hops() -> None:
    assert routes().take_own(asked()) is None


def test_route_of_our_address_alone_is_an_outbound_proxy() -> None:
    # By address and port, by name, with and without the default port.
    named = routes(names=frozenset(("sip.site.test",)))
    for route in (NEAR, "<sip:10.0.0.2;lr>", "<sip:SIP.site.test.:5999;lr>"):
        message = asked(route)
        assert named.take_own(message) is None
        assert left(message) == []


@pytest.mark.parametrize(
    "route",
    [
        ["<sip:evil.test;lr>"],
        ["<sip:10.0.0.2:5999;lr>"],
        [NEAR, "<sip:evil.test;lr>"],
        ["<sip:evil.test;lr>", OWN],
        [OWN.replace("er=A", "er=B")],
        [OWN.replace("er=", "er=A")],
        [NEAR.replace(">", ";er>"), "<sip:evil.test;lr>"],
    ],
)
def test_route_that_is_not_ours_or_not_signed_is_refused(route: list[str]) -> None:
    with pytest.raises(MessageError) as caught:
        routes().take_own(asked(*route))
    assert caught.value.status == 403


def test_signature_for_another_call_is_refused() -> None:
    message = asked(OWN)
    message.set(b"call-id", b"another")
    with pytest.raises(MessageError):
        routes().take_own(message)


def test_signature_of_the_old_key_is_taken_and_of_a_foreign_one_is_not() -> None:
    assert routes(keys=(b"new", *KEYS)).take_own(asked(OWN)) is not None
    with pytest.raises(MessageError):
        routes(keys=(b"new",)).take_own(asked(OWN))


def test_what_a_strict_router_did_is_repaired() -> None:
    # RFC 3261 section 16.4: our URI is the Request-URI, the target the last Route.
    message = asked("<sip:192.0.2.1;lr>, <sip:edge@172.25.0.1>", uri=OWN[1:-1])
    assert routes().take_own(message) == Hops(SITE, EDGE)
    assert message.uri == b"sip:edge@172.25.0.1"
    assert left(message) == ["<sip:192.0.2.1;lr>"]
    message = asked("<sip:edge@172.25.0.1>", uri=OWN[1:-1])
    assert routes().take_own(message) == Hops(SITE, EDGE)
    assert left(message) == []


def test_what_a_strict_router_did_with_our_line_without_signature_is_repaired() -> None:
    # The side that it is on gave it a line of its own, above the signed one.
    message = asked(
        f"{OWN}, <sip:192.0.2.1;lr>, <sip:edge@172.25.0.1>", uri="sip:10.0.0.2:5060;lr"
    )
    assert routes().take_own(message) == Hops(SITE, EDGE)
    assert message.uri == b"sip:edge@172.25.0.1"
    assert left(message) == ["<sip:192.0.2.1;lr>"]


@pytest.mark.parametrize("uri", ["sip:x@evil.test;er=A", f"sip:x@evil.test;er={TOKEN}"])
def test_request_uri_of_others_with_our_parameter_is_left_alone(uri: str) -> None:
    message = asked("<sip:10.0.0.2;lr>", uri=uri)
    assert routes().take_own(message) is None
    assert message.uri == uri.encode()


def test_request_uri_of_ours_without_a_route_is_left_alone() -> None:
    assert routes().take_own(asked(uri=OWN[1:-1])) is None


# The next hop.


def next_hop(*route: str, uri: str = "sip:edge@172.25.0.1") -> Hop:
    return routes().next_hop(asked(*route, uri=uri), Side.EDGE, EDGE)


@pytest.mark.parametrize(
    ("route", "hop"),
    [
        ("<sip:192.0.2.1;lr>", EDGE),
        ("<sip:192.0.2.1:5060;transport=tcp;lr>", EDGE),
        ("<sip:192.0.2.7;lr>", Hop(UDP, "192.0.2.7", 5060, "edge1")),
        ("<sip:192.0.2.7:5070;transport=TCP;lr>", Hop(TCP, "192.0.2.7", 5070, "edge1")),
        ("<sip:192.0.2.7;transport=tls;lr>", Hop(TLS, "192.0.2.7", 5061, "edge1")),
        ("<sips:192.0.2.7;lr>", Hop(TLS, "192.0.2.7", 5061, "edge1")),
        ("<sip:192.0.2.7;transport=sctp;lr>", Hop(UDP, "192.0.2.7", 5060, "edge1")),
        ("<sip:198.51.100.1;lr>", EDGE),
        ("<sip:[2001:db8::1];lr>", EDGE),
        ("<sip:evil.test;lr>", EDGE),
        ("<tel:+1555;lr>", EDGE),
    ],
)
def test_route_is_followed_within_the_networks_and_the_signed_hop_otherwise(
    route: str, hop: Hop
) -> None:
    assert next_hop(route) == hop


def test_request_uri_is_followed_where_no_route_is_left() -> None:
    assert next_hop(uri="sip:x@192.0.2.8:5080") == Hop(UDP, "192.0.2.8", 5080, "edge1")
    assert next_hop(uri="sip:edge@172.25.0.1") == EDGE
    assert next_hop(uri="tel:+1555") == EDGE


def test_side_without_networks_has_the_signed_hop_alone() -> None:
    message = asked("<sip:192.0.2.7;lr>")
    assert routes().next_hop(message, Side.SITE, SITE) == SITE


def test_strict_router_finds_itself_in_the_request_uri() -> None:
    # RFC 3261 section 16.6 step 6.
    message = asked("<sip:192.0.2.7>, <sip:192.0.2.8;lr>", uri="sip:edge@172.25.0.1")
    assert routes().next_hop(message, Side.EDGE, EDGE).address == "192.0.2.7"
    assert message.uri == b"sip:192.0.2.7"
    assert left(message) == ["<sip:192.0.2.8;lr>", "<sip:edge@172.25.0.1>"]


def test_memory_of_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "REMEMBERED", 2)
    table = routes()
    for number in range(10):
        message = asked(f"<sip:192.0.2.{number + 10};lr>")
        hop = table.next_hop(message, Side.EDGE, EDGE)
        assert hop.address == f"192.0.2.{number + 10}"
    assert len(table._known) <= 2


def test_address_that_was_asked_about_is_remembered() -> None:
    table = routes()
    for _ in range(2):
        message = asked("<sip:192.0.2.7;lr>")
        assert table.next_hop(message, Side.EDGE, EDGE).address == "192.0.2.7"
