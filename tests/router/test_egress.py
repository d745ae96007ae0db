"""Whether packets to a private edge leave as they have to."""

from dataclasses import replace

import pytest

from router.egress import Found, Privacy, Verdict, Way, judge, unknown
from router.rtnetlink import BLACKHOLE, NOWHERE, PROHIBIT, UNREACHABLE

WAY = Way("208.78.112.64", "link1", "203.0.113.10")
RIGHT = Found(4, leaves=("link1",), source="203.0.113.10")


def test_way_by_the_interface_of_the_link_is_private() -> None:
    assert judge(WAY, RIGHT) == Verdict(Privacy.PRIVATE, index=4)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (replace(RIGHT, exists=False), "no interface link1"),
        (replace(RIGHT, up=False), "link1 is down"),
        (replace(RIGHT, running=False), "link1 has no carrier"),
        (
            replace(RIGHT, ours=False),
            "203.0.113.10 is not an address of this machine",
        ),
        (replace(RIGHT, kind=NOWHERE), "no route"),
        (replace(RIGHT, kind=BLACKHOLE), "route is a blackhole"),
        (replace(RIGHT, kind=UNREACHABLE), "route is unreachable"),
        (replace(RIGHT, kind=PROHIBIT), "route is prohibited"),
        (replace(RIGHT, leaves=("eth0",)), "route leaves by eth0"),
        (replace(RIGHT, leaves=("link1", "eth0")), "route leaves also by eth0"),
        (replace(RIGHT, leaves=()), "route leaves by no interface"),
    ],
)
def test_any_other_way_is_exposed_for_a_reason(found: Found, reason: str) -> None:
    verdict = judge(WAY, found)
    assert (verdict.privacy, verdict.reason) == (Privacy.EXPOSED, reason)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("203.0.113.10", ""),
        ("10.0.0.2", "packets would carry the source 10.0.0.2"),
        ("", "packets would carry the source of another link"),
    ],
)
def test_source_that_the_kernel_picks_must_be_one_of_the_links(
    source: str, reason: str
) -> None:
    right = frozenset({"198.51.100.0/24", "203.0.113.10"})
    way = Way("208.78.112.64", "link1", sources=right)
    assert judge(way, replace(RIGHT, source=source)).reason == reason


def test_source_does_not_matter_where_none_is_said_to_be_right() -> None:
    verdict = judge(Way("208.78.112.64", "link1"), replace(RIGHT, source=""))
    assert verdict.privacy is Privacy.PRIVATE


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("edge.example.com", None),
        ("192.0.2.1", "site"),
        ("192.0.2.1", "2001:db8::1"),
        ("2001:db8::1", "192.0.2.1"),
    ],
)
def test_way_that_there_cannot_be_is_refused(address: str, source: str | None) -> None:
    with pytest.raises(ValueError, match=r"does not appear|cannot be a source"):
        Way(address, "link1", source)


def test_what_cannot_be_asked_is_unknown() -> None:
    assert unknown("no netlink").privacy is Privacy.UNKNOWN
