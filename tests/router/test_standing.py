"""Links as they are shown."""

import pytest

from router.birdc import BgpRoute, BgpSession, Evidence
from router.egress import Privacy, Verdict, Way
from router.links import Link
from router.records import Exit
from router.standing import UNSEEN, UNUSED, link_status, way_of, worst
from router.status import BgpStatus

LINK = Link.model_validate(
    {
        "exchange": "Ashburn",
        "edges": ["ashburn-ix"],
        "interface": "link1",
        "prefixes": ["8.8.8.0/28"],
        "bandwidth": "1Mbit/s",
        "bgp": {"session": "ix"},
    }
)
EDGE = "208.78.112.64"
PRIVATE = Verdict(Privacy.PRIVATE, index=4)
UNKNOWN = Verdict(Privacy.UNKNOWN, "no netlink")
EXPOSED = Verdict(Privacy.EXPOSED, "route leaves by eth0")


def test_way_has_the_source_of_its_exit_or_what_the_link_announces() -> None:
    sent = Exit("link1", "8.8.8.1", EDGE)
    assert way_of(sent, LINK) == Way(EDGE, "link1", "8.8.8.1")
    free = Exit("link1", None, EDGE)
    assert way_of(free, LINK) == Way(EDGE, "link1", None, frozenset({"8.8.8.0/28"}))


def test_link_is_as_private_as_the_worst_of_its_ways() -> None:
    assert worst(LINK, [PRIVATE, PRIVATE]) == PRIVATE
    assert worst(LINK, [PRIVATE, UNKNOWN]) == UNKNOWN
    assert worst(LINK, [UNKNOWN, EXPOSED, PRIVATE]) == EXPOSED
    assert worst(LINK, []) == UNUSED
    assert worst(LINK.model_copy(update={"interface": None}), [EXPOSED]) == UNSEEN


def test_link_is_shown_with_what_bird_says() -> None:
    evidence = Evidence(
        {"ix": BgpSession("ix", "Established", "12:00")},
        {EDGE: BgpRoute("208.78.112.0/24", "ix", ("link1",)), "208.78.112.65": None},
    )
    shown = link_status("a", LINK, PRIVATE, evidence)
    assert (shown.name, shown.exchange, shown.edges) == ("a", "Ashburn", LINK.edges)
    assert (shown.interface, shown.privacy, shown.reason) == ("link1", "private", "")
    assert shown.bgp == BgpStatus("ix", "Established", "", ("208.78.112.0/24",), "")
    assert link_status("a", LINK, EXPOSED, evidence).reason == EXPOSED.reason


@pytest.mark.parametrize(
    ("evidence", "state", "trouble"),
    [
        (Evidence(trouble="no answer within 2 s"), "", "no answer within 2 s"),
        (Evidence({"ix": None}), "", "BIRD has no such session"),
        (Evidence({"ix": BgpSession("ix", "", "")}), "down", ""),
    ],
)
def test_what_bird_does_not_say_is_told(
    evidence: Evidence, state: str, trouble: str
) -> None:
    bgp = link_status("a", LINK, PRIVATE, evidence).bgp
    assert bgp == BgpStatus("ix", state, "", (), trouble)


def test_link_that_nobody_asks_bird_about_has_nothing_of_it() -> None:
    assert link_status("a", LINK, PRIVATE, None).bgp is None
    alone = LINK.model_copy(update={"bgp": None})
    assert link_status("a", alone, PRIVATE, Evidence()).bgp is None
