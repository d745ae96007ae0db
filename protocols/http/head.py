"""The heads of HTTP/1.1 messages, read strictly: llhttp behind a guard.

A relay stands between two parsers. Whatever those two could read differently is
refused here, since that difference is how requests are smuggled (RFC 9112 section
11.2). llhttp does the lexical work; the guard adds what it lets through: message
version, exactly one valid Host, one framing of the body, size and number of fields,
and the form of the target.

A head is handed over whole, from the first byte to the empty line that ends it. The
fields that concern a relay are taken out of it by one pattern; all other lines are kept
as the bytes that came, unread.
"""

import enum
import functools
import re
from collections.abc import Iterator

import httptools

HEAD = 65_536
"Bytes of a whole head with its empty line, unless a listener's limits say otherwise."
_FIELDS = 100  # field lines; more are answered with 431
_TARGET = 8_192  # bytes of a request target; more are answered with 414
_REMEMBERED = 1_024  # bytes of a head that is worth remembering
_SHORT = 64  # bytes of a value that is
_BARE_LF = re.compile(rb"(?<!\r)\n")


class HeadError(Exception):
    """The peer sent something that is not one unambiguous HTTP/1.1 message.

    `status` is the code with which a server answers it; `reason` is our own text and
    never holds bytes of the peer.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class HeadBuffer:
    """Gathers the bytes of a head until its empty line is there."""

    __slots__ = ("_buffer", "_limit", "rest")

    def __init__(self, limit: int = HEAD) -> None:
        self._buffer = bytearray()
        self._limit = limit
        self.rest = b""
        "What came behind the head that `feed` returned last."

    def __len__(self) -> int:
        """Bytes of a head that is not whole yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> bytes | None:
        """Add what arrived; the whole head, or None while it is not there.

        Raises HeadError with status 431 where it grows past the limit, and 400 at a
        line end without CR: who writes those never sends the empty line awaited here.
        """
        held = len(self._buffer)
        if held:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n", max(0, held - 3)) + 4
        else:
            end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            if not held:
                self._buffer += data
            self._check(held)
            return None
        if end > self._limit:
            raise HeadError(431, "head too large")
        if held:
            data = bytes(self._buffer)
            self._buffer.clear()
        self.rest = data[end:]
        return data[:end]

    def _check(self, start: int) -> None:
        """Whether what is here, new from `start` on, may still become a head."""
        if len(self._buffer) >= self._limit:
            raise HeadError(431, "head too large")
        if _BARE_LF.search(self._buffer, start):
            raise HeadError(400, "line end without CR")


class Body(enum.Enum):
    """How the end of a message body is found (RFC 9112 section 6.3)."""

    NONE = enum.auto()
    LENGTH = enum.auto()
    CHUNKED = enum.auto()
    CLOSE = enum.auto()


class Head:
    """What requests and responses have in common."""

    __slots__ = (
        "body",
        "keep_alive",
        "length",
        "lines",
        "memo",
        "minor",
        "nominated",
        "values",
    )

    minor: int
    "Minor version: 0 or 1."
    lines: bytes
    "All field lines but those in `values`, as they came, each with a CR LF before it."
    values: dict[bytes, bytes]
    """The fields that a relay reads or that end at it, by name in lower case.

    Of a repeated one, the last. Whitespace in front of a value is taken off, whitespace
    behind is not. Expect is here and in `lines`, since it goes on.
    """
    nominated: frozenset[bytes]
    "Names in lower case that a Connection field declares to end here."
    keep_alive: bool
    "Whether the connection may carry another message after this one."
    body: Body
    "How the body ends."
    length: int
    "Bytes of a body with a LENGTH; 0 otherwise."
    memo: tuple[object, bytes]
    "The head as it was forwarded last, and to what end; see `fields`."


class RequestHead(Head):
    """What a relay needs to know of a request before its body."""

    __slots__ = (
        "authority",
        "expects_continue",
        "host",
        "method",
        "path",
        "target",
        "verb",
    )

    method: bytes
    "Request method, in its own case."
    target: bytes
    "Origin-form target (or `*`, or the authority of a CONNECT), byte for byte."
    authority: bytes
    "Host of the request; empty where HTTP/1.0 sent none."
    expects_continue: bool
    "Whether the peer waits for a 100 (RFC 9110 section 10.1.1)."
    verb: str
    "The method, for records."
    host: str
    "The authority, for records."
    path: str
    "The target without its query, for records."


