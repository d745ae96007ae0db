"""What a message belongs to, and what is answered without a transaction."""

import dataclasses
import math
from typing import Any

import pytest

from protocols.sip.message import MessageError, parse
from protocols.sip.peers import Peer, Side
from protocols.sip.proxy import ACK_TIME
from protocols.target import Target
from tests.protocols.sip.stage import (
    ASHBURN,
    CANCEL,
    EDGE,
    FROM_EDGE,
    INVITE,
    KEYS,
    PBX,
    SETTINGS,
    SITE,
    TCP,
    TLS,
    UDP,
    Counting,
    Known,
    Stage,
    ack,
    back,
    edge,
    in_order,
    message,
    one,
    pbx,
    peer_of,
    request,
    response,
    status,
    told,
    within,
)

ONLY = "SIP/2.0/UDP 10.0.0.10:5060;branch="


def top(data: bytes) -> bytes:
    return parse(data).all(b"via")[0]


# Matching.


@pytest.mark.parametrize(
    "via",
    [
        "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKother",
        "SIP/2.0/UDP 10.0.0.11:5060;branch=z9hG4bKa1",
        "SIP/2.0/UDP 10.0.0.10:5061;branch=z9hG4bKa1",
        "SIP/2.0/UDP 10.0.0.10;branch=z9hG4bKa1",
    ],
)
def test_transaction_is_told_by_branch_and_sent_by(via: str) -> None:
    stage = Stage()
    stage.begin()
    assert "INVITE 192.0.2.1" in told(stage.receive(request("INVITE", via=via)))


def test_transaction_is_told_by_its_method() -> None:
    stage = Stage()
    stage.begin()
    assert told(stage.receive(request("PUBLISH"))) == ["PUBLISH 192.0.2.1"]


@pytest.mark.parametrize("branch", ["", ";branch=z9hG4bK", ";branch=1"])
def test_peer_that_knows_no_branches_is_matched_by_its_fields(branch: str) -> None:
    # RFC 3261 section 17.2.3 for RFC 2543.
    via = "SIP/2.0/UDP 10.0.0.10:5060" + branch
    stage = Stage()
    first = stage.begin(request("INVITE", via=via))
    assert told(stage.receive(request("INVITE", via=via))) == ["100 10.0.0.10"]
    stage.answer(first, "404 Not Found")
    assert stage.receive(ack(via=via)) == []
    assert stage.wait(40) == []
    assert len(stage.receive(request("INVITE", via=via, cseq=2))) == 2


# Responses.


def test_response_to_nothing_is_dropped() -> None:
    stage = Stage()
    first = stage.begin()
    for wrong in (b"tokenX", b""):
        came = response(first, "200 OK").replace(b"token1", wrong)
        assert stage.receive(came, peer_of(first)) == []
    no_branch = response(first, "200 OK").replace(b"branch=", b"twig=")
    assert stage.receive(no_branch, peer_of(first)) == []
    assert stage.dropped == ["response to nothing"] * 3


def test_response_for_another_method_is_dropped() -> None:
    stage = Stage()
    first = stage.begin()
    came = response(first, "200 OK").replace(b"1 INVITE", b"1 BYE")
    assert stage.receive(came, peer_of(first)) == []


def test_response_may_have_any_white_space_in_its_cseq() -> None:
    stage = Stage()
    first = stage.begin()
    for written in (b"1\tINVITE", b"1\r\n INVITE \t", b"1  INVITE"):
        came = response(first, "180 Ringing").replace(b"1 INVITE", written)
        assert told(stage.receive(came, peer_of(first))) == ["180 10.0.0.10"]


def test_response_without_cseq_is_dropped() -> None:
    stage = Stage()
    first = stage.begin()
    came = response(first, "200 OK").replace(b"CSeq: 1 INVITE\r\n", b"")
    assert stage.receive(came, peer_of(first)) == []


def test_response_with_no_via_but_ours_is_dropped() -> None:
    stage = Stage()
    first = stage.begin()
    lines = response(first, "200 OK").split(b"\r\n")
    vias = [line for line in lines if line.startswith(b"Via")]
    lines.remove(vias[1])
    assert stage.receive(b"\r\n".join(lines), peer_of(first)) == []
    lines.remove(vias[0])
    assert stage.receive(b"\r\n".join(lines), peer_of(first)) == []
    assert stage.dropped == ["response for nobody", "response to nothing"]


