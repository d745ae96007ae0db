"""Heads: what is read of them, and everything that is refused."""

import contextlib
import gc
import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.http import fields, head
from protocols.http.head import (
    Body,
    HeadBuffer,
    HeadError,
    RequestHead,
    ResponseHead,
    parse_request,
    parse_response,
)
from tests.protocols.http.messages import PATIENT
from tests.protocols.http.smuggling import CASES, MARKER, Case
from tests.protocols.http.stream import read_requests


def request(*lines: bytes, first: bytes = b"GET / HTTP/1.1") -> RequestHead:
    return parse_request(b"\r\n".join((first, b"Host: a.test", *lines, b"", b"")))


def response(*lines: bytes, to: bytes = b"GET") -> ResponseHead:
    return parse_response(b"\r\n".join((*lines, b"", b"")), to)


@pytest.fixture(autouse=True, scope="module")
def forgetful() -> None:
    """Heads that other tests have parsed are parsed here anew."""
    head._remembered_request.cache_clear()
    head._remembered_response.cache_clear()


# ---- Gathering ---------------------------------------------------------------------


def test_head_that_comes_whole_is_handed_over_with_the_rest_behind_it() -> None:
    buffer = HeadBuffer()
    assert buffer.feed(b"A\r\nB\r\n\r\nbody\r\n\r\n") == b"A\r\nB\r\n\r\n"
    assert buffer.rest == b"body\r\n\r\n"
    assert len(buffer) == 0


@pytest.mark.parametrize("cut", range(1, 7))
def test_head_that_comes_in_two_pieces_is_handed_over_whole(cut: int) -> None:
    data = b"\r\nA\r\n\r\nB"
    buffer = HeadBuffer()
    heads = [buffer.feed(data[:cut]), buffer.feed(data[cut:])]
    assert b"\r\nA\r\n\r\n" in heads
    assert buffer.rest == b"B"


def test_unfinished_head_is_counted() -> None:
    buffer = HeadBuffer()
    assert buffer.feed(b"A\r\n") is None
    assert len(buffer) == 3


@pytest.mark.parametrize("step", [1, 3, 20])
def test_head_as_large_as_the_limit_passes_and_a_byte_more_is_refused(
    step: int,
) -> None:
    head = b"0123456789abcdef\r\n\r\n"
    pieces = [head[i : i + step] for i in range(0, len(head), step)]
    buffer = HeadBuffer(limit=len(head))
    assert [buffer.feed(piece) for piece in pieces][-1] == head
    buffer = HeadBuffer(limit=len(head) - 1)
    with pytest.raises(HeadError) as refused:
        [buffer.feed(piece) for piece in pieces]
    assert refused.value.status == 431


@pytest.mark.parametrize(
    "pieces", [[b"GET / HTTP/1.1\nHost: a\n\n"], [b"A\r\nB", b"\n"], [b"\n"]]
)
def test_line_end_without_cr_is_refused_before_the_head_is_whole(
    pieces: list[bytes],
) -> None:
    buffer = HeadBuffer()
    with pytest.raises(HeadError) as refused:
        [buffer.feed(piece) for piece in pieces]
    assert refused.value.status == 400


def test_line_end_cut_in_two_is_awaited() -> None:
    buffer = HeadBuffer()
    assert [buffer.feed(piece) for piece in (b"A\r", b"\n\r", b"\nB")][-1] == (
        b"A\r\n\r\n"
    )


# ---- Requests ----------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ambiguous_request_is_refused_and_a_plain_one_read_alike_in_any_pieces(
    case: Case,
) -> None:
    data = case.data + MARKER
    step = 1 if len(data) < 10_000 else 999
    for pieces in ([data], [data[i : i + step] for i in range(0, len(data), step)]):
        if case.status is not None:
            with pytest.raises(HeadError) as refused:
                read_requests(pieces)
            # Byte by byte, what is too long is seen before what is wrong with it.
            assert refused.value.status in {case.status, 400, 431}
            assert refused.value.status == case.status or len(pieces) > 1
        else:
            read, marker = read_requests(pieces)
            assert read.body == case.body
            assert marker.head.target == b"/marker"


