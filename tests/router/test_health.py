"""Health of one address: what counts, how fast it falls, what it takes to return."""

import dataclasses

import pytest

from protocols.target import ALIVE, Outcome, Result
from router.health import (
    Health,
    Settings,
    State,
    bar,
    heard,
    lift,
    observe,
    overdue,
    recovery,
)

SETTINGS = Settings()
TIMEOUT = Outcome(Result.TIMEOUT)
REFUSED = Outcome(Result.REFUSED, detail="connection refused")
SILENT = Outcome(Result.SILENT)
SERVER_ERROR = Outcome(Result.SERVER_ERROR)
UP = Health(state=State.UP, proved=True, good=5, good_since=0.0)
"Long in use, never down."


def feed(
    health: Health, *outcomes: Outcome, start: float = 100.0, live: bool = False
) -> Health:
    """The health after outcomes a second apart."""
    for number, outcome in enumerate(outcomes):
        health = observe(health, outcome, SETTINGS, now=start + number, live=live)
    return health


def down(health: Health = UP, start: float = 100.0) -> Health:
    """The health after enough failed probes."""
    return feed(health, *[TIMEOUT] * SETTINGS.fall, start=start)


def good_for(health: Health, start: float, seconds: float) -> Health:
    """The health after good probes at every second of a period."""
    return feed(health, *[ALIVE] * int(seconds + 1), start=start)


def test_new_address_is_suspect_until_probed() -> None:
    health = Health(since=3.0)
    assert health.state is State.SUSPECT
    assert health.reason == "not yet probed"


def test_first_good_answer_ever_makes_up() -> None:
    health = observe(Health(), ALIVE, SETTINGS, now=5.0)
    assert (health.state, health.since) == (State.UP, 5.0)


def test_first_good_answer_after_a_start_in_vain_makes_up() -> None:
    health = down(Health())
    assert health.state is State.DOWN
    assert feed(health, ALIVE).state is State.UP


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    "result",
    [
        Result.REFUSED,
        Result.RESET,
        Result.TIMEOUT,
        Result.CERTIFICATE,
        Result.TLS,
        Result.BAD_ANSWER,
    ],
)
def test_one_failure_makes_suspect(result: Result, live: bool) -> None:
    health = observe(UP, Outcome(result), SETTINGS, now=9.0, live=live)
    assert (health.state, health.since) == (State.SUSPECT, 9.0)
    assert health.reason == result.value


@pytest.mark.parametrize("live", [False, True])
def test_failures_in_a_row_make_down(live: bool) -> None:
    health = feed(UP, *[TIMEOUT] * (SETTINGS.fall - 1), live=live)
    assert health.state is State.SUSPECT
    health = feed(health, TIMEOUT, start=103.0, live=live)
    assert health.state is State.DOWN
    assert health.reason == "3 failures, the last: timeout"


def test_failures_with_good_answers_between_do_not_make_down() -> None:
    health = feed(UP, *[TIMEOUT, TIMEOUT, ALIVE] * 20)
    assert health.state is State.SUSPECT
    assert health.flips == ()


def test_two_refusals_make_down_at_once() -> None:
    health = feed(UP, REFUSED, REFUSED)
    assert health.state is State.DOWN
    assert health.reason == "2 failures, the last: connection refused"


def test_refusals_of_a_probe_and_a_flow_add_up() -> None:
    health = observe(UP, REFUSED, SETTINGS, now=1.0)
    health = observe(health, REFUSED, SETTINGS, now=1.1, live=True)
    assert health.state is State.DOWN


def test_good_probes_do_not_excuse_failing_flows() -> None:
    """An edge that answers OPTIONS and swallows INVITE."""
    health = UP
    for call in range(3):
        health = good_for(health, 60.0 * call, 50)
        assert health.state is State.UP
        health = observe(health, TIMEOUT, SETTINGS, now=60.0 * call + 55, live=True)
    assert health.state is State.DOWN


def test_failing_flow_after_a_return_makes_down_at_once() -> None:
    health = feed(UP, TIMEOUT, TIMEOUT, TIMEOUT, live=True)
    health = good_for(health, 200.0, SETTINGS.recovery)
    assert health.state is State.UP
    health = observe(health, TIMEOUT, SETTINGS, now=270.0, live=True)
    assert health.state is State.DOWN


