"""The search for an answer: failover, its clocks, CANCEL, and what comes late."""

import dataclasses
import gc

import pytest

from protocols.record import UnderWay
from protocols.sip.branch import Branch
from protocols.sip.context import Context
from protocols.sip.headers import parse_via
from protocols.sip.peers import Peer, Send, Side
from protocols.sip.search import MOST_ATTEMPTS
from protocols.target import Result
from tests.protocols.sip.stage import (
    ASHBURN,
    CANCEL,
    EDGE,
    FROM_EDGE,
    INVITE,
    PBX,
    SETTINGS,
    TCP,
    TLS,
    Counting,
    Stage,
    ack,
    edge,
    message,
    method,
    one,
    pbx,
    peer_of,
    request,
    response,
    status,
    told,
    within,
)

REGISTER = request("REGISTER", uri="sip:trunk.pstn.test")
MESSAGE = request("MESSAGE")
DUBLIN = "INVITE 192.0.2.2"
STREAM = Peer(Side.SITE, TCP, "10.0.0.10", 40_000, connection=3)


def copies(sent: list[Send]) -> list[str]:
    """To whom requests went, repetitions left out."""
    seen = [one.to.address for one in sent if not status(one)]
    return list(dict.fromkeys(seen))


def provisional(stage: Stage, text: str = "100 Trying") -> Send:
    """An INVITE whose first copy has an answer."""
    first = stage.begin()
    stage.answer(first, text)
    return first


# What is said at once.


def test_invite_is_answered_100_at_once_and_sent_to_the_first_edge() -> None:
    assert told(Stage().receive(INVITE)) == ["100 10.0.0.10", "INVITE 192.0.2.1"]


def test_request_that_is_no_invite_gets_100_once_timer_e_has_reached_t2() -> None:
    stage = Stage()
    stage.answer(stage.begin(REGISTER), "100 Trying")
    assert "100 10.0.0.10" not in told(stage.wait(3.49))
    assert "100 10.0.0.10" in told(stage.wait(0.02))


def test_request_that_was_answered_in_time_gets_no_100() -> None:
    stage = Stage()
    stage.answer(stage.begin(request("SUBSCRIBE")), "200 OK")
    assert stage.wait(40) == []


def test_request_over_a_stream_gets_no_100_unless_it_is_an_invite() -> None:
    stage = Stage()
    stage.answer(one(stage.receive(REGISTER, STREAM)), "100 Trying")
    assert not [sent for sent in stage.wait(20) if status(sent)]


def test_answer_of_101_to_199_to_what_is_no_invite_is_not_passed() -> None:
    stage = Stage()
    first = stage.begin(REGISTER)
    assert stage.answer(first, "183 Session Progress") == []
    assert told(stage.answer(first, "200 OK")) == ["200 10.0.0.10"]


# Answers that are passed on.


def test_provisional_answers_are_passed_in_their_order_and_100_is_not() -> None:
    stage = Stage()
    first = stage.begin()
    texts = ("100 Trying", "180 Ringing", "183 Session Progress", "180 Ringing")
    passed = [status(s) for text in texts for s in stage.answer(first, text)]
    assert passed == [180, 183, 180]


def test_every_2xx_of_one_invite_is_passed_and_nothing_else_after_it() -> None:
    stage = Stage()
    first = stage.begin()
    assert told(stage.answer(first, "200 OK")) == ["200 10.0.0.10"]
    assert told(stage.answer(first, "200 OK")) == ["200 10.0.0.10"]
    assert stage.answer(first, "180 Ringing") == []
    assert stage.answer(first, "486 Busy Here") == []
    assert [record.status for record in stage.records] == [200]


@pytest.mark.parametrize(
    "text",
    [
        "302 Moved Temporarily",
        "400 Bad Request",
        "403 Forbidden",
        "404 Not Found",
        "415 Unsupported Media Type",
        "422 Session Interval Too Small",
        "480 Temporarily Unavailable",
        "482 Loop Detected",
        "486 Busy Here",
        "501 Not Implemented",
        "503 Trunk CPS limit exceeded",
        "503 Trunk concurrent call limit exceeded",
        "600 Busy Everywhere",
        "603 Declined",
    ],
)
def test_answer_of_account_or_callee_is_passed_and_nobody_else_asked(text: str) -> None:
    stage = Stage()
    first = stage.begin()
    acknowledged, passed = stage.answer(first, text)
    assert (method(acknowledged), acknowledged.to) == ("ACK", first.to)
    assert passed.data.startswith(f"SIP/2.0 {text}\r\n".encode())
    assert stage.results() == [("edge1", Result.ALIVE)]
    assert stage.receive(ack()) == []
    assert stage.wait(40) == []


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("408 Request Timeout", Result.ALIVE),
        ("500 Server Internal Error", Result.SERVER_ERROR),
        ("502 Bad Gateway", Result.SERVER_ERROR),
        ("503 Service Unavailable", Result.SERVER_ERROR),
        ("504 Server Time-out", Result.ALIVE),
    ],
)
def test_failure_of_the_edge_is_acknowledged_and_the_next_one_asked(
    text: str, result: Result
) -> None:
    stage = Stage()
    first = stage.begin()
    assert told(stage.answer(first, text)) == ["ACK 192.0.2.1", DUBLIN]
    assert stage.results() == [("edge1", result)]


def test_408_behind_a_100_is_of_the_callees_side_and_passed() -> None:
    stage = Stage()
    first = provisional(stage)
    assert "408 10.0.0.10" in told(stage.answer(first, "408 Request Timeout"))


