import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.resolver
import pytest

from simulator.ledger import Ledger
from simulator.nameserver import DnsFault, Nameserver
from simulator.plan import EdgePlan, addresses, read_edges
from simulator.zone import build

PLANS = read_edges(["ashburn=0ms", "dublin=0ms", EdgePlan("crowded", addresses=100)])
AT = addresses(PLANS)
API = "api.ashburn.us1.twilio.com"


@pytest.fixture
async def nameserver() -> AsyncIterator[Nameserver]:
    ledger = Ledger(asyncio.get_running_loop().time)
    zone = build(PLANS, AT)
    server = Nameserver(zone, ledger, random.Random(1), ttl=77)
    await server.start("127.0.0.1")
    yield server
    server.stop()


def resolver(server: Nameserver) -> dns.asyncresolver.Resolver:
    made = dns.asyncresolver.Resolver(configure=False)
    made.nameservers = [server.address[0]]
    made.port = server.address[1]
    made.lifetime = 0.3
    return made


async def found(server: Nameserver, name: str = API, kind: str = "A") -> list[str]:
    return [rdata.to_text() for rdata in await resolver(server).resolve(name, kind)]


async def test_query_over_udp_brings_all_addresses_with_the_ttl(
    nameserver: Nameserver,
) -> None:
    answer = await resolver(nameserver).resolve(API, "A")

    assert sorted(rdata.to_text() for rdata in answer) == sorted(AT["ashburn"])
    assert answer.rrset is not None
    assert answer.rrset.ttl == 77
    assert answer.response.flags & dns.flags.AA


async def test_taken_port_is_an_error(nameserver: Nameserver) -> None:
    second = Nameserver(
        build(PLANS, AT), Ledger(asyncio.get_running_loop().time), random.Random(1)
    )

    with pytest.raises(OSError, match="in use"):
        await second.start(*nameserver.address)


