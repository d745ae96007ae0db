import pytest

from protocols.sip.peers import Side
from protocols.sip.places import Places
from protocols.sip.seals import Seals
from protocols.sip.settings import Place, Settings
from protocols.sip.stamp import PATH, RECORD_ROUTE, Stamp, hop_of
from protocols.sip.token import Hop, Hops, unseal
from tests.protocols.sip.stage import KEYS, SETTINGS, TLS, UDP, edge, pbx

BACK = Hop(UDP, "10.0.0.10", 5060)
NEAR = b"sip:10.0.0.2:5060;lr"


def stamp(
    side: Side = Side.EDGE, name: bytes = RECORD_ROUTE, uri: bytes = NEAR
) -> Stamp:
    return Stamp(Places(SETTINGS), Seals(KEYS), name, side, BACK, uri, b"call")


def token(line: bytes) -> bytes:
    return line.partition(b"er=")[2].rstrip(b">")


def test_two_lines_name_both_sides_the_next_hops_above() -> None:
    above, below = stamp().lines(edge(1))
    assert above.startswith(b"Record-Route: <sip:203.0.113.5:5060;lr;er=")
    assert below == b"Record-Route: <" + NEAR + b">"


def test_token_holds_both_hops_whichever_way_the_request_goes() -> None:
    to_edge = token(stamp().lines(edge(1))[0])
    hop = Hop(UDP, "192.0.2.1", 5060, "edge1")
    assert unseal(to_edge, b"call", KEYS) == Hops(BACK, hop)
    to_site = token(stamp(Side.SITE).lines(pbx(11))[0])
    assert unseal(to_site, b"call", KEYS) == Hops(Hop(UDP, "10.0.0.11", 5060), BACK)


def test_one_line_is_enough_where_both_sides_reach_the_router_alike() -> None:
    settings = Settings(places=(Place(Side.EDGE, UDP, "10.0.0.2", 5060),), keys=KEYS)
    one = Stamp(
        Places(settings), Seals(KEYS), RECORD_ROUTE, Side.EDGE, BACK, NEAR, b"call"
    )
    assert len(one.lines(edge(1))) == 1


@pytest.mark.parametrize(("name", "other"), [(RECORD_ROUTE, False), (PATH, True)])
def test_token_of_a_path_is_good_for_calls_to_come(name: bytes, other: bool) -> None:
    above = stamp(name=name).lines(edge(1))[0]
    assert above.startswith(name + b": <")
    assert (unseal(token(above), b"other", KEYS) is not None) is other


def test_label_is_signed_where_names_hang_on_it() -> None:
    assert hop_of(Side.EDGE, edge(1)).label == "edge1"
    assert hop_of(Side.SITE, pbx(10)).label == ""
    assert hop_of(Side.SITE, pbx(10, TLS)).label == "pbx10"
