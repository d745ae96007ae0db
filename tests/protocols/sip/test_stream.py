"""Messages and keep-alives out of a stream, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip.message import Message, MessageError
from protocols.sip.stream import MESSAGE, Stream
from protocols.sip.validity import check
from tests.protocols.sip.messages import PATIENT, Sent, messages, mutated, splits
from tests.torture import rfc4475, rfc5118
from tests.torture.cases import Case, Fate, Verdict

TORTURE = (*rfc4475.CASES, *rfc5118.CASES)
HEAD = b"OPTIONS sip:a@b.test SIP/2.0\r\n"
ONE = HEAD + b"Via: x\r\nl: 4\r\n\r\nbody"
TWO = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"


def fed(stream: Stream, *pieces: bytes) -> list[bytes]:
    return [bytes(message) for piece in pieces for message in stream.feed(piece)]


def failed(stream: Stream) -> tuple[int | None, str]:
    assert stream.error is not None
    return stream.error.status, stream.error.reason


def test_many_messages_of_one_segment_come_in_order() -> None:
    stream = Stream()
    assert fed(stream, ONE + TWO + ONE + HEAD) == [ONE, TWO, ONE]
    assert len(stream) == len(HEAD)
    assert stream.waiting


@pytest.mark.parametrize("cut", range(len(ONE + TWO) + 1))
def test_messages_cut_at_any_byte_are_the_same(cut: int) -> None:
    data = ONE + TWO
    stream = Stream()
    assert fed(stream, data[:cut], data[cut:]) == [ONE, TWO]
    assert not stream.waiting
    assert len(stream) == 0


def test_messages_that_come_byte_by_byte_are_the_same() -> None:
    data = b"\r\n" + ONE + b"\r\n\r\n" + TWO
    pieces = [data[at : at + 1] for at in range(len(data))]
    assert fed(Stream(), *pieces) == [ONE, TWO]


def test_unfinished_body_is_awaited() -> None:
    stream = Stream()
    assert fed(stream, ONE[:-4]) == []
    assert stream.waiting
    assert len(stream) == 0
    assert fed(stream, b"body") == [ONE]


def test_line_ends_before_a_message_are_ignored() -> None:
    assert fed(Stream(), b"\r\n\r\n\r\n" + ONE, b"\r", b"\n" + TWO) == [ONE, TWO]


@pytest.mark.parametrize("name", ["dblreq", "clerr"])
def test_torture_message_is_framed_by_its_length_alone(name: str) -> None:
    case = next(case for case in TORTURE if case.name == name)
    stream = Stream()
    assert len(stream.feed(case.data)) == {"dblreq": 2, "clerr": 0}[name]
    assert stream.waiting == (name == "clerr")


def verdict(stream: Stream, read: list[Message]) -> Verdict:
    try:
        if stream.error is not None:
            raise stream.error
        for message in read:
            check(message)
    except MessageError as error:
        return error.status or Fate.DROPPED
    return Fate.AWAITED if stream.waiting else Fate.PASSED


@pytest.mark.parametrize("case", TORTURE, ids=lambda case: case.name)
def test_torture_message_meets_its_verdict_in_any_pieces(case: Case) -> None:
    for step in (1, 7, len(case.data)):
        stream, read = Stream(), []
        for at in range(0, len(case.data), step):
            read += stream.feed(case.data[at : at + step])
        expected = Fate.PASSED if case.by_proxy else case.streamed
        assert verdict(stream, read) == expected
        if expected is Fate.PASSED:
            assert len(read) == case.messages
            assert b"".join(bytes(message) for message in read) == case.data


# ---- Keep-alives -------------------------------------------------------------------


def test_two_line_ends_are_a_ping() -> None:
    stream = Stream()
    for piece, pings in [
        (b"\r\n\r\n", 1),
        (b"\r\n\r\n\r\n\r\n", 2),
        (b"\r\n", 0),
        (b"\r", 0),
        (b"\n", 1),
        (ONE, 0),
        (ONE + b"\r\n\r\n" + TWO, 1),
        (b"\r\n" + ONE + b"\r\n", 0),
    ]:
        fed(stream, piece)
        assert stream.pings == pings


@pytest.mark.parametrize(
    ("data", "awaits", "pings"),
    [(ONE, True, 0), (b"\r\n", False, 0), (b"\r\n\r\n\r\n", False, 1)],
)
def test_one_line_end_is_the_answer_that_is_awaited(
    data: bytes, awaits: bool, pings: int
) -> None:
    stream = Stream()
    stream.awaits_pong = True
    fed(stream, data)
    assert (stream.awaits_pong, stream.pings) == (awaits, pings)


# ---- What ends a stream ------------------------------------------------------------


def test_message_without_content_length_is_answered_and_ends_the_stream() -> None:
    stream = Stream()
    assert fed(stream, ONE + HEAD + b"Via: x\r\n\r\n" + ONE) == [ONE]
    assert failed(stream) == (400, "no Content-Length on a stream")
    assert stream.refused is not None
    assert bytes(stream.refused) == HEAD + b"Via: x\r\n\r\n"
    assert fed(stream, ONE) == []
    assert not stream.waiting


@pytest.mark.parametrize("value", [b"-1", b"", b"1, 1", b"1\r\nl: 2"])
def test_message_of_uncertain_length_is_answered_and_ends_the_stream(
    value: bytes,
) -> None:
    stream = Stream()
    assert fed(stream, HEAD + b"l: " + value + b"\r\n\r\n") == []
    assert failed(stream)[0] == 400
    assert stream.refused is not None


def test_response_of_uncertain_length_ends_the_stream_without_an_answer() -> None:
    stream = Stream()
    assert fed(stream, TWO + b"SIP/2.0 200 OK\r\n\r\n") == [TWO]
    assert failed(stream) == (None, "no Content-Length on a stream")
    assert stream.refused is None


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\r\r\n\r\n", b"a\nb\r\n\r\n"]
)
def test_what_is_no_message_ends_the_stream_without_an_answer(data: bytes) -> None:
    stream = Stream()
    assert fed(stream, ONE + data + ONE) == [ONE]
    assert failed(stream)[0] is None
    assert stream.refused is None


def test_message_as_large_as_the_limit_passes_and_a_byte_more_is_answered() -> None:
    assert fed(Stream(limit=len(ONE)), ONE + ONE) == [ONE, ONE]
    stream = Stream(limit=len(ONE) - 1)
    assert fed(stream, ONE) == []
    assert failed(stream) == (513, "message too large")
    assert stream.refused is not None


@pytest.mark.parametrize("step", [1, 1_000, MESSAGE + 1])
def test_head_without_end_ends_the_stream_at_the_limit(step: int) -> None:
    data = HEAD + b"X: " + b"x" * (MESSAGE + 1 - len(HEAD) - 3)
    stream = Stream(limit=2_000) if step == 1 else Stream()
    data = data[:2_001] if step == 1 else data
    for at in range(0, len(data) - 1, step):
        assert stream.error is None
        fed(stream, data[at : at + step])
    fed(stream, data[-1:])
    assert failed(stream) == (None, "head too large")
    assert len(stream) == 0


def test_whole_head_above_the_limit_ends_the_stream() -> None:
    stream = Stream(limit=len(TWO) - 1)
    assert fed(stream, TWO) == []
    assert failed(stream) == (None, "head too large")


# ---- Properties --------------------------------------------------------------------

_gaps = st.sampled_from([b"", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n"])


@PATIENT
@given(st.lists(st.tuples(_gaps, messages(framed=True)), max_size=4), st.data())
def test_any_cut_gives_the_same_messages_and_pings(
    sent: list[tuple[bytes, Sent]], data: st.DataObject
) -> None:
    stream, read, pings = Stream(), [], 0
    for piece in data.draw(splits(b"".join(gap + one.data for gap, one in sent))):
        read += fed(stream, piece)
        pings += stream.pings
    assert read == [one.data for _, one in sent]
    assert pings == sum(len(gap) // 4 for gap, _ in sent)
    assert not stream.waiting


@PATIENT
@given(st.lists(messages(framed=True), max_size=3), st.data())
def test_any_cut_of_a_broken_stream_gives_the_same(
    sent: list[Sent], data: st.DataObject
) -> None:
    broken = data.draw(mutated(b"".join(one.data for one in sent)))
    whole, cut = Stream(), Stream()
    assert fed(whole, broken) == fed(cut, *data.draw(splits(broken)))
    assert (whole.error is None) == (cut.error is None)
    assert (whole.refused is None) == (cut.refused is None)
    if whole.error is not None and cut.error is not None:
        assert whole.error.reason == cut.error.reason
