"""The four machines of RFC 3261 section 17, each in virtual time."""

import pytest

from protocols.sip.machines import (
    CLIENT,
    INVITE_CLIENT,
    INVITE_SERVER,
    SERVER,
    Do,
    Event,
    State,
    event_of,
)
from tests.protocols.sip.run import Run


def invite_client(reliable: bool = False) -> Run:
    return Run(INVITE_CLIENT[reliable], State.CALLING)


def client(reliable: bool = False) -> Run:
    return Run(CLIENT[reliable], State.TRYING)


def invite_server(reliable: bool = False) -> Run:
    return Run(INVITE_SERVER[reliable], State.PROCEEDING)


def server(reliable: bool = False) -> Run:
    return Run(SERVER[reliable], State.TRYING)


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (100, Event.PROVISIONAL),
        (199, Event.PROVISIONAL),
        (200, Event.SUCCESS),
        (299, Event.SUCCESS),
        (300, Event.FAILURE),
        (699, Event.FAILURE),
    ],
)
def test_status_is_told_as_the_event_of_its_class(status: int, event: Event) -> None:
    assert event_of(status) is event


def test_timer_a_repeats_the_invite_in_doubling_gaps_until_timer_b() -> None:
    run = invite_client()
    notes = run.until(100)
    sent = [at for at, _, do in notes if do is Do.RESEND]
    assert sent == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert notes[-1] == (32.0, Event.TIMEOUT, Do.FAIL)
    assert run.state is State.TERMINATED


def test_invite_over_a_stream_is_never_repeated_and_ends_with_timer_b() -> None:
    assert invite_client(reliable=True).until(100) == [(32.0, Event.TIMEOUT, Do.FAIL)]


def test_provisional_answer_ends_timers_a_and_b() -> None:
    run = invite_client()
    assert run.on(Event.PROVISIONAL, Event.PROVISIONAL) == [Do.PASS, Do.PASS]
    assert run.until(1000) == []
    assert run.state is State.PROCEEDING


@pytest.mark.parametrize("provisional", [True, False])
def test_every_2xx_to_an_invite_is_passed_until_timer_m(provisional: bool) -> None:
    run = invite_client()
    if provisional:
        run.on(Event.PROVISIONAL)
    assert run.on(Event.SUCCESS, Event.SUCCESS) == [Do.PASS, Do.PASS]
    assert run.on(Event.PROVISIONAL, Event.FAILURE) == [Do.NOTHING, Do.NOTHING]
    assert run.until(100) == [(32.0, Event.OVER, Do.NOTHING)]
    assert run.state is State.TERMINATED


def test_failure_of_an_invite_is_passed_once_and_acknowledged_until_timer_d() -> None:
    run = invite_client()
    assert run.on(Event.FAILURE, Event.FAILURE) == [Do.ACK_AND_PASS, Do.ACK]
    assert run.on(Event.SUCCESS) == [Do.NOTHING]
    assert run.until(100) == [(32.0, Event.OVER, Do.NOTHING)]


def test_failure_over_a_stream_ends_the_transaction_at_once() -> None:
    run = invite_client(reliable=True)
    run.on(Event.PROVISIONAL)
    assert run.on(Event.FAILURE) == [Do.ACK_AND_PASS]
    assert run.state is State.TERMINATED
    assert run.on(Event.FAILURE) == [Do.NOTHING]


def test_transport_failure_is_told_while_waiting_and_ends_what_was_answered() -> None:
    for events, last in (
        ([], Do.FAIL),
        ([Event.PROVISIONAL], Do.FAIL),
        ([Event.FAILURE], Do.NOTHING),
    ):
        run = invite_client()
        run.on(*events)
        assert run.on(Event.BROKEN) == [last]
        assert run.state is State.TERMINATED


def test_timer_e_repeats_a_request_in_gaps_of_at_most_t2_until_timer_f() -> None:
    run = client()
    notes = run.until(100)
    sent = [at for at, _, do in notes if do is Do.RESEND]
    assert sent == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert notes[-1] == (32.0, Event.TIMEOUT, Do.FAIL)