# Failover keeps the call.


def test_second_copy_has_a_new_branch_and_the_same_call() -> None:
    stage = Stage()
    first = stage.begin()
    second = message(one(stage.fail(first)))
    before = message(first)
    vias = [parse_via(one.first(b"via") or b"").branch for one in (before, second)]
    assert vias[0] != vias[1]
    for name in (b"call-id", b"from", b"to", b"cseq", b"contact", b"max-forwards"):
        assert before.first(name) == second.first(name)
    assert second.all(b"via")[1:] == before.all(b"via")[1:]
    assert second.uri == before.uri


def test_record_route_of_the_second_copy_leads_to_the_second_edge() -> None:
    stage = Stage()
    second = one(stage.fail(stage.begin()))
    accepted = one(stage.answer(second, "200 OK"))
    bye = within("BYE", accepted.data)
    assert told(stage.receive(bye)) == ["BYE 192.0.2.2"]


def test_repetition_of_the_invite_is_absorbed_and_stays_with_its_edge() -> None:
    stage = Stage()
    first = stage.begin()
    assert told(stage.receive(INVITE)) == ["100 10.0.0.10"]
    repeated = stage.wait(0.6)
    assert [one.data for one in repeated] == [first.data]


# The transport.


def test_transport_failure_starts_the_next_edge_at_once() -> None:
    stage = Stage()
    assert told(stage.fail(stage.begin(), Result.REFUSED)) == [DUBLIN]
    assert stage.results() == [("edge1", Result.REFUSED)]


def test_transport_failure_after_it_rang_changes_nothing() -> None:
    stage = Stage()
    first = provisional(stage, "180 Ringing")
    assert stage.fail(first, Result.RESET) == []
    assert told(stage.answer(first, "200 OK")) == ["200 10.0.0.10"]


def test_failure_of_an_attempt_that_is_over_changes_nothing() -> None:
    stage = Stage()
    first = stage.begin()
    stage.fail(first)
    assert stage.fail(first) == []


def test_all_edges_refused_end_in_a_503_with_retry_after() -> None:
    stage = Stage()
    second = one(stage.fail(stage.begin()))
    refusal = one(stage.fail(second))
    assert status(refusal) == 503
    assert message(refusal).first(b"retry-after") == b"5"
    assert [a.result for a in stage.records[0].attempts] == [Result.REFUSED] * 2


def test_no_edge_at_all_ends_in_a_503_at_once() -> None:
    assert told(Stage(edges=()).receive(INVITE)) == ["100 10.0.0.10", "503 10.0.0.10"]


def test_reset_of_a_message_is_not_followed_by_a_second_copy() -> None:
    # It may have arrived, and a text is not to be delivered twice.
    stage = Stage()
    assert told(stage.fail(stage.begin(MESSAGE), Result.RESET)) == ["503 10.0.0.10"]


def test_refusal_of_a_message_is_followed_by_a_second_copy() -> None:
    stage = Stage()
    assert told(stage.fail(stage.begin(MESSAGE))) == ["MESSAGE 192.0.2.2"]


# The three clocks.


def test_silence_of_two_seconds_starts_the_next_edge() -> None:
    stage = Stage()
    stage.begin()
    assert copies(stage.wait(1.99)) == ["192.0.2.1"]
    assert copies(stage.wait(0.02)) == ["192.0.2.2"]
    assert stage.results() == [("edge1", Result.TIMEOUT)]
    assert "192.0.2.1" not in copies(stage.wait(30))


def test_silent_edge_is_reported_before_its_call_moves() -> None:
    stage = Stage()
    stage.begin()
    stage.wait(1.1)
    assert stage.results() == [("edge1", Result.TIMEOUT)]
    stage.wait(0.8)
    assert stage.results() == [("edge1", Result.TIMEOUT)]


def test_silent_edge_is_not_asked_at_its_other_address_first() -> None:
    other = dataclasses.replace(ASHBURN, address="192.0.2.11")
    stage = Stage(edges=(ASHBURN, other, edge(2)))
    stage.begin()
    assert "INVITE 192.0.2.2" in told(stage.wait(2.1))
    assert "INVITE 192.0.2.11" in told(stage.wait(2.1)), "at last, since none is left"


def test_refusing_edge_is_asked_at_its_other_address_first() -> None:
    other = dataclasses.replace(ASHBURN, address="192.0.2.11")
    stage = Stage(edges=(ASHBURN, other, edge(2)))
    assert told(stage.fail(stage.begin())) == ["INVITE 192.0.2.11"]


def test_no_progress_for_ten_seconds_after_a_100_cancels_and_starts_the_next() -> None:
    stage = Stage()
    provisional(stage)
    assert stage.wait(9.9) == []
    assert told(stage.wait(0.2)) == ["CANCEL 192.0.2.1", DUBLIN]
    assert stage.results() == [("edge1", Result.ALIVE), ("edge1", Result.SILENT)]


def test_second_100_does_not_buy_more_time() -> None:
    stage = Stage()
    first = provisional(stage)
    stage.wait(5)
    stage.answer(first, "100 Trying")
    assert DUBLIN in told(stage.wait(5.1))


def test_no_progress_with_nobody_else_to_ask_goes_on_until_timer_c() -> None:
    stage = Stage(edges=[edge(1)])
    provisional(stage)
    assert stage.wait(194) == []
    assert told(stage.wait(1.2)) == ["CANCEL 192.0.2.1", "408 10.0.0.10"]


