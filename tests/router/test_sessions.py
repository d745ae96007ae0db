"""What calls take of links, by the messages of theirs that pass."""

import dataclasses
from collections.abc import Collection

import pytest

from protocols.sip.message import Message, parse
from protocols.sip.records import CallRecord
from protocols.target import Target, Transport
from router.bandwidth import MAX_CALLS, Bandwidth, Capacity, Limits
from router.sessions import ASSUMED, CHALLENGED, GRACE, Sessions

G711 = 87_200.0
G729 = 31_200.0
OPUS = 55_200.0

PCMU = "m=audio 4000 RTP/AVP 0\r\n"
G729_ONLY = "m=audio 4000 RTP/AVP 18\r\n"
BOTH = "m=audio 4000 RTP/AVP 0 18\r\n"
OPUS_32K = (
    "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n"
    "a=fmtp:96 maxaveragebitrate=32000\r\n"
)


def message(
    start: str,
    cseq: str,
    media: str = "",
    *,
    call: str = "one",
    caller: str = "caller",
    called: str = "",
    back: bool = False,
    more: str = "",
) -> Message:
    """A message of a call; `back` exchanges its tags, `more` are lines of its head."""
    body = (
        f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n{media}" if media else ""
    )
    if not start.startswith("SIP/"):
        start = f"{start} sip:a@example.com SIP/2.0"
    tags = (caller, called) if not back else (called, caller)
    ours, theirs = (f";tag={tag}" if tag else "" for tag in tags)
    text = (
        f"{start}\r\nCall-ID: {call}\r\nCSeq: {cseq}\r\nFrom: <sip:a@b>{ours}\r\n"
        f"To: <sip:c@d>{theirs}\r\n{more}Content-Type: application/sdp\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    return parse(text.encode())


LIMITS = Limits(early=60, session=3600)


class Line:
    """A link of a megabit, and the calls on it."""

    def __init__(self) -> None:
        self.bandwidth = Bandwidth({"link1": Capacity(1e6, limits=LIMITS)})
        self.sessions = Sessions(self.bandwidth, {"ix": "link1"})
        self.now = 0.0

    def invite(
        self, media: str = PCMU, cseq: str = "1 INVITE", call: str = "one"
    ) -> None:
        request = message("INVITE", cseq, media, call=call)
        self.sessions.began(request, "ix", self.now)

    def request(
        self, cseq: str, media: str = "", *, back: bool = False, called: str = "called"
    ) -> None:
        method = cseq.partition(" ")[2]
        passed = message(method, cseq, media, back=back, called=called)
        before = bytes(passed)
        self.sessions.passed(passed, self.now)
        assert bytes(passed) == before

    def answer(
        self,
        status: int,
        cseq: str = "1 INVITE",
        media: str = "",
        more: str = "",
        called: str = "",
    ) -> None:
        start = f"SIP/2.0 {status} x"
        if status < 300:
            passed = message(start, cseq, media, called="called", more=more)
            self.sessions.passed(passed, self.now)
        else:
            asked = message(cseq.partition(" ")[2], cseq, media, called=called)
            self.sessions.refused(asked, status, self.now)

    def established(self, media: str = PCMU) -> None:
        self.invite(media)
        self.answer(200, media=media)
        self.request("1 ACK")

    @property
    def taken(self) -> float:
        return self.bandwidth.use("link1", self.now).taken


@pytest.fixture
def line() -> Line:
    return Line()


def test_call_takes_its_dearest_offer_until_it_is_answered(line: Line) -> None:
    line.invite(BOTH)
    assert line.taken == G711
    line.answer(100)
    line.answer(180)
    assert line.taken == G711
    line.answer(183, media=G729_ONLY)
    assert line.taken == G729
    line.answer(200, media=BOTH)
    assert line.taken == G711


@pytest.mark.parametrize("back", [False, True])
def test_bye_of_either_side_closes_the_call(line: Line, back: bool) -> None:
    line.established()
    line.request("2 BYE", back=back)
    assert line.taken == 0
    line.answer(200, "2 BYE")
    assert len(line.bandwidth) == 0


@pytest.mark.parametrize("status", [302, 408, 486, 487, 503, 603])
def test_failing_answer_closes_the_call(line: Line, status: int) -> None:
    line.invite()
    line.answer(status)
    assert len(line.bandwidth) == 0


def test_challenged_call_is_opened_again_and_late_repetitions_do_not_matter(
    line: Line,
) -> None:
    line.invite()
    line.answer(407)
    assert line.taken == G711
    line.invite(cseq="2 INVITE")
    line.answer(407)
    assert line.sessions.expire(CHALLENGED) == []
    assert line.taken == G711
    line.answer(403, "2 INVITE")
    assert line.taken == 0


@pytest.mark.parametrize("status", [401, 407])
def test_challenged_call_that_does_not_come_again_keeps_its_slot_for_a_moment(
    line: Line, status: int
) -> None:
    line.invite()
    line.answer(status)
    assert line.sessions.expire(CHALLENGED - 0.1) == []
    assert len(line.sessions.expire(CHALLENGED)) == 1


def test_refused_update_before_the_answer_leaves_the_call_as_it_was(
    line: Line,
) -> None:
    line.invite(OPUS_32K)
    line.request("2 UPDATE", PCMU)
    assert line.taken == G711
    line.answer(488, "2 UPDATE")
    assert line.taken == OPUS


def test_call_that_moves_to_another_target_has_one_slot(line: Line) -> None:
    line.invite()
    line.invite()
    assert line.taken == G711
    line.sessions.began(message("INVITE", "1 INVITE", PCMU), "ashburn", 0.0)
    assert len(line.bandwidth) == 0
    line.answer(200, media=PCMU)
    assert line.taken == 0


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("back", [False, True])
def test_later_offer_takes_more_at_once_and_less_when_it_is_agreed(
    line: Line, method: str, back: bool
) -> None:
    line.established(OPUS_32K)
    assert line.taken == OPUS
    line.request(f"2 {method}", PCMU, back=back)
    assert line.taken == G711
    line.answer(200, f"2 {method}", PCMU)
    assert line.taken == G711
    line.request(f"3 {method}", G729_ONLY, back=back)
    assert line.taken == G711
    line.answer(200, f"3 {method}", G729_ONLY)
    assert line.taken == G729


def test_refused_offer_leaves_the_call_as_it_was(line: Line) -> None:
    line.established(OPUS_32K)
    line.request("2 INVITE", PCMU)
    line.answer(488, "2 INVITE")
    assert line.taken == OPUS


def test_medium_taken_out_by_an_answer_takes_nothing(line: Line) -> None:
    line.established(PCMU + "m=video 4002 RTP/AVP 99\r\n")
    line.request("2 INVITE", PCMU + "m=video 4002 RTP/AVP 99\r\n")
    line.answer(200, "2 INVITE", PCMU + "m=video 0 RTP/AVP 99\r\n")
    assert line.taken == G711


def test_offer_of_the_called_side_is_settled_by_the_ack(line: Line) -> None:
    line.invite(media="")
    assert line.taken == ASSUMED
    line.answer(200, media=BOTH)
    assert line.taken == G711
    line.request("1 ACK", G729_ONLY)
    assert line.taken == G729


def test_refresh_without_an_offer_changes_nothing(line: Line) -> None:
    line.established()
    line.request("2 UPDATE")
    line.request("1 PRACK")
    line.request("2 INFO")
    line.answer(200, "2 UPDATE")
    line.request("3 INVITE")
    assert line.taken == G711


def test_update_before_the_answer_does_not_make_the_call_stand(line: Line) -> None:
    line.invite()
    line.request("2 UPDATE", PCMU)
    line.answer(200, "2 UPDATE", PCMU)
    line.answer(486)
    assert len(line.bandwidth) == 0


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "OPTIONS"])
@pytest.mark.parametrize("status", [408, 481])
def test_call_that_the_other_side_does_not_know_is_closed(
    line: Line, method: str, status: int
) -> None:
    line.established()
    line.request(f"2 {method}")
    line.answer(status, f"2 {method}", called="called")
    assert len(line.bandwidth) == 0


