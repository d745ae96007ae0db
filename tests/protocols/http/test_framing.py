"""Bodies: where they end, in whatever pieces they come, and what goes on of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.http.framing import (
    Chunked,
    Sized,
    UntilClose,
    chunk,
    last_chunk,
    reader,
)
from protocols.http.head import HeadError, parse_request, parse_response
from tests.protocols.http.messages import PATIENT, Message, mutated, requests, splits
from tests.protocols.http.smuggling import CASES, CHUNKED_HEAD, Case
from tests.protocols.http.stream import read_requests

_CHUNKED = [case for case in CASES if case.data.startswith(CHUNKED_HEAD)]


def read_chunked(data: bytes, step: int) -> tuple[bytes, Chunked]:
    chunked = Chunked(400)
    body = b""
    for start in range(0, len(data), step):
        if chunked.done:
            chunked.rest += data[start : start + step]
        else:
            body += chunked.feed(data[start : start + step])
    return body, chunked


# ---- Known length, and none --------------------------------------------------------


def test_sized_body_ends_after_its_bytes_and_leaves_the_rest() -> None:
    body = Sized(5)
    assert (body.feed(b"abc"), body.done) == (b"abc", False)
    assert (body.feed(b"defgh"), body.done, body.rest) == (b"de", True, b"fgh")


def test_sized_body_that_ends_with_the_data_leaves_nothing() -> None:
    body = Sized(3)
    assert (body.feed(b"abc"), body.done, body.rest) == (b"abc", True, b"")


def test_body_of_no_length_is_done_and_takes_nothing() -> None:
    body = Sized(0)
    assert body.done
    assert (body.feed(b"abc"), body.rest) == (b"", b"abc")


def test_body_that_ends_with_the_connection_takes_all() -> None:
    body = UntilClose()
    assert (body.feed(b"abc"), body.done, body.rest) == (b"abc", False, b"")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"Content-Length: 3", Sized),
        (b"Transfer-Encoding: chunked", Chunked),
        (b"X: a", UntilClose),
    ],
)
def test_reader_fits_the_framing_of_the_head(line: bytes, kind: type) -> None:
    head = parse_response(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n", b"GET")
    assert type(reader(head, 502)) is kind


def test_reader_of_a_request_without_framing_is_done() -> None:
    head = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert reader(head, 400).done


# ---- Chunks ------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 1_000])
@pytest.mark.parametrize(
    ("data", "body", "trailers"),
    [
        (b"0\r\n\r\n", b"", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""),
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world", b""),
        (b"00A\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n0\r\n\r\n", b""),
        (b"1;a=b\r\nx\r\n2 ;\t\xff\r\nyz\r\n0;e\r\n\r\n", b"xyz", b""),
        (b"1;" + b"e" * 254 + b"\r\nx\r\n0\r\n\r\n", b"x", b""),
        (b"0\r\nX-A: 1\r\nx-b:\t2 \r\n\r\n", b"", b"X-A: 1\r\nx-b:\t2 \r\n"),
        (b"0\r\nX:" + b"x" * 8_190 + b"\r\n\r\n", b"", b"X:" + b"x" * 8_190 + b"\r\n"),
    ],
)
def test_chunked_body_is_read_to_its_data_and_trailers_in_any_pieces(
    data: bytes, body: bytes, trailers: bytes, step: int
) -> None:
    read, chunked = read_chunked(data + b"GET /", step)
    assert chunked.done
    assert (read, chunked.trailers, chunked.rest) == (body, trailers, b"GET /")


def test_chunk_longer_than_what_came_is_handed_on_before_it_is_whole() -> None:
    chunked = Chunked(400)
    assert chunked.feed(b"fffffff\r\nabc") == b"abc"
    assert chunked.feed(b"def") == b"def"


@pytest.mark.parametrize("case", _CHUNKED, ids=lambda case: case.name)
@pytest.mark.parametrize("step", [1, 2, 100_000])
def test_chunks_that_are_not_plain_are_refused_and_others_read_in_any_pieces(
    case: Case, step: int
) -> None:
    data = case.data.removeprefix(CHUNKED_HEAD)
    if case.status is None:
        body, chunked = read_chunked(data, step)
        assert chunked.done
        assert (body, chunked.rest) == (case.body, b"")
    else:
        with pytest.raises(HeadError) as refused:
            read_chunked(data, step)
        assert refused.value.status == case.status


def test_chunks_of_a_response_are_refused_with_the_status_asked_for() -> None:
    with pytest.raises(HeadError) as refused:
        Chunked(502).feed(b"0x5\r\n")
    assert refused.value.status == 502


@pytest.mark.parametrize("step", [1, 100_000])
@pytest.mark.parametrize(
    "data",
    [b"1;" + b"e" * 255 + b"\r\n", b"0\r\nX:" + b"x" * 8_191 + b"\r\n"],
    ids=["size line", "trailers"],
)
def test_line_a_byte_longer_than_its_limit_is_refused(data: bytes, step: int) -> None:
    with pytest.raises(HeadError):
        read_chunked(data, step)


@pytest.mark.parametrize(
    "data", [b"5\n", b"5\r\nhello\r\n0\n", b"0\r\nX: a\n", b"5\r\nhello\n"]
)
def test_line_of_chunks_that_ends_without_cr_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(HeadError):
        Chunked(400).feed(data)


def test_trailer_named_by_connection_ends_here_but_counts() -> None:
    head = parse_request(
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: x-hop\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    body = reader(head, 400)
    assert isinstance(body, Chunked)
    body.feed(b"0\r\nX-Hop: 1\r\nX-End: 2\r\n\r\n")
    assert body.trailers == b"X-End: 2\r\n"
    endless = reader(head, 400)
    with pytest.raises(HeadError):
        endless.feed(b"0\r\n" + b"X-Hop: 1\r\n" * 1_100)


def test_chunks_are_written_in_the_plainest_way() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert last_chunk(b"") == b"0\r\n\r\n"
    assert last_chunk(b"X: a\r\n") == b"0\r\nX: a\r\n\r\n"


# ---- Streams -----------------------------------------------------------------------


@PATIENT
@given(st.data(), st.lists(requests(), min_size=1, max_size=4))
def test_stream_in_any_pieces_gives_the_same_requests(
    data: st.DataObject, messages: list[Message]
) -> None:
    stream = b"".join(message.data for message in messages)
    whole = [request.same() for request in read_requests([stream])]
    assert [(read[0], read[1], read[4]) for read in whole] == [
        (*message.first, message.body) for message in messages
    ]
    pieces = data.draw(splits(stream))
    assert [request.same() for request in read_requests(pieces)] == whole
    single = [stream[at : at + 1] for at in range(len(stream))]
    assert [request.same() for request in read_requests(single)] == whole


def verdict(pieces: list[bytes]) -> list[tuple[bytes, ...]] | None:
    """What was read; None if it was refused, whatever the reason."""
    try:
        return [request.same() for request in read_requests(pieces)]
    except HeadError:
        return None


@PATIENT
@given(st.data(), st.lists(requests(), min_size=1, max_size=3))
def test_damaged_stream_is_refused_or_read_alike_in_any_pieces(
    data: st.DataObject, messages: list[Message]
) -> None:
    stream = data.draw(mutated(b"".join(message.data for message in messages)))
    pieces = data.draw(splits(stream))
    single = [stream[at : at + 1] for at in range(len(stream))]
    verdicts = [verdict(way) for way in ([stream], pieces, single)]
    assert verdicts == [verdicts[0]] * 3


@PATIENT
@given(st.lists(st.binary(max_size=20), max_size=6))
def test_any_bytes_are_chunks_or_refused_but_never_fail_otherwise(
    pieces: list[bytes],
) -> None:
    chunked = Chunked(400)
    for piece in pieces:
        try:
            body = chunked.feed(piece)
        except HeadError:
            return
        assert len(body) <= len(piece)
        if chunked.done:
            return