def test_answered_flow_excuses_failed_ones() -> None:
    health = feed(UP, TIMEOUT, TIMEOUT, ALIVE, TIMEOUT, TIMEOUT, live=True)
    assert health.state is State.SUSPECT


def test_failed_flows_long_ago_do_not_count() -> None:
    health = UP
    for call in range(5):
        health = observe(health, TIMEOUT, SETTINGS, now=call * 601.0, live=True)
    assert health.state is State.SUSPECT
    assert health.live_failures == 1


def test_suspect_is_up_after_rise_good_answers() -> None:
    health = feed(UP, TIMEOUT, ALIVE, ALIVE)
    assert health.state is State.SUSPECT
    assert feed(health, ALIVE, start=104.0).state is State.UP


def test_timeout_of_a_probe_sent_before_a_flow_was_answered_does_not_count() -> None:
    health = heard(UP, 99.5)
    assert feed(health, TIMEOUT) is health


def test_flow_answered_lately_takes_twice_as_many_probes_that_time_out() -> None:
    health = feed(heard(UP, 98.0), *[TIMEOUT] * 5)
    assert health.state is State.SUSPECT
    assert feed(health, TIMEOUT, start=105.0).state is State.DOWN
    assert feed(heard(health, 105.0), TIMEOUT, start=107.0).probe_failures == 1


def test_flow_answered_a_while_ago_outweighs_nothing() -> None:
    health = feed(heard(UP, 98.0), TIMEOUT, TIMEOUT)
    assert health.state is State.SUSPECT
    then = 98.0 + SETTINGS.heard_recently
    assert feed(health, TIMEOUT, start=then).state is State.DOWN


def test_silent_flow_ends_the_weight_of_an_earlier_answer() -> None:
    health = feed(heard(UP, 98.0), SILENT, live=True)
    assert down(health, 101.0).state is State.DOWN


def test_silent_flows_alone_leave_it_up() -> None:
    health = feed(UP, *[SILENT] * 10, live=True)
    assert health.state is State.UP


def test_silent_flow_and_overdue_probe_make_suspect() -> None:
    health = feed(UP, SILENT, live=True)
    health = overdue(health, now=100.1)
    assert (health.state, health.reason) == (State.SUSPECT, "silent")


def test_two_overdue_probes_make_suspect() -> None:
    health = overdue(UP, now=1.0)
    assert health.state is State.UP
    assert overdue(health, now=2.0).state is State.SUSPECT


def test_sign_of_life_between_overdue_probes_clears_the_doubt() -> None:
    for sign in (feed(overdue(UP, now=1.0), ALIVE), heard(overdue(UP, now=1.0), 2.0)):
        assert overdue(sign, now=3.0).state is State.UP


def test_overdue_probe_of_a_down_address_changes_no_verdict() -> None:
    assert overdue(overdue(down(), now=200.0), now=201.0).state is State.DOWN


def test_server_errors_make_suspect_only_in_a_row() -> None:
    errors = [SERVER_ERROR] * (SETTINGS.server_errors - 1)
    health = feed(UP, *errors, live=True)
    assert health.state is State.UP
    health = feed(health, ALIVE, *errors, live=True)
    assert health.state is State.UP
    health = feed(health, SERVER_ERROR, live=True)
    assert health.state is State.SUSPECT
    assert health.reason == "5 server errors in a row"


def test_server_errors_hold_a_suspect_against_good_probes() -> None:
    health = feed(UP, *[SERVER_ERROR] * 6, live=True)
    health = feed(health, *[ALIVE] * 5, start=106.0)
    assert health.state is State.SUSPECT
    health = feed(health, ALIVE, start=105.0 + SETTINGS.error_hold)
    assert health.state is State.UP
    assert health.server_errors == 0


def test_server_errors_never_make_down_nor_raise_the_down() -> None:
    assert feed(UP, *[SERVER_ERROR] * 50).state is State.SUSPECT
    assert feed(down(), *[SERVER_ERROR] * 50).state is State.DOWN


def test_down_is_up_after_a_minute_of_good_answers() -> None:
    health = good_for(down(), 200.0, SETTINGS.recovery - 1)
    assert health.state is State.DOWN
    health = feed(health, ALIVE, start=260.0)
    assert (health.state, health.reason) == (State.UP, "good for 60 s")


def test_recovery_forgives_few_failures() -> None:
    health = good_for(down(), 200.0, 30)
    health = feed(health, TIMEOUT, start=231.0)
    health = good_for(health, 232.0, 28)
    assert health.state is State.UP


