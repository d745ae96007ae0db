from typing import Any

import pydantic
import pytest

from protocols.target import Transport
from router.addresses import (
    Address,
    Bind,
    BindAddress,
    HostName,
    HttpReceiver,
    Nameserver,
    Network,
    Receiver,
    SipBind,
    SipReceiver,
    WebsocketReceiver,
    everyone,
    host_and_port,
    is_host,
    receiver,
    version_of,
)


def read(kind: Any, value: object) -> Any:
    return pydantic.TypeAdapter(kind).validate_python(value)


def hint(kind: Any, value: object) -> str:
    with pytest.raises(pydantic.ValidationError) as caught:
        read(kind, value)
    return str(caught.value.errors()[0]["ctx"]["hint"])


def bind(text: str) -> Bind:
    found: Bind = read(BindAddress, text)
    return found


@pytest.mark.parametrize("written", ["127.0.0.1:8443", "[::1]:8443", "0.0.0.0:0"])
def test_address_to_listen_on_is_written_as_it_was_read(written: str) -> None:
    assert str(bind(written)) == written


def test_mapped_address_is_the_address_that_it_maps() -> None:
    assert str(bind("[::ffff:10.0.0.1]:443")) == "10.0.0.1:443"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (8443, "did you mean '0.0.0.0:8443'?"),
        ("*:443", "did you mean '0.0.0.0:443'?"),
        (":443", "did you mean '0.0.0.0:443'?"),
        ("localhost:443", "did you mean '127.0.0.1:443'?"),
        ("10.0.0.1", "add the port"),
        ("::1", "bracket an IPv6 address, add the port"),
        ("[fe80::1%eth0]:443", ""),
        ("host.example:443", ""),
        ("10.0.0.1:70000", ""),
        ("22:22", ""),
        ("junk", ""),
        (True, ""),
    ],
)
def test_address_to_listen_on_is_refused_with_a_hint(
    written: object, expected: str
) -> None:
    assert hint(BindAddress, written) == expected