def test_provisional_answer_slows_timer_e_and_leaves_timer_f() -> None:
    run = client()
    run.until(1.0)
    assert run.on(Event.PROVISIONAL, Event.PROVISIONAL) == [Do.PASS, Do.PASS]
    notes = run.until(100)
    assert [at for at, _, do in notes if do is Do.RESEND] == [
        5.0, 9.0, 13.0, 17.0, 21.0, 25.0, 29.0,
    ]  # fmt: skip
    assert notes[-1] == (32.0, Event.TIMEOUT, Do.FAIL)


@pytest.mark.parametrize("final", [Event.SUCCESS, Event.FAILURE])
def test_final_answer_is_passed_once_and_absorbed_until_timer_k(final: Event) -> None:
    run = client()
    assert run.on(final, final, Event.PROVISIONAL) == [Do.PASS, Do.NOTHING, Do.NOTHING]
    assert run.until(100) == [(5.0, Event.OVER, Do.NOTHING)]


def test_final_answer_over_a_stream_ends_a_request_at_once() -> None:
    run = client(reliable=True)
    assert run.on(Event.PROVISIONAL, Event.SUCCESS) == [Do.PASS, Do.PASS]
    assert run.state is State.TERMINATED
    assert run.until(100) == []


def test_transport_failure_ends_a_request() -> None:
    assert client().on(Event.BROKEN) == [Do.FAIL]


def test_repeated_invite_gets_the_last_provisional_answer_again() -> None:
    run = invite_server()
    assert run.on(Event.PROVISIONAL, Event.AGAIN) == [Do.PASS, Do.RESEND]
    assert run.until(1000) == []


def test_timer_g_repeats_a_failure_until_timer_h() -> None:
    run = invite_server()
    assert run.on(Event.FAILURE, Event.AGAIN) == [Do.PASS, Do.RESEND]
    notes = run.until(100)
    sent = [at for at, _, do in notes if do is Do.RESEND]
    assert sent == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert notes[-1] == (32.0, Event.TIMEOUT, Do.NOTHING)
    assert run.state is State.TERMINATED


def test_ack_ends_the_repetitions_of_a_failure_and_timer_i_the_transaction() -> None:
    run = invite_server()
    run.on(Event.FAILURE)
    assert run.on(Event.ACKED, Event.ACKED, Event.AGAIN) == [Do.NOTHING] * 3
    assert run.until(100) == [(5.0, Event.OVER, Do.NOTHING)]


def test_failure_over_a_stream_is_sent_once_and_ends_with_its_ack() -> None:
    run = invite_server(reliable=True)
    run.on(Event.FAILURE)
    assert run.until(31.0) == []
    assert run.on(Event.ACKED) == [Do.NOTHING]
    assert run.state is State.TERMINATED


def test_accepted_invite_is_absorbed_while_2xx_and_ack_pass_until_timer_l() -> None:
    run = invite_server()
    assert run.on(Event.SUCCESS, Event.AGAIN, Event.SUCCESS, Event.ACKED) == [
        Do.PASS, Do.NOTHING, Do.PASS, Do.PASS,
    ]  # fmt: skip
    assert run.on(Event.FAILURE, Event.PROVISIONAL) == [Do.NOTHING, Do.NOTHING]
    assert run.until(100) == [(32.0, Event.OVER, Do.NOTHING)]


def test_repeated_request_is_answered_again_only_once_there_is_an_answer() -> None:
    run = server()
    assert run.on(Event.AGAIN, Event.PROVISIONAL, Event.AGAIN) == [
        Do.NOTHING, Do.PASS, Do.RESEND,
    ]  # fmt: skip
    assert run.on(Event.SUCCESS, Event.AGAIN, Event.FAILURE) == [
        Do.PASS, Do.RESEND, Do.NOTHING,
    ]  # fmt: skip
    assert run.until(100) == [(32.0, Event.OVER, Do.NOTHING)]


def test_answer_over_a_stream_ends_a_server_transaction_at_once() -> None:
    run = server(reliable=True)
    assert run.on(Event.FAILURE) == [Do.PASS]
    assert run.state is State.TERMINATED