def test_failure_of_another_request_leaves_the_call(line: Line) -> None:
    line.established()
    line.answer(481, "2 NOTIFY")
    line.answer(500, "3 INFO")
    assert line.taken == G711


@pytest.mark.parametrize("body", ["m=audio\r\n", "m=audio 1 RTP/AVP x y\r\nb=x\r\n"])
def test_description_that_cannot_be_read_is_assumed(line: Line, body: str) -> None:
    line.invite(body)
    assert line.taken == ASSUMED
    line.answer(200, media=body)
    assert line.taken == ASSUMED


def test_call_that_keeps_ringing_is_counted(line: Line) -> None:
    line.invite()
    line.now = 50.0
    line.answer(180)
    assert line.sessions.expire(109.0) == []
    assert len(line.sessions.expire(110.0)) == 1


def test_unanswered_call_ends_after_a_while(line: Line) -> None:
    line.invite()
    assert line.sessions.expire(59.0) == []
    assert len(line.sessions.expire(60.0)) == 1
    assert line.taken == 0


@pytest.mark.parametrize(
    ("more", "ends"),
    [
        ("", 3600),
        ("Session-Expires: 90;refresher=uac\r\n", 90 + GRACE),
        ("x: 90\r\n", 90 + GRACE),
        ("Session-Expires: soon\r\n", 3600),
        ("Session-Expires: 1\r\n", 90 + GRACE),
    ],
)
def test_session_timer_bounds_the_call(line: Line, more: str, ends: float) -> None:
    line.invite()
    line.answer(200, media=PCMU, more=more)
    assert not line.sessions.expire(ends - 1)
    assert line.sessions.expire(ends)


@pytest.mark.parametrize(("cseq", "ends"), [("2 INFO", 90 + GRACE), ("2 UPDATE", 3600)])
def test_session_timer_is_changed_by_what_refreshes_sessions_alone(
    line: Line, cseq: str, ends: float
) -> None:
    line.invite()
    line.answer(200, media=PCMU, more="Session-Expires: 90\r\n")
    line.request(cseq)
    line.answer(200, cseq)
    assert not line.sessions.expire(ends - 1)
    assert line.sessions.expire(ends)


