"""Where a new request goes, or what it is answered."""

import dataclasses

import pytest

from protocols.sip.peers import Peer, Side
from protocols.sip.token import unseal
from protocols.target import Transport
from tests.protocols.sip.stage import (
    DUBLIN,
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
    back,
    edge,
    in_order,
    message,
    one,
    pbx,
    request,
    response,
    status,
    told,
    within,
)

OPTIONS = request("OPTIONS", uri="sip:10.0.0.2")
TO = "<sip:+15551234567@10.0.0.2>;tag=t1"


# Max-Forwards.


@pytest.mark.parametrize(("came", "sent"), [(70, b"69"), (1, b"0"), (None, b"70")])
def test_hop_is_counted(came: int | None, sent: bytes) -> None:
    copy = message(Stage().begin(request("INVITE", hops=came)))
    assert copy.all(b"max-forwards") == [sent]


def test_request_without_hops_left_is_answered_483() -> None:
    assert told(Stage().receive(request("INVITE", hops=0))) == ["483 10.0.0.10"]


# OPTIONS for the router.


@pytest.mark.parametrize("hops", [70, 0])
def test_options_for_the_router_are_answered_here(hops: int) -> None:
    data = request("OPTIONS", uri="sip:10.0.0.2:5060;transport=udp", hops=hops)
    answer = one(Stage().receive(data))
    assert status(answer) == 200
    assert b";tag=" in (message(answer).first(b"to") or b"")


def test_options_of_the_pbx_for_the_trunk_are_answered_here() -> None:
    """A PBX that qualifies its trunk asks for the name that it calls."""
    data = request("OPTIONS", uri="sip:Trunk.pstn.test")
    assert told(Stage().receive(data)) == ["200 10.0.0.10"]


def test_options_for_the_router_say_503_while_it_takes_no_calls() -> None:
    stage = Stage()
    stage.proxy.accepting = False
    assert told(stage.receive(OPTIONS)) == ["503 10.0.0.10"]


OTHERS = ("sip:100@10.0.0.2", "sip:1@trunk.pstn.test", "sip:other.test", "tel:+1555")


@pytest.mark.parametrize("uri", OTHERS)
def test_options_of_the_site_never_reach_an_edge(uri: str) -> None:
    """Whomever they name: a provider counts them all, and bans for too many."""
    assert told(Stage().receive(request("OPTIONS", uri=uri))) == ["200 10.0.0.10"]
    stage = Stage()
    stage.proxy.accepting = False
    assert told(stage.receive(request("OPTIONS", uri=uri))) == ["503 10.0.0.10"]


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (request("OPTIONS", uri="sip:other.test", hops=0), "483 10.0.0.10"),
        (request("OPTIONS", more=["Proxy-Require: x"]), "420 10.0.0.10"),
    ],
)
def test_options_for_others_that_could_not_go_on_are_refused(
    data: bytes, answer: str
) -> None:
    assert told(Stage().receive(data)) == [answer]


@pytest.mark.parametrize("uri", ["sip:100@203.0.113.5", "sip:other.test", "tel:+1555"])
def test_options_of_the_provider_for_others_are_passed_on(uri: str) -> None:
    data = FROM_EDGE.replace(b"INVITE", b"OPTIONS")
    data = b" ".join((b"OPTIONS", uri.encode(), data.split(b" ", 2)[2]))
    assert told(Stage().receive(data, EDGE)) == ["OPTIONS 10.0.0.10"]


# Extensions and loops.


def test_extension_that_a_proxy_must_know_is_refused_by_name() -> None:
    refusal = one(Stage().receive(request("INVITE", more=["Proxy-Require: a, b"])))
    assert status(refusal) == 420
    assert message(refusal).first(b"unsupported") == b"a, b"


def test_request_that_comes_round_unchanged_is_a_loop() -> None:
    stage = Stage()
    sent = stage.begin(request("INVITE", uri="sip:x@other.test"))
    again = sent.data.replace(b"Via: SIP", b"Via: SIP/2.0/UDP 10.0.0.9\r\nVia: SIP", 1)
    assert told(stage.receive(again)) == ["482 10.0.0.10"]


def test_request_that_comes_back_for_somebody_else_is_a_spiral() -> None:
    stage = Stage()
    sent = stage.begin(request("INVITE", uri="sip:x@other.test"))
    via = b"Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKq\r\nVia: SIP"
    again = sent.data.replace(b"Via: SIP", via, 1)
    other = again.replace(b"sip:x@other", b"sip:y@other")
    assert "INVITE 192.0.2.1" in told(stage.receive(other))
    # On the other side it is on its way to somebody else, too.
    assert "INVITE 10.0.0.10" in told(stage.receive(again.replace(b"Kq", b"Kr"), EDGE))


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("source", [PBX, EDGE])
def test_scheme_that_nobody_here_knows_is_refused(source: Peer, method: str) -> None:
    data = request(method, uri="soap.beep://192.0.2.103:3002")
    assert status(one(Stage().receive(data, source))) == 416