class ResponseHead(Head):
    """What a relay needs to know of a response before its body."""

    __slots__ = ("reason", "status")

    status: int
    "Status code."
    reason: bytes
    "Reason phrase as sent, maybe empty."


_NO_NAMES: frozenset[bytes] = frozenset()
# RFC 9110 section 7.6.1: intermediaries remove Connection, and "SHOULD remove or
# replace fields that are known to require removal before forwarding". Framing is
# replaced.
_HOP_BY_HOP = (
    rb"connection|content[-_]length|http2-settings|keep-alive|te"
    rb"|transfer[-_]encoding|upgrade"
    rb"|proxy-(?:authenticate|authentication-info|authorization|connection)"
)
# Between two matches of these stand the lines that pass on: see `_read_fields`. llhttp
# has checked the head by then, so that a CR LF is followed by a name and its colon. The
# first letters are looked at first: with most lines that is all.
_OF_REQUEST = re.compile(
    rb"\r\n(?=[cehkptu])(" + _HOP_BY_HOP + rb"|expect|host):[ \t]*([^\r]*)",
    re.IGNORECASE,
)
_OF_RESPONSE = re.compile(
    rb"\r\n(?=[chkptu])(" + _HOP_BY_HOP + rb"):[ \t]*([^\r]*)", re.IGNORECASE
)
_SINGLE = frozenset([b"host", b"content-length", b"transfer-encoding", b"expect"])
# RFC 9112 section 2.2: "a server that is expecting to receive and parse a request-line
# SHOULD ignore at least one empty line (CRLF) received prior to the request-line." One.
# Section 3: request-line = method SP request-target SP HTTP-version, with single
# spaces. llhttp takes several.
_REQUEST_LINE = re.compile(rb"(?:\r\n)?([A-Z-]+) ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
_STATUS_LINE = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n"
)
# RFC 3986 section 3.2.2, narrowed: a registered name or IPv4 address without
# percent-encoding, or an IPv6 literal; then a port, which only CONNECT must have.
_AUTHORITY = re.compile(
    rb"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\])"
    rb"(?::([0-9]{1,5}))?"
)
_ABSOLUTE = re.compile(rb"https?://([^/?]+)(.*)", re.IGNORECASE)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def parse_request(head: bytes) -> RequestHead:
    """Read one request head, from its first byte to its empty line.

    A client repeats itself: small heads are remembered, so the value is shared and must
    not be changed. Raises HeadError with the status to answer with.
    """
    if len(head) <= _REMEMBERED:
        return _remembered_request(head)
    return _parse_request(head)


def parse_response(head: bytes, method: bytes) -> ResponseHead:
    """Read one response head to a request of that method.

    The value is shared like that of `parse_request`. Raises HeadError with status 502:
    an answer that cannot be understood.
    """
    if len(head) <= _REMEMBERED:
        return _remembered_response(head, method)
    return _parse_response(head, method)


def _parse_request(head: bytes) -> RequestHead:
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise _bad_request_line(head)
    request = RequestHead()
    request.method, target, minor = line.groups()
    if len(target) > _TARGET:
        raise HeadError(414, "request target too long")
    request.minor = 1 if minor == b"1" else 0
    _check(httptools.HttpRequestParser(_SILENT), head, 400)
    _read_fields(request, head[line.end() - 2 : -4], _OF_REQUEST, 400)
    request.authority = _host(request)
    request.target = target
    if target[:1] != b"/" or b"#" in target or request.method == b"CONNECT":
        _reduce_target(request)
    request.expects_continue = b"expect" in request.values and _expects(request)
    request.body, request.length = _request_body(request)
    request.verb = request.method.decode("ascii")
    request.host = request.authority.decode("ascii")
    request.path = request.target.partition(b"?")[0].decode("ascii")
    return request


def _parse_response(head: bytes, method: bytes) -> ResponseHead:
    line = _STATUS_LINE.match(head)
    if line is None:
        raise HeadError(502, "malformed status line")
    response = ResponseHead()
    minor, status, reason = line.groups()
    response.minor = 1 if minor == b"1" else 0
    response.status = int(status)
    response.reason = reason or b""
    _check(httptools.HttpResponseParser(_SILENT), head, 502)
    _read_fields(response, head[line.end() - 2 : -4], _OF_RESPONSE, 502)
    response.body, response.length = _response_body(response, method)
    if response.body is Body.CLOSE:
        response.keep_alive = False
    return response


