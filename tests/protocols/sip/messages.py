"""Generated messages, in the many ways that one may be written."""

import dataclasses
import itertools
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st

PATIENT = settings(deadline=None, max_examples=60)
"For properties over whole messages, which take a while on a busy machine."


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """One message, and what was meant by it."""

    data: bytes
    "As it is sent."
    fields: list[tuple[bytes, bytes]]
    "Names in lower case and long form, and values on one line."
    body: bytes
    "Its body."


_STARTS = (
    *(b"INVITE sip:a@b.test SIP/2.0", b"x-Method%45 tel:+1 SIP/2.0"),
    *(b"OPTIONS  sip:a@b.test;lr  sip/2.0 ", b"BYE sip:%00@[::1]:5 SIP/7.0"),
    *(b"SIP/2.0 200 OK", b"SIP/2.0 100 ", b"SIP/2.0 486 \xd0\xbd\xff", b"SIP/2.0 699"),
)
_NAMES = {
    b"Via": b"via",
    b"v": b"via",
    b"VIA": b"via",
    b"f": b"from",
    b"To": b"to",
    b"cseq": b"cseq",
    b"I": b"call-id",
    b"Route": b"route",
    b"X-Odd.!%*_+`'~": b"x-odd.!%*_+`'~",
    b"Identity": b"identity",
    b"y": b"identity",
}
_VISIBLE = bytes(range(0x21, 0x7F)) + bytes(range(0x80, 0x100)) + b"\x00\x0b\x0c"
_words = st.lists(st.sampled_from(_VISIBLE), min_size=1, max_size=8).map(bytes)
_white = st.sampled_from([b"", b" ", b"\t", b"  \t"])
_between = st.sampled_from([(b" ", b" "), (b"\t", b"\t"), (b"\r\n ", b" ")])


@st.composite
def lines_of(
    draw: st.DrawFn, names: Sequence[bytes] = tuple(_NAMES)
) -> tuple[bytes, bytes, bytes]:
    """A field line, the name and the value that it means."""
    name = draw(st.sampled_from(names))
    sent = meant = draw(st.one_of(st.just(b""), _words))
    for word in draw(st.lists(_words, max_size=3 if meant else 0)):
        as_sent, as_meant = draw(_between)
        sent, meant = sent + as_sent + word, meant + as_meant + word
    line = b"".join((name, draw(_white), b":", draw(_white), sent, draw(_white)))
    return line + b"\r\n", _NAMES.get(name, name.lower()), meant


@st.composite
def messages(draw: st.DrawFn, *, framed: bool = False) -> Sent:
    """A message that is read; framed ones say how long they are."""
    drawn = draw(st.lists(lines_of(), max_size=8))
    lines = [line for line, _, _ in drawn]
    fields = [(name, value) for _, name, value in drawn]
    body = draw(st.binary(max_size=40))
    if framed or draw(st.booleans()):
        name = draw(
            st.sampled_from([b"Content-Length: ", b"l:", b"CONTENT-LENGTH \t:0"])
        )
        at = draw(st.integers(0, len(lines)))
        lines.insert(at, name + b"%d\r\n" % len(body))
        value = (name.partition(b":")[2] + b"%d" % len(body)).strip()
        fields.insert(at, (b"content-length", value))
    start = draw(st.sampled_from(_STARTS))
    return Sent(start + b"\r\n" + b"".join(lines) + b"\r\n" + body, fields, body)


@st.composite
def splits(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The data in pieces."""
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=12).map(sorted))
    return [data[a:b] for a, b in itertools.pairwise([0, *cuts, len(data)])]


_ODD = (
    *(b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\x00", b",", b";", b'"', b"<", b">"),
    *(b"\r\n\r\n", b"\r\nl: 3", b"\r\n ", b"\r\nContent-Length: 5", b"@", b"[", b"="),
    *(b"%", b"\\", b"\xff", b"z9hG4bK", b"SIP/2.0", b"2147483648"),
)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """The data with a few bytes taken out, put in or replaced."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        odd = draw(st.one_of(st.sampled_from(_ODD), st.binary(max_size=2)))
        data = data[:at] + odd + data[at + draw(st.integers(0, 2)) :]
    return data