def test_timer_c_cancels_what_rings_and_answers_408() -> None:
    stage = Stage()
    provisional(stage, "180 Ringing")
    assert stage.wait(184.9) == []
    assert told(stage.wait(0.2)) == ["CANCEL 192.0.2.1", "408 10.0.0.10"]


def test_timer_c_counts_as_a_408_among_the_failures() -> None:
    stage = Stage()
    second = stage.answer(stage.begin(), "503 Service Unavailable")[-1]
    stage.answer(second, "180 Ringing")
    assert "408 10.0.0.10" in told(stage.wait(186))


def test_timer_c_begins_anew_with_each_provisional_answer_but_100() -> None:
    stage = Stage()
    first = provisional(stage, "180 Ringing")
    stage.wait(0.5)
    stage.answer(first, "183 Session Progress")  # too soon to be worth a new timer
    stage.wait(100)
    stage.answer(first, "180 Ringing")
    stage.answer(first, "100 Trying")
    assert stage.wait(184.9) == []
    assert "408 10.0.0.10" in told(stage.wait(0.2))


def test_2xx_that_races_timer_c_is_passed_after_the_408() -> None:
    stage = Stage()
    first = provisional(stage, "180 Ringing")
    stage.wait(185.1)
    assert told(stage.answer(first, "200 OK")) == ["200 10.0.0.10"]


def test_nobody_else_is_asked_after_it_rang() -> None:
    stage = Stage()
    first = provisional(stage, "180 Ringing")
    sent = stage.answer(first, "503 Service Unavailable")
    assert told(sent) == ["ACK 192.0.2.1", "500 10.0.0.10"]


def test_last_silent_edge_is_waited_for_until_the_budget_of_seconds_is_spent() -> None:
    stage = Stage(edges=[edge(1)])
    first = stage.begin()
    assert not [sent for sent in stage.wait(11.9) if status(sent)]
    assert told(stage.answer(first, "180 Ringing")) == ["180 10.0.0.10"]
    stage = Stage(edges=[edge(1)])
    stage.begin()
    assert "503 10.0.0.10" in told(stage.wait(12.1))


def test_budget_of_attempts_bounds_the_edges_that_a_call_is_tried_at() -> None:
    stage = Stage(edges=[edge(number) for number in range(1, 9)])
    sent = stage.begin()
    for _ in range(2):
        sent = stage.answer(sent, "500 Oops")[-1]
    assert told(stage.answer(sent, "500 Oops")) == ["ACK 192.0.2.3", "500 10.0.0.10"]


def test_target_that_refuses_is_not_counted_among_the_attempts() -> None:
    stage = Stage(edges=[edge(number) for number in range(1, 9)])
    sent = stage.begin()
    for _ in range(3):
        sent = stage.fail(sent)[-1]
    assert told([sent]) == ["INVITE 192.0.2.4"]
    assert told(stage.answer(sent, "500 Oops"))[-1] == "INVITE 192.0.2.5"


def test_targets_that_refuse_one_after_the_other_do_not_keep_a_call_for_ever() -> None:
    stage = Stage(edges=[edge(number) for number in range(1, 20)])
    sent = [stage.begin()]
    while not status(sent[-1]):
        sent += stage.fail(sent[-1])
    assert len(copies(sent)) == MOST_ATTEMPTS


def test_budget_of_seconds_bounds_the_time_in_which_edges_are_tried() -> None:
    stage = Stage()
    first = provisional(stage)
    stage.wait(9)
    stage.answer(first, "180 Ringing")
    stage = Stage(edges=[edge(number) for number in range(1, 9)])
    stage.begin()
    second = stage.wait(2.1)[-1]
    stage.answer(second, "100 Trying")
    assert stage.wait(20) == []
    sent = stage.answer(second, "500 Oops")
    assert told(sent) == ["ACK 192.0.2.2", "500 10.0.0.10"]


# The site.


def test_dead_pbx_makes_a_503_in_under_four_seconds() -> None:
    stage = Stage()
    assert told(stage.receive(FROM_EDGE, EDGE)) == ["100 192.0.2.1", "INVITE 10.0.0.10"]
    sent = stage.wait(3.6)
    assert told(sent)[-1] == "503 192.0.2.1"
    assert stage.records[0].direction == "from_provider"
    assert stage.records[0].edge == "edge1"


def test_second_pbx_is_asked_before_the_provider_is_refused() -> None:
    stage = Stage(site=[pbx(10), pbx(11)])
    stage.receive(FROM_EDGE, EDGE)
    second = stage.wait(2.1)[-1]
    assert told([second]) == ["INVITE 10.0.0.11"]
    assert told(stage.answer(second, "180 Ringing")) == ["180 192.0.2.1"]


def test_pbx_that_said_100_is_not_left_for_want_of_progress() -> None:
    stage = Stage(site=[pbx(10), pbx(11)])
    first = stage.begin(FROM_EDGE, EDGE)
    stage.answer(first, "100 Trying")
    assert stage.wait(60) == []


@pytest.mark.parametrize("text", ["486 Busy Here", "404 Not Found", "603 Declined"])
def test_answer_of_the_callee_reaches_the_provider_unchanged(text: str) -> None:
    stage = Stage(site=[pbx(10), pbx(11)])
    passed = stage.answer(stage.begin(FROM_EDGE, EDGE), text)[-1]
    assert passed.data.startswith(f"SIP/2.0 {text}\r\n".encode())


# The best answer, and 503.


