"""What is wrong with messages, by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip.message import Message, MessageError, parse
from protocols.sip.validity import FIELDS, Call, check
from tests.protocols.sip.messages import PATIENT, mutated
from tests.torture import rfc4475, rfc5118
from tests.torture.cases import Case, Fate, Verdict

TORTURE = (*rfc4475.CASES, *rfc5118.CASES)
SOUND = {
    b"Via": b"SIP/2.0/UDP a.test;branch=z9hG4bK1",
    b"From": b"<sip:a@a.test>;tag=1",
    b"To": b"<sip:b@b.test>",
    b"Call-ID": b"c",
    b"CSeq": b"1 INVITE",
    b"Max-Forwards": b"70",
}
INVITE = b"INVITE sip:b@b.test SIP/2.0"
OK = b"SIP/2.0 200 OK"


def message(
    start: bytes = INVITE, *lines: bytes, without: bytes = b"", body: bytes = b""
) -> Message:
    """A sound message but for what is said."""
    fields = [k + b": " + v for k, v in SOUND.items() if k != without]
    return parse(b"\r\n".join((start, *fields, *lines, b"", body)))


def verdict(sent: Message | bytes) -> Verdict:
    try:
        check(sent if isinstance(sent, Message) else parse(sent))
    except MessageError as error:
        return error.status or Fate.DROPPED
    return Fate.PASSED


def told(case: Case) -> Verdict:
    """What the message alone tells of a torture case."""
    return Fate.PASSED if case.by_proxy else case.verdict


@pytest.mark.parametrize("case", TORTURE, ids=lambda case: case.name)
def test_torture_message_meets_its_verdict(case: Case) -> None:
    assert verdict(case.data) == told(case)


@pytest.mark.parametrize("start", [INVITE, OK, b"INVITE urn:service:sos sip/2.0"])
def test_sound_message_passes(start: bytes) -> None:
    assert verdict(message(start)) is Fate.PASSED


@pytest.mark.parametrize("start", [INVITE, OK])
@pytest.mark.parametrize("is_read", [True, False])
def test_sound_message_tells_its_call(start: bytes, is_read: bool) -> None:
    assert check(message(start), via_is_read=is_read) == Call(b"c", b"1", b"", 1)


@pytest.mark.parametrize("start", [INVITE, OK])
def test_message_without_via_is_dropped(start: bytes) -> None:
    assert verdict(message(start, without=b"Via")) is Fate.DROPPED


@pytest.mark.parametrize("name", [b"From", b"To", b"Call-ID", b"CSeq"])
@pytest.mark.parametrize("start", [INVITE, OK])
def test_mandatory_field_missing_or_given_twice_is_refused(
    start: bytes, name: bytes
) -> None:
    expected: Verdict = 400 if start is INVITE else Fate.DROPPED
    assert verdict(message(start, without=name)) == expected
    assert verdict(message(start, name + b": " + SOUND[name])) == expected


@pytest.mark.parametrize(
    "line",
    [
        *(b"Via: SIP/2.0/UDP", b"From: a", b"To: <sip:b>;tag", b"To: <sip:b", b"i:"),
        *(b"CSeq: 1", b"CSeq: 2147483648 INVITE", b"From: <sip:a>;tag=1;tag=2"),
    ],
)
def test_mandatory_field_that_cannot_be_read_is_refused(line: bytes) -> None:
    name = {b"i": b"Call-ID"}.get(line.partition(b":")[0], line.partition(b":")[0])
    expected = Fate.PASSED if line.endswith(b">;tag") else 400
    assert verdict(message(INVITE, line, without=name)) == expected


def test_cseq_of_another_method_is_refused_in_a_request_alone() -> None:
    assert verdict(message(INVITE.replace(b"INVITE", b"OPTIONS"))) == 400
    assert verdict(message(INVITE.replace(b"INVITE", b"invite"))) == 400
    assert verdict(message(OK)) is Fate.PASSED


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"0", Fate.PASSED),
        (b"0068", Fate.PASSED),
        (b"255", Fate.PASSED),
        (b"256", 400),
        (b"-1", 400),
        (b"", 400),
        (b"9" * 5_000, 400),
    ],
)
def test_max_forwards_is_a_number_of_hops(value: bytes, expected: Verdict) -> None:
    line = b"Max-Forwards: " + value
    assert verdict(message(INVITE, line, without=b"Max-Forwards")) == expected


def test_max_forwards_may_be_missing_and_not_be_given_twice() -> None:
    assert verdict(message(without=b"Max-Forwards")) is Fate.PASSED
    assert verdict(message(INVITE, b"Max-Forwards: 70")) == 400


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"INVITE sip:b@b.test SIP/7.0", 505),
        (b"INVITE sip:b@b.test SIP/7.0 ", 505),
        (b"INVITE sip:b@b.test SIP/2.00", 505),
        (b"INVITE sip:b@b.test SIP/2.0 ", 400),
        (b"INVITE sip:b@b.test SIP/2.0\t", 400),
        (b"INVITE  sip:b@b.test SIP/2.0", 400),
        (b"INVITE sip:b@b.test  SIP/2.0", 400),
        (b"INVITE sip:b@b.test;\tlr SIP/2.0", 400),
        (b"INVITE SIP/2.0", 400),
        (b"INVITE  SIP/2.0", 400),
        (b"INVITE <sip:b@b.test> SIP/2.0", 400),
        (b"INVITE b@b.test SIP/2.0", 400),
        (b"INVITE sip:b@b.test? SIP/2.0", 400),
        (b"INVITE sip:b?c@b.test SIP/2.0", Fate.PASSED),
        (b"INVITE tel:+1?2 SIP/2.0", Fate.PASSED),
        (b"INVITE sip:2001:db8::1 SIP/2.0", 400),
        (b"INVITE sip:[2001:db8::1]:5060 SIP/2.0", Fate.PASSED),
        (b"INVITE nobodyKnows:this SIP/2.0", Fate.PASSED),
    ],
)
def test_start_line_is_checked(start: bytes, expected: Verdict) -> None:
    assert verdict(message(start)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"l: 4", Fate.PASSED),
        (b"l: 2", Fate.PASSED),
        (b"l: 5", 400),
        (b"l: -5", 400),
        (b"l: 2\r\nContent-Length: 2", Fate.PASSED),
        (b"l: 2\r\nContent-Length: 3", 400),
    ],
)
def test_content_length_is_checked(line: bytes, expected: Verdict) -> None:
    assert verdict(message(INVITE, line, body=b"body")) == expected


def test_message_of_too_many_fields_is_refused() -> None:
    lines = [b"X: a"] * (FIELDS - len(SOUND))
    assert verdict(message(INVITE, *lines)) is Fate.PASSED
    assert verdict(message(INVITE, *lines, b"X: a")) == 513
    assert verdict(message(OK, *lines, b"X: a")) is Fate.DROPPED


def test_scheme_is_none_of_the_messages_own_affairs() -> None:
    named = {case.name: case for case in TORTURE}
    for name in ("unkscm", "novelsc", "unksm2", "bext01", "zeromf"):
        assert verdict(named[name].data) is Fate.PASSED


@PATIENT
@given(st.data())
def test_broken_message_meets_a_verdict(data: st.DataObject) -> None:
    sent = data.draw(st.sampled_from([case.data for case in TORTURE]).flatmap(mutated))
    assert verdict(sent) in (*Fate, 400, 505, 513)
