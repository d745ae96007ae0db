import ipaddress

import pytest

from protocols.sip.guard import Drop, Guard, Pace, begins, is_scanner
from protocols.sip.message import parse
from tests.protocols.sip.stage import request

NETWORKS = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))
INVITE, BYE = b"INVITE sip:a@b SIP/2.0", b"BYE sip:a@b SIP/2.0"
SLOW = Pace(rate=2.0, burst=4.0)


@pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8::7"])
def test_address_of_an_allowed_network_is_heard(address: str) -> None:
    assert Guard(NETWORKS).look(address, INVITE, 0.0) is None


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db9::7", "11.0.0.0"])
def test_address_of_no_allowed_network_is_not(address: str) -> None:
    guard = Guard(NETWORKS)
    assert guard.look(address, INVITE, 0.0) is Drop.NOT_ALLOWED
    assert not guard.allows(address)
    assert len(guard) == 0


def test_flood_of_calls_leaves_room_for_what_ends_them() -> None:
    guard = Guard(NETWORKS, SLOW)
    calls = [guard.look("10.0.0.1", INVITE, 0.0) for _ in range(4)]
    assert calls == [None, None, None, Drop.FLOOD]
    ends = [guard.look("10.0.0.1", BYE, 0.0) for _ in range(2)]
    assert ends == [None, Drop.FLOOD]


@pytest.mark.parametrize(
    "start", [BYE, b"ACK sip:a SIP/2.0", b"CANCEL sip:a SIP/2.0", b"SIP/2.0 200 OK"]
)
def test_what_goes_on_is_dropped_last(start: bytes) -> None:
    guard = Guard(NETWORKS, SLOW)
    assert [guard.look("10.0.0.1", start, 0.0) for _ in range(4)] == [None] * 4
    assert guard.look("10.0.0.1", start, 0.0) is Drop.FLOOD


def test_address_that_waits_is_heard_again_at_the_rate() -> None:
    guard = Guard(NETWORKS, SLOW)
    for _ in range(4):
        guard.look("10.0.0.1", BYE, 0.0)
    assert guard.look("10.0.0.1", BYE, 0.4) is Drop.FLOOD
    assert guard.look("10.0.0.1", BYE, 0.5) is None


def test_long_silence_earns_no_more_than_the_burst() -> None:
    guard = Guard(NETWORKS, SLOW)
    guard.look("10.0.0.1", BYE, 0.0)
    calls = [guard.look("10.0.0.1", BYE, 1e6) for _ in range(5)]
    assert calls == [None, None, None, None, Drop.FLOOD]


def test_flood_of_one_address_is_not_that_of_another() -> None:
    guard = Guard(NETWORKS, SLOW)
    for _ in range(9):
        guard.look("10.0.0.1", BYE, 0.0)
    assert guard.look("10.0.0.2", BYE, 0.0) is None


def test_table_of_addresses_is_bounded() -> None:
    guard = Guard(NETWORKS, SLOW, sources=3)
    for last in range(10):
        assert guard.look(f"10.0.0.{last}", INVITE, 0.0) is None
    assert len(guard) == 3


@pytest.mark.parametrize(
    ("agent", "scans"),
    [
        ("friendly-scanner", True),
        ("SIPVicious 0.3", True),
        ("sipcli/v1.8", True),
        ("VaxSIPUserAgent/3.1", True),
        ("pplsip", True),
        ("Asterisk PBX 20.5.0", False),
        ("Sipclient 2", False),
        ("", False),
    ],
)
def test_scanner_is_known_by_its_name(agent: str, scans: bool) -> None:
    assert is_scanner(parse(request("OPTIONS", more=[f"User-Agent: {agent}"]))) is scans


def test_who_gives_no_name_is_no_scanner() -> None:
    assert not is_scanner(parse(request("OPTIONS")))


@pytest.mark.parametrize(
    ("data", "is_first"),
    [
        (request("INVITE"), True),
        (request("OPTIONS"), True),
        (request("BYE", to="<sip:a@b>;tag=t1"), False),
        (request("INVITE", to="<sip:a@b>;tag=t1"), False),
        (request("ACK"), False),
        (request("INVITE", to='"unended <sip:a@b>'), True),
    ],
)
def test_request_of_no_dialog_begins_something(data: bytes, is_first: bool) -> None:
    assert begins(parse(data)) is is_first