def test_503_becomes_500_while_not_all_edges_were_asked() -> None:
    stage = Stage(edges=[edge(number) for number in range(1, 9)])
    sent = stage.begin()
    for _ in range(2):
        sent = stage.answer(sent, "503 Service Unavailable")[-1]
    final = stage.answer(sent, "503 Service Unavailable")[-1]
    assert final.data.startswith(b"SIP/2.0 500 Server Internal Error\r\n")


def test_503_of_all_edges_is_a_503_with_retry_after() -> None:
    stage = Stage()
    second = stage.answer(stage.begin(), "503 Service Unavailable")[-1]
    final = stage.answer(second, "503 Service Unavailable")[-1]
    assert message(final).first(b"retry-after") == b"5"


def test_lowest_class_of_failures_is_passed() -> None:
    stage = Stage()
    second = stage.answer(stage.begin(), "408 Request Timeout")[-1]
    assert status(stage.answer(second, "500 Oops")[-1]) == 408
    stage = Stage()
    second = stage.answer(stage.begin(), "500 Oops")[-1]
    assert status(stage.answer(second, "408 Request Timeout")[-1]) == 408


def test_late_failure_of_an_abandoned_edge_is_kept_for_want_of_a_better() -> None:
    stage = Stage()
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    assert told(stage.answer(first, "486 Busy Here")) == ["ACK 192.0.2.1"]
    assert status(stage.fail(second)[-1]) == 486


def test_6xx_of_an_abandoned_edge_ends_the_search() -> None:
    stage = Stage()
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    stage.answer(second, "100 Trying")
    assert told(stage.answer(first, "603 Declined")) == [
        "ACK 192.0.2.1", "CANCEL 192.0.2.2", "603 10.0.0.10",
    ]  # fmt: skip


# What comes late.


def test_late_provisional_answer_of_an_abandoned_edge_is_cancelled() -> None:
    stage = Stage()
    first = stage.begin()
    stage.wait(2.1)
    assert told(stage.answer(first, "180 Ringing")) == ["CANCEL 192.0.2.1"]
    assert stage.answer(first, "180 Ringing") == []


def test_late_2xx_of_an_abandoned_edge_is_passed_and_stops_the_other() -> None:
    stage = Stage()
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    stage.answer(second, "180 Ringing")
    assert told(stage.answer(first, "200 OK")) == [
        "CANCEL 192.0.2.2", "200 10.0.0.10",
    ]  # fmt: skip
    assert told(stage.answer(second, "487 Request Terminated")) == ["ACK 192.0.2.2"]


def test_2xx_of_both_edges_are_passed_and_the_second_written_down() -> None:
    stage = Stage()
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    stage.answer(second, "200 OK", tag="two")
    assert told(stage.answer(first, "200 OK")) == ["200 10.0.0.10"]
    assert [record.reason for record in stage.records] == [
        "", "answered after another answer",
    ]  # fmt: skip


def test_2xx_after_a_503_is_passed_all_the_same() -> None:
    stage = Stage(edges=[edge(1)])
    first = stage.begin()
    stage.wait(12.1)
    stage.receive(ack())
    assert told(stage.answer(first, "200 OK")) == ["200 10.0.0.10"]


def test_second_final_answer_to_what_is_no_invite_is_not_passed() -> None:
    stage = Stage()
    first = stage.begin(REGISTER)
    second = stage.wait(2.1)[-1]
    assert told(stage.answer(second, "200 OK")) == ["200 10.0.0.10"]
    assert stage.answer(first, "200 OK") == []


def test_late_answer_of_an_abandoned_edge_serves_if_there_is_none_yet() -> None:
    stage = Stage()
    first = stage.begin(REGISTER)
    stage.wait(2.1)
    assert stage.answer(first, "100 Trying") == []
    assert told(stage.answer(first, "200 OK")) == ["200 10.0.0.10"]


@pytest.mark.parametrize("text", ["603 Decline", "486 Busy Here"])
def test_late_failure_after_the_answer_is_neither_passed_nor_written_down(
    text: str,
) -> None:
    stage = Stage()
    first = stage.begin()
    second = next(it for it in stage.wait(2.5) if it.to.address == "192.0.2.2")
    stage.answer(second, "200 OK")
    assert told(stage.answer(first, text, "t2")) == ["ACK 192.0.2.1"]
    assert [record.status for record in stage.records] == [200]


def test_abandoned_edge_is_forgotten_in_the_end() -> None:
    stage = Stage()
    first = stage.begin()
    stage.answer(stage.wait(2.1)[-1], "200 OK")
    stage.wait(190)
    stage.answer(first, "180 Ringing")
    assert stage.dropped == ["response to nothing"]
    assert stage.proxy.pending == 0


# 482: the first copy has arrived.


def test_482_on_the_second_copy_means_that_the_first_is_waited_for_again() -> None:
    stage = Stage()
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    assert told(stage.answer(second, "482 Merged Request")) == ["ACK 192.0.2.2"]
    assert [sent.data for sent in stage.wait(0.6)] == [first.data]
    assert told(stage.answer(first, "180 Ringing")) == ["180 10.0.0.10"]
    assert told(stage.answer(first, "200 OK")) == ["200 10.0.0.10"]


def test_482_with_two_silent_copies_waits_for_both_and_lets_one_ring() -> None:
    stage = Stage(edges=[edge(1), edge(2), edge(3)])
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    third = stage.wait(2.0)[-1]
    stage.answer(third, "482 Merged Request")
    stage.answer(first, "100 Trying")
    stage.answer(second, "482 Merged Request")
    assert told(stage.answer(first, "183 Progress")) == ["183 10.0.0.10"]


