"""Values of fields: what is read of them, and what is refused."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip.headers import (
    CSeq,
    Uri,
    address_of,
    branch_in,
    parameters_of,
    parse_cseq,
    parse_uri,
    parse_via,
    sent_by,
    split_list,
    tag_in,
    tag_of,
    via_in,
)
from protocols.sip.message import MessageError, parse
from tests.protocols.sip.messages import PATIENT, mutated
from tests.torture import rfc4475, rfc5118

MESSAGES = {
    case.name: parse(case.data)
    for case in (*rfc4475.CASES, *rfc5118.CASES)
    if case.name != "bigcode"
}


def refused(read: Callable[[bytes], object], value: bytes) -> str:
    with pytest.raises(MessageError) as error:
        read(value)
    assert error.value.status == 400
    return error.value.reason


# ---- Comma lists -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "values"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a,b", [b"a", b"b"]),
        (b"a ,\t b ; c=d", [b"a", b"b ; c=d"]),
        (b'"a,\\",b" <c,d>;e="f,g" , h', [b'"a,\\",b" <c,d>;e="f,g"', b"h"]),
        (b'"<" <a>, b', [b'"<" <a>', b"b"]),
    ],
)
def test_list_is_split_at_commas_outside_quotes_and_brackets(
    value: bytes, values: list[bytes]
) -> None:
    assert split_list(value) == values


@pytest.mark.parametrize(
    "value", [b",", b"a,", b"a,,b", b'"a, b', b"<a, b", b'a"b', b" "]
)
def test_malformed_list_is_refused(value: bytes) -> None:
    assert refused(split_list, value) == "malformed comma list"


# ---- Via ---------------------------------------------------------------------------


def test_via_is_read_whole() -> None:
    via = parse_via(
        b"SIP/2.0/udp a.test:5070;branch=z9hG4bK1;Received=192.0.2.1;rport=5;maddr=m"
    )
    assert (via.transport, via.host, via.port) == (b"UDP", b"a.test", 5070)
    assert (via.branch, via.received, via.maddr) == (b"z9hG4bK1", b"192.0.2.1", b"m")
    assert via.rport == b"5"
    assert via.parameters[b"received"] == b"192.0.2.1"


@pytest.mark.parametrize("name", [b"Via: ", b"v: ", b"VIA:", b"Via :\r\n "])
@pytest.mark.parametrize(
    "value",
    [
        *(
            b"SIP/2.0/UDP a",
            b"SIP/2.0/tls [::1]:5061;rport;branch=x=y/z;Received=[::1]",
        ),
        *(b"SIP / 2.0 / UDP a ; rport", b'SIP/2.0/UDP a;b="c"', b"SIP/2.0/TCP a,b"),
    ],
)
def test_line_of_via_is_read_like_its_value(name: bytes, value: bytes) -> None:
    assert via_in(name + value) == parse_via(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"SIP/2.0/UDP a;b=1;B=2", "parameter given twice"),
        (b"SIP/2.0/UDP a:65536", "port out of range"),
        (b"SIP/2.0/UDP a;", "malformed Via"),
        (b"SIP/2.0/UDP", "malformed Via"),
    ],
)
def test_line_of_malformed_via_is_refused(value: bytes, reason: str) -> None:
    assert refused(via_in, b"Via: " + value) == reason


def test_bare_via_has_nothing_else() -> None:
    via = parse_via(b"SIP/2.0/TCP 192.0.2.1")
    assert (via.port, via.branch, via.received, via.maddr) == (None, b"", b"", b"")
    assert via.rport is None
    assert via.parameters == {}


def test_rport_without_a_value_asks_for_one() -> None:
    assert parse_via(b"SIP/2.0/UDP a;rport;branch=z9hG4bK1").rport == b""


def test_first_via_of_a_list_is_read() -> None:
    assert parse_via(b"SIP/2.0/UDP a;branch=x=y/z , SIP/2.0/UDP b").branch == b"x=y/z"
    assert parse_via(b"SIP/2.0/UDP a,b").host == b"a"


def test_via_with_space_in_every_place_is_read() -> None:
    folded, other = MESSAGES["wsinv"].all(b"via")
    assert parse_via(folded).branch == b"390skdjuw"
    first, second = map(parse_via, split_list(other))
    assert (first.transport, first.host) == (b"TCP", b"spindle.example.com")
    assert (first.branch, second.branch) == (b"z9hG4bK9ikj8", b"z9hG4bK30239")


def test_unknown_transport_in_a_via_is_read() -> None:
    hops = [parse_via(value).transport for value in MESSAGES["transports"].all(b"via")]
    assert hops == [b"UDP", b"SCTP", b"TLS", b"UNKNOWN", b"TCP"]


@pytest.mark.parametrize("name", ["badbranch", "inv2543"])
def test_branch_that_names_no_transaction_is_read_as_it_is(name: str) -> None:
    branch = parse_via(MESSAGES[name].first(b"via") or b"").branch
    assert branch == {"badbranch": b"z9hG4bK", "inv2543": b""}[name]


@pytest.mark.parametrize(
    "name", ["via-received-param-with-delim", "via-received-param-no-delim"]
)
def test_received_ipv6_address_is_read_with_and_without_brackets(name: str) -> None:
    via = parse_via(MESSAGES[name].first(b"via") or b"")
    assert (via.received, via.host) == (b"2001:db8::9:255", b"2001:db8::9:1")
    assert via.branch == b"z9hG4bKas3-111"


def test_addresses_of_both_families_are_read_in_one_message() -> None:
    hops = [parse_via(value) for value in MESSAGES["mult-ip-in-header"].all(b"via")]
    assert [(via.host, via.port) for via in hops] == [
        (b"2001:db8::9:1", 6050),
        (b"192.0.2.1", None),
        (b"2001:db8::9:255", None),
    ]
    assert hops[2].received == b"192.0.2.200"
    mapped = [parse_via(value) for value in MESSAGES["ipv4-mapped-ipv6"].all(b"via")]
    assert [via.host for via in mapped] == [b"::ffff:192.0.2.10", b"::ffff:192.0.2.2"]


@pytest.mark.parametrize("host", [b"under_score.test", b"dot.test.", b"a", b"10.0.0.1"])
def test_host_with_underscore_or_dot_at_its_end_is_read(host: bytes) -> None:
    assert parse_via(b"SIP/2.0/UDP " + host + b":5060;rport").host == host
    assert parse_uri(b"sip:a@" + host).host == host


@pytest.mark.parametrize(
    ("value", "host", "port", "rport"),
    [
        (b"SIP/2.0/UDP 192.0.2.15;;,;,,", b"192.0.2.15", None, None),
        (b"SIP/7.0/udp c.test:5070;branch=x", b"c.test", 5070, None),
        (b"x / y / UDP [::1] :1;;rport", b"::1", 1, b""),
        (b"SIP/2.0/UDP a.test;;rport=1;rport=2", b"a.test", None, b""),
        (b"SIP/2.0/UDP a.test;;rports;x=rport", b"a.test", None, None),
    ],
)
def test_sender_is_read_from_a_malformed_via(
    value: bytes, host: bytes, port: int | None, rport: bytes | None
) -> None:
    with pytest.raises(MessageError):
        parse_via(value)
    found = sent_by(value)
    assert found[:3] == (b"UDP", host, port)
    assert found.rport == rport


@pytest.mark.parametrize(
    "value", [b"", b"SIP/2.0/UDP", b"SIP/2.0 a.test", b"SIP/2.0/UDP a.test:65536;;"]
)
def test_via_that_names_no_sender_is_refused(value: bytes) -> None:
    with pytest.raises(MessageError):
        sent_by(value)


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"SIP/2.0/UDP", b"SIP/2.0 a", b"SIP/2.0/UDP ", b"SIP/7.0/UDP a"),
        *(b"SIP/2.0/UDP 192.0.2.15;;,;,,", b"SIP/2.0/UDP a;", b"SIP/2.0/UDP a b"),
        *(b"SIP/2.0/UDP 2001:db8::1", b"SIP/2.0/UDP a:", b"SIP/2.0/UDP a:999999"),
        *(b'SIP/2.0/UDP a;b="c', b"SIP/2.0/UDP [g]", b"SIP/2.0/UDP a;b=c d"),
    ],
)
def test_malformed_via_is_refused(value: bytes) -> None:
    assert refused(parse_via, value) == "malformed Via"


def test_via_with_two_branches_is_refused() -> None:
    value = b"SIP/2.0/UDP a;branch=b;Branch=c"
    assert refused(parse_via, value) == "parameter given twice"


def test_port_out_of_range_is_refused() -> None:
    assert refused(parse_via, b"SIP/2.0/UDP a:65536") == "port out of range"
    assert refused(parse_uri, b"sip:a:65536") == "port out of range"


# ---- CSeq --------------------------------------------------------------------------


def test_cseq_is_read() -> None:
    assert parse_cseq(b"0009   INVITE") == CSeq(9, b"INVITE")
    assert parse_cseq(b"2147483647 x%45") == CSeq((1 << 31) - 1, b"x%45")


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"1", b"INVITE", b"1INVITE", b"-1 INVITE", b"1 IN VITE", b"1.0 BYE"),
        *(b"2147483648 BYE", b"36893488147419103232 BYE", b"1" * 9_000 + b" BYE"),
    ],
)
def test_malformed_cseq_is_refused(value: bytes) -> None:
    assert refused(parse_cseq, value) == "malformed CSeq"


# ---- URIs --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "read"),
    [
        (b"sip:a", Uri(b"sip", b"", b"a", None, {}, b"")),
        (b"SIPS:a@b:5061", Uri(b"sips", b"a", b"b", 5061, {}, b"")),
        (b"sip:a:b@c", Uri(b"sip", b"a", b"c", None, {}, b"")),
        (
            b"sip:a@b;LR;transport=TCP?Route=%3Csip:c%3E&d=e",
            Uri(
                b"sip", b"a", b"b", None,
                {b"lr": b"", b"transport": b"TCP"}, b"Route=%3Csip:c%3E&d=e",
            ),
        ),
        (
            b"sip:user;par=u%40example.net@example.com",
            Uri(b"sip", b"user;par=u%40example.net", b"example.com", None, {}, b""),
        ),
        (b"sip:a?b;c=,/@d", Uri(b"sip", b"a?b;c=,/", b"d", None, {}, b"")),
        (b"urn:service:sos", Uri(b"urn", b"", b"", None, {}, b"")),
        (b"tel:+15550100;a=b?", Uri(b"tel", b"", b"", None, {}, b"")),
        (b"soap.beep://192.0.2.103:3002", Uri(b"soap.beep", b"", b"", None, {}, b"")),
    ],
)  # fmt: skip
def test_uri_is_read(uri: bytes, read: Uri) -> None:
    assert parse_uri(uri) == read


@pytest.mark.parametrize(
    ("uri", "host", "port"),
    [
        (b"sip:[2001:db8::10]:5070", b"2001:db8::10", 5070),
        (b"sip:a@[2001:db8::10:5070]", b"2001:db8::10:5070", None),
        (b"sip:[::ffff:192.0.2.1];lr", b"::ffff:192.0.2.1", None),
        (b"sip:a@[2001:db8:::192.0.2.1]", b"2001:db8:::192.0.2.1", None),
    ],
)
def test_ipv6_address_in_a_uri_is_read(uri: bytes, host: bytes, port: int) -> None:
    read = parse_uri(uri)
    assert (read.host, read.port) == (host, port)


@pytest.mark.parametrize(
    "uri",
    [
        *(b"", b"sip:", b"a@b", b"<sip:a>", b"sip:a b", b" sip:a", b"sip:a\x00", b":a"),
        *(b"sip:2001:db8::10", b"sip:@b", b"sip:a@b@c", b"sip:a@b:", b"sip:a@b;c;c"),
        *(b"sip:a@b;", b"sip:a@b;;c", b"sip:a@[b", b"sip:a@b?c?d", b"sip:caf\xe9@b"),
        *(b"sip:a@b:123456", b'sip:a@b;"c"', b"sip:a@b;=c", b"sip:a@[::g]", b"sip:a/b"),
    ],
)
def test_malformed_uri_is_refused(uri: bytes) -> None:
    assert "malformed" in refused(parse_uri, uri)


# ---- Addresses ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "uri", "tag"),
    [
        (b"sip:a@b;tag=c", b"sip:a@b", b"c"),
        (b"<sip:a@b;tag=d>;tag=c", b"sip:a@b;tag=d", b"c"),
        (b'"A, \\" <B>"<sip:a,b@c> ; x="y;z" ; TAG = c', b"sip:a,b@c", b"c"),
        (b"A. B <sip:a?b=c>", b"sip:a?b=c", b""),
        (b"caf\xe9 \xd0\xbd <sip:a>;tag", b"sip:a", b""),
        (b"isbn:2983792873", b"isbn:2983792873", b""),
        (b"<sip:a;lr>,<sip:b>", b"sip:a;lr", b""),
    ],
)
def test_address_and_tag_are_read(value: bytes, uri: bytes, tag: bytes) -> None:
    assert (address_of(value), tag_of(value)) == (uri, tag)


def test_odd_names_of_the_torture_tests_are_read() -> None:
    read = MESSAGES["intmeth"]
    assert tag_of(read.first(b"from") or b"") == b"_token~1'+`*%!-."
    assert address_of(read.first(b"to") or b"").endswith(b"/;;*@example.com")
    assert tag_of(MESSAGES["wsinv"].first(b"from") or b"") == b"98asjd8"
    assert address_of(MESSAGES["unksm2"].first(b"from") or b"").startswith(b"http://")


def test_parameters_behind_an_address_are_read() -> None:
    value = b'<sip:a;b>;q=0.5;x="y"'
    assert parameters_of(value) == {b"q": b"0.5", b"x": b'"y"'}


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"*", b"a@b", b'"A <sip:a>', b"<sip:a", b"< sip:a >", b"A, B <sip:a>"),
        *(b"A <sip:a b>", b"<>", b"A: <sip:a>", b"A\\ <sip:a>"),
    ],
)
def test_malformed_address_is_refused(value: bytes) -> None:
    assert refused(address_of, value) == "malformed address"
    assert refused(tag_of, value) == "malformed address"


@pytest.mark.parametrize(
    "value", [b"<sip:a>;", b"<sip:a>;;tag=b", b"<sip:a> b", b'sip:a;b="c', b"sip:a?b=c"]
)
def test_malformed_parameters_are_refused(value: bytes) -> None:
    assert refused(tag_of, value) == "malformed parameters"


def test_two_tags_are_refused() -> None:
    assert refused(tag_of, b"<sip:a>;tag=b;tag=c") == "parameter given twice"


@pytest.mark.parametrize("name", [b"From: ", b"t: ", b"TO:", b"To :\r\n "])
@pytest.mark.parametrize(
    ("value", "tag"),
    [
        *((b"<sip:a>", b""), (b"<sip:a>;tag=b", b"b"), (b"A <sip:a>;tag=", b"")),
        *((b'"a <b" <sip:a;c>;tag=b~', b"b~"), (b"sip:a;tag=b", b"b")),
        *((b"<sip:a> ; TAG = b", b"b"), (b"<sip:a>;x=y;tag=b;z", b"b")),
    ],
)
def test_tag_is_read_from_a_whole_line(name: bytes, value: bytes, tag: bytes) -> None:
    assert tag_in(name + value) == tag_of(value) == tag


def test_line_with_two_tags_is_refused() -> None:
    assert refused(tag_in, b"To: <sip:a>;tag=b;tag=c") == "parameter given twice"


# ---- Properties --------------------------------------------------------------------

READERS = (split_list, parse_via, parse_cseq, parse_uri, address_of, tag_of)
VALUES = (
    b'SIP / 2.0/UDP [::1]:5;branch=z9hG4bK1;a="b\\"c" , SIP/2.0/TCP d;rport',
    b'"A, \\"B" <sip:a:b@[::1]:5;lr;c=d?e=f>;tag="g";h',
    b"sips:a;b?c:d@e.test.:5061;lr;f=g?h",
    b"314 INVITE",
)


@PATIENT
@given(st.data())
def test_any_value_is_read_or_refused(data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(VALUES).flatmap(mutated))
    for read in READERS:
        try:
            read(value)
        except MessageError:
            pass


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("start", "part", "end"),
    [
        *(
            (b"", part, b"")
            for part in (b" ", b"\t", b"<", b'"', b",", b";", b"a", b"\\")
        ),
        (b'"', b"\\", b""),
        (b'"', b'\\"', b""),
        (b"A", b" ", b"B"),
        (b"", b"a ", b""),
        (b"", b'""', b""),
        (b"", b"<>", b""),
        (b"SIP/2.0/UDP", b" ", b"\x00"),
        (b"SIP/2.0/UDP a", b" ", b"\x00"),
        (b"SIP/2.0/UDP a;b", b" ", b"\x00"),
        (b"SIP/2.0/UDP a;b=", b" ", b"\x00"),
        (b"SIP/2.0/UDP a", b" ;", b"\x00"),
        (b"SIP/2.0/UDP a;b=", b"c", b"\x00"),
        (b"SIP/2.0/UDP ", b"1", b"\x00"),
        (b"1", b" ", b"\x00"),
        (b"1 ", b"A", b"\x00"),
        (b"", b"1", b""),
        (b"sip:", b"a", b"\x00"),
        (b"sip:", b"a:", b""),
        (b"sip:", b"a;", b"\x00"),
        (b"sip:", b"a@", b""),
        (b"sip:a", b";b", b"@\x00"),
        (b"sip:a", b"?b", b""),
        (b"<sip:a>", b"; a ", b"\x00"),
    ],
)
def test_no_value_takes_more_than_one_pass(
    read: Callable[[bytes], object], start: bytes, part: bytes, end: bytes
) -> None:
    value = start + part * (65_000 // len(part)) + end
    before = time.process_time()
    try:
        read(value)
    except MessageError:
        pass
    assert time.process_time() - before < 0.5


@pytest.mark.parametrize(
    ("line", "branch"),
    [
        (b"Via: SIP/2.0/UDP a;branch=z9hG4bK1;rport", b"z9hG4bK1"),
        (
            b"v: SIP/2.0/UDP a;\r\n Branch = z9hG4bK1, SIP/2.0/TCP b;branch=2",
            b"z9hG4bK1",
        ),
        (b"Via: SIP/2.0/UDP a;rport", b""),
        (b"", b""),
    ],
)
def test_branch_is_found_however_the_line_is_written(
    line: bytes, branch: bytes
) -> None:
    assert branch_in(line) == branch
