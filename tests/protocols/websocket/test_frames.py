"""Frames: where they end, what breaks a stream, in whatever pieces it comes."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from protocols.websocket.frames import NO_CODE, FrameTracker, close
from tests.protocols.http.messages import PATIENT, mutated, splits

MASK = b"\x12\x34\x56\x78"
BOTH = pytest.mark.parametrize("masked", [True, False], ids=["masked", "plain"])


def frame(first: int, length: int, masked: bool, payload: bytes | None = None) -> bytes:
    """A frame with this first byte, its payload hidden by no mask at all."""
    bit = 0x80 if masked else 0
    if length < 126:
        head = bytes((first, bit | length))
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    body = bytes(length) if payload is None else payload
    return head + (bytes(4) if masked else b"") + body


@BOTH
@pytest.mark.parametrize("length", [0, 1, 125, 126, 160, 65_535, 65_536, 70_000])
def test_message_of_any_length_ends_at_a_boundary(length: int, masked: bool) -> None:
    tracker = FrameTracker(masked=masked)
    data = frame(0x82, length, masked)
    assert tracker.feed(data[:-1])
    assert not tracker.at_boundary()
    assert tracker.feed(data[-1:])
    assert tracker.at_boundary()
    assert tracker.feed(data + data)
    assert tracker.at_boundary()
    assert tracker.messages == 3


@BOTH
def test_empty_message_in_single_bytes_ends_at_a_boundary(masked: bool) -> None:
    tracker = FrameTracker(masked=masked)
    for byte in frame(0x81, 0, masked):
        assert tracker.feed(bytes((byte,)))
        assert not tracker.ended()
    assert tracker.at_boundary()
    assert tracker.messages == 1


def test_bytes_until_the_end_of_a_frame_are_known() -> None:
    tracker = FrameTracker(masked=True)
    tracker.feed(frame(0x82, 1_000, True)[:500])
    assert tracker.left == 8 + 1_000 - 500


@BOTH
def test_fragments_with_pings_between_them_make_one_message(masked: bool) -> None:
    tracker = FrameTracker(masked=masked)
    for first in (0x01, 0x89, 0x00, 0x8A, 0x00):
        assert tracker.feed(frame(first, 3, masked))
        assert tracker.at_boundary()
        assert tracker.messages == 0
    assert tracker.feed(frame(0x80, 3, masked))
    assert tracker.messages == 1
    assert tracker.feed(frame(0x81, 3, masked))
    assert tracker.messages == 2


def test_bits_of_extensions_pass() -> None:
    tracker = FrameTracker(masked=False)
    for first in (0xC1, 0xF2, 0x71, 0xE9, 0xF0):
        assert tracker.feed(frame(first, 5, False))
    assert tracker.messages == 3


@BOTH
def test_length_that_could_be_shorter_passes(masked: bool) -> None:
    tracker = FrameTracker(masked=masked)
    short = struct.pack("!BBQ", 0x81, 127 | (0x80 if masked else 0), 1)
    assert tracker.feed(short + (MASK if masked else b"") + b"x")
    assert tracker.at_boundary()


BREACHES: dict[str, list[tuple[int, ...]]] = {
    "a reserved opcode": [(0x83, 0), (0x87, 0), (0x8B, 0), (0x0F, 0)],
    "a fragmented control frame": [(0x08, 0), (0x09, 0), (0x0A, 0)],
    "a continuation of no message": [(0x00, 0), (0x80, 0)],
    "a new message within a fragmented one": [(0x01, 0, 0x81), (0x02, 0, 0x01)],
    "a control frame of more than 125 bytes": [
        (0x88, 126),
        (0x89, 1 << 16),
        (0x8A, 200),
    ],
}


@BOTH
@pytest.mark.parametrize(
    ("reason", "case"),
    [(reason, case) for reason, cases in BREACHES.items() for case in cases],
)
def test_breach_is_told_once_and_no_boundary_follows(
    reason: str, case: tuple[int, ...], masked: bool
) -> None:
    first, length, *more = case
    data = b"".join(frame(one, length, masked) for one in (first, *more))
    single = FrameTracker(masked=masked)
    verdicts = [single.feed(data[at : at + 1]) for at in range(len(data))]
    assert verdicts.count(False) == 1
    whole = FrameTracker(masked=masked)
    assert not whole.feed(data)
    for tracker in (single, whole):
        assert tracker.breach == reason
        assert tracker.ended()
        assert tracker.feed(frame(0x81, 1, masked))
        assert not tracker.at_boundary()
        assert tracker.to_boundary(frame(0x81, 1, masked)) == -1
        assert tracker.code is None


@pytest.mark.parametrize(
    ("masked", "reason"),
    [(True, "no mask on a frame"), (False, "a mask on a frame")],
)
@pytest.mark.parametrize("first", [0x81, 0x01, 0x89, 0x88])
@pytest.mark.parametrize("length", [0, 5, 126])
def test_wrong_direction_of_masking_is_a_breach(
    masked: bool, reason: str, first: int, length: int
) -> None:
    tracker = FrameTracker(masked=masked)
    assert not tracker.feed(frame(first, length, not masked))
    assert tracker.breach == reason


@BOTH
@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1])
def test_length_of_64_bits_is_a_breach(length: int, masked: bool) -> None:
    tracker = FrameTracker(masked=masked)
    assert not tracker.feed(frame(0x82, length, masked, b""))
    assert tracker.breach == "a length of more than 63 bits"


def test_longest_length_is_none() -> None:
    tracker = FrameTracker(masked=False)
    assert tracker.feed(frame(0x82, (1 << 63) - 1, False, b""))
    assert tracker.left == (1 << 63) - 1


@BOTH
def test_code_of_a_close_frame_is_seen_in_any_pieces(masked: bool) -> None:
    data = Frame(Opcode.CLOSE, Close(4001, "away").serialize()).serialize(mask=masked)
    before = frame(0x81, 3, masked)
    for cut in range(len(data)):
        tracker = FrameTracker(masked=masked)
        verdicts = [tracker.feed(before + data[:cut]), tracker.feed(data[cut:])]
        assert verdicts.count(False) == 1
        assert tracker.code == 4001
        assert tracker.ended()
        assert not tracker.breach
        assert not tracker.at_boundary()
        assert tracker.feed(b"whatever comes behind it")


@BOTH
@pytest.mark.parametrize("length", [0, 1])
def test_close_frame_without_a_code_is_one_all_the_same(
    length: int, masked: bool
) -> None:
    tracker = FrameTracker(masked=masked)
    assert not tracker.feed(frame(0x88, length, masked))
    assert tracker.code == NO_CODE


@BOTH
def test_way_to_the_next_boundary_is_measured(masked: bool) -> None:
    one = frame(0x82, 300, masked)
    for cut in range(len(one) + 1):
        tracker = FrameTracker(masked=masked)
        tracker.feed(one[:cut])
        rest = one[cut:] + one
        assert tracker.to_boundary(rest) == (0 if not cut else len(one) - cut)
        assert tracker.at_boundary()


def test_boundary_that_is_not_within_is_awaited() -> None:
    one = frame(0x82, 300, True)
    tracker = FrameTracker(masked=True)
    tracker.feed(one[:1])
    assert tracker.to_boundary(one[1:3]) == -1
    assert tracker.to_boundary(b"") == -1
    assert tracker.to_boundary(one[3:200]) == -1
    assert tracker.to_boundary(one[200:]) == len(one) - 200


@pytest.mark.parametrize("mask", [b"", MASK], ids=["plain", "masked"])
@pytest.mark.parametrize("reason", ["", "a", "the router restarts", "x" * 123])
def test_close_frame_is_read_by_others(mask: bytes, reason: str) -> None:
    reader = StreamReader()
    reader.feed_data(close(1012, reason, mask=mask))
    parsed = parse(reader, masked=bool(mask))
    assert parsed is not None
    assert Close.parse(parsed.data) == Close(1012, reason)
    assert reader.buffer == b""


def test_reason_that_does_not_fit_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError):
        close(1012, "x" * 124)


@BOTH
@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 7, 8, 9, 10, 127, 128, 131, 132, 136])
def test_chunk_is_followed_as_its_pieces_are(size: int, masked: bool) -> None:
    """A chunk that is one message goes another way, and nothing else may go it."""
    lengths = (struct.pack("!H", size - more) for more in (4, 5, 8, 9) if size >= more)
    ends = [length + bytes(size) for length in lengths] or [bytes(size)]
    firsts = (0x81, 0xC2, 0x01, 0x80, 0x89, 0x88, 0x83)
    near = {
        (bit + length) & 0xFF for bit in (0, 128) for length in range(size - 9, size)
    }
    seconds = {*near, 0, 1, 125, 126, 127, 128, 253, 254, 255}
    for first, second, end in itertools.product(firsts, seconds, ends):
        data = (bytes((first, second)) + end)[:size]
        whole, pieces = FrameTracker(masked=masked), FrameTracker(masked=masked)
        verdict = whole.feed(data)
        assert pieces.feed(data[:1]) & pieces.feed(data[1:]) == verdict
        for fact in ("left", "messages", "breach", "code"):
            assert getattr(whole, fact) == getattr(pieces, fact), (data, fact)


# ---- Against another parser --------------------------------------------------------


def parse(reader: StreamReader, *, masked: bool) -> Frame | None:
    """The next frame by the library; None if it is not whole. Raises ProtocolError."""
    parsing = Frame.parse(reader.read_exact, mask=masked)
    try:
        next(parsing)
    except StopIteration as done:
        found: Frame = done.value
        return found
    return None


def judge(stream: bytes, *, masked: bool) -> tuple[str, int, bool]:
    """The library's verdict, the messages it found, and whether a Close was among."""
    reader = StreamReader()
    messages, within = 0, False
    while stream:
        reader.buffer[:] = stream
        try:
            found = parse(reader, masked=masked)
        except (ProtocolError, OverflowError):
            return "broken", messages, False
        if found is None:
            return "within a frame", messages, False
        if found.opcode is Opcode.CLOSE:
            return "closed", messages, True
        if found.opcode < 8:
            if within != (found.opcode is Opcode.CONT):
                return "broken", messages, False
            within = not found.fin
            messages += found.fin
        stream = bytes(reader.buffer)
    return "at a boundary", messages, False


