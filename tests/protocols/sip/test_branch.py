import dataclasses
import math

from protocols.sip.headers import parse_via
from protocols.sip.peers import Side
from protocols.sip.settings import Place
from protocols.target import Result
from tests.protocols.sip.stage import (
    CANCEL,
    INVITE,
    PLACES,
    SETTINGS,
    TCP,
    UDP,
    Stage,
    edge,
    message,
    one,
    peer_of,
    request,
    response,
    told,
    within,
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
    # RFC 3261 section 17.1.1.3.
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


def test_failure_of_an_abandoned_attempt_is_not_followed_by_anything() -> None:
    stage = Stage()
    first = stage.begin()
    stage.wait(2.1)
    assert stage.fail(first, Result.REFUSED) == []
    stage.answer(first, "180 Ringing")
    assert stage.dropped == ["response to nothing"]


def test_invite_whose_connection_broke_rings_nobody_and_may_be_accepted() -> None:
    # RFC 3261 section 18.2.2: the answers come on another connection.
    stage = Stage([edge(1, TCP), edge(2)])
    first = stage.begin()
    second = one(stage.fail(first, Result.RESET))
    assert told([second]) == ["INVITE 192.0.2.2"]
    assert told(stage.answer(first, "180 Ringing")) == ["CANCEL 192.0.2.1"]
    sent = stage.answer(first, "200 OK")
    assert told(sent) == ["200 10.0.0.10"]
    stage.wait(300)
    assert stage.proxy.next_timer() == math.inf


def test_invite_whose_way_failed_behind_a_100_is_cancelled() -> None:
    stage = Stage()
    first = stage.begin()
    stage.answer(first, "100 Trying")
    assert told(stage.fail(first)) == ["CANCEL 192.0.2.1", "INVITE 192.0.2.2"]
    stage.wait(300)
    assert stage.proxy.next_timer() == math.inf


def test_abandoned_invite_whose_connection_broke_is_cancelled_when_it_rings() -> None:
    stage = Stage([edge(1, TCP), edge(2)])
    first = stage.begin()
    stage.wait(2.1)
    assert stage.fail(first, Result.RESET) == []
    assert told(stage.answer(first, "180 Ringing")) == ["CANCEL 192.0.2.1"]


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


def test_copy_too_large_for_udp_goes_over_tcp_and_falls_back_once_that_fails() -> None:
    stage = Stage(settings=dataclasses.replace(SETTINGS, mtu=1_300))
    first = stage.begin(request("PUBLISH", body="x" * 1_300))
    assert message(first).all(b"via")[0].startswith(b"SIP/2.0/TCP ")
    again = one(stage.fail(first))
    assert message(again).all(b"via")[0].startswith(b"SIP/2.0/UDP ")
    assert told([again]) == ["PUBLISH 192.0.2.1"]


def test_copy_too_large_for_udp_stays_there_where_the_router_takes_no_tcp() -> None:
    places = tuple(one for one in SETTINGS.places if one.transport is not TCP)
    stage = Stage(settings=dataclasses.replace(SETTINGS, places=places, mtu=1_300))
    first = stage.begin(request("PUBLISH", body="x" * 1_300))
    assert message(first).all(b"via")[0].startswith(b"SIP/2.0/UDP ")


def test_answer_over_tcp_tells_of_the_target_over_udp_and_silence_does_not() -> None:
    stage = Stage(settings=dataclasses.replace(SETTINGS, mtu=1_300))
    large = request("INVITE", body="x" * 1_300)
    stage.answer(stage.begin(large), "503 Service Unavailable")
    assert [one.target for one in stage.observed] == [edge(1)]
    assert stage.results() == [("edge1", Result.SERVER_ERROR)]
    for refused in (True, False):
        stage = Stage(settings=dataclasses.replace(SETTINGS, mtu=1_300))
        first = stage.begin(large)
        sent = stage.fail(first) if refused else stage.wait(2.1)
        assert told(sent) == ["INVITE 192.0.2.1"]
        assert stage.observed == []


def test_copy_too_large_for_udp_stays_there_for_an_edge_with_another_address() -> None:
    """What is named to an edge is where it knows us, and no TCP is bound there."""
    place = Place(Side.EDGE, UDP, "198.51.100.9", 5060)
    private = dataclasses.replace(edge(1), source=place.host)
    settings = dataclasses.replace(SETTINGS, places=(*PLACES, place), mtu=1_300)
    first = Stage([private], settings=settings).begin(
        request("INVITE", body="x" * 1_300)
    )
    assert message(first).all(b"via")[0].startswith(b"SIP/2.0/UDP 198.51.100.9:5060;")


def test_attempt_that_has_rung_outlives_its_connection() -> None:
    stage = Stage()
    first = stage.begin()
    stage.answer(first, "180 Ringing")
    assert stage.fail(first, Result.RESET) == []
    assert told(stage.answer(first, "200 OK")) == ["200 10.0.0.10"]


def test_attempt_that_was_never_answered_ends_with_its_transaction() -> None:
    stage = Stage()
    accepted = one(stage.answer(stage.begin(), "200 OK"))
    stage.receive(within("BYE", accepted.data))
    stage.wait(32.1)
    assert stage.results()[-1] == ("edge1", Result.SILENT)


def test_timer_c_is_not_restarted_more_often_than_once_a_second() -> None:
    stage = Stage()
    first = stage.begin()
    stage.answer(first, "180 Ringing")
    stage.wait(0.9)
    stage.answer(first, "180 Ringing")
    assert "408 10.0.0.10" in told(stage.wait(184.2))


def test_attempt_left_for_want_of_progress_is_cancelled_and_then_forgotten() -> None:
    stage = Stage()
    first = stage.begin()
    stage.answer(first, "100 Trying")
    sent = stage.wait(10.1)
    assert told(sent) == ["CANCEL 192.0.2.1", "INVITE 192.0.2.2"]
    stage.answer(sent[-1], "200 OK")
    assert [a.result for a in stage.records[0].attempts] == [Result.SILENT, None]
    stage.wait(200)
    assert stage.proxy.next_timer() == math.inf


def test_attempt_is_revived_by_a_482_elsewhere_and_repeated_again() -> None:
    stage = Stage()
    first = stage.begin()
    stage.answer(stage.wait(2.1)[-1], "482 Merged Request")
    assert [sent.data for sent in stage.wait(0.6)] == [first.data]


def test_cancel_waits_for_an_answer_and_is_not_for_what_is_no_invite() -> None:
    stage = Stage()
    first = stage.begin()
    assert told(stage.receive(CANCEL)) == ["200 10.0.0.10"]
    assert told(stage.answer(first, "100 Trying"))[0] == "CANCEL 192.0.2.1"
    assert told(stage.wait(0.6)) == ["CANCEL 192.0.2.1"]
    stage = Stage()
    first = stage.begin(request("PUBLISH"))
    stage.wait(2.1)
    assert stage.answer(first, "100 Trying") == []


def test_cancel_is_sent_once_however_often_it_rings_after_that() -> None:
    # RFC 3261 section 9.1: after 64*T1 the request is taken for cancelled.
    stage = Stage([edge(1, TCP)])
    first = stage.begin()
    stage.answer(first, "180 Ringing")
    cancel = stage.receive(CANCEL)[-1]
    stage.answer(cancel, "200 OK")
    sent = []
    for _ in range(4):
        sent += stage.answer(first, "180 Ringing") + stage.wait(10)
    assert {"180 10.0.0.10", "487 10.0.0.10"} == {*told(sent)}
    stage.wait(300)
    assert stage.proxy.next_timer() == math.inf
