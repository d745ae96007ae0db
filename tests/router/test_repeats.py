"""Repeats are said once, then summed up ever less often; time is passed in."""

import itertools

from router.repeats import CAPACITY, LAST_GAP, OTHERS, Repeats, Unsaid

DUBLIN = ("probe.failed", "dublin")
ASHBURN = ("probe.failed", "ashburn")


def test_first_time_is_said() -> None:
    assert Repeats().admit(DUBLIN, now=100.0) == 0


def test_keys_are_independent() -> None:
    repeats = Repeats()
    repeats.admit(DUBLIN, now=100.0)
    assert repeats.admit(ASHBURN, now=100.0) == 0


def test_repeat_within_the_gap_is_silent_and_counted_with_the_next_line() -> None:
    repeats = Repeats()
    repeats.admit(DUBLIN, now=100.0)
    assert repeats.admit(DUBLIN, now=100.1) is None
    assert repeats.admit(DUBLIN, now=100.9) is None
    assert repeats.admit(DUBLIN, now=101.0) == 2


def test_gap_doubles_up_to_five_minutes_while_it_goes_on() -> None:
    repeats = Repeats()
    said = [
        now / 2 for now in range(4000) if repeats.admit(DUBLIN, now=now / 2) is not None
    ]
    gaps = [later - earlier for earlier, later in itertools.pairwise(said)]
    assert gaps == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, *[LAST_GAP] * 4]


def test_key_that_was_quiet_for_two_gaps_starts_again() -> None:
    repeats = Repeats()
    repeats.admit(DUBLIN, now=100.0)
    repeats.admit(DUBLIN, now=101.0)  # the gap is two seconds now
    assert repeats.admit(DUBLIN, now=107.0) == 0
    assert repeats.admit(DUBLIN, now=108.0) == 0
    assert repeats.admit(DUBLIN, now=109.0) is None


def test_suppressed_repeats_are_summed_up_when_their_gap_ends() -> None:
    repeats = Repeats()
    repeats.admit(DUBLIN, now=100.0)
    repeats.admit(DUBLIN, now=100.5)
    assert repeats.unsaid(now=100.9) == []
    assert repeats.unsaid(now=101.0) == [Unsaid(DUBLIN, 1, 1.0)]
    assert repeats.unsaid(now=103.0) == []
    assert repeats.admit(DUBLIN, now=102.9) is None  # the summary opened a gap


def test_nothing_is_summed_up_twice_or_forgotten_at_the_end() -> None:
    repeats = Repeats()
    repeats.admit(DUBLIN, now=100.0)
    repeats.admit(DUBLIN, now=100.1)
    assert repeats.unsaid(now=100.5, final=True) == [Unsaid(DUBLIN, 1, 0.5)]
    assert repeats.unsaid(now=100.6, final=True) == []


def test_unsaid_repeats_are_not_lost_to_a_long_silence() -> None:
    repeats = Repeats()
    repeats.admit(DUBLIN, now=100.0)
    repeats.admit(DUBLIN, now=100.5)
    assert repeats.admit(DUBLIN, now=9000.0) == 1


def test_quiet_keys_leave_the_table() -> None:
    repeats = Repeats(capacity=1)
    repeats.admit(DUBLIN, now=100.0)
    assert repeats.unsaid(now=103.0) == []
    assert repeats.admit(ASHBURN, now=103.0) == 0
    assert repeats.admit(ASHBURN, now=103.1) is None
    assert repeats.unsaid(now=104.0) == [Unsaid(ASHBURN, 1, 1.0)]


def test_keys_beyond_the_capacity_count_as_one() -> None:
    repeats = Repeats()
    said = sum(
        repeats.admit((str(n),), now=100.0) is not None for n in range(10 * CAPACITY)
    )
    assert said == CAPACITY + 1
    assert repeats.unsaid(now=101.0) == [Unsaid(OTHERS, 9 * CAPACITY - 1, 1.0)]