SMALL = st.sampled_from([0, 1, 7, 124, 125, 126, 127, 160])
LARGE = st.sampled_from([0, 126, 160, 65_535, 65_536])


def written(one: Frame, *, masked: bool) -> bytes:
    """A frame with a mask that changes nothing: so that a failure can be repeated."""
    first = one.opcode | (0x80 if one.fin else 0)
    return frame(first, len(one.data), masked, bytes(one.data))


CONTROLS = st.tuples(
    st.sampled_from([Opcode.PING, Opcode.PONG]), st.integers(0, 125)
).map(lambda made: Frame(made[0], bytes(made[1])))


@st.composite
def frames(draw: st.DrawFn, sizes: st.SearchStrategy[int]) -> list[Frame]:
    """Some messages, whole or in fragments, with control frames anywhere."""
    sent: list[Frame] = []
    opcodes = st.sampled_from([Opcode.TEXT, Opcode.BINARY])
    for opcode in draw(st.lists(opcodes, max_size=4)):
        lengths = draw(st.lists(sizes, min_size=1, max_size=3))
        for number, length in enumerate(lengths):
            sent += draw(st.lists(CONTROLS, max_size=1))
            final = number == len(lengths) - 1
            sent.append(Frame(Opcode.CONT if number else opcode, bytes(length), final))
    return sent


