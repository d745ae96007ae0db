"""Messages: their bytes, their values, and edits that touch whole lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip.message import Message, MessageError, content_length, parse
from tests.protocols.sip.messages import PATIENT, Sent, messages, mutated
from tests.torture import rfc4475, rfc5118
from tests.torture.cases import Case

TORTURE = (*rfc4475.CASES, *rfc5118.CASES)


READ = [case for case in TORTURE if case.name != "bigcode"]
CUT = ("dblreq",)
"Those that say to be shorter than they are."


def request(*lines: bytes, body: bytes = b"") -> Message:
    return parse(b"\r\n".join((b"INVITE sip:a@b.test SIP/2.0", *lines, b"", body)))


def torture(name: str) -> bytes:
    return next(case.data for case in TORTURE if case.name == name)


def edited(*lines: bytes) -> bytes:
    """What `request` of these lines is sent as."""
    return b"\r\n".join((b"INVITE sip:a@b.test SIP/2.0", *lines, b"", b""))


# ---- Reading -----------------------------------------------------------------------


def test_request_is_told_by_its_start_line() -> None:
    read = parse(b"INVITE sip:a@b.test SIP/2.0\r\nVia: x\r\n\r\nbody")
    assert (read.method, read.uri, read.status) == (b"INVITE", b"sip:a@b.test", 0)
    assert read.start == b"INVITE sip:a@b.test SIP/2.0"
    assert (read.lines, read.names, read.body) == ([b"Via: x"], [b"via"], b"body")


@pytest.mark.parametrize(
    "start", [b"SIP/2.0 486 Busy Here", b"sip/2.0 486 ", b"SIP/2.0 486"]
)
def test_response_is_told_by_its_start_line(start: bytes) -> None:
    read = parse(start + b"\r\n\r\n")
    assert (read.method, read.uri, read.status) == (b"", b"", 486)
    assert bytes(read) == start + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no end of the head"),
        (b"\r\n\r\n", "neither a request nor a response of SIP"),
        (b"INVITE sip:a@b.test SIP/2.0\r\nVia: x\r\n", "no end of the head"),
        (b"INVITE sip:a@b.test SIP/2.0\n\n", "no end of the head"),
        (b"INVITE sip:a@b.test SIP/2.0\r\nA: b\nC: d\r\n\r\n", "line end that is not"),
        (b"INVITE sip:a@b.test SIP/2.0\r\nA: b\rC: d\r\n\r\n", "line end that is not"),
        (b"INVITE sip:a\n@b.test SIP/2.0\r\n\r\n", "line end that is not CR LF"),
        (b"INVITE sip:a@b.test SIP/2.0\r\nA: b\r\r\n\r\n", "line end that is not CR"),
        (b"INVITE sip:a@b.test SIP/2.0\r\n A: b\r\n\r\n", "folded start line"),
        (b"INVITE sip:a@b.test SIP/2.0\r\nVia\r\n\r\n", "line that is no header"),
        (b"INVITE sip:a@b.test SIP/2.0\r\nVia\r\n : x\r\n\r\n", "line that is no"),
        (b"INVITE sip:a@b.test SIP/2.0\r\n: x\r\n\r\n", "line that is no header"),
        (b"INVITE sip:a@b.test SIP/2.0\r\nA B: x\r\n\r\n", "line that is no header"),
        (b"INVITE sip:a@b.test SIP/2.0\r\nVia\x0b: x\r\n\r\n", "line that is no"),
        (b"INVITE s: SIP/2.0\r\n" + 129 * b"n" + b": x\r\n\r\n", "line that is no"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "neither a request nor a response"),
        (b"INVITE sip:a@b.test\r\n\r\n", "neither a request nor a response"),
        (b"INVITE sip:a@b.test SIP/2\r\n\r\n", "neither a request nor a response"),
        (b"IN[VITE sip:a@b.test SIP/2.0\r\n\r\n", "neither a request nor a response"),
        (b" sip:a@b.test SIP/2.0\r\n\r\n", "neither a request nor a response"),
        (b"SIP/3.0 200 OK\r\n\r\n", "neither a request nor a response"),
        (b"SIP/2.0 700 Late\r\n\r\n", "neither a request nor a response"),
        (b"SIP/2.0 2000 OK\r\n\r\n", "neither a request nor a response"),
        (b"SIP/2.0  200 OK\r\n\r\n", "neither a request nor a response"),
        (b"SIP/2.0 200 OK\r\nl: x\r\n\r\n", "invalid Content-Length"),
        (b"SIP/2.0 200 OK\r\nl: 0\r\nl: 1\r\n\r\na", "two values of Content-Length"),
        (b"SIP/2.0 200 OK\r\nl: 2\r\n\r\na", "body shorter than Content-Length"),
    ],
)
def test_what_cannot_be_answered_is_refused_without_a_status(
    data: bytes, reason: str
) -> None:
    with pytest.raises(MessageError, match=reason) as refused:
        parse(data)
    assert refused.value.status is None
    assert str(refused.value) == refused.value.reason


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_torture_message_keeps_its_bytes(case: Case) -> None:
    read = bytes(parse(case.data))
    assert case.data.startswith(read)
    assert (read == case.data) == (case.name not in CUT)


def test_length_is_that_of_its_bytes_but_for_line_ends() -> None:
    data = b"INVITE sip:a@b.test SIP/2.0\r\nVia: x\r\nTo: y\r\n\r\nbody"
    assert len(parse(data)) == len(data) - 4 * 2


def test_unknown_methods_fields_and_any_body_are_kept_in_case_and_order() -> None:
    data = torture("intmeth")
    assert parse(data).method == b"!interesting-Method0123456789_*+`.%indeed'~"
    lines = [b"X-b: 1", b"x-A: 2", b"X-B: 3", b"X-Null: a\x00b"]
    read = request(*lines, body=b"\x00\r\n\r\n\xff")
    assert bytes(read) == edited(*lines) + b"\x00\r\n\r\n\xff"
    assert read.all(b"x-b") == [b"1", b"3"]
    assert parse(torture("mpart01")).body.count(b"\x00") == 3


def test_folds_compact_forms_odd_spaces_cases_and_empty_values_are_read() -> None:
    read = parse(torture("wsinv"))
    assert read.first(b"to") == (
        b"sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n"
    )
    assert read.first(b"max-forwards") == b"0068"
    assert read.first(b"cseq") == b"0009 INVITE"
    assert read.first(b"subject") == b""
    assert (
        read.first(b"newfangledheader")
        == b"newfangled value continued newfangled value"
    )
    assert read.first(b"via") == b"SIP  /   2.0 /UDP 192.0.2.2;branch=390skdjuw"
    assert len(read.all(b"via")) == 2
    assert read.first(b"contact") is not None
    assert read.first(b"no-such") is None
    assert read.all(b"no-such") == []
    assert read.lines_of(b"max-forwards") == [b"MaX-fOrWaRdS: 0068"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("esc01", b"sip:sips%3Auser%40example.com@example.net"),
        ("escnull", b"Contact: <sip:%00%00@host5.example.com>"),
        ("esc02", b"RE%47IST%45R sip:registrar.example.com SIP/2.0"),
        ("esc02", b"C%6Fntact: <sip:alias2@host2.example.com>"),
    ],
)
def test_escapes_are_never_normalised(name: str, kept: bytes) -> None:
    read = parse(torture(name))
    assert kept in (read.uri, read.start, *read.lines)


def test_second_request_in_a_datagram_is_dropped() -> None:
    read = parse(torture("dblreq"))
    assert (read.method, read.body) == (b"REGISTER", b"")
    assert b"joe@example.com" not in bytes(read)


def test_body_is_cut_at_its_content_length() -> None:
    assert request(b"l: 2", body=b"body").body == b"bo"
    assert request(b"l: 2", b"l: 2", body=b"body").body == b"bo"
    assert parse(b"SIP/2.0 200 OK\r\nl: 1\r\n\r\nbody").body == b"b"


@pytest.mark.parametrize("lines", [(b"l: 9",), (b"l: -1",), (b"l: 1", b"l: 2")])
def test_request_of_uncertain_length_is_kept_to_be_answered(
    lines: tuple[bytes, ...],
) -> None:
    assert request(*lines, body=b"body").body == b"body"


def test_response_with_an_impossible_status_is_dropped() -> None:
    with pytest.raises(MessageError) as refused:
        parse(torture("bigcode"))
    assert refused.value.status is None


def test_bytes_that_are_no_text_are_kept_and_read() -> None:
    assert (
        request(b"Subject: \xff\xfe caf\xe9").first(b"subject") == b"\xff\xfe caf\xe9"
    )


def test_datagram_of_the_largest_size_is_read() -> None:
    line = b"X: " + 65_000 * b"x"
    assert bytes(request(line)) == edited(line)
    assert len(parse(torture("longreq")).all(b"via")) == 35


def test_content_length_is_read() -> None:
    assert content_length(request()) is None
    assert content_length(request(b"Content-Length: 0004", body=b"body")) == 4


@pytest.mark.parametrize(
    "lines",
    [(b"l: ",), (b"l: -999",), (b"l: +1",), (b"l: 1,1",), (b"l: " + 21 * b"1",)],
)
def test_content_length_that_is_none_is_refused(lines: tuple[bytes, ...]) -> None:
    with pytest.raises(MessageError, match="invalid Content-Length") as refused:
        content_length(request(*lines))
    assert refused.value.status == 400


def test_content_length_of_two_values_is_refused() -> None:
    with pytest.raises(MessageError, match="two values") as refused:
        content_length(request(b"Content-Length: 1", b"l: 2", body=b"ab"))
    assert refused.value.status == 400


# ---- Edits -------------------------------------------------------------------------


def test_pushed_field_stands_above_the_first_of_its_name() -> None:
    read = request(b"To: a", b"v: b", b"Via: c")
    read.push_first(b"via", b"new")
    assert bytes(read) == edited(b"To: a", b"Via: new", b"v: b", b"Via: c")
    assert read.all(b"via") == [b"new", b"b", b"c"]


def test_pushed_field_of_a_new_name_stands_above_all() -> None:
    read = request(b"To: a")
    read.push_first(b"record-route", b"<sip:r;lr>")
    assert bytes(read) == edited(b"Record-Route: <sip:r;lr>", b"To: a")


def test_first_value_is_taken_out_of_its_list() -> None:
    read = request(b'v: a;x="1,2\\"," ,\r\n  b, <c,d>', b"To: x", b"Via: e")
    assert read.pop_first_value(b"via") == b'a;x="1,2\\","'
    assert read.lines[0] == b"Via: b, <c,d>"
    assert read.pop_first_value(b"via") == b"b"
    assert read.pop_first_value(b"via") == b"<c,d>"
    assert bytes(read) == edited(b"To: x", b"Via: e")
    assert read.pop_first_value(b"via") == b"e"
    assert read.pop_first_value(b"via") is None
    assert bytes(read) == edited(b"To: x")


def test_first_line_is_given_replaced_and_taken_out_whole() -> None:
    read = request(b"v :  a,b", b"To: x", b"Via: c")
    assert read.line(b"via") == b"v :  a,b"
    assert read.line(b"from") == b""
    read.replace_line(b"via", b"Via: d")
    assert bytes(read) == edited(b"Via: d", b"To: x", b"Via: c")
    assert read.pop_line(b"via") == b"Via: d"
    assert read.names == [b"to", b"via"]
    assert bytes(read) == edited(b"To: x", b"Via: c")


def test_first_value_is_replaced_within_its_list() -> None:
    read = request(b"To: x", b"v: a ,\r\n b, c", b"v: d")
    read.replace_first_value(b"via", b"new")
    assert bytes(read) == edited(b"To: x", b"Via: new, b, c", b"v: d")
    read.pop_first_value(b"via")
    read.pop_first_value(b"via")
    read.replace_first_value(b"via", b"other")
    assert bytes(read) == edited(b"To: x", b"Via: other", b"v: d")


@pytest.mark.parametrize("value", [b'"a, b', b"<a, b", b'a\\"b'])
def test_value_without_its_end_is_neither_taken_out_nor_replaced(value: bytes) -> None:
    read = request(b"Route: " + value)
    with pytest.raises(MessageError) as refused:
        read.pop_first_value(b"route")
    assert refused.value.status == 400
    with pytest.raises(MessageError) as refused:
        read.replace_first_value(b"route", b"x")
    assert refused.value.status == 400
    assert bytes(read) == edited(b"Route: " + value)


def test_field_is_set_in_place_of_all_of_its_name() -> None:
    read = request(b"To: a", b"max-forwards: 9", b"Via: b", b"Max-Forwards: 8")
    read.set(b"max-forwards", b"7")
    assert bytes(read) == edited(b"To: a", b"Max-Forwards: 7", b"Via: b")
    read.set(b"max-forwards", b"6")
    assert read.all(b"max-forwards") == [b"6"]
    read.set(b"call-id", b"c")
    read.set(b"cseq", b"1 INVITE")
    assert read.lines[3:] == [b"Call-ID: c", b"CSeq: 1 INVITE"]


def test_removed_field_is_gone_with_all_its_lines() -> None:
    read = request(b"r: a", b"To: b", b"Refer-To: c")
    read.remove(b"refer-to")
    assert bytes(read) == edited(b"To: b")
    assert read.first(b"refer-to") is None


@pytest.mark.parametrize(
    ("came", "lines"),
    [
        (b"A: b\r\n\r\nbody", [b"A: b", b"Content-Length: 4"]),
        (b"A: b\r\n\r\n", [b"A: b", b"Content-Length: 0"]),
        (b"l:2\r\n\r\nbody", [b"l:2"]),
    ],
)
def test_length_is_said_where_it_was_not(came: bytes, lines: list[bytes]) -> None:
    read = parse(b"INVITE sip:a SIP/2.0\r\n" + came)
    read.ensure_length()
    assert read.lines == lines
    assert bytes(parse(bytes(read))) == bytes(read)


def test_retargeted_request_has_another_uri_alone() -> None:
    read = request(b"To: a")
    read.retarget(b"sip:c@d.test")
    assert bytes(read) == edited(b"To: a").replace(b"a@b.test", b"c@d.test")
    assert read.uri == b"sip:c@d.test"


def test_copy_is_edited_by_itself() -> None:
    read = request(b"To: a", b"l: 1", body=b"b")
    data = bytes(read)
    twin = read.copy()
    assert bytes(twin) == data
    twin.push_first(b"via", b"x")
    twin.set(b"to", b"y")
    twin.retarget(b"sip:z")
    assert bytes(read) == data
    assert (twin.method, twin.status, twin.body) == (b"INVITE", 0, b"b")


# ---- Properties --------------------------------------------------------------------


@PATIENT
@given(messages())
def test_message_however_written_keeps_its_bytes_and_means_the_same(sent: Sent) -> None:
    read = parse(sent.data)
    assert bytes(read) == sent.data
    assert read.body == sent.body
    assert read.names == [name for name, _ in sent.fields]
    for name in read.names:
        values = [value for other, value in sent.fields if other == name]
        assert read.all(name) == values
        assert read.first(name) == values[0]


@PATIENT
@given(messages(), st.data())
def test_broken_message_is_refused_or_kept(sent: Sent, data: st.DataObject) -> None:
    broken = data.draw(mutated(sent.data))
    try:
        read = parse(broken)
    except MessageError:
        return
    kept = bytes(read)
    assert broken.startswith(kept)
    if kept != broken:
        assert content_length(read) == len(read.body)


@PATIENT
@given(messages())
def test_edits_leave_all_other_lines_as_they_came(sent: Sent) -> None:
    read = parse(sent.data)
    before = [*read.lines]
    read.push_first(b"via", b"SIP/2.0/UDP a.test;branch=z9hG4bK1")
    assert read.pop_first_value(b"via") == b"SIP/2.0/UDP a.test;branch=z9hG4bK1"
    assert read.lines == before
    read.set(b"max-forwards", b"69")
    read.remove(b"max-forwards")
    assert bytes(read) == sent.data
