"""What any table makes a transaction do, in virtual time."""

import pytest

from protocols.sip.machines import LIFE, Do, Event, Rules, State
from protocols.sip.timers import Timers
from protocols.sip.transaction import Transaction
from tests.protocols.sip.run import Run

END = State.TERMINATED
MACHINE = {
    State.TRYING: Rules(
        {
            Event.REPEAT: (State.TRYING, Do.RESEND),
            Event.PROVISIONAL: (State.PROCEEDING, Do.PASS),
            Event.SUCCESS: (State.COMPLETED, Do.PASS),
        },
        repeat=0.5,
        longest=1.5,
        timeout=10.0,
    ),
    State.PROCEEDING: Rules(
        {
            Event.PROVISIONAL: (State.PROCEEDING, Do.PASS),
            Event.TIMEOUT: (END, Do.FAIL),
        },
        goes_on=True,
    ),
    State.COMPLETED: Rules({Event.OVER: (END, Do.NOTHING)}, over=5.0),
    END: Rules({}),
}


def run() -> Run:
    return Run(MACHINE, State.TRYING)


def test_message_is_repeated_in_doubling_gaps_up_to_the_longest() -> None:
    assert run().when(Event.REPEAT, 5.5) == [0.5, 1.5, 3.0, 4.5]


def test_event_that_the_table_does_not_name_is_nothing() -> None:
    one = run()
    assert one.on(Event.ACKED) == [Do.NOTHING]
    assert one.state is State.TRYING


def test_state_that_is_entered_ends_the_timers_of_the_one_before() -> None:
    one = run()
    assert one.on(Event.SUCCESS) == [Do.PASS]
    assert one.until(20.0) == [(5.0, Event.OVER, Do.NOTHING)]
    assert one.state is END


def test_timeout_goes_on_where_the_table_says_so() -> None:
    one = run()
    assert one.on(Event.PROVISIONAL, Event.PROVISIONAL) == [Do.PASS, Do.PASS]
    assert one.until(20.0) == [(10.0, Event.TIMEOUT, Do.FAIL)]


def test_hushed_transaction_is_silent_and_begins_its_state_anew_when_resumed() -> None:
    one = run()
    one.until(2.0)
    one.transaction.hush()
    assert one.until(50.0) == []
    assert one.state is State.TRYING
    one.transaction.resume(50.0)
    assert one.when(Event.REPEAT, 52.0) == [50.5, 51.5]


def test_timeout_that_went_on_begins_anew_when_resumed() -> None:
    one = run()
    one.on(Event.PROVISIONAL)
    one.transaction.hush()
    one.until(50.0)
    one.transaction.resume(50.0)
    assert one.until(200.0) == [(50.0 + LIFE, Event.TIMEOUT, Do.FAIL)]


def test_hushing_a_transaction_without_timers_changes_nothing() -> None:
    one = Run(MACHINE, END)
    one.transaction.hush()
    assert one.until(50.0) == []


def test_user_of_a_transaction_must_take_its_timers() -> None:
    bare = Transaction(MACHINE, State.TRYING, Timers(), 0.0)
    with pytest.raises(NotImplementedError):
        bare.expired(Event.REPEAT, 0.5)