@PATIENT
@given(st.data(), frames(LARGE), st.booleans())
def test_stream_in_any_pieces_has_the_boundaries_that_were_made(
    data: st.DataObject, sent: list[Frame], masked: bool
) -> None:
    pieces = [written(one, masked=masked) for one in sent]
    ends, stream = {0}, b""
    for piece in pieces:
        stream += piece
        ends.add(len(stream))
    whole = sum(one.fin and one.opcode < 8 for one in sent)
    for chunks in (pieces, data.draw(splits(stream))):
        tracker, seen = FrameTracker(masked=masked), 0
        for chunk in chunks:
            assert tracker.feed(chunk)
            seen += len(chunk)
            assert tracker.at_boundary() == (seen in ends)
        assert tracker.messages == whole


@PATIENT
@given(st.data(), frames(SMALL), st.booleans())
def test_damaged_stream_is_judged_as_the_library_does(
    data: st.DataObject, sent: list[Frame], masked: bool
) -> None:
    frames = [written(one, masked=masked) for one in sent]
    stream = data.draw(mutated(b"".join(frames)))
    ends = [0, *itertools.accumulate(map(len, frames)), len(stream)]
    as_written = [stream[start:end] for start, end in itertools.pairwise(ends)]
    # Reserved bits belong to extensions; who negotiated none refuses them.
    trackers = []
    split = data.draw(splits(stream))
    for pieces in ([stream], as_written, split, [*map(_byte, stream)]):
        tracker = FrameTracker(masked=masked)
        verdicts = [tracker.feed(piece) for piece in pieces if piece]
        assert verdicts.count(False) == tracker.ended()
        trackers.append(tracker)
    one = trackers[0]
    for other in trackers[1:]:
        assert other.at_boundary() == one.at_boundary()
        assert (other.breach, other.code) == (one.breach, one.code)
        assert other.messages == one.messages
    verdict, messages, closed = judge(stream, masked=masked)
    if verdict == "at a boundary":
        assert one.at_boundary()
        assert one.messages == messages
    if closed:
        assert one.code is not None
    if one.breach:
        assert verdict in ("broken", "within a frame")
    if one.at_boundary() and stream:
        # What passes here and not there has bits of extensions set.
        assert verdict == "at a boundary" or any(byte & 0x70 for byte in stream)


def _byte(value: int) -> bytes:
    return bytes((value,))
