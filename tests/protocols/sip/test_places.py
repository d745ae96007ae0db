import dataclasses

import pytest

from protocols.sip.headers import parse_uri
from protocols.sip.peers import Side
from protocols.sip.places import Places
from protocols.sip.settings import Place
from protocols.target import Transport
from tests.protocols.sip.stage import PLACES, SETTINGS, TCP, TLS, UDP

SIX = Place(Side.EDGE, UDP, "2001:db8::5", 5070)


def places(*more: Place) -> Places:
    names = frozenset(("sip.site.test",))
    settings = dataclasses.replace(SETTINGS, places=(*PLACES, *more), names=names)
    return Places(settings)


@pytest.mark.parametrize(
    ("uri", "own"),
    [
        ("sip:10.0.0.2", True),
        ("sip:10.0.0.2:5060", True),
        ("sip:u@203.0.113.5:5061;transport=tls", True),
        ("sip:10.0.0.2:5061", False),
        ("sip:10.0.0.3", False),
        ("sip:Sip.Site.Test.", True),
        ("sip:[2001:DB8::5]:5070", True),
        ("sip:[2001:db8::6]", False),
        ("tel:+1", False),
    ],
)
def test_uri_is_own_by_address_and_port_or_by_name(uri: str, own: bool) -> None:
    assert places(SIX).is_own(parse_uri(uri.encode())) is own


@pytest.mark.parametrize(
    ("side", "transport", "address", "source", "bound"),
    [
        (Side.EDGE, TLS, "192.0.2.1", None, True),
        (Side.SITE, TLS, "10.0.0.10", None, False),
        (Side.EDGE, UDP, "2001:db8::1", None, True),
        (Side.EDGE, TCP, "2001:db8::1", None, False),
        (Side.EDGE, UDP, "192.0.2.1", "203.0.113.5", True),
        (Side.EDGE, UDP, "192.0.2.1", "198.51.100.9", False),
    ],
)
def test_router_is_found_where_it_is_bound_and_nowhere_else(
    side: Side, transport: Transport, address: str, source: str | None, bound: bool
) -> None:
    assert places(SIX).face(side, transport, address, source).is_bound is bound


@pytest.mark.parametrize(
    ("side", "transport", "address", "via", "uri"),
    [
        (Side.SITE, UDP, "10.0.0.10", "UDP 10.0.0.2:5060", "sip:10.0.0.2:5060;lr"),
        (
            Side.EDGE,
            TLS,
            "192.0.2.1",
            "TLS 203.0.113.5:5061",
            "sip:203.0.113.5:5061;transport=tls;lr",
        ),
        (
            Side.EDGE,
            UDP,
            "2001:db8::1",
            "UDP [2001:db8::5]:5070",
            "sip:[2001:db8::5]:5070;lr",
        ),
        (
            Side.SITE,
            TLS,
            "10.0.0.10",
            "TLS 10.0.0.2:5060",
            "sip:10.0.0.2:5060;transport=tls;lr",
        ),
    ],
)
def test_router_names_itself_as_that_side_reaches_it(
    side: Side, transport: str, address: str, via: str, uri: str
) -> None:
    kind = {"udp": UDP, "tcp": TCP, "tls": TLS}[transport]
    face = places(SIX).face(side, kind, address)
    assert face.via.decode() == f"Via: SIP/2.0/{via};rport;branch="
    assert face.uri.decode() == uri


def test_target_with_a_source_of_its_own_is_told_that_address() -> None:
    table = places()
    face = table.face(Side.EDGE, UDP, "192.0.2.1", "198.51.100.9")
    assert face.uri == b"sip:198.51.100.9:5060;lr"
    assert table.face(Side.EDGE, UDP, "192.0.2.1", "198.51.100.9") is face


def test_target_with_a_source_of_its_own_is_told_the_port_that_is_bound_there() -> None:
    table = places(Place(Side.EDGE, UDP, "198.51.100.9", 5070))
    face = table.face(Side.EDGE, UDP, "192.0.2.1", "198.51.100.9")
    assert face.uri == b"sip:198.51.100.9:5070;lr"
    other = table.face(Side.EDGE, UDP, "192.0.2.1")
    assert other.uri == b"sip:203.0.113.5:5060;lr"


def test_router_behind_a_nat_is_named_as_its_peers_know_it() -> None:
    behind = Place(Side.EDGE, TLS, "10.0.0.5", 5081, "198.51.100.7")
    found = places(behind)
    settings = dataclasses.replace(SETTINGS, places=(behind,))
    face = Places(settings).face(Side.EDGE, TLS, "192.0.2.1")
    assert face.via == b"Via: SIP/2.0/TLS 198.51.100.7:5081;rport;branch="
    assert face.uri == b"sip:198.51.100.7:5081;transport=tls;lr"
    assert face.is_bound
    for host in (b"198.51.100.7", b"10.0.0.5"):
        assert found.is_own(parse_uri(b"sip:%b:5081;lr" % host))
    assert not found.is_own(parse_uri(b"sip:198.51.100.7:5060"))
