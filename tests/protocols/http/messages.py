"""Generated messages: what was meant, and one of the ways to write it."""

import dataclasses
import itertools

from hypothesis import settings
from hypothesis import strategies as st

Fields = list[tuple[bytes, bytes]]

PATIENT = settings(deadline=None, max_examples=60)
"For properties over whole messages, which take a while on a busy machine."

_ENDS_HERE = (b"Keep-Alive", b"Proxy-Connection", b"TE", b"Upgrade", b"HTTP2-Settings")
_CLAIMS = (b"X-Forwarded-For", b"x_forwarded_proto", b"Forwarded", b"X-Real-IP")
_USUAL = (
    *(b"Accept", b"Authorization", b"Content-Type", b"Cookie", b"Content_Type"),
    *(b"X-Twilio-Signature", b"User-Agent", b"X-Odd", b"x!#$%&'*+.^`|~0"),
)
_VISIBLE = bytes(range(0x21, 0x7F)) + bytes(range(0x80, 0x100))


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """One request or response."""

    data: bytes
    "As it is sent."
    first: tuple[bytes, bytes]
    "Method and target, or status and reason."
    minor: int
    "Minor version."
    fields: Fields
    "All fields but those of framing, Host and Connection; names in lower case."
    nominated: set[bytes]
    "What Connection names, in lower case."
    body: bytes
    "Its body."
    trailers: Fields
    "Its trailers; names in lower case."


def _bytes(alphabet: bytes, least: int, most: int) -> st.SearchStrategy[bytes]:
    text = st.text(alphabet.decode("latin-1"), min_size=least, max_size=most)
    return text.map(lambda drawn: drawn.encode("latin-1"))


_white = st.sampled_from([b"", b" ", b"  ", b"\t", b" \t "])
_values = st.lists(_bytes(_VISIBLE, 1, 8), max_size=3).map(b" ".join)
_targets = _bytes(bytes(range(0x21, 0x7F)).replace(b"#", b""), 0, 20).map(
    lambda text: b"/" + text
)
_bodies = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", b"0\r\n\r\n"]),
)
_methods = st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"M-SEARCH", b"DELETE"])


@st.composite
def _lines(draw: st.DrawFn, names: tuple[bytes, ...]) -> tuple[bytes, Fields]:
    """Field lines, and what they say."""
    lines, fields = b"", []
    for name in draw(st.lists(st.sampled_from(names), max_size=6)):
        name = draw(st.sampled_from([name, name.lower(), name.upper()]))
        value = draw(_values)
        lines += name + b":" + draw(_white) + value + draw(_white) + b"\r\n"
        fields.append((name.lower(), value))
    return lines, fields


@st.composite
def _chunks(draw: st.DrawFn, body: bytes) -> tuple[bytes, Fields]:
    """The body in chunks, and the trailers behind it."""
    data = b""
    while body:
        size = draw(st.integers(1, len(body)))
        digits = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % size
        extension = draw(st.sampled_from([b"", b";", b';a="b"', b" ; x=1", b";\xff"]))
        data += digits + extension + b"\r\n" + body[:size] + b"\r\n"
        body = body[size:]
    trailers, fields = draw(_lines((b"X-Checksum", b"Server-Timing", b"X-Odd")))
    return data + draw(st.sampled_from([b"0", b"000", b"0;a"])) + b"\r\n" + (
        trailers + b"\r\n"
    ), fields


@st.composite
def requests(draw: st.DrawFn) -> Message:
    """One valid request that leaves the connection to another."""
    method, target = draw(_methods), draw(_targets)
    lines, fields = draw(_lines(_USUAL + _ENDS_HERE + _CLAIMS))
    connection, nominated = draw(_connection(fields))
    framing, body, trailers, sent = draw(_framing())
    parts = draw(st.permutations([b"Host: a.test\r\n", lines, framing, connection]))
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, b"".join(parts))
    first = (method, target)
    return Message(head + sent, first, 1, fields, nominated, body, trailers)


@st.composite
def responses(draw: st.DrawFn) -> Message:
    """One valid final response to a GET; its body may end with the connection."""
    status = draw(st.sampled_from([200, 201, 204, 304, 404, 502]))
    minor = draw(st.sampled_from([0, 1]))
    reason = draw(_values)
    lines, fields = draw(_lines((*_USUAL, b"Set-Cookie", b"Keep-Alive", b"Upgrade")))
    connection, nominated = draw(_connection(fields))
    framing, body, trailers, sent = draw(_framing(chunks=minor == 1))
    if status in (204, 304):
        body, trailers, sent = b"", [], b""
    elif not framing:
        sent = body = draw(_bodies)
    head = b"HTTP/1.%d %d %b\r\n" % (minor, status, reason)
    head += b"".join(draw(st.permutations([lines, framing, connection]))) + b"\r\n"
    first = (b"%d" % status, reason)
    return Message(head + sent, first, minor, fields, nominated, body, trailers)


@st.composite
def _connection(draw: st.DrawFn, fields: Fields) -> tuple[bytes, set[bytes]]:
    """A Connection field that names some of the others, and more."""
    others = [name for name, _ in fields] + [b"host", b"content-length", b"keep-alive"]
    names = draw(st.lists(st.sampled_from([*others, b"transfer-encoding"]), max_size=3))
    if not names:
        return b"", set()
    comma = draw(st.sampled_from([b",", b", ", b" ,,\t"]))
    return b"Connection: " + comma.join(names) + b"\r\n", set(names)


@st.composite
def _framing(
    draw: st.DrawFn, *, chunks: bool = True
) -> tuple[bytes, bytes, Fields, bytes]:
    """The field, the body, its trailers, and the bytes behind the head."""
    kind = draw(st.sampled_from(["none", "length"] + ["chunked"] * chunks))
    if kind == "none":
        return b"", b"", [], b""
    body = draw(_bodies)
    white = draw(_white)
    if kind == "length":
        return b"Content-Length:%b%d\r\n" % (white, len(body)), body, [], body
    sent, trailers = draw(_chunks(body))
    field = b"Transfer-Encoding:%bchunked\r\n" % white
    return field, body, trailers, sent


@st.composite
def splits(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The data in pieces."""
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=12).map(sorted))
    edges = [0, *cuts, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """The data with a few bytes taken out, put in or replaced."""
    odd = st.one_of(
        st.sampled_from(
            [
                *(
                    b"\r",
                    b"\n",
                    b"\r\n",
                    b" ",
                    b"\t",
                    b":",
                    b"\x00",
                    b"\x0b",
                    b",",
                    b"#",
                ),
                *(
                    b"0",
                    b"\xff",
                    b";",
                    b"\r\n\r\n",
                    b"\r\nContent-Length: 3",
                    b"chunked",
                ),
                *(b"\r\nTransfer-Encoding: chunked", b"\r\nHost: b", b"\r\n "),
            ]
        ),
        st.binary(max_size=2),
    )
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(odd) + data[at + draw(st.integers(0, 2)) :]
    return data
