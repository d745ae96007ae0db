from collections.abc import Collection

from protocols.net.race import Race
from protocols.record import Attempt
from protocols.target import Choose, Result, Target, Transport


def target(number: int, patience: float = 0.3) -> Target:
    return Target(
        f"192.0.2.{number}", 443, Transport.TCP, "host.test", patience=patience
    )


ONE, TWO, THREE = target(1), target(2), target(3, patience=0.5)


def in_order(*targets: Target) -> Choose:
    def choose(tried: Collection[Target]) -> Target | None:
        return next((one for one in targets if one not in tried), None)

    return choose


def test_race_begins_with_the_first_target_and_waits_out_its_patience() -> None:
    race = Race(in_order(ONE, TWO))
    assert race.overdue(0.0) is None
    assert race.next(10.0) == ONE
    assert race.next(10.0) is None
    assert race.wake == 10.3
    assert race.overdue(10.29) is None
    assert race.next(10.29) is None
    assert race.pending == 1


def test_silence_past_patience_adds_the_next_target_and_keeps_the_first() -> None:
    race = Race(in_order(ONE, THREE))
    race.next(10.0)
    assert race.overdue(10.3) == ONE
    assert race.overdue(10.3) is None
    assert race.next(10.3) == THREE
    assert race.wake == 10.8
    assert race.pending == 2
    race.won(ONE, 10.5)
    assert race.attempts(10.5) == (
        Attempt(ONE, None, "", 10.5 - 10.0),
        Attempt(THREE, None, "another target was sooner", 10.5 - 10.3),
    )


def test_failure_starts_the_next_target_at_once() -> None:
    race = Race(in_order(ONE, TWO))
    race.next(0.0)
    race.failed(ONE, Result.REFUSED, "Connection refused", 0.01)
    assert race.pending == 0
    assert race.next(0.01) == TWO
    assert race.attempts(0.02)[0] == Attempt(
        ONE, Result.REFUSED, "Connection refused", 0.01
    )


def test_failure_of_an_overdue_target_does_not_hurry_the_one_after_it() -> None:
    race = Race(in_order(ONE, TWO, THREE))
    race.next(0.0)
    race.overdue(0.3)
    race.next(0.3)
    race.failed(ONE, Result.TIMEOUT, "", 0.4)
    assert race.next(0.4) is None
    assert race.wake == 0.6


def test_silent_target_is_recorded_as_silent_when_another_wins() -> None:
    race = Race(in_order(ONE, TWO))
    race.next(0.0)
    race.overdue(0.3)
    race.next(0.3)
    race.won(TWO, 0.4)
    assert [one.result for one in race.attempts(0.4)] == [Result.SILENT, None]


def test_attempts_under_way_when_the_flow_ends_were_outrun_by_nobody() -> None:
    race = Race(in_order(ONE, TWO))
    race.next(0.0)
    race.overdue(0.3)
    race.next(0.3)
    detail = "still under way when the flow ended"
    assert race.attempts(0.5) == (
        Attempt(ONE, Result.SILENT, detail, 0.5),
        Attempt(TWO, None, detail, 0.5 - 0.3),
    )


def test_attempt_under_way_after_the_winner_failed_was_outrun_by_nobody() -> None:
    race = Race(in_order(ONE, TWO))
    race.next(0.0)
    race.won(ONE, 0.1)
    race.carry(Attempt(ONE, Result.RESET, "closed", 0.2), 0.2)
    race.next(0.2)
    assert race.attempts(0.3)[1].detail == "still under way when the flow ended"


def test_race_is_lost_when_every_target_failed() -> None:
    race = Race(in_order(ONE))
    race.next(0.0)
    race.failed(ONE, Result.TLS, "bad record mac", 0.1)
    assert race.next(0.1) is None
    assert race.next(0.1) is None
    assert race.pending == 0
    assert race.wake is None


def test_last_target_may_be_slower_than_its_patience() -> None:
    race = Race(in_order(ONE))
    race.next(0.0)
    assert race.overdue(0.3) == ONE
    assert race.next(0.3) is None
    assert race.pending == 1
    assert race.wake is None


def test_race_without_any_target_is_lost_at_once() -> None:
    race = Race(in_order())
    assert race.next(0.0) is None
    assert race.pending == 0
    assert race.attempts(0.0) == ()


def test_chooser_that_repeats_itself_ends_the_race() -> None:
    race = Race(lambda tried: ONE)
    race.next(0.0)
    race.failed(ONE, Result.REFUSED, "", 0.0)
    assert race.next(0.0) is None


def test_targets_held_for_dead_get_one_more_patience_and_no_more() -> None:
    first, second = target(1, patience=0.03), target(2, patience=0.05)
    race = Race(in_order(first, second))
    assert race.next(0.0) == first
    assert race.overdue(0.03) == first
    assert race.next(0.03) == second
    assert race.overdue(0.08) == second
    assert race.next(0.08) is None
    assert not race.lost(0.08)
    assert race.wake == 0.08 + 0.05
    assert race.lost(0.13)


def test_race_is_lost_at_once_when_the_last_attempt_has_failed() -> None:
    race = Race(in_order(ONE))
    assert race.next(0.0) == ONE
    race.failed(ONE, Result.REFUSED, "", 0.1)
    assert race.next(0.1) is None
    assert race.wake is None
    assert race.lost(0.1)


def test_connection_that_came_to_nothing_begins_the_race_again() -> None:
    race = Race(in_order(ONE, TWO))
    race.carry(Attempt(ONE, Result.RESET, "closed", 0.5), 2.0)
    assert race.next(2.0) == TWO
    assert race.awaits(TWO)
    assert not race.awaits(ONE)
    race.won(TWO, 2.1)
    assert [one.result for one in race.attempts(2.1)] == [Result.RESET, None]


def test_attempt_that_was_outrun_is_begun_anew_when_the_winner_fails() -> None:
    race = Race(in_order(ONE, TWO))
    race.next(0.0)
    race.overdue(0.3)
    race.next(0.3)
    race.won(ONE, 0.4)
    race.carry(Attempt(ONE, Result.RESET, "gone", 0.6), 0.6)
    assert not race.awaits(TWO)
    assert race.overdue(0.7) is None
    assert race.next(0.7) == TWO
    assert [one.target for one in race.attempts(0.7)] == [ONE, TWO]