def test_response_with_all_its_vias_on_one_line_is_passed_on_without_ours() -> None:
    stage = Stage()
    first = stage.begin()
    vias = message(first).all(b"via")
    lines = response(first, "180 Ringing").split(b"\r\n")
    kept = [line for line in lines if not line.startswith(b"Via")]
    kept.insert(1, b"Via: " + b", ".join(vias))
    (passed,) = stage.receive(b"\r\n".join(kept), peer_of(first))
    assert message(passed).all(b"via") == vias[1:]


@pytest.mark.parametrize("broken", [b'To: "x <sip:y>', b"To: <>", b"X-To: <sip:y>"])
def test_unsound_response_is_dropped_and_a_sound_one_is_still_taken(
    broken: bytes,
) -> None:
    stage = Stage()
    first = stage.begin()
    sound = response(first, "486 Busy Here")
    to = next(line for line in sound.split(b"\r\n") if line.startswith(b"To: "))
    assert stage.receive(sound.replace(to, broken), peer_of(first)) == []
    assert len(stage.dropped) == 1
    assert told(stage.receive(sound, peer_of(first)))[-1] == "486 10.0.0.10"


def test_stray_2xx_of_the_time_before_a_restart_is_dropped() -> None:
    # RFC 6026 section 8.9.
    first = Stage().begin()
    stage = Stage()
    assert stage.receive(response(first, "200 OK"), peer_of(first)) == []


# Via of the request.


def test_via_that_tells_the_truth_is_left_as_it_came() -> None:
    came = top(INVITE)
    assert message(Stage().begin()).all(b"via")[1] == came


def test_via_of_another_address_gets_received() -> None:
    stage = Stage()
    via = "SIP/2.0/UDP pbx.test;branch=z9hG4bKa1;received=1.2.3.4"
    trying, sent = stage.receive(request("INVITE", via=via))
    wanted = b"SIP/2.0/UDP pbx.test;branch=z9hG4bKa1;received=10.0.0.10"
    assert message(sent).all(b"via")[1] == wanted == top(trying.data)


@pytest.mark.parametrize("asked", ["rport;branch=z9hG4bKa1", "branch=z9hG4bKa1;rport"])
def test_rport_is_filled_and_the_answer_goes_to_that_port(asked: str) -> None:
    stage = Stage()
    source = Peer(Side.SITE, UDP, "10.0.0.10", 41_000)
    via = f"SIP/2.0/UDP 10.0.0.10:5060;{asked}"
    trying, sent = stage.receive(request("INVITE", via=via), source)
    filled = via.replace("rport", "rport=41000") + ";received=10.0.0.10"
    assert message(sent).all(b"via")[1] == filled.encode() == top(trying.data)
    assert trying.to == source


@pytest.mark.parametrize("gap", [", ", ",\r\n "])
def test_first_via_of_a_list_is_noted_and_the_others_stay(gap: str) -> None:
    first, below = "SIP/2.0/UDP pbx.test;branch=z9hG4bKa1", "SIP/2.0/UDP x.test"
    sent = Stage().begin(request("INVITE", via=first + gap + below))
    noted = f"{first};received=10.0.0.10"
    assert message(sent).all(b"via")[1:] == [noted.encode(), below.encode()]


def test_answer_goes_to_the_port_of_sent_by_without_rport() -> None:
    source = Peer(Side.SITE, UDP, "10.0.0.10", 41_000)
    for via, port in (("10.0.0.10:5070", 5070), ("10.0.0.10", 5060)):
        full = f"SIP/2.0/UDP {via};branch=z9hG4bKa1;maddr=1.2.3.4"
        trying = Stage().receive(request("INVITE", via=full), source)[0]
        assert trying.to == dataclasses.replace(source, port=port)


def test_answer_over_a_stream_keeps_its_connection_and_names_the_port() -> None:
    for transport, port in ((TCP, 5060), (TLS, 5061)):
        source = Peer(Side.SITE, transport, "10.0.0.10", 41_000, 9)
        via = f"SIP/2.0/{transport.upper()} 10.0.0.10;branch=z9hG4bKa1"
        trying = Stage().receive(request("INVITE", via=via), source)[0]
        assert trying.to == dataclasses.replace(source, port=port)


# What is answered here.