@pytest.mark.parametrize("uri", ["SIPS:a@b.test", "TEL:+1", "urn:service:sos"])
def test_scheme_of_telephony_is_taken(uri: str) -> None:
    stage = Stage(edges=[edge(1, TLS)])
    assert stage.begin(request("INVITE", uri=uri)).to.address == "192.0.2.1"


def test_empty_proxy_require_asks_for_nothing() -> None:
    assert len(Stage().receive(request("INVITE", more=["Proxy-Require:"]))) == 2


# Request-URI.


@pytest.mark.parametrize(
    ("came", "sent"),
    [
        ("sip:+1555@10.0.0.2", "sip:+1555@trunk.pstn.test"),
        ("sip:+1555@10.0.0.2:5060;transport=udp", "sip:+1555@trunk.pstn.test"),
        ("sip:+1;a=b@10.0.0.2;user=phone;x", "sip:+1;a=b@trunk.pstn.test;user=phone;x"),
        ("sip:10.0.0.2", "sip:trunk.pstn.test"),
        ("sip:+1555@trunk.pstn.test;transport=tls", None),
        ("sip:+1555@10.0.0.2:5999", None),
        ("sip:%6C@other.test", None),
        ("tel:+1555", None),
    ],
)  # fmt: skip
def test_request_uri_that_names_the_router_names_the_trunk(
    came: str, sent: str | None
) -> None:
    assert message(Stage().begin(request("INVITE", uri=came))).uri.decode() == (
        sent or came
    )


def test_request_uri_stays_without_a_host_for_the_trunk() -> None:
    stage = Stage(settings=dataclasses.replace(SETTINGS, host=""))
    assert message(stage.begin()).uri == b"sip:+15551234567@10.0.0.2"


def test_request_uri_of_the_provider_stays() -> None:
    sent = message(Stage().begin(FROM_EDGE, EDGE))
    assert sent.uri == b"sip:+15551234567@203.0.113.5"


def test_sips_is_said_as_sip_to_a_provider_who_takes_it_so() -> None:
    stage = Stage(settings=dataclasses.replace(SETTINGS, sips_as_sip=True))
    sent = message(stage.begin(request("INVITE", uri="sips:+1555@other.test")))
    assert sent.uri == b"sip:+1555@other.test"


def test_emergency_call_is_taken_when_others_are_refused() -> None:
    stage = Stage()
    stage.proxy.accepting = False
    assert told(stage.receive(request("INVITE", uri="urn:service:sos")))[1:] == [
        "INVITE 192.0.2.1"
    ]


# Dialogs.


def test_request_of_a_dialog_that_did_not_come_through_here_is_refused() -> None:
    for method in ("INVITE", "BYE"):
        assert told(Stage().receive(request(method, to=TO))) == ["481 10.0.0.10"]


def test_bye_arrives_from_either_side_after_a_restart() -> None:
    stage = Stage()
    first = stage.begin()
    accepted = one(stage.answer(first, "200 OK"))
    restarted = Stage(edges=())
    assert told(restarted.receive(within("BYE", accepted.data))) == ["BYE 192.0.2.1"]
    assert told(restarted.receive(back("BYE", first.data), EDGE)) == ["BYE 10.0.0.10"]
    assert [(r.method, r.edge) for r in restarted.records] == []


def test_bye_is_written_down_with_its_edge() -> None:
    stage = Stage()
    accepted = one(stage.answer(stage.begin(), "200 OK"))
    bye = one(stage.receive(within("BYE", accepted.data)))
    stage.answer(bye, "200 OK")
    record = stage.records[-1]
    assert (record.method, record.edge, record.cseq) == ("BYE", "edge1", 2)
    assert (record.from_tag, record.to_tag) == ("f1", "t1")
    assert record.call_id == "call1@10.0.0.10"


def test_reinvite_follows_the_dialog_and_gets_a_route_of_its_own() -> None:
    stage = Stage()
    second = one(stage.fail(stage.begin()))
    accepted = one(stage.answer(second, "200 OK"))
    again = stage.receive(within("INVITE", accepted.data))[-1]
    assert told([again]) == ["INVITE 192.0.2.2"]
    renewed = one(stage.answer(again, "200 OK"))
    bye = within("BYE", renewed.data, branch="z9hG4bKb3")
    assert told(stage.receive(bye)) == ["BYE 192.0.2.2"]
    assert [record.method for record in stage.records] == ["INVITE"]