_remembered_request = functools.lru_cache(maxsize=256)(_parse_request)
_remembered_response = functools.lru_cache(maxsize=256)(_parse_response)


_NO_MEMO = (None, b"")
_SILENT = object()  # lets llhttp check a head, and be told nothing of it


def _read_fields(
    message: Head, lines: bytes, pattern: re.Pattern[bytes], status: int
) -> None:
    """Part the lines: fill in `values`, `lines`, `nominated` and `keep_alive`."""
    # What passes on, a name, its value, what passes on, a name, and so forth.
    parts = pattern.split(lines)
    names = parts[1::3]
    values = dict(zip(map(bytes.lower, names), parts[2::3], strict=True))
    if len(values) != len(names):
        _check_repeated(values, parts, status)
    if b"content_length" in values or b"transfer_encoding" in values:
        # WSGI and CGI read these as the fields that frame the body.
        raise HeadError(status, "framing field spelled with an underscore")
    message.lines = b"".join(_with_expect(parts) if b"expect" in values else parts[::3])
    message.values = values
    message.memo = _NO_MEMO
    if b"connection" in values:
        message.nominated = nominated = _nominated(values[b"connection"])
        message.keep_alive = message.minor == 1 and b"close" not in nominated
    else:
        message.nominated = _NO_NAMES
        message.keep_alive = message.minor == 1


def _check_repeated(
    values: dict[bytes, bytes], parts: list[bytes], status: int
) -> None:
    """Names occur twice: refuse those that may not, join the values of Connection."""
    names = [name.lower() for name in parts[1::3]]
    if any(names.count(name) > 1 for name in _SINGLE):
        raise HeadError(status, "repeated field that may stand only once")
    if b"connection" in values:
        pairs = zip(names, parts[2::3], strict=True)
        every = [value for name, value in pairs if name == b"connection"]
        values[b"connection"] = b",".join(every)


def _with_expect(parts: list[bytes]) -> Iterator[bytes]:
    """What passes on, Expect in its place among it: the server alone can answer it."""
    yield parts[0]
    for name, value, passing in zip(*(parts[i::3] for i in (1, 2, 3)), strict=True):
        if name.lower() == b"expect":
            yield b"\r\n%b: %b" % (name, value)
        yield passing


def _nominated(connection: bytes) -> frozenset[bytes]:
    """The names in the value of a Connection field."""
    if len(connection) <= _SHORT:
        return _remembered_names(connection)
    return _names(connection)


def _names(connection: bytes) -> frozenset[bytes]:
    return frozenset(name.strip(b" \t") for name in connection.lower().split(b","))


_remembered_names = functools.lru_cache(maxsize=64)(_names)


def _check(
    parser: httptools.HttpRequestParser | httptools.HttpResponseParser,
    head: bytes,
    status: int,
) -> None:
    """Have llhttp check the head, its fields above all."""
    if head.count(b"\r\n") > _FIELDS + 2:
        raise HeadError(431 if status == 400 else status, "too many fields")
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        # CONNECT, or an Upgrade that the relay will strip: the head itself is fine.
        pass
    except httptools.HttpParserInvalidMethodError:
        raise HeadError(501, "unknown method") from None
    except httptools.HttpParserError:
        raise HeadError(status, "malformed head") from None