def test_482_with_two_silent_copies_abandons_the_one_that_did_not_ring() -> None:
    stage = Stage(edges=[edge(1), edge(2), edge(3)])
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    stage.answer(stage.wait(2.0)[-1], "482 Merged Request")
    stage.answer(first, "100 Trying")
    assert told(stage.answer(second, "180 Ringing")) == [
        "CANCEL 192.0.2.1", "180 10.0.0.10",
    ]  # fmt: skip


def test_revived_copy_that_stays_silent_ends_with_the_budget() -> None:
    stage = Stage()
    stage.begin()
    stage.answer(stage.wait(2.1)[-1], "482 Merged Request")
    assert "503 10.0.0.10" in told(stage.wait(10))


def test_482_while_the_first_copy_is_being_cancelled_asks_the_next() -> None:
    stage = Stage(edges=[edge(1), edge(2), edge(3)])
    provisional(stage)
    second = stage.wait(10.1)[-1]
    sent = stage.answer(second, "482 Merged Request")
    assert told(sent) == ["ACK 192.0.2.2", "INVITE 192.0.2.3"]


def test_482_after_a_copy_whose_way_broke_is_no_answer_for_the_caller() -> None:
    stage = Stage()
    second = one(stage.fail(stage.begin(), Result.RESET))
    sent = stage.answer(second, "482 Merged Request")
    assert told(sent) == ["ACK 192.0.2.2", "500 10.0.0.10"]


def test_482_after_a_copy_whose_way_broke_ends_what_was_cancelled() -> None:
    stage = Stage()
    second = one(stage.fail(stage.begin(), Result.RESET))
    stage.receive(request("CANCEL"))
    sent = stage.answer(second, "482 Merged Request")
    assert told(sent) == ["ACK 192.0.2.2", "487 10.0.0.10"]


def test_late_482_of_an_abandoned_copy_is_nobodys_answer() -> None:
    stage = Stage(edges=[edge(1), edge(2)])
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    stage.answer(second, "100 Trying")
    assert told(stage.answer(first, "482 Merged Request")) == ["ACK 192.0.2.1"]
    assert told(stage.answer(second, "486 Busy Here"))[1:] == ["486 10.0.0.10"]


def test_failing_second_answer_waits_for_the_copy_that_was_revived() -> None:
    stage = Stage(edges=[edge(1), edge(2), edge(3)])
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    stage.answer(stage.wait(2.0)[-1], "482 Merged Request")
    assert told(stage.answer(second, "500 Oops")) == ["ACK 192.0.2.2"]
    assert told(stage.answer(first, "200 OK")) == ["200 10.0.0.10"]


# CANCEL.


def test_cancel_is_answered_at_once_and_goes_where_the_call_is() -> None:
    stage = Stage()
    second = one(stage.fail(stage.begin()))
    stage.answer(second, "180 Ringing")
    reason = ("Reason: SIP;cause=200;text=elsewhere",)
    ok, cancel = stage.receive(request("CANCEL", more=reason))
    assert told([ok, cancel]) == ["200 10.0.0.10", "CANCEL 192.0.2.2"]
    sent, asked = message(cancel), message(second)
    assert sent.uri == asked.uri
    assert sent.all(b"via") == asked.all(b"via")[:1]
    for name in (b"from", b"to", b"call-id"):
        assert sent.first(name) == asked.first(name)
    assert sent.first(b"cseq") == b"1 CANCEL"
    assert sent.lines_of(b"reason") == [reason[0].encode()]
    assert stage.answer(cancel, "200 OK") == []
    assert told(stage.answer(second, "487 Request Terminated")) == [
        "ACK 192.0.2.2", "487 10.0.0.10",
    ]  # fmt: skip


def test_cancel_waits_for_a_provisional_answer() -> None:
    stage = Stage()
    first = stage.begin()
    assert told(stage.receive(CANCEL)) == ["200 10.0.0.10"]
    assert told(stage.answer(first, "100 Trying")) == ["CANCEL 192.0.2.1"]


def test_cancelled_call_whose_edge_is_silent_ends_487_and_goes_nowhere_else() -> None:
    stage = Stage()
    first = stage.begin()
    stage.receive(CANCEL)
    assert told(stage.wait(2.1))[-1] == "487 10.0.0.10"
    assert told(stage.answer(first, "180 Ringing")) == ["CANCEL 192.0.2.1"]


def test_cancelled_call_whose_edge_is_refused_ends_487() -> None:
    stage = Stage()
    first = stage.begin()
    stage.receive(CANCEL)
    assert told(stage.fail(first)) == ["487 10.0.0.10"]


def test_cancelled_call_that_never_ends_is_taken_for_cancelled() -> None:
    stage = Stage()
    provisional(stage, "180 Ringing")
    stage.receive(CANCEL)
    sent = stage.wait(32.1)
    assert "487 10.0.0.10" in told(sent)
    assert told(sent).count("CANCEL 192.0.2.1") == 10


def test_cancel_that_crosses_the_answer_changes_nothing() -> None:
    stage = Stage()
    first = stage.begin()
    stage.answer(first, "200 OK")
    assert told(stage.receive(CANCEL)) == ["200 10.0.0.10"]


def test_18x_after_a_cancel_neither_stops_it_nor_starts_timer_c() -> None:
    stage = Stage()
    first = provisional(stage)
    stage.receive(CANCEL)
    assert told(stage.answer(first, "180 Ringing")) == ["180 10.0.0.10"]
    assert "487 10.0.0.10" in told(stage.wait(32.1))