@pytest.mark.parametrize("method", ["PRACK", "UPDATE", "INFO", "REFER", "MESSAGE"])
def test_any_method_follows_the_dialog(method: str) -> None:
    stage = Stage()
    ringing = one(stage.answer(stage.begin(), "183 Session Progress"))
    sent = one(stage.receive(within(method, ringing.data)))
    assert told([sent]) == [f"{method} 192.0.2.1"]
    assert (message(sent).first(b"record-route") is not None) == (
        method in ("UPDATE", "REFER")
    )


def test_call_of_the_provider_leads_back_to_whoever_made_it() -> None:
    stage = Stage()
    first = stage.begin(FROM_EDGE, EDGE)
    accepted = one(stage.answer(first, "200 OK"))
    caller = within("BYE", accepted.data, uri="sip:pbx@10.0.0.10")
    assert told(stage.receive(caller, EDGE)) == ["BYE 10.0.0.10"]
    callee = back("BYE", first.data, branch="z9hG4bKe5")
    assert told(stage.receive(callee, PBX)) == ["BYE 192.0.2.1"]


@pytest.mark.parametrize(
    ("transport", "sent_by", "port"),
    [(TCP, ":5070", 5070), (TCP, "", 5060), (TLS, "", 5061)],
)
def test_peer_on_a_stream_is_found_at_the_port_of_its_via(
    transport: str, sent_by: str, port: int
) -> None:
    kind = {"tcp": TCP, "tls": TLS}[transport]
    source = Peer(Side.EDGE, kind, "192.0.2.1", 41_000, 5)
    stage = Stage(edges=[edge(1, kind)])
    via = f"SIP/2.0/{kind.upper()} 192.0.2.1{sent_by};branch=z9hG4bKe1"
    first = stage.begin(request("INVITE", via=via), source)
    bye = one(stage.receive(back("BYE", first.data), PBX))
    assert not isinstance(bye.to, Peer)
    assert (bye.to.transport, bye.to.port) == (kind, port)


@pytest.mark.parametrize(
    ("side", "kind", "flow"),
    [(Side.SITE, TCP, 41_000), (Side.SITE, UDP, 0), (Side.EDGE, TCP, 0)],
)
def test_connection_of_the_site_is_signed_and_none_of_the_provider(
    side: Side, kind: Transport, flow: int
) -> None:
    source = Peer(side, kind, "192.0.2.9", 41_000, 5)
    via = f"SIP/2.0/{kind.upper()} 192.0.2.9:5070;branch=z9hG4bKa1"
    sent = message(Stage().begin(request("INVITE", via=via), source))
    token = sent.all(b"record-route")[0].partition(b";er=")[2].rstrip(b">")
    hops = unseal(token, b"call1@10.0.0.10", KEYS)
    assert hops is not None
    assert hops[side].flow == flow


def test_pbx_on_tls_that_called_is_reached_by_its_names() -> None:
    stage = Stage(site=[pbx(10, TLS)])
    via = "SIP/2.0/TLS 10.0.0.10:5061;branch=z9hG4bKa1"
    first = stage.begin(
        request("INVITE", via=via), Peer(Side.SITE, TLS, "10.0.0.10", 41_000, 5)
    )
    bye = one(stage.receive(back("BYE", first.data), EDGE))
    assert not isinstance(bye.to, Peer)
    assert (bye.to.transport, bye.to.port, bye.to.host) == (TLS, 5061, "pbx.test")


def test_edge_that_knows_another_address_of_ours_is_told_that_one() -> None:
    """A private edge calls what was announced to it, and can reach nothing else."""
    private = dataclasses.replace(edge(1), source="198.51.100.9")
    sent = message(Stage(edges=[private]).begin(FROM_EDGE, EDGE))
    assert sent.all(b"record-route")[1] == b"<sip:198.51.100.9:5060;lr>"


# REGISTER.


def test_path_is_added_for_those_who_know_it_and_leads_back() -> None:
    stage = Stage()
    data = request(
        "REGISTER", uri="sip:trunk.pstn.test", more=["Supported: gruu, Path"]
    )
    sent = stage.begin(data)
    assert message(sent).first(b"record-route") is None
    paths = message(sent).all(b"path")
    assert len(paths) == 2
    assert all(b";lr" in path for path in paths)
    call = FROM_EDGE.replace(
        b"Contact:",
        b"".join(b"Route: " + path + b"\r\n" for path in paths) + b"Contact:",
    ).replace(b"call1@", b"call2@")
    assert told(stage.receive(call, EDGE)) == ["100 192.0.2.1", "INVITE 10.0.0.10"]
    # It is a new call, so that a dead telephone is told of as soon as a dead PBX.
    assert "503 192.0.2.1" in told(stage.wait(3.6))