def test_recovery_starts_again_after_many_failures() -> None:
    health = down()
    for second in range(200, 320, 4):
        health = feed(health, ALIVE, TIMEOUT, ALIVE, TIMEOUT, start=float(second))
    assert health.state is State.DOWN


def test_recovery_starts_again_after_failures_in_a_row() -> None:
    health = good_for(down(), 200.0, 50)
    health = feed(health, *[TIMEOUT] * 3, start=251.0)
    assert health.good == 0
    assert good_for(health, 254.0, 59).state is State.DOWN


def test_recovery_needs_rise_good_answers() -> None:
    health = feed(down(), ALIVE, start=200.0)
    health = feed(health, ALIVE, start=300.0)
    assert health.state is State.DOWN
    assert feed(health, ALIVE, start=301.0).state is State.UP


def test_recovery_doubles_with_each_flip_up_to_ten_minutes() -> None:
    owed = []
    health = UP
    for _ in range(6):
        health = down(dataclasses.replace(health, state=State.UP, probe_failures=0))
        owed.append(recovery(health, SETTINGS, now=103.0))
    assert owed == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0]


def test_flips_are_forgotten_and_bounded() -> None:
    health = dataclasses.replace(UP, flips=tuple(map(float, range(8))))
    health = down(health)
    assert len(health.flips) == 8
    assert recovery(health, SETTINGS, now=102.0 + SETTINGS.memory) == 60.0


def test_without_verdicts_failures_condemn_nothing() -> None:
    health = UP
    for number in range(9):
        health = observe(health, TIMEOUT, SETTINGS, now=float(number), verdicts=False)
    assert health.state is State.SUSPECT
    assert health.hopeless
    assert observe(health, TIMEOUT, SETTINGS, now=10.0).state is State.DOWN


def test_hopeless_until_something_answers() -> None:
    assert not UP.hopeless
    assert not Health().hopeless
    assert feed(UP, REFUSED, REFUSED).hopeless
    assert down().hopeless
    assert not feed(down(), ALIVE).hopeless


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (Health(State.UP), True),
        (Health(State.SUSPECT), False),
        (Health(State.UP, live_failures=1), False),
        (Health(State.UP, server_errors=1), False),
    ],
)
def test_answer_to_a_flow_changes_nothing_where_there_is_nothing_to_excuse(
    health: Health, expected: bool
) -> None:
    assert health.carefree is expected


def test_barred_address_is_down_by_a_flip_and_keeps_the_latest_reason() -> None:
    barred = bar(UP, "link1 is down", now=200.0)
    assert (barred.state, barred.reason) == (State.DOWN, "link1 is down")
    assert (barred.barred, barred.since, barred.flips) == (True, 200.0, (200.0,))
    again = bar(barred, "no interface link1", now=201.0)
    assert again == dataclasses.replace(barred, reason="no interface link1")


def test_address_that_is_down_already_is_barred_without_a_flip() -> None:
    before = good_for(down(), 110.0, 30.0)
    barred = bar(before, "link1 is down", now=150.0)
    assert (barred.flips, barred.since) == (before.flips, before.since)
    assert barred.good == 0


def test_bar_that_is_lifted_leaves_a_recovery() -> None:
    lifted = lift(bar(UP, "link1 is down", now=200.0), now=205.0)
    assert (lifted.state, lifted.barred) == (State.DOWN, False)
    assert lifted.reason == "free again, after: link1 is down"
    assert good_for(lifted, 205.0, 59.0).state is State.DOWN
    assert good_for(lifted, 205.0, 61.0).state is State.UP


def test_each_bar_of_an_address_that_works_doubles_its_recovery() -> None:
    health = good_for(lift(bar(UP, "down", now=0.0), now=5.0), 5.0, 61.0)
    health = lift(bar(health, "down", now=70.0), now=75.0)
    assert good_for(health, 75.0, 119.0).state is State.DOWN
    assert good_for(health, 75.0, 121.0).state is State.UP


def test_address_that_never_answered_is_new_when_its_bar_is_lifted() -> None:
    barred = bar(Health(since=1.0), "link1 is down", now=2.0)
    assert (barred.state, barred.flips) == (State.DOWN, ())
    assert lift(barred, now=9.0) == Health(since=9.0)
    assert lift(Health(since=1.0), now=9.0) == Health(since=1.0)
