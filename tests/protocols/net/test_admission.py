import ipaddress

from protocols.net.admission import Admission, Limits, Refusal


def test_client_outside_of_the_allowed_networks_is_refused() -> None:
    networks = [
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("2001:db8::/32"),
    ]
    admission = Admission(networks)
    assert admission.admit("10.1.2.3") is None
    assert admission.admit("2001:db8::7") is None
    assert admission.admit("192.0.2.1") is Refusal.NOT_ALLOWED
    assert admission.admit("2001:db9::7") is Refusal.NOT_ALLOWED
    assert admission.total == 2


def test_nobody_is_allowed_by_an_empty_list_and_everybody_without_one() -> None:
    assert Admission([]).admit("192.0.2.1") is Refusal.NOT_ALLOWED
    assert Admission().admit("192.0.2.1") is None


def test_one_client_at_its_limit_leaves_room_for_others() -> None:
    admission = Admission(limits=Limits(per_client=2))
    assert admission.admit("192.0.2.1") is None
    assert admission.admit("192.0.2.1") is None
    assert admission.admit("192.0.2.1") is Refusal.CLIENT_LIMIT
    assert admission.admit("192.0.2.2") is None
    admission.leave("192.0.2.1")
    assert admission.admit("192.0.2.1") is None


def test_full_listener_refuses_until_somebody_leaves() -> None:
    admission = Admission(limits=Limits(total=1))
    assert admission.admit("192.0.2.1") is None
    assert admission.admit("192.0.2.2") is Refusal.TOTAL_LIMIT
    admission.leave("192.0.2.1")
    assert admission.total == 0
    assert admission.admit("192.0.2.2") is None


def test_too_many_handshakes_refuse_the_next_connection() -> None:
    admission = Admission(limits=Limits(handshakes=1))
    assert admission.admit("192.0.2.1") is None
    admission.handshakes += 1
    assert admission.admit("192.0.2.2") is Refusal.HANDSHAKE_LIMIT
    admission.handshakes -= 1
    assert admission.admit("192.0.2.2") is None


def test_change_decides_on_newcomers_and_counts_those_who_are_in() -> None:
    admission = Admission(None, Limits(total=2))
    assert admission.admit("10.0.0.1") is None
    assert admission.admit("192.0.2.1") is None
    admission.change([ipaddress.ip_network("10.0.0.0/8")], Limits(total=3))
    assert admission.admit("192.0.2.1") is Refusal.NOT_ALLOWED
    assert admission.admit("10.0.0.2") is None
    assert admission.admit("10.0.0.3") is Refusal.TOTAL_LIMIT
    admission.leave("192.0.2.1")
    assert admission.admit("10.0.0.3") is None