async def test_port_taken_on_tcp_alone_is_given_up_on_udp_too(
    nameserver: Nameserver,
) -> None:
    nameserver.stop()
    second = Nameserver(
        build(PLANS, AT), Ledger(asyncio.get_running_loop().time), random.Random(1)
    )

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        with pytest.raises(OSError, match="in use"):
            await second.start(*address)
        await asyncio.sleep(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(address)


async def test_addresses_come_in_changing_order(nameserver: Nameserver) -> None:
    orders = {tuple(await found(nameserver)) for _ in range(20)}

    assert len(orders) > 1
    assert {frozenset(order) for order in orders} == {frozenset(AT["ashburn"])}


async def test_name_is_found_in_any_case(nameserver: Nameserver) -> None:
    assert len(await found(nameserver, API.upper())) == 4


async def test_query_over_tcp_is_answered_twice_on_one_connection(
    nameserver: Nameserver,
) -> None:
    reader, writer = await asyncio.open_connection(*nameserver.address)
    for _ in range(2):
        wire = dns.message.make_query(API, "A").to_wire()
        message = struct.pack("!H", len(wire)) + wire
        for byte in message:
            writer.write(bytes([byte]))
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        response = dns.message.from_wire(await reader.readexactly(length))
        assert len(response.answer[0]) == 4
    writer.close()
    await writer.wait_closed()


async def test_query_over_tcp_that_is_too_long_ends_the_connection(
    nameserver: Nameserver,
) -> None:
    reader, writer = await asyncio.open_connection(*nameserver.address)

    writer.write(b"\xff\xff")

    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_large_answer_is_truncated_over_udp_and_whole_over_tcp(
    nameserver: Nameserver,
) -> None:
    address, port = nameserver.address
    query = dns.message.make_query("api.crowded.us1.twilio.com", "A")

    short = await dns.asyncquery.udp(query, address, port=port, timeout=1)
    whole = await dns.asyncquery.tcp(query, address, port=port, timeout=1)

    assert short.flags & dns.flags.TC
    assert len(whole.answer[0]) == 100


async def test_unknown_name_does_not_exist(nameserver: Nameserver) -> None:
    with pytest.raises(dns.resolver.NXDOMAIN):
        await found(nameserver, "api.tokyo.us1.twilio.com")


async def test_existing_name_has_no_ipv6_address_but_a_soa(
    nameserver: Nameserver,
) -> None:
    with pytest.raises(dns.resolver.NoAnswer) as caught:
        await found(nameserver, API, "AAAA")

    authority = caught.value.kwargs["response"].authority
    assert "SOA" in authority[0].to_text()


async def test_other_domain_is_refused(nameserver: Nameserver) -> None:
    response = nameserver.answer(dns.message.make_query("example.com", "A"))

    assert response is not None
    assert response.rcode() == dns.rcode.REFUSED


async def test_fault_of_one_name_spares_the_others(nameserver: Nameserver) -> None:
    nameserver.fail(DnsFault.NXDOMAIN, API)

    with pytest.raises(dns.resolver.NXDOMAIN):
        await found(nameserver)
    assert await found(nameserver, "voice-js.ashburn.twilio.com")

    nameserver.heal(API)
    assert await found(nameserver)


async def test_fault_of_a_next_hop_concerns_its_services(
    nameserver: Nameserver,
) -> None:
    nameserver.fail(DnsFault.NXDOMAIN, "pstn.ashburn.twilio.com")

    for name in ("_sip._udp.pstn.ashburn.twilio.com", "gw1.pstn.ashburn.twilio.com"):
        with pytest.raises(dns.resolver.NXDOMAIN):
            await found(nameserver, name)
    assert await found(nameserver, "sip.ashburn.twilio.com")


async def test_fault_of_an_edge_concerns_all_its_names(nameserver: Nameserver) -> None:
    nameserver.fail(DnsFault.EMPTY, "ashburn")

    for name in (API, "voice-js.ashburn.twilio.com"):
        with pytest.raises(dns.resolver.NoAnswer):
            await found(nameserver, name)
    assert await found(nameserver, "api.dublin.us1.twilio.com")


async def test_failing_server_says_so(nameserver: Nameserver) -> None:
    nameserver.fail(DnsFault.SERVFAIL)

    with pytest.raises(dns.resolver.NoNameservers, match="SERVFAIL"):
        await found(nameserver)


async def test_silent_server_lets_the_query_time_out(nameserver: Nameserver) -> None:
    nameserver.fail(DnsFault.TIMEOUT)

    with pytest.raises(dns.resolver.LifetimeTimeout):
        await found(nameserver)

    nameserver.heal()
    assert await found(nameserver)


async def test_changed_answer_holds_until_healed(nameserver: Nameserver) -> None:
    nameserver.change(API, ["127.20.9.9", "::1"])

    assert await found(nameserver) == ["127.20.9.9"]
    assert await found(nameserver, API, "AAAA") == ["::1"]

    nameserver.heal()
    assert len(await found(nameserver)) == 4


@pytest.mark.parametrize("text", ["not-an-address", "127.0.0.1.5", ""])
async def test_changed_answer_must_be_addresses(
    nameserver: Nameserver, text: str
) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        nameserver.change(API, [text])


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"\x00" * 11,
        b"\xff" * 40,
        dns.message.make_response(dns.message.make_query(API, "A")).to_wire(),
        dns.message.Message().to_wire(),
    ],
    ids=["empty", "short", "ones", "an answer", "no question"],
)
async def test_message_that_is_no_query_gets_no_answer(
    nameserver: Nameserver, wire: bytes
) -> None:
    assert nameserver.respond(wire, "127.0.0.1:1", None) is None


async def test_update_is_refused(nameserver: Nameserver) -> None:
    query = dns.message.make_query(API, "A")
    query.set_opcode(dns.opcode.NOTIFY)

    response = nameserver.answer(query)

    assert response is not None
    assert response.rcode() == dns.rcode.REFUSED


async def test_next_hop_of_sip_has_pointers_and_services(
    nameserver: Nameserver,
) -> None:
    nameserver.zone.ports = {"udp": 30000, "tcp": 30000, "tls": 30001}
    hop = "pstn.ashburn.twilio.com"

    assert len(await found(nameserver, hop, "NAPTR")) == 3
    services = await found(nameserver, f"_sip._udp.{hop}", "SRV")
    assert {*services} == {f"10 10 30000 gw{n}.{hop}." for n in range(1, 5)}
    assert await found(nameserver, f"gw2.{hop}") == [AT["ashburn"][1]]
    assert {*await found(nameserver, hop)} == {*AT["ashburn"]}
    with pytest.raises(dns.resolver.NoAnswer):
        await found(nameserver, API, "NAPTR")