def test_dialog_that_came_by_a_path_is_with_whoever_came() -> None:
    # Another address of the provider may use the Path than the one that registered.
    stage = Stage()
    data = request("REGISTER", uri="sip:trunk.pstn.test", more=["Supported: path"])
    paths = message(stage.begin(data)).all(b"path")
    call = FROM_EDGE.replace(
        b"Contact:",
        b"".join(b"Route: " + path + b"\r\n" for path in paths) + b"Contact:",
    ).replace(b"call1@", b"call2@")
    other = Peer(Side.EDGE, UDP, "192.0.2.2", 5060)
    sent = stage.receive(call, other)[-1]
    stage.receive(response(sent, "200 OK"), PBX)
    assert stage.records[-1].edge == "edge2"
    bye = back("BYE", sent.data).replace(b"UDP 192.0.2.1", b"UDP 10.0.0.10")
    assert told(stage.receive(bye, PBX)) == ["BYE 192.0.2.2"]


def test_no_path_is_added_for_those_who_do_not_say_so() -> None:
    data = request("REGISTER", uri="sip:trunk.pstn.test", more=["Supported: gruu"])
    sent = message(Stage().begin(data))
    assert sent.first(b"path") is None
    assert sent.first(b"record-route") is None


# Records.


@pytest.mark.parametrize(
    ("method", "written"), [("SUBSCRIBE", 1), ("REFER", 1), ("MESSAGE", 0)]
)
def test_request_that_makes_a_dialog_is_written_down(method: str, written: int) -> None:
    stage = Stage()
    stage.answer(stage.begin(request(method)), "200 OK")
    assert len(stage.records) == written


def test_record_holds_what_tells_a_call_and_nothing_that_is_secret() -> None:
    stage = Stage()
    secret = ["Proxy-Authorization: Digest username=u,response=secret"]
    stage.answer(stage.begin(request("INVITE", more=secret, body="v=0")), "486 Busy")
    record = stage.records[0]
    assert (record.direction, record.client) == ("to_provider", "10.0.0.10")
    assert (record.method, record.cseq, record.status) == ("INVITE", 1, 486)
    assert "secret" not in repr(record)
    assert "+1555" not in repr(record)


def test_second_family_and_transport_are_named_as_they_are_reached() -> None:
    source = Peer(Side.SITE, TCP, "10.0.0.10", 41_000, 5)
    sent = message(Stage(edges=[edge(1, TLS)]).begin(INVITE, source))
    above, below = sent.all(b"record-route")
    assert above.startswith(b"<sip:203.0.113.5:5061;transport=tls;lr;er=")
    assert below == b"<sip:10.0.0.2:5060;transport=tcp;lr>"
    assert UDP not in sent.all(b"via")[0].decode().lower().split()[0]


def test_ack_follows_the_route_that_we_signed_and_no_other() -> None:
    stage = Stage()
    accepted = one(stage.answer(stage.begin(), "200 OK"))
    assert told(stage.receive(within("ACK", accepted.data))) == ["ACK 192.0.2.1"]
    assert stage.receive(request("ACK", to=TO)) == []


def test_new_request_is_refused_with_retry_after_while_none_is_taken() -> None:
    stage = Stage()
    stage.proxy.accepting = False
    refusal = one(stage.receive(INVITE))
    assert (status(refusal), message(refusal).first(b"retry-after")) == (503, b"5")


def test_retry_with_credentials_goes_nowhere_that_calls_may_not_go_by_now() -> None:
    stage = Stage()
    stage.answer(stage.begin(), "407 Who Are You")
    left = in_order([DUBLIN])

    def retry(number: int) -> str:
        via = f"SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKa{number}"
        return told(stage.receive(request("INVITE", via=via, cseq=number)))[-1]

    assert retry(2) == "INVITE 192.0.2.1"
    stage.proxy.change(SETTINGS, left, in_order([SITE]), Known([DUBLIN, SITE]))
    assert retry(3) == "INVITE 192.0.2.2"


# Room for calls.


def test_call_goes_where_there_is_room() -> None:
    stage = Stage(meter=Counting("edge1"))
    assert told(stage.receive(INVITE))[-1] == "INVITE 192.0.2.2"


@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE"])
def test_what_is_no_call_needs_no_room(method: str) -> None:
    stage = Stage(meter=Counting("edge1"))
    assert told(stage.receive(request(method)))[-1] == f"{method} 192.0.2.1"


def test_emergency_call_needs_no_room() -> None:
    stage = Stage(meter=Counting("edge1", "edge2"))
    data = request("INVITE", uri="urn:service:sos")
    assert told(stage.receive(data))[-1] == "INVITE 192.0.2.1"


def test_call_of_the_provider_needs_no_room_and_is_counted_where_it_comes_from() -> (
    None
):
    counting = Counting("edge1", "edge2")
    stage = Stage(meter=counting)
    assert told(stage.receive(FROM_EDGE, EDGE))[-1] == "INVITE 10.0.0.10"
    assert counting.told == ["began edge1"]