def test_cancel_for_something_that_is_no_invite_is_answered_and_no_more() -> None:
    stage = Stage()
    stage.begin(REGISTER)
    assert told(stage.receive(CANCEL)) == ["481 10.0.0.10"]


# Requests that are no INVITE.


def test_silent_edge_is_left_by_what_may_be_sent_twice() -> None:
    stage = Stage()
    stage.begin(REGISTER)
    assert copies(stage.wait(2.1)) == ["192.0.2.1", "192.0.2.2"]


def test_silent_edge_is_not_left_by_a_message() -> None:
    stage = Stage()
    stage.begin(MESSAGE)
    assert copies(stage.wait(11.9)) == ["192.0.2.1"]
    assert "503 10.0.0.10" in told(stage.wait(0.2))


def test_request_that_only_had_a_100_ends_in_silence() -> None:
    # RFC 4320: no 408 to what is no INVITE, and nothing too late.
    stage = Stage()
    stage.answer(stage.begin(REGISTER), "100 Trying")
    assert {status(sent) for sent in stage.wait(100)} == {0, 100}
    assert stage.proxy.pending == 0


def test_abandoned_request_that_gets_a_100_is_not_repeated_any_more() -> None:
    # RFC 3261 section 17.1.2.2: Timer F ends what Timer E repeats.
    stage = Stage()
    first = stage.begin(REGISTER)
    second = stage.wait(2.1)[-1]
    stage.answer(first, "100 Trying")
    stage.answer(second, "200 OK")
    assert stage.wait(300) == []
    assert stage.proxy.pending == 0


def test_request_that_is_waited_for_again_ends_though_it_had_a_100() -> None:
    stage = Stage()
    first = stage.begin(REGISTER)
    second = stage.wait(2.1)[-1]
    stage.answer(first, "100 Trying")
    stage.answer(second, "482 Merged Request")
    sent = stage.wait(40)
    assert "500 10.0.0.10" in told(sent)
    assert copies(sent).count("192.0.2.1") < 10
    assert stage.wait(100) == []
    assert stage.proxy.pending == 0


def test_request_given_up_while_its_sender_still_repeats_it_is_answered() -> None:
    # RFC 3261 section 17.2.2: what it sends again must not be a new request.
    stage = Stage()
    first = stage.begin(REGISTER)
    stage.wait(2.1)
    stage.answer(first, "100 Trying")
    assert "500 10.0.0.10" in told(stage.wait(12))
    assert told(stage.receive(REGISTER)) == ["500 10.0.0.10"]


def test_answer_to_what_has_ended_in_silence_is_not_passed() -> None:
    # RFC 4320 section 4.3: no response without a transaction that lives.
    for answer in ("200 OK", "603 Decline"):
        stage = Stage()
        first = stage.begin(REGISTER)
        second = stage.wait(2.1)[-1]
        stage.answer(second, "100 Trying")
        stage.wait(40)
        assert stage.proxy.pending == 0
        assert stage.answer(first, answer) == []
        stage.wait(40)


# Within a dialog.


def in_dialog(method: str) -> tuple[Stage, Send]:
    stage = Stage()
    accepted = one(stage.answer(stage.begin(), "200 OK"))
    return stage, stage.receive(within(method, accepted.data))[-1]


def test_dialog_never_moves_when_its_edge_is_refused() -> None:
    for method_ in ("BYE", "INVITE"):
        stage, sent = in_dialog(method_)
        assert told(stage.fail(sent)) == ["500 10.0.0.10"]


def test_dialog_never_moves_when_its_edge_fails() -> None:
    stage, sent = in_dialog("BYE")
    assert told(stage.answer(sent, "503 Service Unavailable")) == ["500 10.0.0.10"]


def test_dialog_never_moves_when_its_edge_is_silent() -> None:
    stage, _ = in_dialog("INVITE")
    sent = stage.wait(33)
    assert copies(sent) == ["192.0.2.1"]
    assert "408 10.0.0.10" in told(sent)


def test_bye_that_is_not_answered_ends_in_silence() -> None:
    stage, _ = in_dialog("BYE")
    assert {status(sent) for sent in stage.wait(100)} == {0, 100}
    assert stage.proxy.pending == 0


def test_bye_that_is_not_answered_is_written_down() -> None:
    stage, _ = in_dialog("BYE")
    stage.wait(100)
    record = stage.records[-1]
    assert (record.method, record.status) == ("BYE", 0)
    assert record.reason == "no answer"
    assert [one.result for one in record.attempts] == [Result.SILENT]


def test_reinvite_rings_until_timer_c() -> None:
    stage, sent = in_dialog("INVITE")
    stage.answer(sent, "100 Trying")
    assert stage.wait(184.9) == []
    assert told(stage.wait(0.2)) == ["CANCEL 192.0.2.1", "408 10.0.0.10"]


# Credentials.


def test_retry_with_credentials_goes_to_whoever_asked_for_them() -> None:
    stage = Stage()
    second = one(stage.fail(stage.begin()))
    assert "407 10.0.0.10" in told(stage.answer(second, "407 Who Are You"))
    via = "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKa2"
    retry = request("INVITE", via=via, cseq=2, more=["Proxy-Authorization: Digest x"])
    assert told(stage.receive(retry))[1] == DUBLIN
    # And from there on as any other.
    assert copies(stage.wait(2.1)) == ["192.0.2.2", "192.0.2.1"]


