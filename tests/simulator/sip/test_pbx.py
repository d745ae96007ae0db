"""Calls between a PBX and the provider, both ways, on every transport."""

import asyncio
import socket

import pytest

from simulator.provider import Provider
from simulator.sip.digest import Credentials
from simulator.sip.pbx import Pbx, busy, ring
from simulator.sip.plan import SipPlan
from tests.simulator.conftest import writes_at_once
from tests.simulator.sip.conftest import EDGES
from tests.simulator.sip.raw import Raw, at

ANSWERS, RINGS, HANGS_UP = "+155520000020", "+155518000000", "+155520000000001"
BURST = 300
"Datagrams that come while the PBX does something else."


async def test_call_rings_is_answered_changed_and_hung_up_by_the_pbx(
    provider: Provider, pbx: Pbx
) -> None:
    call = pbx.call(ANSWERS)

    assert await call.outcome == 200
    assert call.statuses == [100, 180, 200]
    assert await pbx.asked(call, "INVITE") == 200
    assert await pbx.asked(call, "INFO") == 200
    assert await pbx.asked(call, "BYE") == 200
    ended = await provider.ledger.wait("ended", call=call.call_id)
    assert (ended.status, ended.detail) == (200, "remote")
    assert provider.sip.rung() == {call.call_id: 1}
    assert not provider.ledger.events("dropped")


async def test_call_is_hung_up_by_the_provider(provider: Provider, pbx: Pbx) -> None:
    call = pbx.call(HANGS_UP)

    assert await call.outcome == 200
    assert await call.ended == "remote"
    assert provider.ledger.events("ended")[0].detail == "local"


async def test_ringing_call_is_cancelled_by_the_pbx(
    provider: Provider, pbx: Pbx
) -> None:
    call = pbx.call(RINGS)

    await call.ringing
    pbx.cancel(call)

    assert await call.outcome == 487
    assert await call.ended == "cancelled"
    await provider.ledger.wait("cancel", call=call.call_id)


async def test_provider_calls_the_pbx_and_either_side_goes_on(
    provider: Provider, pbx: Pbx
) -> None:
    way = pbx.transport
    uri = f"sip:127.0.0.1:{pbx.ports[way]};transport={way};edge=ashburn"

    placed = await provider.sip.call([uri])
    call = await pbx.incoming.get()

    assert placed.status == 200
    assert call.number == "+15551112222"
    assert call.path.far[0] in {a.address for a in provider.edges["ashburn"].addresses}
    await call.confirmed
    changed = asyncio.get_running_loop().create_future()
    provider.sip.core.reinvite(placed.call, changed.set_result)
    assert await changed == 200
    assert await pbx.asked(call, "INVITE") == 200
    assert await pbx.asked(call, "BYE") == 200
    assert await placed.call.ended == "remote"


async def test_provider_hangs_up_a_call_that_it_placed(
    provider: Provider, pbx: Pbx
) -> None:
    way = pbx.transport
    placed = await provider.sip.call(
        [f"sip:127.0.0.1:{pbx.ports[way]};transport={way}"]
    )
    call = await pbx.incoming.get()
    await call.confirmed

    provider.sip.core.hang_up(placed.call)

    assert await call.ended == "remote"


@pytest.mark.parametrize("pbx", ["udp"], indirect=True)
async def test_busy_pbx_refuses(provider: Provider, pbx: Pbx) -> None:
    pbx.script = busy

    placed = await provider.sip.call([f"sip:127.0.0.1:{pbx.ports['udp']}"])

    assert placed.status == 486
    assert pbx.happened("rung") == 1


@pytest.mark.parametrize("pbx", ["udp"], indirect=True)
async def test_ringing_pbx_waits_for_the_test(provider: Provider, pbx: Pbx) -> None:
    pbx.script = ring

    calling = asyncio.get_running_loop().create_task(
        provider.sip.call([f"sip:127.0.0.1:{pbx.ports['udp']}"])
    )
    call = await pbx.incoming.get()
    pbx.answer(call)

    placed = await calling
    assert placed.call.statuses == [180, 200]


async def test_options_are_answered(provider: Provider, pbx: Pbx) -> None:
    assert await pbx.options() == 200


@pytest.mark.parametrize("pbx", ["udp"], indirect=True)
async def test_what_is_no_message_is_kept_as_such(
    provider: Provider, pbx: Pbx, wire: object
) -> None:
    loop = asyncio.get_running_loop()
    far = ("127.0.0.1", pbx.ports["udp"])
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=far
    )

    transport.sendto(b"\r\n\r\n")
    transport.sendto(b"nothing")
    await provider.sip.call([f"sip:127.0.0.1:{far[1]}"])

    assert pbx.happened("unparsed") == 1
    transport.close()


@pytest.mark.parametrize("pbx", ["udp"], indirect=True)
async def test_burst_of_datagrams_waits_until_it_is_taken(pbx: Pbx) -> None:
    raw = Raw(("127.0.0.1", pbx.ports["udp"]))
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    for number in range(BURST):
        raw.send(raw.request("OPTIONS", branch=f"{number}", call=f"{number}"))

    async with asyncio.timeout(5):
        for _ in range(BURST):
            assert (await raw.receive()).code == 200
    raw.close()


@pytest.mark.parametrize("pbx", ["tcp"], indirect=True)
async def test_calls_of_the_provider_do_not_wait_for_an_ack(
    provider: Provider, pbx: Pbx
) -> None:
    here = ("127.0.0.1", pbx.ports["tcp"])
    await provider.sip.call([f"sip:127.0.0.1:{here[1]};transport=tcp"])
    call = await pbx.incoming.get()

    assert writes_at_once(call.path.far, here)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_call_to_a_closed_port_has_no_answer(transport: str) -> None:
    async with Pbx.start(("127.0.0.1", 9), transport=transport) as pbx:
        call = pbx.call(ANSWERS)

        assert await call.outcome == 0
        assert pbx.happened("dial-failed") == 1


@pytest.mark.parametrize(("password", "status"), [("right", 200), ("wrong", 403)])
async def test_challenge_is_answered_within_the_call(
    password: str, status: int
) -> None:
    plan = SipPlan(credentials=Credentials("pbx", "right"))
    async with (
        Provider.start(EDGES, sip=plan) as provider,
        Pbx.start(at(provider, "dublin"), known_as=Credentials("pbx", password)) as pbx,
    ):
        call = pbx.call(ANSWERS)

        assert await call.outcome == status
        assert call.statuses[:2] == [100, 407]
        numbers = [one.detail for one in provider.ledger.events("invite")]
        assert numbers == ["CSeq 1", "CSeq 2"]


async def test_call_without_credentials_ends_with_the_challenge() -> None:
    plan = SipPlan(credentials=Credentials("pbx", "right"))
    async with (
        Provider.start(EDGES, sip=plan) as provider,
        Pbx.start(at(provider, "dublin")) as pbx,
    ):
        assert await pbx.call(ANSWERS).outcome == 407
