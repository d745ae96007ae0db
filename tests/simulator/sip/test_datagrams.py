"""Every fault of the network, over UDP."""

import asyncio
import socket

import pytest

from simulator.faults import Fault
from simulator.provider import Provider
from tests.simulator.conftest import SOURCE
from tests.simulator.sip.conftest import Wire
from tests.simulator.sip.raw import HOST, Raw, at


@pytest.mark.parametrize(
    "fault", [Fault.BLACKHOLE, Fault.STALL, Fault.RESET, Fault.MUTE]
)
async def test_silent_port_answers_nothing_until_healed(
    wire: Wire, provider: Provider, fault: Fault
) -> None:
    raw = wire()
    provider.edges["ashburn"].fail(fault)
    raw.send(raw.request())
    await raw.silence()

    provider.edges["ashburn"].heal()
    raw.send(raw.request(call="2", branch="2"))

    assert (await raw.receive()).call_id == "2"
    rung = {"call-1": 1, "2": 1} if fault is Fault.MUTE else {"2": 1}
    assert provider.sip.rung() == rung


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.KILL])
async def test_refusing_port_is_unreachable_and_keeps_its_number(
    provider: Provider, fault: Fault
) -> None:
    place = at(provider, "ashburn")
    edge = provider.edges["ashburn"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(place)
        for _ in range(2):
            edge.fail(fault)
            client.send(b"x")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.get_running_loop().sock_recv(client, 10)
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
                pytest.raises(OSError, match="in use"),
            ):
                other.bind(place)
            edge.heal()
    raw = Raw(place)
    raw.send(raw.request())
    assert (await raw.receive()).code == 100
    raw.close()


async def test_frozen_port_goes_on_with_what_came(
    wire: Wire, provider: Provider
) -> None:
    raw = wire()
    raw.send(raw.request("INVITE", f"sip:+155548600020@{HOST}"))
    await raw.until(180)
    provider.edges["ashburn"].freeze()
    raw.send(raw.request("OPTIONS", f"sip:{HOST}", branch="2"))
    await raw.silence()

    provider.edges["ashburn"].heal()

    assert (await raw.until(486)).method == "INVITE"
    assert (await raw.until(200)).method == "OPTIONS"


@pytest.mark.parametrize("level", ["edge", "transport", "address"])
async def test_fault_of_each_level_strikes_udp_and_spares_the_rest(
    wire: Wire, provider: Provider, level: str
) -> None:
    edge = provider.edges["ashburn"]
    place = {
        "edge": edge,
        "transport": edge.transports["udp"],
        "address": edge.addresses[0],
    }[level]
    first, second = wire(), wire(at(provider, "ashburn", 1))
    place.blackhole()

    first.send(first.request())
    second.send(second.request(call="2", branch="2"))

    if level == "address":
        assert (await second.receive()).code == 100
    await first.silence()
    if level == "transport":
        tcp = (first.far[0], provider.sip.ports["tcp"])
        reader, writer = await asyncio.open_connection(*tcp)
        writer.write(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"\r\n"
        writer.close()
        await writer.wait_closed()


async def test_distance_delays_both_ways(wire: Wire, provider: Provider) -> None:
    provider.edges["ashburn"].round_trip = 0.06
    raw = wire()
    loop = asyncio.get_running_loop()
    begun = loop.time()

    raw.send(raw.request())
    await raw.receive()

    assert loop.time() - begun >= 0.06


async def test_private_edge_answers_announced_sources_alone(
    wire: Wire, provider: Provider
) -> None:
    place = at(provider, "ashburn-ix")
    stranger, known = wire(place), wire(place, SOURCE)
    stranger.send(stranger.request())
    known.send(known.request(call="2"))

    assert (await known.receive()).code == 100
    noted = await provider.ledger.wait("unannounced", transport="udp")
    assert noted.source.startswith("127.0.0.1:")
    await stranger.silence()


async def test_port_in_use_is_not_shared(provider: Provider) -> None:
    with pytest.raises(OSError, match="in use"):
        async with Provider.start(["ashburn=0ms"], sip_port=provider.sip.ports["udp"]):
            raise AssertionError("two providers share a port")