def test_challenge_of_a_pbx_does_not_draw_calls_of_the_site_to_it() -> None:
    stage = Stage()
    stage.answer(stage.begin(FROM_EDGE, EDGE), "401 Unauthorized")
    forwarded = stage.receive(INVITE)  # a PBX that is a proxy keeps the Call-ID
    assert told(forwarded) == ["100 10.0.0.10", "INVITE 192.0.2.1"]


def test_pin_is_forgotten_after_32_seconds() -> None:
    stage = Stage()
    second = one(stage.fail(stage.begin()))
    stage.answer(second, "401 Who Are You")
    stage.wait(32.1)
    via = "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKa2"
    assert told(stage.receive(request("INVITE", via=via, cseq=2)))[1:] == [
        "INVITE 192.0.2.1"
    ]


# sips.


def test_sips_is_sent_to_edges_with_tls_alone() -> None:
    stage = Stage(edges=[edge(1), edge(2, TLS)])
    sips = request("INVITE", uri="sips:+15551234567@10.0.0.2")
    assert told(stage.receive(sips)) == ["100 10.0.0.10", DUBLIN]
    assert told(Stage().receive(sips)) == ["100 10.0.0.10", "480 10.0.0.10"]


# Size.


def test_request_too_large_for_udp_is_sent_over_tcp_and_says_so_in_via() -> None:
    stage = Stage(settings=dataclasses.replace(SETTINGS, mtu=1_300))
    first = stage.begin(request("INVITE", body="x" * 1_300))
    assert not isinstance(first.to, Peer)
    assert first.to.transport is TCP
    assert message(first).all(b"via")[0].startswith(b"SIP/2.0/TCP 203.0.113.5:5060")


@pytest.mark.parametrize("body", ["", "v=0\r\n"])
def test_message_of_unsaid_length_says_it_on_a_stream(body: str) -> None:
    # RFC 3261 section 16.6 step 9, and section 18.3 for the answer.
    length = b"Content-Length: 0\r\n"
    stage = Stage(edges=[edge(1, TLS)])
    came = request("INVITE").replace(length, b"") + body.encode()
    sent = stage.begin(came)
    assert message(sent).all(b"content-length") == [b"%d" % len(body)]
    caller = Peer(Side.EDGE, TCP, "192.0.2.1", 5060, 7)
    asked = stage.begin(FROM_EDGE, caller)
    answer = response(asked, "200 OK").replace(length, b"") + body.encode()
    (passed,) = stage.receive(answer, PBX)
    assert message(passed).all(b"content-length") == [b"%d" % len(body)]


def test_message_of_unsaid_length_does_not_say_it_in_a_datagram() -> None:
    came = request("INVITE").replace(b"Content-Length: 0\r\n", b"")
    assert b"Content-Length" not in Stage().begin(came).data


def test_target_without_tcp_gets_the_large_request_over_udp() -> None:
    for silent in (False, True):
        stage = Stage(settings=dataclasses.replace(SETTINGS, mtu=1_300))
        first = stage.begin(request("INVITE", body="x" * 1_300))
        again = stage.wait(2.1)[0] if silent else one(stage.fail(first))
        assert told([again]) == ["INVITE 192.0.2.1"]
        assert message(again).all(b"via")[0].startswith(b"SIP/2.0/UDP ")
        # The next one knows.
        via = "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKa2"
        large = request("INVITE", via=via, body="x" * 1_300)
        assert message(stage.begin(large)).all(b"via")[0].startswith(b"SIP/2.0/UDP ")


def test_large_request_that_may_have_arrived_over_tcp_is_not_sent_over_udp() -> None:
    # RFC 3261 section 18.1.1: for who refuses the connection; else it comes twice.
    settings = dataclasses.replace(SETTINGS, mtu=1_300)
    large = request("MESSAGE", body="x" * 1_300)
    stage = Stage(settings=settings)
    assert told(stage.fail(stage.begin(large), Result.RESET)) == ["503 10.0.0.10"]
    stage = Stage(settings=settings)
    stage.begin(large)
    assert copies(stage.wait(11)) == []
    stage = Stage(settings=settings)
    assert copies(stage.fail(stage.begin(large), Result.TIMEOUT)) == ["192.0.2.1"]


def test_request_on_a_connection_that_ended_in_garbage_may_have_arrived() -> None:
    stage = Stage([edge(1, TCP), edge(2)])
    sent = stage.fail(stage.begin(MESSAGE), Result.BAD_ANSWER)
    assert told(sent) == ["503 10.0.0.10"]
    stage = Stage([edge(1, TCP), edge(2)])
    first = stage.begin()
    assert copies(stage.fail(first, Result.BAD_ANSWER)) == ["192.0.2.2"]
    assert told(stage.answer(first, "180 Ringing")) == ["CANCEL 192.0.2.1"]


# The bytes.


def test_response_is_passed_with_only_our_via_taken_out() -> None:
    stage = Stage()
    first = stage.begin()
    came = response(first, "200 OK", more=["x-Odd :  yes", "Reason: a, b"])
    passed = one(stage.receive(came, peer_of(first)))
    lines = came.split(b"\r\n")
    assert passed.data.split(b"\r\n") == [lines[0], *lines[2:]]


# What is left behind.


def test_call_that_is_over_is_freed_without_the_collector_of_cycles() -> None:
    gc.collect()  # what other tests have left
    stage = Stage()
    gc.disable()
    try:
        sent = stage.begin()
        stage.answer(sent, "180 Ringing")
        stage.answer(sent, "200 OK")
        stage.wait(100.0)
        assert stage.proxy.pending == 0
        del sent
        kept = [one for one in gc.get_objects() if isinstance(one, (Branch, Context))]
    finally:
        gc.enable()
    assert kept == []


