"""Forwarded heads, as an independent parser reads them behind us."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.http import fields
from protocols.http.head import (
    Body,
    HeadError,
    RequestHead,
    ResponseHead,
    parse_request,
    parse_response,
)
from protocols.target import Target, Transport
from tests.protocols.http.messages import (
    PATIENT,
    Fields,
    Message,
    mutated,
    requests,
    responses,
    splits,
)
from tests.protocols.http.smuggling import CASES, Case
from tests.protocols.http.stream import Request, framed, read_requests, read_response

_FRAMING = {b"host", b"content-length", b"transfer-encoding"}
_ENDS_HERE = {
    *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"),
    *(b"http2-settings", b"proxy-authorization", b"proxy-authenticate"),
}
_STAYS = {b"host", b"content-length", b"transfer-encoding", b"authorization"} | {
    *(b"content-type", b"x-twilio-signature", b"expect", b"date", b"content-encoding"),
}
_CLAIMS = frozenset(
    [b"x-forwarded-for", b"x_forwarded_proto", b"forwarded", b"x-real-ip"]
)
FORWARDED = fields.forwarded_lines("192.0.2.1", "https")


def request(*lines: bytes, first: bytes = b"GET /a HTTP/1.1") -> RequestHead:
    return parse_request(b"\r\n".join((first, b"Host: a.test", *lines, b"", b"")))


@pytest.mark.parametrize(
    ("transport", "port", "authority"),
    [
        (Transport.TLS, 443, b"a.test"),
        (Transport.TLS, 8443, b"a.test:8443"),
        (Transport.TCP, 80, b"a.test"),
        (Transport.TCP, 443, b"a.test:443"),
    ],
)
def test_authority_has_the_port_unless_it_is_the_usual_one(
    transport: Transport, port: int, authority: bytes
) -> None:
    target = Target("192.0.2.1", port, transport, "a.test")
    assert fields.authority(target) == authority


def response(*lines: bytes, to: bytes = b"GET") -> ResponseHead:
    return parse_response(b"\r\n".join((*lines, b"", b"")), to)


def lines_of(head: bytes) -> list[bytes]:
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


# ---- The independent parser --------------------------------------------------------


def judge(connection: h11.Connection, data: bytes, *, ended: bool) -> Message:
    """What h11 reads of exactly one message; fails if it is not one."""
    connection.receive_data(data)
    if ended:
        connection.receive_data(b"")
    first = connection.next_event()
    assert isinstance(first, h11.Request | h11.Response)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert connection.trailing_data[0] == b""
    if isinstance(first, h11.Request):
        line = (bytes(first.method), bytes(first.target))
    else:
        line = (b"%d" % first.status_code, bytes(first.reason))
    return Message(
        data,
        line,
        int(first.http_version[2:]),
        list(first.headers),
        set(),
        body,
        list(event.headers),
    )


def judge_request(data: bytes) -> Message:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=70_000)
    return judge(connection, data, ended=False)


def judge_response(data: bytes, *, ended: bool) -> Message:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=70_000)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    return judge(connection, data, ended=ended)


def end_to_end(message: Message, *, also: frozenset[bytes] = frozenset()) -> Fields:
    """The fields of a message that shall arrive behind us, in order."""
    gone = _ENDS_HERE | also | (message.nominated - _STAYS)
    return [(name, value) for name, value in message.fields if name not in gone]


def arrived(message: Message, ours: set[bytes]) -> Fields:
    """The fields of a forwarded message but for framing and what we add."""
    return [pair for pair in message.fields if pair[0] not in ours | _FRAMING]


# ---- Properties --------------------------------------------------------------------


@PATIENT
@given(st.data(), requests())
def test_request_that_is_forwarded_is_one_and_the_same_to_an_independent_parser(
    data: st.DataObject, message: Message
) -> None:
    [read] = read_requests(data.draw(splits(message.data)))
    edge = judge_request(
        fields.request_to_provider(read.head, b"edge.test") + framed(read)
    )
    site = judge_request(fields.request_to_site(read.head, FORWARDED) + framed(read))
    ours = {b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}
    assert arrived(edge, {b"via"}) == end_to_end(message)
    assert arrived(site, ours) == end_to_end(message, also=_CLAIMS)
    trailers = [pair for pair in message.trailers if pair[0] not in message.nominated]
    for seen, host in ((edge, b"edge.test"), (site, b"a.test")):
        assert (seen.first, seen.body) == (message.first, message.body)
        assert seen.trailers == trailers
        assert [value for name, value in seen.fields if name == b"host"] == [host]


@PATIENT
@given(st.data(), requests())
def test_damaged_request_is_refused_or_read_alike_by_an_independent_parser(
    data: st.DataObject, message: Message
) -> None:
    try:
        reads = read_requests([data.draw(mutated(message.data))])
    except HeadError:
        return
    for read in reads:
        assert_same(read)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.status is None], ids=lambda case: case.name
)
def test_accepted_case_is_the_same_to_an_independent_parser(case: Case) -> None:
    [read] = read_requests([case.data])
    assert_same(read)


def assert_same(read: Request) -> None:
    head = read.head
    if head.method == b"CONNECT":
        return  # never forwarded
    for data in (
        fields.request_to_provider(head, b"edge.test"),
        fields.request_to_site(head, FORWARDED),
    ):
        seen = judge_request(data + framed(read))
        assert (seen.first, seen.body) == ((head.method, head.target), read.body)
        names = [name for name, _ in seen.fields]
        assert names.count(b"host") == 1
        assert not _ENDS_HERE.intersection(names)


@PATIENT
@given(st.data(), responses(), st.sampled_from([0, 1]), st.booleans())
def test_response_that_is_forwarded_is_one_and_the_same_to_an_independent_parser(
    data: st.DataObject, message: Message, minor: int, close: bool
) -> None:
    read = read_response(data.draw(splits(message.data)))
    close = close or minor == 0 or read.head.body is Body.CLOSE
    sent = fields.response(read.head, minor=minor, close=close)
    seen = judge_response(sent + (framed(read) if minor else read.body), ended=close)
    assert (seen.first, seen.body) == (message.first, message.body)
    assert arrived(seen, {b"connection"}) == end_to_end(message)
    assert ((b"connection", b"close") in seen.fields) is close
    if minor:
        kept = [pair for pair in message.trailers if pair[0] not in message.nominated]
        assert seen.trailers == kept
    else:
        assert b"transfer-encoding" not in dict(seen.fields)


@PATIENT
@given(st.data(), responses())
def test_damaged_response_is_refused_or_read_alike_by_an_independent_parser(
    data: st.DataObject, message: Message
) -> None:
    try:
        read = read_response([data.draw(mutated(message.data))])
    except (HeadError, EOFError):
        return
    if read.head.status >= 200:
        sent = fields.response(read.head, minor=1, close=True) + framed(read)
        seen = judge_response(sent, ended=True)
        assert (seen.first[0], seen.body) == (b"%d" % read.head.status, read.body)


# ---- Requests ----------------------------------------------------------------------


def test_request_to_the_provider_keeps_its_bytes_and_names_the_edge() -> None:
    head = request(
        b"accept:*/*",
        b"X-Odd:\t a  b ",
        b"x-odd: \xff",
        first=b"GET /%7e?a=%zz HTTP/1.1",
    )
    assert lines_of(fields.request_to_provider(head, b"edge.test:8443")) == [
        b"GET /%7e?a=%zz HTTP/1.1",
        b"Host: edge.test:8443",
        b"accept:*/*",
        b"X-Odd:\t a  b ",
        b"x-odd: \xff",
        b"Via: 1.1 edge-router",
    ]


def test_request_to_the_site_keeps_host_and_target_and_says_who_asked() -> None:
    head = request(
        b"X-Twilio-Signature: abc=",
        *(b"X-Forwarded-For: ::9", b"x_forwarded_host: b", b"X-Real_IP: 9"),
        *(b"Forwarded: for=9", b"X-Forwarded-Proto: gopher", b"X-Forwarded-Port: 9"),
        first=b"POST /hook?a=%2F&b=1 HTTP/1.0",
    )
    forwarded = fields.forwarded_lines("192.0.2.1", "https")
    assert lines_of(fields.request_to_site(head, forwarded)) == [
        b"POST /hook?a=%2F&b=1 HTTP/1.1",
        b"Host: a.test",
        b"X-Twilio-Signature: abc=",
        b"X-Forwarded-For: 192.0.2.1",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: a.test",
        b"Via: 1.0 edge-router",
    ]


@pytest.mark.parametrize(
    "lines",
    [
        [b"Connection: keep-alive", b"Keep-Alive: timeout=5"],
        [b"connection: close", b"TE: trailers", b"PROXY-CONNECTION: close"],
        [b"Connection: upgrade, http2-settings", b"Upgrade: h2c", b"HTTP2-Settings: a"],
        [b"Connection: x-hop ,\tX-Hop2", b"X-Hop: 1", b"x-hop2: 2", b"X-HOP: 3"],
        [b"Connection: a", b"Connection: b", b"A: 1", b"B: 2"],
        [b"Connection: ,,", b"Proxy-Authorization: a", b"Proxy-Authenticate: b"],
    ],
)
def test_fields_that_end_at_this_hop_are_taken_out_in_any_case_and_number(
    lines: list[bytes],
) -> None:
    head = request(*lines[:1], b"X-Stay: 1", *lines[1:])
    assert lines_of(fields.request_to_provider(head, b"e"))[2:-1] == [b"X-Stay: 1"]


@pytest.mark.parametrize(
    "line",
    [
        *(b"Authorization: Basic a", b"X-Twilio-Signature: a", b"Content-Type: a/b"),
        *(b"Expect: 100-continue", b"Date: now", b"Content-Encoding: gzip"),
    ],
)
def test_field_that_others_depend_on_is_not_taken_out_by_nomination(
    line: bytes,
) -> None:
    name = line.partition(b":")[0]
    head = request(b"Connection: close, " + name.upper(), line)
    assert line in lines_of(fields.request_to_provider(head, b"e"))


@pytest.mark.parametrize(
    ("line", "written"),
    [
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"content-length:\t005 ", b"Content-Length: 5"),
        (b"Content-Length:0", b"Content-Length: 0"),
        (b"TRANSFER-ENCODING:\tChunked", b"Transfer-Encoding: chunked"),
    ],
)
@pytest.mark.parametrize("nominated", [b"close", b"content-length, transfer-encoding"])
def test_framing_is_written_in_the_one_plain_way(
    line: bytes, written: bytes, nominated: bytes
) -> None:
    head = request(b"Connection: " + nominated, line, b"X: 1")
    assert lines_of(fields.request_to_provider(head, b"e"))[2:-1] == [b"X: 1", written]
    assert lines_of(fields.request_to_site(head, FORWARDED))[2:4] == [b"X: 1", written]


def test_field_that_only_looks_like_one_that_ends_here_stays() -> None:
    stays = [
        b"X: a Connection: b",
        b"Connections: 1",
        b"Keep_Alive: 5",
        b"Trailer: X",
    ]
    head = request(*stays)
    assert lines_of(fields.request_to_provider(head, b"e"))[2:-1] == stays


def test_request_sent_again_to_one_edge_is_not_written_anew() -> None:
    head = request(b"X: again")
    first = fields.request_to_provider(head, b"one.test")
    assert fields.request_to_provider(head, b"one.test") is first
    assert b"Host: two.test\r\n" in fields.request_to_provider(head, b"two.test")


def test_request_without_host_goes_to_the_site_with_an_empty_one() -> None:
    head = parse_request(b"GET / HTTP/1.0\r\n\r\n")
    assert lines_of(fields.request_to_site(head, FORWARDED))[1] == b"Host: "


# ---- Responses ---------------------------------------------------------------------


def test_response_keeps_its_bytes_and_loses_what_ends_here() -> None:
    head = response(
        *(b"HTTP/1.0 200 Fine \xff", b"Set-Cookie: a", b"Connection: x-hop, close"),
        *(b"X-Hop: 1", b"set-cookie:  b", b"Keep-Alive: 5", b"Content-Length: 3"),
    )
    assert lines_of(fields.response(head, minor=1, close=False)) == [
        b"HTTP/1.1 200 Fine \xff",
        b"Set-Cookie: a",
        b"set-cookie:  b",
        b"Content-Length: 3",
    ]


@pytest.mark.parametrize(
    ("status", "line", "to", "minor", "stays"),
    [
        (b"200", b"Content-Length: 5", b"GET", 0, True),
        (b"200", b"Content-Length: 5", b"HEAD", 1, True),
        (b"304", b"Content-Length: 5", b"GET", 1, True),
        (b"204", b"Content-Length: 5", b"GET", 1, False),
        (b"103", b"Content-Length: 5", b"GET", 1, False),
        (b"200", b"Transfer-Encoding: chunked", b"GET", 1, True),
        (b"200", b"Transfer-Encoding: chunked", b"GET", 0, False),
        (b"200", b"Transfer-Encoding: chunked", b"HEAD", 1, True),
        (b"200", b"Transfer-Encoding: chunked", b"HEAD", 0, False),
        (b"204", b"Transfer-Encoding: chunked", b"GET", 1, False),
        (b"304", b"Transfer-Encoding: chunked", b"GET", 0, False),
    ],
)
def test_framing_of_a_response_goes_on_where_its_reader_takes_it_as_meant(
    status: bytes, line: bytes, to: bytes, minor: int, stays: bool
) -> None:
    head = response(b"HTTP/1.1 %b X" % status, line, to=to)
    assert (line in lines_of(fields.response(head, minor=minor, close=False))) is stays


def test_response_is_written_anew_only_for_another_purpose() -> None:
    head = response(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", b"X: purpose")
    ways = [(minor, close) for minor in (0, 1) for close in (False, True)]
    first = {way: fields.response(head, minor=way[0], close=way[1]) for way in ways}
    again = {way: fields.response(head, minor=way[0], close=way[1]) for way in ways}
    assert first == again
    assert len(set(first.values())) == 4
    last = fields.response(head, minor=1, close=True)
    assert fields.response(head, minor=1, close=True) is last


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"Twilio-Request-Id: RQ01", "RQ01"),
        (b"twilio-request-id:\tRQ01 ", "RQ01"),
        (b"Twilio-Request-Id: " + b"x" * 99, "x" * 64),
        (b"Twilio-Request-Id:", ""),
        (b"Not-Twilio-Request-Id: RQ01", ""),
        (b"X: Twilio-Request-Id: RQ01", ""),
    ],
)
def test_request_id_is_the_value_of_a_field_of_just_that_name(
    line: bytes, found: str
) -> None:
    head = response(b"HTTP/1.1 200 OK", b"Date: now", line, b"Server: it")
    pattern = fields.request_id_pattern("Twilio-Request-Id")
    assert fields.request_id(head, pattern) == found
