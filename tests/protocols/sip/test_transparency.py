"""What a proxy forwards is what came, but for the lines that are a proxy's own."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.sip.message import parse
from protocols.sip.peers import Send
from tests.protocols.sip.messages import PATIENT, lines_of
from tests.protocols.sip.stage import Stage, one, peer_of, status
from tests.transparency import is_forwarded, is_passed_back

PLACES = (b"10.0.0.2:5060", b"203.0.113.5:5060")
METHODS = (b"INVITE", b"PUBLISH", b"MESSAGE", b"REGISTER", b"SUBSCRIBE", b"x-Odd%45")
URIS = (
    *(
        b"sip:a%00;b=c?d@other.test;x=%6C",
        b"SIP:other.test.",
        b"tel:+1;phone-context=a",
    ),
    *(b"urn:service:sos", b"sip:[::ffff:192.0.2.1]:5999", b"sip:_x.test;transport=tls"),
)
VIAS = (
    b"Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKa",
    b"v :SIP / 2.0/UDP\r\n pbx.test ;\tbranch = z9hG4bKa ;rport;ttl=1",
    b"VIA: SIP/2.0/UDP 10.0.0.10;branch=1;rport;received=10.9.9.9",
    b"Via: SIP/2.0/UDP a_b.test.;branch=z9hG4bKa,SIP/2.0/SCTP x;y=\"a,b\"",
)  # fmt: skip
FROMS = (
    b'From: "a, \\"b\\" <c>" <sip:%41@pbx.test>;tag=f;x="y;z"',
    b"f:sip:100@10.0.0.10 ;tag= f",
    b"FROM  :\t=?caf\xe9 <tel:+1>\r\n\t;q=%2C",
)
TOS = (b"To: <sip:b@other.test>", b"t: sip:b@other.test;x=1", b"tO:\xff \xfe<urn:a:b>")
IDS = (b"Call-ID: %00a@b", b'i:\r\n odd{}<>[]?"\\', b"CALL-ID \t: x")
HOPS = (b"", b"Max-Forwards: 70", b"max-forwards:0068", b"MAX-FORWARDS : 255")
NAMES = (
    *(b"X-Unknown", b"Identity", b"y", b"Contact", b"m", b"Date", b"Session-Expires"),
    *(b"Proxy-Authorization", b"Reason", b"Supported", b"k", b"X-Odd.!%*_+`'~"),
)
_others = st.lists(lines_of(NAMES).map(lambda drawn: drawn[0][:-2]), max_size=6)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A new request of the PBX, in one of the many ways to write it."""
    method = draw(st.sampled_from(METHODS))
    kinds = (VIAS, FROMS, TOS, IDS, (b"CSeq: 0009 ", b"cseq :\r\n 9\t"), HOPS)
    via, sender, to, call, cseq, hops = (draw(st.sampled_from(kind)) for kind in kinds)
    body = draw(st.binary(max_size=30))
    fields = [via, sender, to, call, cseq + method, *draw(_others)]
    fields += [hops] if hops else []
    fields += [b"l: %d" % len(body)] if draw(st.booleans()) else []
    # The topmost Via is the first one, wherever it stands.
    lines = draw(st.permutations(fields))
    start = method + b" " + draw(st.sampled_from(URIS)) + b" SIP/2.0"
    return b"\r\n".join((start, *lines, b"", body))


@st.composite
def responses(draw: st.DrawFn, asked: Send) -> bytes:
    """An answer to a request that was forwarded."""
    copy = parse(asked.data)
    vias = copy.lines_of(b"via")
    fields = [*copy.lines_of(b"from"), *copy.lines_of(b"call-id"), b"t:<sip:b>;tag=1"]
    body = draw(st.binary(max_size=30))
    lines = [*vias, *draw(st.permutations([*fields, *draw(_others)]))]
    lines += [*copy.lines_of(b"cseq"), b"Content-Length : %d" % len(body)]
    # At 401 and 407 a retry is looked for, at 6xx nobody else is: all are passed on.
    phrase = draw(st.sampled_from([b"200 OK", b"401 ", b"486 \xd0\xbd", b"699 a  b "]))
    return b"\r\n".join((b"SIP/2.0 " + phrase, *lines, b"", body))


@PATIENT
@given(requests(), st.data())
def test_messages_are_forwarded_as_they_came(came: bytes, data: st.DataObject) -> None:
    stage = Stage()
    sent = stage.begin(came)
    assert is_forwarded(came, sent.data, PLACES)
    answer = data.draw(responses(sent))
    passed = [it for it in stage.receive(answer, peer_of(sent)) if status(it)]
    assert is_passed_back(answer, one(passed).data)
