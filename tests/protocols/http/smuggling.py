"""Requests that two parsers may read differently, and what must become of each.

The cores are tested with them in their twin tests; `run_matrix` sends them to a running
relay and looks at what reaches the origin behind it.
"""

import asyncio
import dataclasses
import functools
import re
import ssl
from collections.abc import Callable, Sequence

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: example.test\r\n\r\n"
"What must never be taken for a request of its own."
MARKER = b"GET /marker HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n"
"An honest request behind each case: served if the case was, and only then."

_LINE = b"POST /case HTTP/1.1\r\n"
_HOST = b"Host: example.test\r\n"


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One message, and the verdict on it."""

    name: str
    "What is odd about it."
    data: bytes
    "The bytes that are sent, a whole message in the eyes of at least one parser."
    status: int | None
    "The status with which it is refused; None if it is one plain request."
    body: bytes = b""
    "The body that is read of an accepted one."
    ends: bool = False
    "Whether the connection ends behind an accepted one."


def _refused(status: int, cases: dict[str, bytes]) -> list[Case]:
    return [Case(name, data, status) for name, data in cases.items()]


def _with(*lines: bytes, body: bytes = b"") -> bytes:
    """A POST with these field lines, beside an honest Host."""
    return _LINE + _HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def _bare(*lines: bytes) -> bytes:
    """A GET with these field lines alone."""
    return b"GET /case HTTP/1.1\r\n" + b"".join(li + b"\r\n" for li in lines) + b"\r\n"


def _first(line: bytes, *, end: bytes = b"\r\n") -> bytes:
    """A request with this first line."""
    return line + end + _HOST + b"\r\n"


CHUNKED_HEAD = _with(b"Transfer-Encoding: chunked")
"The honest head in front of odd chunks."


def _chunked(body: bytes) -> bytes:
    return CHUNKED_HEAD + body


_CHUNK = b"5\r\nhello\r\n"
_END = b"0\r\n\r\n"
_LENGTH_AND_CODING = (b"Content-Length: 6", b"Transfer-Encoding: chunked")

_LENGTHS = {
    "Content-Length and Transfer-Encoding": _with(
        *_LENGTH_AND_CODING, body=_END + SMUGGLED
    ),
    "Transfer-Encoding and Content-Length": _with(
        *reversed(_LENGTH_AND_CODING), body=_END + SMUGGLED
    ),
    "Content-Length twice, the same": _with(
        b"Content-Length: 5", b"Content-Length: 5", body=b"hello"
    ),
    "Content-Length twice, in different case": _with(
        b"Content-Length: 5", b"CONTENT-LENGTH: 5", body=b"hello"
    ),
    "Content-Length twice, different": _with(
        b"Content-Length: 0", b"Content-Length: 5", body=b"hello"
    ),
    **{
        f"Content-Length {value!r}": _with(b"Content-Length:" + value, body=b"hello")
        for value in (
            *(b"", b" ", b" +5", b" -5", b" 5,5", b" 5, 5", b" 5;", b" 0x5", b" 5 5"),
            *(b" 5_0", b" 5.0", b" five", b" \x0b5", b" 5\x0b", b" \xb2", b" \xd9\xa5"),
            *(b" 4294967301,5", b" 18446744073709551621", b" " + b"9" * 19),
        )
    },
}

_CODINGS_REFUSED = {
    "Content_Length": _with(b"Content_Length: 6", body=_END),
    "Transfer_Encoding beside Content-Length": _with(
        b"Transfer_Encoding: chunked", b"Content-Length: 6", body=_END
    ),
    "Transfer-Encoding twice": _with(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=_END
    ),
    "Transfer-Encoding twice, once identity": _with(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=_END
    ),
    "Transfer-Encoding in HTTP/1.0": (
        b"POST /case HTTP/1.0\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    )
    + _END,
    **{
        f"Transfer-Encoding {value!r}": _with(b"Transfer-Encoding:" + value, body=_END)
        for value in (
            *(b"", b" identity", b" xchunked", b" chunkedx", b" chunked, identity"),
            *(b" chunked, chunked", b" chunked,", b" chunked\x0b", b" \x0bchunked"),
            *(b" \x00chunked", b" chunked;q=1", b' "chunked"', b" chunk"),
        )
    },
}

_CODINGS_UNKNOWN = {
    f"Transfer-Encoding {value!r}": _with(b"Transfer-Encoding:" + value, body=_END)
    for value in (b" gzip, chunked", b" ,chunked", b" identity, chunked")
}

_LINES = {
    **{
        f"field line {line!r}": _with(line)
        for line in (
            *(b": empty name", b"X", b"X : a", b"X\t: a", b"X\x0b: a", b" X: a"),
            *(b"X Y: a", b"X\x00: a", b"X\x7f: a", b"X\xff: a", b"(X): a", b"X\r: a"),
            *(b"X: a\x00b", b"X: a\x01b", b"X: a\x0bb", b"X: a\x7fb", b"X: a\rb"),
            *(b"X: a\r\n folded", b"X: a\r\n\tfolded", b"\x0bX: a", b"X: a\r\r\nY: b"),
            *(b"X: a\nY: b", b"X: a\n\nGET /smuggled HTTP/1.1", b"Host : other.test"),
            *(b"Content-Length : 5", b"Transfer-Encoding : chunked"),
            *(b"Transfer-Encoding\t: chunked", b"X: a\r\n Transfer-Encoding: chunked"),
        )
    },
    "fold before the first field": _LINE + b" X: a\r\n" + _HOST + b"\r\n",
    "bare LF after the first line": _first(_LINE[:-2], end=b"\n"),
    "bare CR after the first line": _first(_LINE[:-2], end=b"\r"),
    "bare LF everywhere": MARKER.replace(b"\r\n", b"\n"),
    "bare LF in the empty line": _LINE + _HOST + b"\n",
}

_HOSTS = {
    "no Host": _bare(),
    "two Hosts, the same": _bare(b"Host: a.test", b"Host: a.test"),
    "two Hosts, different": _bare(b"Host: a.test", b"Host: b.test"),
    "two Hosts, in different case": _bare(b"Host: a.test", b"HOST: a.test"),
    "two Hosts in HTTP/1.0": (
        b"GET /case HTTP/1.0\r\nHost: a.test\r\nHost: b.test\r\n\r\n"
    ),
    **{
        f"Host {value!r}": _bare(b"Host:" + value)
        for value in (
            *(b"", b" a b", b" a.test, b.test", b" a.test/x", b" u@a.test", b" a:b"),
            *(b" a.test:", b" a.test:123456", b" [::1", b" ::1", b" a%2e.test", b" -a"),
            *(b" a.test#b", b" a.test?b", b" \xe4.test", b" a\\b", b" http://a.test"),
        )
    },
}

_FIRST_LINES = {
    **{
        f"first line {line!r}": _first(line)
        for line in (
            *(b"GET /case", b"GET  /case HTTP/1.1", b"GET /case  HTTP/1.1", b"GET"),
            *(b"GET\t/case\tHTTP/1.1", b"GET\t/case HTTP/1.1", b"GET /case\tHTTP/1.1"),
            *(b"GET /case HTTP/1.1 ", b" GET /case HTTP/1.1", b"GET /ca se HTTP/1.1"),
            *(
                b"GET\x0b/case HTTP/1.1",
                b"GET /case\x0bHTTP/1.1",
                b"GET /case http/1.1",
            ),
            *(b"GET /case HTTP/1.10", b"GET /case HTTP/01.1", b"GET /case HTTP/1,1"),
            *(b"GET /case HTTP/1", b"GET /case HTTP/1.1\x00", b"GET /case HTTP /1.1"),
            *(
                b"GET /case#fragment HTTP/1.1",
                b"GET /\x00 HTTP/1.1",
                b"\xefGET / HTTP/1.1",
            ),
            *(b"GET /\xc3\xa4 HTTP/1.1", b"GET /\x7f HTTP/1.1", b"GET * HTTP/1.1"),
            *(b"GET case HTTP/1.1", b"GET ftp://a.test/ HTTP/1.1", b"GET ?q HTTP/1.1"),
            *(b"GET http://u@a.test/ HTTP/1.1", b"GET http:///x HTTP/1.1"),
            *(b"GET http://a.test:x/ HTTP/1.1", b"GET http://a.test/#f HTTP/1.1"),
            *(b"GET a.test:443 HTTP/1.1", b"CONNECT / HTTP/1.1"),
            *(b"CONNECT a.test HTTP/1.1", b"CONNECT a.test:0 HTTP/1.1"),
            *(b"CONNECT a.test:65536 HTTP/1.1", b"CONNECT http://a.test/ HTTP/1.1"),
            *(b"DESCRIBE /case HTTP/1.1", b"GET /case RTSP/1.0", b"GET /case ICE/1.0"),
        )
    },
    "CONNECT with a Content-Length": (
        b"CONNECT a.test:443 HTTP/1.1\r\n" + _HOST + b"Content-Length: 5\r\n\r\nhello"
    ),
    "CONNECT with chunks": (
        b"CONNECT a.test:443 HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n"
        b"\r\n"
    )
    + _END,
    "two empty lines in front": b"\r\n\r\n" + _first(_LINE[:-2]),
    "many empty lines in front": b"\r\n" * 50 + _first(_LINE[:-2]),
    "a bare LF in front": b"\n" + _first(_LINE[:-2]),
    "a bare CR in front": b"\r" + _first(_LINE[:-2]),
}

_METHODS = {
    f"method {method!r}": _first(method + b" /case HTTP/1.1")
    for method in (b"get", b"Get", b"FOO", b"GETX", b"GET_", b"G3T", b"BREW")
}

_VERSIONS = {
    f"version {version!r}": _first(b"GET /case " + version)
    for version in (b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9")
} | {"HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}

_CHUNKS = {
    **{
        f"chunk size {size[:20]!r}": _chunked(size + b"\r\nhello\r\n" + _END)
        for size in (
            *(b"0x5", b"+5", b"-5", b" 5", b"5 ", b"5\t", b"", b"g", b"5\x0b", b"5 5"),
            *(b"0000000000000005", b"fffffffffffffffff", b"1" + b"0" * 16, b"5_0"),
            *(b"5\n", b"5;a\nb", b"5;a\rb", b"5;a\x00b", b"5,5", b"5\xa0", b"5" * 300),
        )
    },
    "chunk extension too long": _chunked(b"5;" + b"x" * 300 + b"\r\nhello\r\n" + _END),
    "chunk sizes end with a bare LF": _chunked(b"5\nhello\n0\n\n"),
    "chunk size ends with a bare CR": _chunked(b"5\rhello\r\n" + _END),
    "chunk data not ended": _chunked(b"5\r\nhello0\r\n\r\n"),
    "chunk data ended by a bare LF": _chunked(b"5\r\nhello\n" + _END),
    "chunk data ended by two bytes": _chunked(b"5\r\nhello??" + _END),
    "chunk data longer than its size": _chunked(b"4\r\nhello\r\n" + _END),
    "chunk data that lends its CR": _chunked(b"5\r\nhell\r\n" + _END),
    "last chunk, then no empty line": _chunked(b"0\r\n" + SMUGGLED),
    "trailer section ended by a bare LF": _chunked(b"0\r\n\n"),
    **{
        f"trailer {line!r}": _chunked(b"0\r\n" + line + b"\r\n\r\n")
        for line in (
            *(b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: a.test"),
            *(b"content-length: 5", b"Content_Length: 5", b"X-Forwarded-For: ::1"),
            *(b"X-Twilio-Signature: a", b"Authorization: a", b"Connection: close"),
            *(b": a", b"X : a", b"X", b"X: a\nY: b", b"X: a\x00", b"X: a\r\n folded"),
        )
    },
    "trailers too large": _chunked(b"0\r\n" + b"X-Trailer: 12345\r\n" * 600 + b"\r\n"),
    "one trailer too large": _chunked(b"0\r\nX: " + b"x" * 9_000 + b"\r\n\r\n"),
}

_TOO_LARGE = {
    "a field of 200,000 bytes": _with(b"X: " + b"x" * 200_000),
    "5,000 fields": _with(*(b"X-%d: x" % number for number in range(5_000))),
    "101 fields": _with(*[b"X: x"] * 100),
    "a target of 70,000 bytes": _first(b"GET /" + b"x" * 70_000 + b" HTTP/1.1"),
}

_TOO_LONG = {
    "a target of 9,000 bytes": _first(b"GET /" + b"x" * 9_000 + b" HTTP/1.1"),
    "a target of 9,000 bytes with an odd version": _first(
        b"GET /" + b"x" * 9_000 + b" HTTP/2.0"
    ),
}

_EXPECTATIONS = {
    f"Expect {value!r}": _with(b"Expect:" + value)
    for value in (b" y 100-continue", b"", b" 100-continue, x", b" 200-ok")
}


def _sized(*lines: bytes) -> bytes:
    """With a body that would be a request of its own to who overlooks its length."""
    return _with(b"Content-Length: %d" % len(SMUGGLED), *lines, body=SMUGGLED)


_INNER = b"%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED)

_ACCEPTED = [
    Case("a body that looks like a request", _sized(), None, SMUGGLED),
    *(
        Case(f"body beside {lines!r}", _sized(*lines), None, SMUGGLED)
        for lines in (
            (b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings"),
            (
                b"Upgrade: websocket",
                b"Connection: upgrade",
                b"Sec-WebSocket-Version: 7",
            ),
            (b"Upgrade: TLS/1.0", b"Connection: Upgrade"),
            (b"Connection: content-length",),
            (b"Connection: host, transfer-encoding, x-twilio-signature",),
            (b"X: \x80\xff", b"Y:", b"Z: \t "),
        )
    ),
    *(
        Case(
            f"Content-Length as {value!r}",
            _with(b"Content-Length:" + value, body=b"hello"),
            None,
            b"hello",
        )
        for value in (b"5", b"\t5", b"  5", b" 5 ", b" 5\t", b" 005")
    ),
    *(
        Case(f"Transfer-Encoding as {value!r}", data, None, SMUGGLED)
        for value in (b" chunked", b"\tchunked", b" Chunked", b"chunked")
        for data in [_with(b"Transfer-Encoding:" + value, body=_INNER + _END)]
    ),
    *(
        Case(name, _chunked(body), None, SMUGGLED)
        for name, body in {
            "chunk extensions": b"%x;a=b ;c\r\n" % len(SMUGGLED) + _INNER[4:] + _END,
            "a last chunk of many zeros": _INNER + b"000\r\n\r\n",
            "a trailer": _INNER + b"0\r\nX-Checksum: 1\r\n\r\n",
        }.items()
    ),
    Case(
        "Connection names Transfer-Encoding",
        _with(
            b"Transfer-Encoding: chunked",
            b"Connection: transfer-encoding",
            body=_INNER + _END,
        ),
        None,
        SMUGGLED,
    ),
    Case("one empty line in front", b"\r\n" + _sized(), None, SMUGGLED),
    Case("HTTP/1.0", b"GET /case HTTP/1.0\r\n" + _HOST + b"\r\n", None, ends=True),
    Case("HTTP/1.0 without Host", b"GET /case HTTP/1.0\r\n\r\n", None, ends=True),
    *(
        Case(f"target {target[:20]!r}", _first(b"GET " + target + b" HTTP/1.1"), None)
        for target in (
            *(b"/a%20b%2Fc%00?d=%zz&e=%c3%a4", b"//evil.test/", b"/a/../b/./c"),
            *(b"/?", b"/a\\b{}|^`<>\"'", b"/%", b"http://other.test/a?b"),
            *(b"HTTP://other.test?b", b"/" + b"x" * 8_191),
        )
    ),
    Case("OPTIONS for the server", _first(b"OPTIONS * HTTP/1.1"), None),
]

CASES: Sequence[Case] = [
    *_refused(
        400,
        _LENGTHS | _CODINGS_REFUSED | _LINES | _HOSTS | _FIRST_LINES | _CHUNKS,
    ),
    *_refused(501, _CODINGS_UNKNOWN | _METHODS),
    *_refused(505, _VERSIONS),
    *_refused(431, _TOO_LARGE),
    *_refused(414, _TOO_LONG),
    *_refused(417, _EXPECTATIONS),
    *_ACCEPTED,
]
"Every case; names are unique."


class _Answers(asyncio.Protocol):
    """Gathers what comes back until the connection ends, even if it is reset then."""

    def __init__(self, ended: asyncio.Future[None]) -> None:
        self.ended = ended
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def run_matrix(
    host: str,
    port: int,
    ssl_context: ssl.SSLContext | None = None,
    *,
    received: Callable[[], Sequence[str]],
    seconds: float = 10.0,
    at_once: int = 20,
) -> list[str]:
    """Send every case to a relay; what went wrong, a line each.

    `received` gives the targets of all whole requests that the origin behind the relay
    had so far. It must answer each with a 200 whose body holds no status line.
    A case that does not end within so many `seconds` has failed. So many cases are sent
    `at_once`, since a relay keeps a refused connection for a moment.
    """
    before = len(received())
    slots = asyncio.Semaphore(at_once)

    async def run(number: int, case: Case) -> str:
        target = b"/marker-%d" % number
        async with slots:
            marker = MARKER.replace(b"/marker", target)
            send = _send(host, port, ssl_context, case.data + marker)
            try:
                answers = await asyncio.wait_for(send, seconds)
            except TimeoutError:
                return f"{case.name}: the connection was not closed"
        marked = target.decode() in received()[before:]
        found = _complaint(case, answers, marked=marked)
        return f"{case.name}: {found}" if found else ""

    results = await asyncio.gather(*(run(*item) for item in enumerate(CASES)))
    complaints = [complaint for complaint in results if complaint]
    arrived = received()[before:]
    expected = sum(_served(case) for case in CASES)
    if "/smuggled" in arrived or len(arrived) != expected:
        complaints.append(f"{len(arrived)} requests arrived, not {expected}: {arrived}")
    return complaints


async def _send(
    host: str, port: int, ssl_context: ssl.SSLContext | None, data: bytes
) -> bytes:
    """All that comes back on a new connection until it is closed."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    transport, answers = await loop.create_connection(
        functools.partial(_Answers, ended), host, port, ssl=ssl_context
    )
    try:
        transport.write(data)
        await ended
    finally:
        transport.abort()
    return answers.data


def _served(case: Case) -> int:
    """How many requests arrive of a case and the marker behind it."""
    if case.status is not None:
        return 0
    return 1 if case.ends else 2


def _complaint(case: Case, answers: bytes, *, marked: bool) -> str:
    """What is wrong with the answers to a case; `marked` if its marker arrived."""
    statuses = [int(code) for code in re.findall(rb"HTTP/1\.1 ([2-5]\d\d) ", answers)]
    wanted = [200] * _served(case) if case.status is None else [case.status]
    if statuses != wanted:
        return f"answered with {statuses}, not {wanted}"
    if marked != (_served(case) == 2):
        return f"the request behind it {'arrived' if marked else 'was lost'}"
    return ""
