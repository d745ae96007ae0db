"""Ports of all edges, and what the ledger says of calls."""

from simulator.provider import Provider
from tests.simulator.sip.conftest import EDGES, PLAN, Wire
from tests.simulator.sip.raw import HOST, at


async def test_ports_are_the_same_everywhere_and_tls_is_on_the_next(
    provider: Provider,
) -> None:
    ports = provider.sip.ports

    assert ports["udp"] == ports["tcp"] == ports["tls"] - 1
    assert provider.zone.ports == ports


async def test_port_is_the_one_asked_for(provider: Provider) -> None:
    free = provider.sip.ports["udp"] + 200
    async with Provider.start(EDGES, sip_port=free) as other:
        assert other.sip.ports["udp"] == free


async def test_events_of_a_call_name_edge_address_transport_and_source(
    wire: Wire, provider: Provider
) -> None:
    raw = wire(at(provider, "dublin", 2))
    raw.send(raw.request())
    answer = await raw.until(200)
    raw.send(raw.within("ACK", answer, cseq=1))
    await provider.ledger.wait("ack")

    events = provider.ledger.events(call="call-1")
    assert [one.event for one in events] == ["invite", "rung", "replied", "ack"]
    for one in events:
        assert (one.edge, one.address) == ("dublin", "127.20.2.3")
        assert (one.transport, one.product) == ("udp", "pstn")
        assert one.source == f"127.0.0.1:{raw.near[1]}"
    assert events[0].target.endswith(HOST)


async def test_options_are_counted_by_source_address_and_period(
    wire: Wire, provider: Provider
) -> None:
    first, second = wire(), wire(at(provider, "ashburn", 1))
    for number in range(3):
        first.send(first.request("OPTIONS", f"sip:{HOST}", branch=f"a{number}"))
    second.send(second.request("OPTIONS", f"sip:{HOST}", branch="b"))
    await second.receive()
    await provider.ledger.wait("ignored")

    assert provider.sip.fastest_options(PLAN.options_period) == 2
    assert provider.sip.fastest_options(1e-9) == 1


async def test_what_is_no_message_is_noted_and_nothing_else(
    wire: Wire, provider: Provider
) -> None:
    raw = wire()
    for data in (b"", b"\r\n\r\n", b"\0\xff", b"INVITE sip:x SIP/2.0\r\n\r\n"):
        raw.send(data)
    raw.send(raw.request())
    await raw.receive()

    assert len(provider.ledger.events("unparsed")) == 2