@pytest.mark.parametrize(
    ("one", "other", "meets"),
    [
        ("127.0.0.1:443", "127.0.0.1:443", True),
        ("0.0.0.0:443", "10.0.0.1:443", True),
        ("10.0.0.1:443", "0.0.0.0:443", True),
        ("[::]:443", "[::1]:443", True),
        ("10.0.0.1:443", "10.0.0.2:443", False),
        ("10.0.0.1:443", "10.0.0.1:444", False),
        ("0.0.0.0:443", "[::]:443", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
    ],
)
def test_two_listeners_meet_on_one_port_of_one_family(
    one: str, other: str, meets: bool
) -> None:
    assert bind(one).meets(bind(other)) is meets


def test_udp_and_tcp_share_a_port_but_tcp_and_tls_do_not() -> None:
    udp, tcp, tls = (read(SipBind, f"{t}://10.0.0.1:5060") for t in Transport)
    assert not udp.meets(tcp)
    assert tcp.meets(tls)


def test_sip_address_to_listen_on_carries_its_transport() -> None:
    assert read(SipBind, "udp://10.0.0.2:5060").transport is Transport.UDP
    assert hint(SipBind, "10.0.0.2:5060") == ""
    assert hint(SipBind, "sctp://10.0.0.2:5060") == ""
    assert hint(SipBind, "tls://*:5061") == "did you mean '0.0.0.0:5061'?"


def test_version_of_an_address_is_known_and_that_of_a_name_is_not() -> None:
    assert [version_of(host) for host in ("10.0.0.1", "::1", "pbx")] == [4, 6, None]


def test_network_is_read_and_a_bare_address_is_a_network_of_one() -> None:
    assert str(read(Network, "10.0.0.0/8")) == "10.0.0.0/8"
    assert str(read(Network, "10.0.0.10")) == "10.0.0.10/32"
    assert str(read(Network, "2001:db8::/32")) == "2001:db8::/32"


def test_network_with_host_bits_or_none_is_refused() -> None:
    assert hint(Network, "10.0.0.1/8") == "did you mean '10.0.0.0/8'?"
    assert hint(Network, "anyone") == ""
    assert hint(Network, 10) == ""


def test_everyone_is_both_families() -> None:
    assert [str(network) for network in everyone()] == ["0.0.0.0/0", "::/0"]


def test_address_is_read_or_refused() -> None:
    assert str(read(Address, "203.0.113.10")) == "203.0.113.10"
    assert hint(Address, "10.0.0.300") == ""


def test_nameserver_has_port_53_unless_it_says_otherwise() -> None:
    servers = ["10.0.0.1", "10.0.0.1:5353", "::1", "[::1]:5353", "[::1]"]
    assert [str(read(Nameserver, server)) for server in servers] == [
        "10.0.0.1:53",
        "10.0.0.1:5353",
        "[::1]:53",
        "[::1]:5353",
        "[::1]:53",
    ]
    assert hint(Nameserver, "dns.example") == ""
    assert hint(Nameserver, "a:b:c") == ""
    assert hint(Nameserver, "10.0.0.1:0") == ""


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        (HttpReceiver, "http://10.0.0.20:8080", Receiver("http", "10.0.0.20", 8080)),
        (
            HttpReceiver,
            "https://App.Example/",
            Receiver("https", "app.example", 443, False),
        ),
        (HttpReceiver, "http://[::1]:80", Receiver("http", "::1", 80)),
        (
            WebsocketReceiver,
            "wss://10.0.0.20",
            Receiver("wss", "10.0.0.20", 443, False),
        ),
        (SipReceiver, "sip:10.0.0.10", Receiver("sip", "10.0.0.10", 5060, False)),
        (SipReceiver, "sips:pbx:5071", Receiver("sips", "pbx", 5071)),
        (
            SipReceiver,
            "sip:p;transport=tcp",
            Receiver("sip", "p", 5060, False, Transport.TCP),
        ),
        (
            SipReceiver,
            "sip:p:9;Transport=UDP",
            Receiver("sip", "p", 9, True, Transport.UDP),
        ),
        (SipReceiver, "sip:pbx;transport=tls", Receiver("sips", "pbx", 5061, False)),
        (SipReceiver, "sips:pbx;transport=tls", Receiver("sips", "pbx", 5061, False)),
        (SipReceiver, "sips:pbx;transport=tcp", Receiver("sips", "pbx", 5061, False)),
    ],
)
def test_receiver_is_read_with_the_port_of_its_scheme(
    kind: Any, written: str, expected: Receiver
) -> None:
    assert read(kind, written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10.0.0.20:8080", ""),
        ("ws://10.0.0.20", ""),
        ("http://me:you@10.0.0.20", "no user or password here"),
        ("http://10.0.0.20/hook", "the path of each request is kept as it comes"),
        ("http://10.0.0.20?a=b", "the path of each request is kept as it comes"),
        ("http://10.0.0.300", ""),
        ("http://10.0.0.20:0", ""),
        ("http://10.0.0.20:99999", ""),
        ("http://", ""),
        (80, ""),
    ],
)
def test_receiver_that_is_no_bare_address_is_refused(
    written: object, expected: str
) -> None:
    assert hint(HttpReceiver, written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("sip:pbx;transport=sctp", ""),
        ("sip:pbx;lr", ""),
        ("sips:pbx;transport=udp", "sips: goes over TLS"),
        ("tel:pbx;transport=tcp", ""),
        ("sip:;transport=tcp", ""),
        ("sip:1001@10.0.0.10", "no user or password here"),
    ],
)
def test_receiver_of_calls_that_cannot_be_reached_is_refused(
    written: str, expected: str
) -> None:
    assert hint(SipReceiver, written) == expected


def test_receiver_of_one_scheme_expects_that_alone() -> None:
    with pytest.raises(ValueError, match=r"expected http://host:port$"):
        receiver("http")("x")


def test_receiver_knows_its_name_and_whether_it_speaks_tls() -> None:
    assert str(Receiver("http", "::1", 80)) == "[::1]:80"
    assert str(Receiver("sip", "h", 9, True, Transport.TCP)) == "h:9;transport=tcp"
    assert [Receiver(s, "h", 1).tls for s in ("https", "wss", "sips", "sip")] == [
        True,
        True,
        True,
        False,
    ]


def test_host_is_a_name_or_an_address() -> None:
    assert all(map(is_host, ("a.example", "10.0.0.1", "::1", "a_b", "xn--1-a")))
    assert not any(map(is_host, ("", "a..b", "-a", "10.0.0.300", "a b", "a" * 254)))


def test_host_name_is_kept_as_written_or_refused() -> None:
    assert read(HostName, "T.pstn.Example") == "T.pstn.Example"
    assert hint(HostName, "{edge}.example") == ""


def test_host_and_port_are_split_at_the_last_colon_outside_brackets() -> None:
    assert host_and_port("a:1") == ("a", 1)
    assert host_and_port("a") is None
    assert host_and_port("a", 5) == ("a", 5)
    assert host_and_port("[::1]:2") == ("::1", 2)
    assert host_and_port("::1") is None