def test_unsound_request_is_answered_and_leaves_nothing_behind() -> None:
    stage = Stage()
    data = INVITE.replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE")
    refusal = one(stage.receive(data))
    assert status(refusal) == 400
    assert stage.receive(data) == [refusal]
    assert stage.proxy.pending == 0
    assert stage.proxy.next_timer() == math.inf


@pytest.mark.parametrize(
    ("version", "via", "expected"),
    [
        ("2.0", "SIP/2.0/UDP 10.0.0.10:5070;;,;,,", 400),
        ("2.0", "SIP/7.0/UDP 10.0.0.10:5070;branch=z9hG4bKa1", 400),
        ("7.0", "SIP/7.0/UDP 10.0.0.10:5070;branch=z9hG4bKa1", 505),
    ],
)
def test_malformed_via_is_answered_where_its_sender_can_be_read(
    version: str, via: str, expected: int
) -> None:
    stage = Stage()
    data = request("INVITE", via=via).replace(
        b"SIP/2.0\r\n", b"SIP/%b\r\n" % version.encode(), 1
    )
    refusal = one(stage.receive(data))
    assert (status(refusal), refusal.to.port) == (expected, 5070)
    assert stage.proxy.pending == 0


def test_ack_with_a_malformed_via_is_dropped() -> None:
    stage = Stage()
    assert stage.receive(ack(via="SIP/2.0/UDP 10.0.0.10;;")) == []
    assert stage.dropped == ["malformed Via"]


def test_refusal_says_where_the_request_came_from() -> None:
    source = Peer(Side.SITE, UDP, "10.0.0.10", 41_000)
    via = "SIP/2.0/UDP pbx.test;rport;branch=z9hG4bKa1"
    data = request("INVITE", via=via).replace(b"CSeq: 1 I", b"CSeq: x I")
    noted = via.replace("rport", "rport=41000") + ";received=10.0.0.10"
    assert top(one(Stage().receive(data, source)).data) == noted.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 30,
        b"GET / HTTP/1.1\r\n\r\n",
        INVITE.replace(b"Via: ", b"X: "),
        INVITE.replace(b"Via: SIP/2.0/UDP ", b"Via: "),
    ],
)
def test_what_nobody_could_answer_is_dropped_and_counted(data: bytes) -> None:
    stage = Stage()
    assert stage.receive(data) == []
    assert len(stage.dropped) == 1


def test_message_that_was_cut_out_of_a_stream_is_taken_as_it_is() -> None:
    stage = Stage()
    assert len(stage.proxy.received(parse(INVITE), PBX, stage.now)) == 2


def test_cancel_for_nothing_is_answered_481() -> None:
    assert told(Stage().receive(CANCEL)) == ["481 10.0.0.10"]


def test_cancels_for_nothing_take_no_room() -> None:
    stage = Stage(settings=dataclasses.replace(SETTINGS, transactions=1))
    for number in range(3):
        strange = request("CANCEL", via=ONLY + f"z9hG4bKc{number}")
        (first,) = stage.receive(strange)
        assert stage.receive(strange) == [first]
    assert stage.proxy.pending == 0
    assert told(stage.receive(INVITE)) == ["100 10.0.0.10", "INVITE 192.0.2.1"]


def test_cancel_for_a_call_is_answered_200_and_goes_on_when_it_may() -> None:
    stage = Stage()
    first = stage.begin()
    assert told(stage.receive(CANCEL)) == ["200 10.0.0.10"]
    assert told(stage.answer(first, "100 Trying")) == ["CANCEL 192.0.2.1"]


def test_unsound_ack_is_dropped() -> None:
    stage = Stage()
    assert stage.receive(ack().replace(b"CSeq: 1", b"CSeq: x")) == []
    assert stage.dropped == ["ACK to nothing"]


# ACK.


def test_ack_to_a_2xx_follows_its_route_without_a_transaction() -> None:
    stage = Stage()
    accepted = one(stage.answer(stage.begin(), "200 OK"))
    pending = stage.proxy.pending
    data = within("ACK", accepted.data, cseq=1)
    sent = one(stage.receive(data))
    assert told([sent]) == ["ACK 192.0.2.1"]
    assert message(sent).first(b"max-forwards") == b"69"
    assert message(sent).first(b"route") is None
    assert message(sent).first(b"record-route") is None
    assert stage.proxy.pending == pending
    assert stage.receive(data) == [sent]


