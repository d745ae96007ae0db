import pytest

from simulator.sip.message import (
    Uri,
    back,
    compose,
    default_port,
    description,
    items,
    parse_uri,
    read,
    reply,
)

INVITE = (
    b"INVITE sip:+15551234567@example.pstn.twilio.com;x=%3b SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 10.0.0.1:5062;rport;branch=z9hG4bKa, SIP/2.0/TCP b;branch=c\r\n"
    b'From: "A, B" <sip:a@example.com>;tag=1\r\n'
    b"To: <sip:b@example.com>\r\n"
    b"Call-ID: x\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Route: <sip:r1;lr>, <sip:r2;a=b=;lr>\r\n"
    b"Route: <sip:r3;lr>\r\n"
    b"Record-Route: <sip:q;lr>\r\n"
    b'Contact: "C, D" <sip:c@10.0.0.1:5062;transport=tcp>;expires=1\r\n'
    b"Content-Length: 2\r\n\r\nabc"
)


def test_request_is_read_with_its_texts_as_they_came() -> None:
    message = read(INVITE, ("192.0.2.1", 5099))

    assert (message.method, message.code, message.sequence) == ("INVITE", 0, 7)
    assert message.uri == "sip:+15551234567@example.pstn.twilio.com;x=%3b"
    assert message.routes == ["<sip:r1;lr>", "<sip:r2;a=b=;lr>", "<sip:r3;lr>"]
    assert message.record_routes == ["<sip:q;lr>"]
    assert message.contact == "sip:c@10.0.0.1:5062;transport=tcp"
    assert (message.from_tag, message.to_tag) == ("1", "")
    assert message.body == b"ab"
    assert message.forwards == 70
    assert message.vias == (
        "SIP/2.0/UDP 10.0.0.1:5062;rport=5099;branch=z9hG4bKa;received=192.0.2.1",
        "SIP/2.0/TCP b;branch=c",
    )
    assert message.transaction == ("z9hG4bKa", "10.0.0.1:5062", "INVITE")


def test_response_is_read_and_its_via_left_alone() -> None:
    data = INVITE.replace(INVITE.split(b"\r\n")[0], b"SIP/2.0 486 Busy Here")
    message = read(data, ("192.0.2.1", 5099))

    assert (message.code, message.phrase, message.uri) == (486, "Busy Here", "")
    assert message.vias[0] == "SIP/2.0/UDP 10.0.0.1:5062;rport;branch=z9hG4bKa"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"v: SIP", b"w: SIP"),
        (b"Call-ID: x\r\n", b""),
        (b"CSeq: 7 INVITE", b"CSeq: 7 BYE"),
        (b"CSeq: 7 INVITE", b"CSeq: seven"),
        (b"sip:a@example.com", b"mailto:a@example.com"),
        (b"\r\n\r\n", b"\r\n"),
        (b"Call-ID: x", b"Call-ID: \xff"),
        (b"Content-Length: 2", b"Content-Length: two"),
        (b"Call-ID: x", b"Call-ID: x\r\nMax-Forwards: many"),
        (b"<sip:r1;lr>", b"<tel:1>"),
        (b"<sip:q;lr>", b"q"),
        (b"sip:c@10.0.0.1:5062", b"tel:12"),
        (b"INVITE sip:+15551234567@example.pstn.twilio.com;x=%3b", b"INVITE tel:+15"),
        (b"SIP/2.0\r\nv", b"SIP/3.0\r\nv"),
    ],
)
def test_what_lacks_or_spoils_a_field_is_no_message(
    before: bytes, after: bytes
) -> None:
    assert before in INVITE
    with pytest.raises(ValueError):  # noqa: PT011
        read(INVITE.replace(before, after, 1))


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:h", Uri("", "h", 0, "udp", frozenset())),
        (
            "<sips:u@H.example:7;lr>;x",
            Uri("u", "h.example", 7, "tls", frozenset({"lr"})),
        ),
        (
            "sip:[::1]:5060;transport=TCP?a=b",
            Uri("", "::1", 5060, "tcp", frozenset({"transport=tcp"})),
        ),
    ],
)
def test_uri_is_read(text: str, uri: Uri) -> None:
    assert parse_uri(text) == uri


def test_hop_has_the_port_of_its_transport_if_none_is_given() -> None:
    assert parse_uri("sip:h;transport=tcp").hop == ("tcp", "h", 5060)
    assert parse_uri("sips:h").hop == ("tls", "h", 5061)
    assert parse_uri("sip:h:7").hop == ("udp", "h", 7)
    assert default_port("udp") == 5060


@pytest.mark.parametrize("text", ["", "tel:+1", "sip:", "sip:h:port", "h"])
def test_what_is_no_sip_uri_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no SIP URI"):
        parse_uri(text)


def test_commas_within_quotes_and_brackets_part_nothing() -> None:
    assert items(['"a, \\"b" <x,y>;z, c', "d"]) == ['"a, \\"b" <x,y>;z', "c", "d"]


def test_contact_without_brackets_ends_at_its_parameters() -> None:
    plain = INVITE.replace(
        b'"C, D" <sip:c@10.0.0.1:5062;transport=tcp>', b"sip:c@10.0.0.1"
    )

    assert read(plain).contact == "sip:c@10.0.0.1"
    assert read(plain.replace(b"Contact", b"X")).contact == ""


def test_response_to_a_datagram_goes_where_the_via_says() -> None:
    source = ("192.0.2.1", 5099)
    without = INVITE.replace(b";rport", b"")

    assert back(read(INVITE, source), source) == source
    assert back(read(without, source), source) == ("192.0.2.1", 5062)
    bare = without.replace(b"10.0.0.1:5062;branch", b"10.0.0.1;branch")
    assert back(read(bare, source), source) == ("192.0.2.1", 5060)


def test_reply_keeps_what_came_and_tags_to_once() -> None:
    request = read(INVITE)
    answer = read(reply(request, 180, tag="mine", fields=[("Server", "x")]))

    assert (answer.code, answer.phrase, answer.to_tag) == (180, "Ringing", "mine")
    assert answer.vias == request.vias
    assert answer.sender == request.sender
    assert answer.headers["Server"] == "x"
    tagged = read(INVITE.replace(b"b@example.com>", b"b@example.com>;tag=old"))
    assert read(reply(tagged, 299, tag="mine")).to_tag == "old"
    assert read(reply(tagged, 299)).phrase == "Answer"


def test_body_has_its_length_and_type() -> None:
    body = description("192.0.2.1", 4000)
    data = compose("X", [("A", "1"), ("A", "2")], body)

    assert data.startswith(b"X\r\nA: 1\r\nA: 2\r\n")
    assert f"Content-Length: {len(body)}\r\n".encode() in data
    assert b"Content-Type: application/sdp\r\n" in data
    assert b"c=IN IP4 192.0.2.1\r\n" in body
    assert b"Content-Type" not in compose("X", [])
