from protocols.sip.headers import parse_via
from protocols.target import Result
from tests.protocols.sip.stage import (
    CANCEL,
    INVITE,
    TCP,
    Stage,
    edge,
    message,
    method,
    one,
    peer_of,
    request,
    response,
    told,
)


def test_copy_has_our_via_on_top_with_a_branch_of_its_own_and_rport() -> None:
    first = message(Stage().begin())
    via = parse_via(first.first(b"via") or b"")
    assert (via.transport, via.host, via.port) == (b"UDP", b"203.0.113.5", 5060)
    assert via.branch.startswith(b"z9hG4bKtoken1.")
    assert via.rport == b""


def test_copy_is_repeated_byte_for_byte() -> None:
    stage = Stage()
    first = stage.begin()
    assert {sent.data for sent in stage.wait(1.9)} == {first.data}


def test_ack_to_a_failure_is_hop_by_hop_on_the_same_way_and_repeated() -> None:
    # S11, RFC 3261 section 17.1.1.3.
    stage = Stage()
    first = stage.begin(request("INVITE", more=["Route: <sip:10.0.0.2;lr>"]))
    came = response(first, "404 Not Found", tag="callee")
    ack = stage.receive(came, peer_of(first))[0]
    sent, asked = message(ack), message(first)
    assert (sent.method, sent.uri, ack.to) == (b"ACK", asked.uri, first.to)
    assert sent.all(b"via") == asked.all(b"via")[:1]
    assert sent.first(b"cseq") == b"1 ACK"
    assert (sent.first(b"to") or b"").endswith(b";tag=callee")
    assert sent.first(b"from") == asked.first(b"from")
    assert stage.receive(came, peer_of(first)) == [ack]
    assert stage.fail(ack) == []
    assert stage.receive(came, peer_of(first)) == []


def test_ack_to_a_failure_carries_the_route_of_the_request() -> None:
    stage = Stage()
    accepted = one(stage.answer(stage.begin(), "200 OK"))
    routes = [v.decode() for v in reversed(message(accepted).all(b"record-route"))]
    more = [*(f"Route: {route}" for route in routes), "Route: <sip:192.0.2.1;lr>"]
    via = "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKa2"
    again = request("INVITE", to="<sip:x@h>;tag=t1", via=via, cseq=2, more=more)
    ack = stage.answer(stage.begin(again), "488 Not Acceptable Here")[0]
    assert message(ack).all(b"route") == [b"<sip:192.0.2.1;lr>"]


def test_answer_without_to_is_acknowledged_with_the_to_of_the_request() -> None:
    stage = Stage()
    first = stage.begin()
    came = response(first, "404 Not Found").replace(b"To: ", b"X: ")
    ack = stage.receive(came, peer_of(first))[0]
    assert message(ack).first(b"to") == message(first).first(b"to")


def test_failure_of_an_abandoned_attempt_is_not_followed_by_anything() -> None:
    stage = Stage()
    first = stage.begin()
    stage.wait(2.1)
    assert stage.fail(first, Result.RESET) == []
    stage.answer(first, "180 Ringing")
    assert stage.dropped == ["response to nothing"]


def test_cancel_over_a_stream_is_sent_once() -> None:
    stage = Stage(edges=[edge(1, TCP)])
    stage.answer(stage.begin(), "180 Ringing")
    assert told(stage.receive(CANCEL)) == ["200 10.0.0.10", "CANCEL 192.0.2.1"]
    assert [sent for sent in stage.wait(31) if method(sent) == "CANCEL"] == []


def test_answer_to_a_cancel_is_absorbed_until_timer_k() -> None:
    stage = Stage()
    first = stage.begin()
    stage.answer(first, "180 Ringing")
    cancel = stage.receive(CANCEL)[-1]
    assert stage.answer(cancel, "200 OK") == []
    assert stage.answer(cancel, "200 OK") == []
    stage.wait(5.1)
    stage.answer(cancel, "200 OK")
    assert stage.dropped == ["response to nothing"]


def test_transport_failure_of_a_cancel_is_left_to_its_timers() -> None:
    stage = Stage()
    stage.answer(stage.begin(), "180 Ringing")
    cancel = stage.receive(CANCEL)[-1]
    assert cancel.attempt == 0
    assert stage.fail(cancel) == []


def test_cancel_of_what_has_its_answer_is_not_sent() -> None:
    stage = Stage()
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    stage.answer(first, "100 Trying")
    stage.answer(first, "487 Request Terminated")
    stage.answer(first, "100 Trying")
    assert told(stage.answer(second, "180 Ringing")) == ["180 10.0.0.10"]


def test_attempts_have_numbers_of_their_own() -> None:
    stage = Stage()
    first = stage.begin(INVITE)
    second = one(stage.fail(first))
    assert first.attempt != second.attempt != 0
