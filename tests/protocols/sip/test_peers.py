from protocols.sip.peers import Side


def test_sides_lie_across_from_each_other() -> None:
    assert Side.SITE.other is Side.EDGE
    assert Side.EDGE.other is Side.SITE
