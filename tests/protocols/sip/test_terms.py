"""What a listener works by, as its parts want it."""

from protocols.sip.bound import Bound, Wanted, bind
from protocols.sip.guard import Guard
from protocols.sip.peers import Side
from protocols.sip.terms import Terms
from tests.protocols.sip.peers import HERE, TCP, UDP, at
from tests.protocols.sip.stage import SETTINGS, Known, in_order


def of(bound: list[Bound]) -> Terms:
    site, edge = Guard(()), Guard(())
    return Terms(
        bound,
        SETTINGS,
        in_order(()),
        in_order(()),
        Known(()),
        {Side.EDGE: edge, Side.SITE: site},
        {},
        {},
    )


def test_sockets_are_told_apart_by_what_is_spoken_there() -> None:
    places = ((Side.SITE, UDP, HERE), (Side.SITE, TCP, HERE), (Side.EDGE, UDP, "::1"))
    bound = bind([Wanted(*place, 0) for place in places])
    try:
        terms = of(bound)
        assert terms.datagram_sockets == [bound[0], bound[2]]
        assert terms.streams == [bound[1]]
        assert terms.sources(Side.SITE, at(5060, TCP)) == HERE
        assert terms.sources(Side.EDGE, at(5060, TCP)) is None
        assert terms.sources(Side.EDGE, at(5060, TCP, address="::2")) == "::1"
    finally:
        for one in bound:
            one.sock.close()


def test_guards_are_in_the_order_of_the_sides() -> None:
    terms = of([])
    assert terms.by_side[Side.SITE] is terms.guards[Side.SITE]
    assert terms.by_side[Side.EDGE] is terms.guards[Side.EDGE]