def test_request_is_read_to_what_a_relay_needs() -> None:
    read = request(b"X-A:  1", b"x-a: 2", first=b"PUT /a%20b?c=%2f HTTP/1.1")
    assert (read.method, read.verb) == (b"PUT", "PUT")
    assert (read.target, read.path) == (b"/a%20b?c=%2f", "/a%20b")
    assert (read.authority, read.host) == (b"a.test", "a.test")
    assert read.lines == b"\r\nX-A:  1\r\nx-a: 2"
    assert read.values == {b"host": b"a.test"}
    assert read.minor == 1


@pytest.mark.parametrize(
    ("first", "target", "authority"),
    [
        (b"GET //b//c HTTP/1.1", b"//b//c", b"a.test"),
        (b"GET http://B:80/c?d HTTP/1.1", b"/c?d", b"B:80"),
        (b"GET HTTPS://b?d HTTP/1.1", b"/?d", b"b"),
        (b"GET http://[::1]:8080 HTTP/1.1", b"/", b"[::1]:8080"),
        (b"OPTIONS http://b HTTP/1.1", b"*", b"b"),
        (b"OPTIONS http://b/ HTTP/1.1", b"/", b"b"),
        (b"OPTIONS * HTTP/1.1", b"*", b"a.test"),
        (b"CONNECT b:443 HTTP/1.1", b"b:443", b"b:443"),
    ],
)
def test_target_is_brought_into_the_form_that_an_origin_wants(
    first: bytes, target: bytes, authority: bytes
) -> None:
    read = request(first=first)
    assert (read.target, read.authority) == (target, authority)