def _bad_request_line(head: bytes) -> HeadError:
    """Why a first line is not a request line, in the order a server would check."""
    words = head.removeprefix(b"\r\n").partition(b"\r\n")[0].split(b" ")
    if len(words) != 3 or not _TOKEN.fullmatch(words[0]):
        return HeadError(400, "malformed request line")
    if len(words[1]) > _TARGET:
        return HeadError(414, "request target too long")
    # Departs from RFC 9110 section 2.5, which reads a later 1.x as 1.1: there is none.
    if re.fullmatch(rb"HTTP/(?!1\.[01])[0-9]\.[0-9]", words[2]):
        return HeadError(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    if words[0].isalpha() and words[0].isupper():
        return HeadError(400, "malformed request line")
    return HeadError(501, "unknown method")


def _host(request: RequestHead) -> bytes:
    # RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code
    # to any HTTP/1.1 request message that lacks a Host header field and to any request
    # message that contains more than one Host header field line or a Host header field
    # with an invalid field value."
    host = request.values.get(b"host")
    if host is None and request.minor == 0:
        return b""
    host = (host or b"").rstrip(b" \t")
    if _AUTHORITY.fullmatch(host):
        return host
    raise HeadError(400, "exactly one valid Host is needed")


def _reduce_target(request: RequestHead) -> None:
    """Bring the target into the form that an origin wants (RFC 9112 section 3.2)."""
    target = request.target
    if request.method == b"CONNECT":
        # RFC 9110 section 9.3.6: a target with an empty or invalid port is refused.
        authority = _AUTHORITY.fullmatch(target)
        if authority is None or not 0 < int(authority[1] or 0) < 65_536:
            raise HeadError(400, "CONNECT needs host:port")
        request.authority = target
        return
    # RFC 9112 section 3.2.1: absolute-path [ "?" query ]; a fragment is never sent, and
    # parsers differ about one that is.
    if b"#" in target:
        raise HeadError(400, "fragment in the request target")
    if target == b"*" and request.method == b"OPTIONS":
        return
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or not _AUTHORITY.fullmatch(absolute[1]):
        raise HeadError(400, "malformed request target")
    # RFC 9112 section 3.2.2: a server MUST ignore the Host field beside an
    # absolute-form target, and use the host that the target names.
    request.authority, path = absolute.groups()
    if not path and request.method == b"OPTIONS":
        # Section 3.2.4: what asks for the server as a whole goes on as the asterisk.
        request.target = b"*"
    else:
        request.target = path if path[:1] == b"/" else b"/" + path


def _expects(request: RequestHead) -> bool:
    if request.values[b"expect"].rstrip(b" \t").lower() != b"100-continue":
        # RFC 9110 section 10.1.1: an expectation other than 100-continue MAY be
        # answered with 417.
        raise HeadError(417, "unknown expectation")
    # RFC 9110 section 10.1.1: "A server that receives a 100-continue expectation in an
    # HTTP/1.0 request MUST ignore that expectation."
    return request.minor == 1


def _request_body(request: RequestHead) -> tuple[Body, int]:
    """RFC 9112 section 6.3, without its guesses."""
    body, length = Body.NONE, 0
    if b"transfer-encoding" in request.values:
        _check_coding(request, unknown=501, wrong=400)
        body = Body.CHUNKED
    elif b"content-length" in request.values:
        length = _length(request, 400)
        body = Body.LENGTH if length else Body.NONE
    if body is not Body.NONE and request.method == b"CONNECT":
        # RFC 9110 section 9.3.6 gives it no meaning; some take it for tunnelled data.
        raise HeadError(400, "CONNECT with a body")
    return body, length


def _response_body(response: ResponseHead, method: bytes) -> tuple[Body, int]:
    """RFC 9112 section 6.3, in its own order."""
    chunked = b"transfer-encoding" in response.values
    if chunked:
        _check_coding(response, unknown=502, wrong=502)
    sized = b"content-length" in response.values
    length = _length(response, 502) if sized else 0
    status = response.status
    if method == b"HEAD" or status < 200 or status in (204, 304):
        return Body.NONE, 0
    if chunked:
        return Body.CHUNKED, 0
    if not sized:
        return Body.CLOSE, 0
    return (Body.LENGTH, length) if length else (Body.NONE, 0)


def _check_coding(message: Head, *, unknown: int, wrong: int) -> None:
    # RFC 9112 section 6.1: a recipient of HTTP/1.0 with Transfer-Encoding MUST treat
    # the message "as if the framing is faulty".
    if message.minor == 0:
        raise HeadError(wrong, "Transfer-Encoding in HTTP/1.0")
    # A Content-Length beside it never comes here: llhttp refuses the two together.
    # Departs from RFC 9112 section 6.1, which allows "gzip, chunked": peers disagree
    # about such lists, and nobody sends them.
    if message.values[b"transfer-encoding"].lower() != b"chunked":
        raise HeadError(unknown, "unknown transfer coding")


def _length(message: Head, status: int) -> int:
    # RFC 9110 section 8.6 lets a recipient accept a list of identical values; every
    # ambiguity about length is refused here.
    value = message.values[b"content-length"].rstrip(b" \t")
    if not value.isdigit() or len(value) > 18:
        raise HeadError(status, "invalid Content-Length")
    return int(value)
