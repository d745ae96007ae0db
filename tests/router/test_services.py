"""What NAPTR and SRV records say about SIP."""

import pytest

from protocols.target import Transport
from router import names, services
from router.location import Location
from router.names import EMPTY, GONE, Finding
from router.services import MAX_SERVERS, Pointer, Server, placed, pointed, used

UDP = "_sip._udp.edge.example"


def service(transport: Transport = Transport.UDP) -> services.Service:
    found = services.service_of(services.service_name(transport, "edge.example"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("transport", "name", "pointer"),
    [
        (Transport.UDP, "_sip._udp.edge.example", "SIP+D2U"),
        (Transport.TCP, "_sip._tcp.edge.example", "SIP+D2T"),
        (Transport.TLS, "_sips._tcp.edge.example", "SIPS+D2T"),
    ],
)
def test_service_of_each_transport_has_a_name(
    transport: Transport, name: str, pointer: str
) -> None:
    found = service(transport)
    assert (found.name, found.host, found.pointer) == (name, "edge.example", pointer)


def test_host_is_no_service() -> None:
    assert services.service_of("edge.example") is None


def pointer(
    replacement: str,
    service: str = "SIP+D2U",
    flags: str = "s",
    order: int = 10,
    preference: int = 10,
) -> Pointer:
    return Pointer(order, preference, flags, service, replacement)


@pytest.mark.parametrize(
    ("pointers", "name"),
    [
        ([], UDP),
        ([pointer("a.example")], "a.example"),
        ([pointer("a.example", "sip+d2u", "S")], "a.example"),
        ([pointer("a.example", order=20), pointer("b.example")], "b.example"),
        ([pointer("a.example", preference=20), pointer("b.example")], "b.example"),
        # Which transport the provider likes best does not matter.
        (
            [pointer("a.example", "SIPS+D2T", order=1), pointer("b.example", order=9)],
            "b.example",
        ),
        ([pointer("a.example", "SIP+D2T")], UDP),
        ([pointer("a.example", "E2U+sip")], UDP),
        ([pointer("a.example", flags="u")], UDP),
        ([pointer("")], UDP),
    ],
)
def test_pointer_for_the_transport_of_the_listener_is_followed(
    pointers: list[Pointer], name: str
) -> None:
    assert pointed(service(), pointers) == name


def test_records_that_name_no_host_or_port_are_not_used() -> None:
    assert used([Server(0, 0, 5060, ""), Server(0, 0, 0, "a.example")]) == []


def test_most_preferred_records_are_used_whatever_their_number_and_order() -> None:
    every = [Server(n % 3, n, 5060, f"gw{n}.example") for n in range(150)]
    chosen = used([*every, *every])
    assert chosen == used(reversed(every))
    assert len(chosen) == len(set(chosen)) == MAX_SERVERS
    assert {one.priority for one in chosen} == {0}
    assert chosen[0].weight == 147
    nine = [Server(10, 10, 5060, f"gw{n}.example") for n in range(9)]
    assert used(nine) == nine


def found(*addresses: str, ttl: float = 60.0) -> dict[str, Finding]:
    return names.settled(addresses, ttl=ttl)


def test_addresses_have_port_priority_and_weight_of_their_record() -> None:
    servers = [Server(10, 60, 5070, "a.example"), Server(20, 0, 5080, "b.example")]
    hosts = {"a.example": found("192.0.2.1"), "b.example": found("192.0.2.2")}
    findings = placed(servers, hosts, ttl=30.0)
    assert findings["a.example:5070 A"].locations == (
        Location("192.0.2.1", 5070, 10, 1),
    )
    assert findings["b.example:5080 A"].locations == (
        Location("192.0.2.2", 5080, 20, 0),
    )
    assert findings["a.example:5070 AAAA"] == EMPTY
    assert findings["a.example:5070 A"].ttl == 30.0


def test_record_divides_its_weight_among_the_addresses_of_its_host() -> None:
    servers = [Server(10, 30, 5060, "a.example"), Server(10, 30, 5060, "b.example")]
    hosts = {
        "a.example": found("192.0.2.1"),
        "b.example": found("192.0.2.2", "192.0.2.3", "2001:db8::1"),
    }
    findings = placed(servers, hosts, ttl=60.0)
    weights = {
        one.address: one.weight
        for finding in findings.values()
        for one in finding.locations
    }
    assert weights == {
        "192.0.2.1": 3, "192.0.2.2": 1, "192.0.2.3": 1, "2001:db8::1": 1
    }  # fmt: skip


def test_host_used_on_two_ports_has_a_finding_for_each() -> None:
    servers = [Server(10, 0, 5060, "a.example"), Server(10, 0, 5070, "a.example")]
    findings = placed(servers, {"a.example": found("192.0.2.1")}, ttl=60.0)
    ports = [one.port for f in findings.values() for one in f.locations]
    assert sorted(ports) == [5060, 5070]


def test_host_that_is_gone_does_not_make_the_service_gone() -> None:
    hosts = {"a.example": {"A": GONE, "AAAA": GONE}}
    findings = placed([Server(10, 10, 5060, "a.example")], hosts, ttl=60.0)
    assert set(findings.values()) == {EMPTY}


def test_host_that_could_not_be_asked_for_is_no_finding_about_others() -> None:
    lost = names.failed("timeout")
    hosts = {"a.example": {"A": lost}, "b.example": found("192.0.2.2")}
    servers = [Server(10, 10, 5060, "a.example"), Server(10, 10, 5060, "b.example")]
    findings = placed(servers, hosts, ttl=60.0)
    assert findings["a.example:5060 A"].error == "timeout"
    assert findings["b.example:5060 A"].locations[0].address == "192.0.2.2"