def test_ack_of_unsaid_length_says_it_on_a_stream() -> None:
    stage = Stage(edges=[edge(1, TLS)])
    (passed,) = stage.answer(stage.begin(), "200 OK")
    came = within("ACK", passed.data, cseq=1).replace(b"Content-Length: 0\r\n", b"")
    acked = one(stage.receive(came))
    assert message(acked).all(b"content-length") == [b"0"]


def test_ack_to_a_2xx_reaches_an_edge_that_is_down() -> None:
    stage = Stage()
    accepted = one(stage.answer(stage.begin(), "200 OK"))
    restarted = Stage(edges=())
    sent = restarted.receive(within("ACK", accepted.data, cseq=1))
    assert told(sent) == ["ACK 192.0.2.1"]


def test_ack_of_an_old_peer_to_a_2xx_is_passed_on_though_it_matches() -> None:
    via = "SIP/2.0/UDP 10.0.0.10:5060"
    stage = Stage()
    accepted = one(stage.answer(stage.begin(request("INVITE", via=via)), "200 OK"))
    data = within("ACK", accepted.data, cseq=1, uri="sip:+15551234567@10.0.0.2")
    old = data.replace(b";branch=z9hG4bKb2", b"")
    assert told(stage.receive(old)) == ["ACK 192.0.2.1"]


def test_ack_that_belongs_to_nothing_is_dropped() -> None:
    stage = Stage()
    assert stage.receive(ack()) == []
    assert stage.receive(ack().replace(b"Forwards: 70", b"Forwards: 0")) == []
    assert stage.dropped == ["ACK to nothing"] * 2


# Bounds and overload.


def test_new_calls_are_refused_while_established_ones_go_on() -> None:
    stage = Stage()
    first = stage.begin()
    accepted = one(stage.answer(first, "200 OK"))
    stage.proxy.accepting = False
    refusal = one(stage.receive(request("INVITE", via=ONLY + "z9hG4bKa2")))
    assert status(refusal) == 503
    assert message(refusal).first(b"retry-after") == b"5"
    assert told(stage.receive(back("BYE", first.data), EDGE)) == ["BYE 10.0.0.10"]
    assert told(stage.receive(within("ACK", accepted.data))) == ["ACK 192.0.2.1"]
    assert told(stage.receive(within("BYE", accepted.data))) == ["BYE 192.0.2.1"]


def test_new_calls_of_the_site_alone_are_refused_while_no_edge_may_be_used() -> None:
    stage = Stage()
    stage.proxy.leading = False
    refusal = one(stage.receive(request("INVITE", via=ONLY + "z9hG4bKa2")))
    assert status(refusal) == 503
    asks = request("OPTIONS", uri="sip:10.0.0.2", via=ONLY + "z9hG4bKa3")
    assert status(one(stage.receive(asks))) == 503
    assert list(stage.proxy.under_way("trunk")) == []
    stage.proxy.leading = True
    stage.begin()
    (flow,) = stage.proxy.under_way("trunk")
    assert (flow.listener, flow.protocol, flow.client) == ("trunk", "sip", "10.0.0.10")
    assert flow.edge == "edge1"


def test_new_calls_over_udp_are_left_to_the_process_that_has_the_sockets_next() -> None:
    stage = Stage()
    stage.proxy.accepting, stage.proxy.handed_on = False, True
    assert stage.receive(INVITE) == []
    assert stage.dropped == ["left to the next run"]
    options = request("OPTIONS", uri="sip:trunk.pstn.test")
    assert told(stage.receive(options)) == ["503 10.0.0.10"]
    # A connection ends with the process, and nobody repeats what was sent on it.
    by_tcp = INVITE.replace(b"/UDP", b"/TCP")
    peer = dataclasses.replace(PBX, transport=TCP)
    assert told(stage.receive(by_tcp, peer)) == ["503 10.0.0.10"]


def test_full_table_refuses_new_calls_first_and_then_drops() -> None:
    stage = Stage(settings=dataclasses.replace(SETTINGS, transactions=1))
    accepted = one(stage.answer(stage.begin(), "200 OK"))
    refusal = stage.receive(request("INVITE", via=ONLY + "z9hG4bKa2"))
    assert told(refusal) == ["503 10.0.0.10"]
    assert told(stage.receive(within("INFO", accepted.data))) == ["INFO 192.0.2.1"]
    bye = within("BYE", accepted.data, branch="z9hG4bKb3")
    assert stage.receive(bye) == []
    assert stage.dropped == ["table of transactions is full"]