@pytest.mark.parametrize("host", [b"a", b"A.b-c_d.", b"1.2.3.4:80", b"[::1]:1", b"_a"])
def test_valid_host_becomes_the_authority(host: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nHost: " + host + b" \t\r\n\r\n"
    assert parse_request(head).authority == host


@pytest.mark.parametrize(
    ("version", "lines", "keeps"),
    [
        (b"1", [], True),
        (b"1", [b"Connection: CLOSE"], False),
        (b"1", [b"Connection: a, close , b"], False),
        (b"1", [b"Connection: keep-alive", b"connection: close"], False),
        (b"1", [b"Connection: keep-alive, closed"], True),
        (b"0", [], False),
        (b"0", [b"Connection: keep-alive"], False),
    ],
)
def test_connection_is_kept_unless_either_side_ends_it(
    version: bytes, lines: list[bytes], keeps: bool
) -> None:
    assert request(*lines, first=b"GET / HTTP/1." + version).keep_alive is keeps


def test_names_in_connection_are_nominated_in_lower_case() -> None:
    read = request(b"Connection: A ,\tb", b"X: 1", b"connection: c")
    assert read.nominated == {b"a", b"b", b"c"}
    assert request().nominated == frozenset()


@pytest.mark.parametrize(
    ("version", "value", "expects"),
    [
        (b"1", b"100-Continue", True),
        (b"1", b"100-continue ", True),
        (b"0", b"100-continue", False),
    ],
)
def test_continue_is_expected_by_http_1_1_alone(
    version: bytes, value: bytes, expects: bool
) -> None:
    read = request(b"Expect: " + value, first=b"POST / HTTP/1." + version)
    assert read.expects_continue is expects


@pytest.mark.parametrize(
    ("lines", "body", "length"),
    [
        ([], Body.NONE, 0),
        ([b"Content-Length: 0"], Body.NONE, 0),
        ([b"Content-Length: 7"], Body.LENGTH, 7),
        ([b"Content-Length: 999999999999999999"], Body.LENGTH, 10**18 - 1),
        ([b"Transfer-Encoding: CHUNKED"], Body.CHUNKED, 0),
    ],
)
def test_request_body_ends_where_its_one_framing_says(
    lines: list[bytes], body: Body, length: int
) -> None:
    read = request(*lines, first=b"POST / HTTP/1.1")
    assert (read.body, read.length) == (body, length)


def test_reason_for_refusing_never_holds_bytes_of_the_peer() -> None:
    for case in CASES:
        if case.status is not None:
            with pytest.raises(HeadError) as refused:
                read_requests([case.data + MARKER])
            assert refused.value.reason == str(refused.value)
            assert refused.value.reason.isascii()
            assert refused.value.reason.isprintable()
            assert "case" not in refused.value.reason


# ---- Responses ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "to", "body", "length"),
    [
        ([b"HTTP/1.1 200 OK", b"Content-Length: 5"], b"GET", Body.LENGTH, 5),
        ([b"HTTP/1.1 200 OK", b"Content-Length: 0"], b"GET", Body.NONE, 0),
        ([b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"], b"GET", Body.CHUNKED, 0),
        ([b"HTTP/1.1 200 OK"], b"GET", Body.CLOSE, 0),
        ([b"HTTP/1.0 200 OK"], b"GET", Body.CLOSE, 0),
        ([b"HTTP/1.1 200 OK", b"Content-Length: 5"], b"HEAD", Body.NONE, 0),
        ([b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"], b"HEAD", Body.NONE, 0),
        ([b"HTTP/1.1 204 No Content", b"Content-Length: 5"], b"GET", Body.NONE, 0),
        ([b"HTTP/1.1 304 Not Modified", b"Content-Length: 5"], b"GET", Body.NONE, 0),
        ([b"HTTP/1.1 100 Continue"], b"POST", Body.NONE, 0),
        (
            [
                b"HTTP/1.1 101 Switching Protocols",
                b"Upgrade: a",
                b"Connection: upgrade",
            ],
            b"GET",
            Body.NONE,
            0,
        ),
    ],
)
def test_response_body_ends_as_status_method_and_framing_say(
    lines: list[bytes], to: bytes, body: Body, length: int
) -> None:
    read = response(*lines, to=to)
    assert (read.body, read.length) == (body, length)
    assert read.keep_alive is (body is not Body.CLOSE)


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        (b"HTTP/1.1 200 Fine\t\xfc", 200, b"Fine\t\xfc"),
        (b"HTTP/1.1 404 ", 404, b""),
        (b"HTTP/1.0 599", 599, b""),
    ],
)
def test_status_line_is_read_with_any_reason_or_none(
    line: bytes, status: int, reason: bytes
) -> None:
    read = response(line)
    assert (read.status, read.reason, read.minor) == (status, reason, line[7] - 48)


@pytest.mark.parametrize(
    "lines",
    [
        [b"HTTP/1.2 200 OK"],
        [b"HTTP/2 200 OK"],
        [b"HTTP/1.1 99 OK"],
        [b"HTTP/1.1 600 OK"],
        [b"HTTP/1.1  200 OK"],
        [b"HTTP/1.1 200 O\rK"],
        [b"HTTP/1.1 200 O\x00K"],
        [b"\r\nHTTP/1.1 200 OK"],
        [b"ICY 200 OK"],
        [b"HTTP/1.1 200 OK", b"X : a"],
        [b"HTTP/1.1 200 OK", b"X: a\nY: b"],
        [b"HTTP/1.1 200 OK", b"X: a", b" folded"],
        [b"HTTP/1.1 200 OK", b"Content-Length: 5", b"Content-Length: 5"],
        [b"HTTP/1.1 200 OK", b"Content-Length: 5, 5"],
        [b"HTTP/1.1 200 OK", b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"HTTP/1.1 200 OK", b"Transfer-Encoding: gzip, chunked"],
        [b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked"],
        [
            b"HTTP/1.1 200 OK",
            b"Transfer-Encoding: chunked",
            b"transfer-encoding: chunked",
        ],
        [b"HTTP/1.1 204 OK", b"Content-Length: -1"],
        [b"HTTP/1.1 200 OK", *[b"X: a"] * 101],
    ],
)
def test_response_that_is_not_plain_is_refused_with_502(lines: list[bytes]) -> None:
    with pytest.raises(HeadError) as refused:
        response(*lines)
    assert refused.value.status == 502


# ---- Remembering -------------------------------------------------------------------


def test_small_head_is_read_once_and_a_large_one_each_time() -> None:
    assert request(b"X: remembered") is request(b"X: remembered")
    large = b"X: " + b"x" * 1_024
    assert request(large) is not request(large)
    line = b"HTTP/1.1 200 OK"
    assert response(line, to=b"GET") is response(line, to=b"GET")
    assert response(line, to=b"GET") is not response(line, to=b"HEAD")
    assert response(line, large) is not response(line, large)


def test_remembered_head_stays_the_same_whatever_is_forwarded_of_it() -> None:
    read = request(b"Connection: x", b"X: 1", b"Content-Length: 5", b"X_Real_IP: 2")
    before = (read.lines, dict(read.values), read.nominated, read.authority)
    to_one = fields.request_to_provider(read, b"one.test")
    to_two = fields.request_to_provider(read, b"two.test")
    fields.request_to_site(read, fields.forwarded_lines("::1", "https"))
    assert fields.request_to_provider(read, b"one.test") == to_one
    assert fields.request_to_provider(read, b"two.test") == to_two
    assert (read.lines, read.values, read.nominated, read.authority) == before


def test_names_in_a_long_connection_field_are_all_nominated() -> None:
    names = [b"x-%d" % number for number in range(100)]
    read = request(b"Connection: " + b", ".join(names))
    assert read.nominated == {*names}


@pytest.mark.long
def test_remembered_heads_stay_within_their_memory() -> None:
    pairs = itertools.product(b"abcdefghijklm", repeat=2)
    names = b",".join(bytes(pair) for pair in pairs)

    def fill(salt: int) -> None:
        for number in range(300):
            host = b"Host: %d-%d.test" % (salt, number)
            head = b"\r\n".join(
                (host, b"Connection: " + names, *[b"X:"] * 80, b"", b"")
            )
            heavy = parse_request(b"GET / HTTP/1.1\r\n" + head)
            fields.request_to_provider(heavy, b"a.test")
            answer = parse_response(b"HTTP/1.1 200 OK\r\n" + head, b"GET")
            fields.response(answer, minor=1, close=False)

    tracemalloc.start()
    fill(1)
    gc.collect()
    first, _ = tracemalloc.get_traced_memory()
    fill(2)
    gc.collect()
    second, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert first < 16_000_000
    assert second < first * 1.1


# ---- Anything ----------------------------------------------------------------------


_STARTS = [
    b"",
    b"GET / HTTP/1.1\r\nHost: a\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"\r\n",
    b"GET ",
]


@PATIENT
@given(st.sampled_from(_STARTS), st.binary(max_size=60), st.booleans())
def test_any_bytes_are_read_or_refused_but_never_fail_otherwise(
    start: bytes, data: bytes, ended: bool
) -> None:
    head = start + data + (b"\r\n\r\n" if ended else b"")
    for read in (
        lambda: HeadBuffer(limit=50).feed(head),
        lambda: parse_request(head),
        lambda: parse_response(head, b"GET"),
    ):
        with contextlib.suppress(HeadError):
            read()


def test_field_of_the_hop_may_stand_twice_without_a_connection_field() -> None:
    twice = b"Keep-Alive: timeout=1\r\nKeep-Alive: max=2\r\n"
    request = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + twice + b"\r\n")
    assert b"connection" not in request.values
    assert b"Keep-Alive" not in request.lines


@pytest.mark.parametrize("field", [b"Content_Length: 2", b"transfer_encoding: chunked"])
def test_framing_field_spelled_with_an_underscore_is_refused(field: bytes) -> None:
    with pytest.raises(HeadError) as caught:
        parse_request(b"POST / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n")
    assert caught.value.status == 400
    with pytest.raises(HeadError) as caught:
        parse_response(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n", b"GET")
    assert caught.value.status == 502
