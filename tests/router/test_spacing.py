"""OPTIONS to one address keep their distance, over restarts, too."""

import math

import pytest

from router.spacing import ROOM, Spacing

ONE, TWO = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def spacing() -> Spacing:
    """Ten seconds apart, and always the longest pause."""
    return Spacing(10.0, lambda low, high: high)


def test_address_never_asked_may_be_asked_at_once(spacing: Spacing) -> None:
    assert spacing.next(ONE) == -math.inf


def test_address_asked_may_be_asked_again_after_a_pause(spacing: Spacing) -> None:
    spacing.sent(ONE, 100.0)
    assert spacing.next(ONE) == 112.0
    assert spacing.next(TWO) == -math.inf


def test_pause_is_drawn_once_for_each_time() -> None:
    drawn = iter([1.0, 1.2])
    spacing = Spacing(10.0, lambda low, high: next(drawn))
    spacing.sent(ONE, 0.0)
    assert [spacing.next(ONE) for _ in range(3)] == [10.0] * 3
    spacing.sent(ONE, 10.0)
    assert spacing.next(ONE) == 22.0


def test_in_doubt_each_address_counts_as_asked_just_now(spacing: Spacing) -> None:
    spacing.doubt(100.0)
    assert spacing.next(ONE) == spacing.next(ONE) == 112.0
    assert spacing.next(TWO, known=True) == -math.inf
    spacing.sent(ONE, 112.0)
    assert spacing.next(ONE) == 124.0


def test_times_are_handed_over_by_their_age(spacing: Spacing) -> None:
    spacing.sent(ONE, 100.0)
    spacing.sent(TWO, 107.0)
    ages = spacing.ages(109.0)
    assert ages == {ONE: 9.0, TWO: 2.0}
    assert spacing.ages(112.0) == {TWO: 5.0}
    other = Spacing(10.0, lambda low, high: low)
    other.restore(ages, 5.0)
    assert (other.next(ONE), other.next(TWO)) == (6.0, 13.0)


def test_time_handed_over_does_not_hide_a_later_one(spacing: Spacing) -> None:
    spacing.sent(ONE, 100.0)
    spacing.restore({ONE: 50.0}, 101.0)
    assert spacing.next(ONE) == 112.0
    spacing.restore({ONE: 0.5}, 101.0)
    assert spacing.next(ONE) == 112.5


def test_doubt_lasts_for_the_longest_pause(spacing: Spacing) -> None:
    assert spacing.sure(0.0)
    spacing.doubt(100.0)
    assert not spacing.sure(111.9)
    assert spacing.sure(112.0)


def test_doubt_is_handed_over_like_a_time(spacing: Spacing) -> None:
    spacing.doubt(100.0)
    spacing.next(ONE)
    assert spacing.ages(103.0) == {ONE: 3.0}


def test_times_that_count_are_never_forgotten_and_the_others_are(
    spacing: Spacing,
) -> None:
    for number in range(2 * ROOM):
        spacing.sent(f"old {number}", 0.0)
    assert spacing.next("old 0") == 12.0
    for number in range(4 * ROOM):
        spacing.sent(f"new {number}", 100.0)
        assert len(spacing._times) <= 4 * ROOM
    assert all(spacing.next(f"new {n}") == 112.0 for n in range(4 * ROOM))
    assert spacing.next("old 0") == -math.inf
    for number in range(ROOM):
        spacing.sent(f"last {number}", 1000.0)
    assert len(spacing._times) <= 4 * ROOM