def test_full_table_of_one_side_leaves_the_other_alone() -> None:
    stage = Stage(settings=dataclasses.replace(SETTINGS, transactions=1))
    stage.begin()
    assert "INVITE 10.0.0.10" in told(stage.receive(FROM_EDGE, EDGE))
    other = request("INVITE", via=ONLY + "z9hG4bKa2")
    assert told(stage.receive(other)) == ["503 10.0.0.10"]


def test_requests_refused_here_are_told_of_with_the_reason() -> None:
    stage = Stage(edges=())
    stage.receive(CANCEL)
    stage.receive(request("INVITE", hops=0))
    stage.receive(request("INVITE", more=["CSeq: 2 INVITE"]))
    stage.receive(request("OPTIONS", uri="sip:10.0.0.2"))
    assert [(one.status, one.reason) for one in stage.turned_down] == [
        (481, "Call/Transaction Does Not Exist"),
        (483, "Too Many Hops"),
        (400, "not exactly one cseq"),
    ]


def test_large_requests_fill_the_memory_before_the_table() -> None:
    stage = Stage(settings=dataclasses.replace(SETTINGS, memory=30_000))
    accepted = one(stage.answer(stage.begin(), "200 OK"))
    large = request("INVITE", via=ONLY + "z9hG4bKa2", body="x" * 20_000)
    assert told(stage.receive(large)) == ["100 10.0.0.10", "INVITE 192.0.2.1"]
    refusal = stage.receive(request("INVITE", via=ONLY + "z9hG4bKa3"))
    assert told(refusal) == ["503 10.0.0.10"]
    assert told(stage.receive(within("INFO", accepted.data))) == ["INFO 192.0.2.1"]
    large = within("INFO", accepted.data, branch="z9hG4bKb3")
    large = large.replace(b"Content-Length: 0", b"l: 20000") + 20_000 * b"x"
    assert told(stage.receive(large)) == ["INFO 192.0.2.1"]
    assert stage.receive(within("BYE", accepted.data, branch="z9hG4bKb4")) == []
    assert stage.dropped == ["memory for requests is full"]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_request_whose_copy_or_answer_would_be_too_large_is_refused(
    method: str,
) -> None:
    # No edge is to blame for it, and all would be.
    stage = Stage()
    asked = request(method, body="x" * 65_000)
    assert told(stage.receive(asked)) == ["513 10.0.0.10"]
    many = ", ".join(["SIP/2.0/UDP a.test;branch=z9hG4bKx"] * 1_800)
    asked = request(method, via=ONLY + "z9hG4bKv", more=[f"Via: {many}"])
    assert told(stage.receive(asked)) == ["513 10.0.0.10"]
    assert stage.observed == []
    large = request(method, via=ONLY + "z9hG4bKw", body="x" * 56_000)
    assert len(stage.begin(large).data) > 56_000


def test_memory_is_free_again_once_requests_are_over() -> None:
    stage = Stage(settings=dataclasses.replace(SETTINGS, memory=3_000))
    for number in range(3):
        asked = request("INVITE", via=ONLY + f"z9hG4bKm{number}", body="x" * 2_000)
        assert told(stage.receive(asked))[:2] == ["100 10.0.0.10", "INVITE 192.0.2.1"]
        stage.wait(400)
        assert stage.proxy.held == 0


def test_failure_of_an_attempt_that_nobody_knows_changes_nothing() -> None:
    stage = Stage()
    trying = stage.receive(INVITE)[0]
    assert trying.attempt == 0
    assert stage.fail(trying) == []


# What is not ours passes as it came.


def test_lines_that_a_proxy_does_not_own_pass_as_they_came() -> None:
    more = [
        "Identity: eyJhbGciOi;info=<https://cert.test>;alg=ES256",
        "Date: Thu, 21 Feb 2026 13:02:03 GMT",
        "Session-Expires: 1800",
        "P-Odd :   a ,  b",
        "Proxy-Authorization: Digest realm=other",
        "X-Name: \u00fc",
    ]
    came = request("INVITE", uri="sip:a%00b@other.test", more=more, body="v=0\r\n\0")
    sent = Stage().begin(came)
    lines = sent.data.split(b"\r\n")
    ours = [line for line in lines if line not in came.split(b"\r\n")]
    assert [line.partition(b":")[0] for line in ours] == [
        b"Via", b"Record-Route", b"Record-Route", b"Max-Forwards",
    ]  # fmt: skip
    missing = [line for line in came.split(b"\r\n") if line not in lines]
    assert missing == [b"Max-Forwards: 70"]
    assert sent.data.endswith(b"\r\n\r\nv=0\r\n\0")


