"""When an outage of the DNS begins and ends."""

from router.outage import Ended, Outage


def test_outage_ends_when_the_resolver_fails_for_no_name_any_more() -> None:
    outage = Outage()
    assert outage.note("a", False, 1.0) is None
    assert outage.note("a", True, 2.0) is None
    assert outage.note("b", True, 3.0) is None
    assert outage.note("a", True, 4.0) is None
    assert outage.note("a", False, 5.0) is None
    assert outage.note("b", False, 9.0) == Ended(2, 7.0)
    assert outage.note("b", False, 10.0) is None
    assert outage.note("b", True, 20.0) is None
    assert outage.note("b", False, 21.0) == Ended(1, 1.0)


def test_outage_ends_with_the_names_that_nobody_looks_up_any_more() -> None:
    outage = Outage()
    assert outage.keep((), 0.0) is None
    outage.note("a", True, 1.0)
    outage.note("b", True, 2.0)
    assert outage.keep(("a", "c"), 3.0) is None
    assert outage.keep(("c",), 5.0) == Ended(2, 4.0)