@pytest.mark.parametrize("status", [408, 486, 487])
def test_branch_of_a_forked_call_that_fails_leaves_what_was_answered(
    line: Line, status: int
) -> None:
    line.established()
    line.answer(status)
    assert line.taken == G711


@pytest.mark.parametrize("back", [True, False])
def test_call_that_is_asked_after_stands_and_one_that_is_not_does_not(
    line: Line, back: bool
) -> None:
    limits = dataclasses.replace(LIMITS, silence=90)
    line.bandwidth.change({"link1": Capacity(1e6, limits=limits)})
    line.established()
    for line.now in (80.0, 160.0, 240.0):
        line.request("2 OPTIONS", back=back)
        assert line.sessions.expire(line.now + 89) == []
    assert len(line.sessions.expire(line.now + 90)) == 1
    assert line.taken == 0


def test_calls_of_before_a_restart_are_closed_and_adjusted(line: Line) -> None:
    line.established(OPUS_32K)
    line.invite(call="rings")
    after = Line()
    after.bandwidth.restore(line.bandwidth.saved(0.0), 0.0)
    assert after.taken == OPUS + G711
    after.request("2 INVITE", PCMU)
    after.answer(200, "2 INVITE", PCMU)
    assert after.taken == 2 * G711
    rings = message("INVITE", "1 INVITE", call="rings")
    after.sessions.refused(rings, 486, 0.0)
    after.request("1 ACK")
    after.request("3 BYE")
    assert len(after.bandwidth) == 0


def test_call_of_a_link_that_is_no_more_is_forgotten(line: Line) -> None:
    line.established()
    line.bandwidth.change({})
    line.bandwidth.change({"link1": Capacity(1e6)})
    assert line.sessions.expire(0.0) == []
    line.request("2 INVITE", PCMU)
    assert line.taken == 0


def test_other_calls_are_not_counted(line: Line) -> None:
    line.invite()
    line.sessions.passed(message("BYE", "2 BYE", call="other"), 0.0)
    line.sessions.passed(message("BYE", "2 BYE", caller="other"), 0.0)
    line.sessions.refused(message("INVITE", "1 INVITE", call="other"), 486, 0.0)
    malformed = parse(
        b"BYE sip:a@b SIP/2.0\r\nCall-ID: one\r\nFrom: <<\r\nTo: \r\n\r\n"
    )
    line.sessions.passed(malformed, 0.0)
    assert line.taken == G711


def test_call_beyond_what_can_be_counted_is_not(line: Line) -> None:
    line.bandwidth.change({"link1": Capacity(1e12)})
    for number in range(MAX_CALLS):
        line.bandwidth.open(str(number), "link1", 1.0, 0.0)
    line.invite()
    line.answer(200, media=PCMU)
    assert line.taken == MAX_CALLS


@pytest.mark.parametrize(("media", "calls"), [(PCMU, 11), (OPUS_32K, 18)])
def test_megabit_admits_so_many_calls_and_spills_the_next(
    line: Line, media: str, calls: int
) -> None:
    asked = [chosen(line, media, str(number)) for number in range(calls + 1)]
    assert [edge for edge, _ in asked] == ["ix"] * calls + ["ashburn"]
    assert [record.spilled for _, record in asked] == [""] * calls + ["link1"]
    assert len(line.bandwidth) == calls
    assert line.bandwidth.use("link1", 0.0).spilled == 1


def chosen(line: Line, media: str, call: str) -> tuple[str, CallRecord]:
    """The edge that a new call goes to, and its record."""
    invite = message("INVITE", "1 INVITE", media, call=call)
    record = CallRecord("INVITE", "to_provider", "10.0.0.10", call, "caller")
    target = line.sessions.choosing(invite, choose, record, line.now)(())
    assert target is not None
    line.sessions.began(invite, target.label, line.now)
    return target.label, record


def choose(tried: Collection[Target]) -> Target | None:
    edges = (
        Target(f"192.0.2.{number}", 5060, Transport.UDP, label, label=label)
        for number, label in enumerate(("ix", "ashburn"), start=1)
    )
    return next((one for one in edges if one not in tried), None)


def test_call_under_way_does_not_mind_that_its_link_is_no_more(line: Line) -> None:
    invite = message("INVITE", "1 INVITE", PCMU)
    record = CallRecord("INVITE", "to_provider", "10.0.0.10", "one", "caller")
    roomy = line.sessions.choosing(invite, choose, record, line.now)
    line.sessions.change({})
    line.bandwidth.change({})
    target = roomy(())
    assert target is not None
    assert target.label == "ix"


def test_other_edges_are_behind_links_after_a_change(line: Line) -> None:
    line.sessions.change({"ashburn": "link1"})
    assert chosen(line, PCMU, "one")[0] == "ix"
    assert line.taken == 0
