import pytest

from protocols.sip import replies
from protocols.sip.message import parse
from tests.protocols.sip.stage import INVITE, PBX, Stage, request, response

ASKED = parse(request("INVITE", more=["Timestamp: 54", "Via: SIP/2.0/UDP 10.0.0.11"]))


def test_reply_repeats_what_an_answer_must_repeat_in_its_order() -> None:
    answer = parse(replies.reply(ASKED, 486, b"Busy Here", [b"X-A: 1"]))
    assert answer.start == b"SIP/2.0 486 Busy Here"
    for name in (b"via", b"from", b"call-id", b"cseq"):
        assert answer.lines_of(name) == ASKED.lines_of(name)
    assert answer.first(b"x-a") == b"1"
    assert answer.first(b"content-length") == b"0"
    assert answer.first(b"contact") is None


def test_reply_adds_the_same_tag_to_each_repetition() -> None:
    tags = {parse(replies.reply(ASKED, s)).first(b"to") for s in (404, 404, 500)}
    assert len(tags) == 1
    assert b";tag=" in (tags.pop() or b"")


def test_reply_keeps_the_tag_that_is_there() -> None:
    asked = parse(request("BYE", to="<sip:x@h>;tag=t"))
    assert parse(replies.reply(asked, 481)).first(b"to") == b"<sip:x@h>;tag=t"


def test_reply_to_a_malformed_to_repeats_it() -> None:
    asked = parse(request("INVITE", to='"x <sip:y>'))
    assert parse(replies.reply(asked, 400)).first(b"to") == b'"x <sip:y>'


def test_trying_has_no_tag_and_the_timestamp() -> None:
    # RFC 3261 section 8.2.6.1.
    trying = parse(replies.reply(ASKED, 100))
    assert trying.start == b"SIP/2.0 100 Trying"
    assert trying.lines_of(b"to") == ASKED.lines_of(b"to")
    assert trying.first(b"timestamp") == b"54"
    assert parse(replies.reply(ASKED, 200)).first(b"timestamp") is None


@pytest.mark.parametrize("status", sorted(replies.REASONS))
def test_reply_of_our_own_has_the_reason_of_the_rfc(status: int) -> None:
    answer = parse(replies.reply(ASKED, status))
    assert replies.reason_of(answer) == replies.REASONS[status]


def test_ack_and_cancel_are_messages_along_the_same_way() -> None:
    asked = parse(request("INVITE", more=["Route: <sip:a;lr>", "Route: <sip:b;lr>"]))
    answer = parse(response(INVITE, "404 Not Found", tag="x"))
    ack = parse(replies.ack(asked, b"Via: SIP/2.0/UDP us", answer))
    cancel = parse(replies.cancel(asked, b"Via: SIP/2.0/UDP us", [b"Reason: r"]))
    for sent, method in ((ack, b"ACK"), (cancel, b"CANCEL")):
        assert (sent.method, sent.uri) == (method, asked.uri)
        assert sent.all(b"via") == [b"SIP/2.0/UDP us"]
        assert sent.all(b"route") == [b"<sip:a;lr>", b"<sip:b;lr>"]
        assert sent.first(b"cseq") == b"1 " + method
        assert sent.first(b"max-forwards") == b"70"
    assert ack.first(b"to") == answer.first(b"to")
    assert cancel.first(b"to") == asked.first(b"to")
    assert cancel.first(b"reason") == b"r"


def test_answer_with_another_status_keeps_all_its_lines() -> None:
    answer = parse(response(INVITE, "503 Service Unavailable"))
    lines = list(answer.lines)
    replies.restate(answer, 500)
    assert (answer.status, answer.start) == (500, b"SIP/2.0 500 Server Internal Error")
    assert answer.lines == lines


def test_reply_is_addressed_by_the_stage_to_whoever_asked() -> None:
    assert Stage().receive(INVITE)[0].to == PBX