# ---- What is under way ---------------------------------------------------------------


def test_call_is_under_way_at_the_edge_asked_last_until_its_final_answer() -> None:
    stage = Stage()
    stage.begin()
    began = stage.now
    (flow,) = stage.proxy.under_way("trunk")
    assert flow == UnderWay("trunk", "sip", "10.0.0.10", "edge1", began)
    second = stage.wait(2.0)[-1]
    assert [flow.edge for flow in stage.proxy.under_way("trunk")] == ["edge2"]
    stage.answer(second, "200 OK")
    assert list(stage.proxy.under_way("trunk")) == []


def test_call_from_the_provider_is_under_way_at_the_edge_that_it_came_from() -> None:
    stage = Stage()
    stage.begin(FROM_EDGE, EDGE)
    assert [flow.edge for flow in stage.proxy.under_way("trunk")] == ["edge1"]


def test_503_says_why_nobody_can_be_asked_where_that_is_known() -> None:
    settings = dataclasses.replace(SETTINGS, nobody="no private edge")
    stage = Stage(edges=(), settings=settings)
    refusal = stage.receive(INVITE)[-1]
    assert status(refusal) == 503
    assert b'Warning: 399 edge-router "no private edge"\r\n' in refusal.data
    (record,) = stage.records
    assert record.reason == "no private edge"
    stage = Stage(site=(), settings=settings)
    assert b"Warning" not in stage.receive(FROM_EDGE, EDGE)[-1].data


# ---- What is counted -----------------------------------------------------------------


def test_call_is_counted_from_where_it_goes_to_what_it_is_answered() -> None:
    counting = Counting()
    stage = Stage(meter=counting)
    sent = stage.begin()
    stage.answer(sent, "100 Trying")
    stage.answer(sent, "183 Session Progress")
    stage.answer(sent, "200 OK")
    stage.answer(sent, "200 OK")
    assert counting.told == ["began edge1", "183", "200"]


def test_call_that_moves_is_counted_where_its_answer_comes_from() -> None:
    counting = Counting()
    stage = Stage(meter=counting)
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    stage.answer(second, "180 Ringing")
    stage.answer(first, "200 OK")
    assert counting.told == [
        "began edge1", "began edge2", "180", "began edge1", "200"
    ]  # fmt: skip


def test_call_that_is_answered_after_its_refusal_is_counted_again() -> None:
    counting = Counting()
    stage = Stage(edges=[edge(1)], meter=counting)
    sent = stage.begin()
    stage.wait(12.1)
    stage.receive(ack())
    stage.answer(sent, "200 OK")
    assert counting.told == ["began edge1", "INVITE refused 503", "began edge1", "200"]


def test_refusals_of_an_edge_and_of_our_own_are_told() -> None:
    counting = Counting()
    stage = Stage(meter=counting)
    sent = stage.begin()
    stage.answer(sent, "486 Busy Here")
    sent = stage.begin(request("INVITE", cseq=2, via=f"{VIA}2"))
    stage.receive(request("CANCEL", cseq=2, via=f"{VIA}2"))
    stage.wait(40.0)
    assert counting.told == [
        "began edge1", "INVITE refused 486", "began edge1", "INVITE refused 487"
    ]  # fmt: skip


def test_request_of_a_dialog_without_an_answer_is_told_as_unanswered() -> None:
    counting = Counting()
    stage = Stage(meter=counting)
    answer = stage.answer(stage.begin(), "200 OK")[-1]
    stage.begin(within("UPDATE", answer.data))
    stage.wait(40.0)
    assert counting.told == ["began edge1", "200", "UPDATE", "UPDATE refused 408"]


def test_call_for_which_nobody_has_room_is_refused_with_the_reason() -> None:
    stage = Stage(meter=Counting("edge1", "edge2"))
    (trying, answer) = stage.receive(INVITE)
    assert told([trying, answer]) == ["100 10.0.0.10", "503 10.0.0.10"]
    assert answer.data.startswith(b"SIP/2.0 503 all is full\r\n")
    assert message(answer).all(b"warning") == [b'399 edge-router "all is full"']
    assert message(answer).all(b"retry-after") == [b"5"]
    (record,) = stage.records
    assert (record.status, record.reason) == (503, "all is full")
    assert record.spilled == "edge1, edge2"


def test_why_nobody_has_room_is_told_rather_than_that_nobody_can_be_asked() -> None:
    settings = dataclasses.replace(SETTINGS, nobody="no private edge")
    stage = Stage(settings=settings, meter=Counting("edge1", "edge2"))
    assert stage.receive(INVITE)[-1].data.startswith(b"SIP/2.0 503 all is full\r\n")
    assert stage.records[0].reason == "all is full"
    stage = Stage(settings=settings, meter=Counting("edge2"))
    (answer,) = stage.fail(stage.begin())
    assert answer.data.startswith(b"SIP/2.0 503 no private edge\r\n")


def test_call_that_failed_where_there_was_room_is_refused_as_ever() -> None:
    stage = Stage(meter=Counting("edge2"))
    sent = stage.begin()
    (answer,) = stage.fail(sent)
    assert answer.data.startswith(b"SIP/2.0 503 Service Unavailable\r\n")
    assert stage.records[0].spilled == "edge2"


VIA = "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKa"