def test_attempt_that_fails_is_followed_by_the_next_one() -> None:
    stage = Stage()
    assert told(stage.fail(stage.begin())) == ["INVITE 192.0.2.2"]


def test_request_counts_as_unanswered_until_its_final_answer() -> None:
    stage = Stage()
    sent = stage.begin()
    assert stage.proxy.unanswered == stage.proxy.pending == 1
    stage.answer(sent, "180 Ringing")
    assert stage.proxy.unanswered == 1
    stage.answer(sent, "200 OK")
    assert stage.proxy.unanswered == 0
    assert stage.proxy.pending == 1


def test_call_is_quiet_once_its_ack_has_had_time() -> None:
    stage = Stage()
    sent = stage.begin()
    stage.answer(sent, "180 Ringing")
    assert stage.proxy.quiet_at < stage.now
    stage.answer(sent, "200 OK")
    assert stage.proxy.quiet_at == stage.now + ACK_TIME


def test_answer_without_its_connection_is_brought_to_whom_it_may_reach() -> None:
    proxy = Stage(site=[pbx(10, TLS)]).proxy
    known = proxy.way_back(Peer(Side.SITE, TLS, "10.0.0.10", 5071, 9))
    assert (known.port, known.verify_name) == (5071, "pbx.test")
    with pytest.raises(MessageError):
        proxy.way_back(Peer(Side.SITE, TLS, "10.0.0.11", 5061, 9))


# ---- Change ------------------------------------------------------------------------


def change(stage: Stage, *edges: Target, **settings: Any) -> None:
    """Have the proxy go by something else."""
    site = in_order([SITE])
    stage.proxy.change(
        dataclasses.replace(SETTINGS, **settings),
        in_order(edges),
        site,
        Known([*edges, SITE]),
    )


def test_change_leaves_an_invite_under_way_as_it_is() -> None:
    stage = Stage()
    sent = stage.begin()
    change(stage, edge(3), host="other.pstn.test")
    assert told(stage.answer(sent, "180 Ringing")) == ["180 10.0.0.10"]
    via = "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKn"
    begun = stage.begin(request("INVITE", via=via, call_id="n"))
    assert peer_of(begun).address == "192.0.2.3"
    assert message(begun).uri == b"sip:+15551234567@other.pstn.test"
    assert told(stage.answer(sent, "200 OK")) == ["200 10.0.0.10"]


def test_dialog_lives_while_its_key_is_among_the_keys() -> None:
    stage = Stage()
    sent = stage.begin()
    (ok,) = stage.answer(sent, "200 OK")
    change(stage, edge(3), keys=(b"n" * 32, *KEYS))
    bye = one(stage.receive(within("BYE", ok.data)))
    assert (told([bye]), bye.side) == (["BYE 192.0.2.1"], Side.EDGE)
    change(stage, edge(3), keys=(b"n" * 32,))
    late = within("BYE", ok.data, cseq=3, branch="z9hG4bKlate")
    assert status(one(stage.receive(late))) in (403, 404, 481)


def test_change_does_not_take_calls_again_while_draining() -> None:
    stage = Stage()
    stage.proxy.accepting = False
    change(stage, edge(3))
    assert status(one(stage.receive(INVITE))) == 503


def test_ack_that_is_passed_on_is_counted() -> None:
    counting = Counting()
    stage = Stage(meter=counting)
    answer = stage.answer(stage.begin(), "200 OK")[-1]
    stage.receive(within("ACK", answer.data, cseq=1))
    assert counting.told[-1] == "ACK"


def test_calls_are_counted_by_whoever_counts_since_a_change() -> None:
    stage, counting = Stage(), Counting()
    choose = in_order((ASHBURN,))
    names = Known((ASHBURN,))
    stage.proxy.change(SETTINGS, choose, in_order((SITE,)), names, counting)
    stage.begin()
    stage.proxy.change(SETTINGS, choose, in_order((SITE,)), names)
    stage.begin(request("INVITE", call_id="other", via=f"{VIA}9"))
    assert counting.told == ["began edge1"]


VIA = "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKa"
