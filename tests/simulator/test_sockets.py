"""The WebSocket endpoints of the edges, on real sockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from simulator.client import ask, connector
from simulator.faults import Fault
from simulator.messages import Messages
from simulator.provider import Provider

ASHBURN, DUBLIN = "voice-js.ashburn.twilio.com", "voice-js.dublin.twilio.com"
VIDEO = "us1.vss.twilio.com"
LISTEN = '{"type": "listen", "payload": {"token": "t"}, "version": "1.6"}'
BEAT = 0.05


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """Two edges, and heartbeats that need no waiting."""
    edges = ["ashburn=0ms", "dublin=0ms"]
    async with Provider.start(edges, seed=1, heartbeat=BEAT) as running:
        yield running


@pytest.fixture(autouse=True)
async def patience() -> AsyncIterator[None]:
    async with asyncio.timeout(10):
        yield


async def dial(
    provider: Provider, name: str = ASHBURN, path: str = "/signal", **options: object
) -> ClientConnection:
    entry = provider.zone.find(name)
    assert entry is not None
    given = {"host": entry.addresses[0], "ping_interval": None, **options}
    return await connect(
        f"wss://{name}{path}",
        port=provider.port,
        ssl=provider.trust(),
        server_hostname=name,
        proxy=None,
        **given,  # type: ignore[arg-type]
    )


async def refusal(
    provider: Provider, name: str = ASHBURN, path: str = "/signal"
) -> int:
    """Status of the answer to a handshake that is refused."""
    with pytest.raises(InvalidStatus) as refused:
        await dial(provider, name, path)
    return refused.value.response.status_code


async def closing(client: ClientConnection) -> int | None:
    """The code of the Close that was received; None without one."""
    try:
        while True:
            await client.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


async def test_voice_client_is_told_the_edge_and_hears_newlines(
    provider: Provider,
) -> None:
    client = await dial(provider, DUBLIN)
    await client.send(LISTEN)
    connected = json.loads(await client.recv())
    assert (connected["type"], connected["payload"]["edge"]) == ("connected", "dublin")
    for _ in range(3):
        assert await client.recv() == "\n"
        await client.send("\n")
    await client.close()


async def test_voice_client_that_echoes_no_heartbeat_is_closed(
    provider: Provider,
) -> None:
    client = await dial(provider)
    await client.send(LISTEN)
    assert await closing(client) == 1001
    (noted,) = provider.ledger.events("unechoed")
    assert noted.edge == "ashburn"


async def test_video_client_is_welcomed_and_told_its_own_message(
    provider: Provider,
) -> None:
    client = await dial(provider, VIDEO, "/signaling")
    await client.send('{"type": "hello", "timeout": 5000}')
    assert json.loads(await client.recv())["type"] == "welcome"
    await client.send('{"type": "msg", "body": {"a": 1}}')
    assert json.loads(await client.recv())["body"] == {"a": 1}
    await client.close(3004)
    closed = await provider.ledger.wait("closed")
    assert (closed.product, closed.code) == ("vss", 3004)


async def test_ledger_has_the_sum_of_all_messages_in_both_directions(
    provider: Provider,
) -> None:
    client = await dial(provider, additional_headers={"Idempotency-Key": "k"})
    said, heard = Messages(), Messages()
    for number in range(20):
        event = {"callsid": "CA1", "voiceeventsid": f"KX{number}"}
        text = json.dumps({"type": "message", "payload": event})
        said.add(text)
        await client.send([text[:10], text[10:]])
        heard.add(await client.recv())
    said.add(b"\x00\xff")
    await client.send(b"\x00\xff")
    await client.close(4001)

    closed = await provider.ledger.wait("closed")
    (upgrade,) = provider.ledger.events("upgrade")
    (opened,) = provider.ledger.events("opened")
    (received,) = provider.ledger.events("received", request=closed.request)
    (sent,) = provider.ledger.events("sent", request=closed.request)
    assert (upgrade.target, upgrade.host) == ("/signal", ASHBURN)
    assert (upgrade.marker, upgrade.edge, upgrade.product) == (
        "k",
        "ashburn",
        "voice-js",
    )
    assert (opened.status, closed.code) == (101, 4001)
    assert (received.messages, received.size) == (21, said.size)
    assert (received.digest, sent.digest) == (said.digest, heard.digest)


async def test_client_of_another_make_is_served_with_compression(
    provider: Provider,
) -> None:
    async with (
        aiohttp.ClientSession(
            connector=connector("127.20.1.1", provider.trust())
        ) as session,
        session.ws_connect(
            f"https://{ASHBURN}:{provider.port}/signal", compress=15
        ) as client,
    ):
        assert client.compress
        await client.send_str(LISTEN)
        assert (await client.receive_json())["payload"]["edge"] == "ashburn"


async def test_request_that_opens_nothing_is_answered_as_http(
    provider: Provider,
) -> None:
    answer = await provider.ask(ASHBURN, "/signal")
    assert answer.status == 426
    assert await refusal(provider, path="/other") == 404
    assert [e.status for e in provider.ledger.events("refused")] == [426, 404]


async def test_bytes_that_are_no_request_are_noted(provider: Provider) -> None:
    reader, writer = await asyncio.open_connection(
        "127.20.1.1", provider.port, ssl=provider.trust(), server_hostname=ASHBURN
    )
    writer.write(b"\x16\x03\x01\r\n\r\n")
    assert await reader.read() == b""
    assert provider.ledger.events("unparsed")
    writer.close()


async def test_tls_handshake_alone_is_nothing_to_note(provider: Provider) -> None:
    _, writer = await asyncio.open_connection(
        "127.20.1.1", provider.port, ssl=provider.trust(), server_hostname=ASHBURN
    )
    writer.close()
    await writer.wait_closed()
    client = await dial(provider)  # by now the other connection is gone
    await client.close()
    await provider.ledger.wait("closed")
    kinds = [event.event for event in provider.ledger.events()]
    assert not {"unparsed", "aborted"} & {*kinds}


async def test_text_that_is_no_text_ends_the_websocket(provider: Provider) -> None:
    client = await dial(provider)
    await client.send(b"\xff", text=True)
    assert await closing(client) == 1007


async def test_names_of_other_products_lead_to_the_rest_service(
    provider: Provider,
) -> None:
    url = f"https://api.ashburn.us1.twilio.com:{provider.port}/signal"
    assert (await ask("127.20.1.1", url, provider.trust())).status == 200


@pytest.mark.parametrize(("value", "status"), [(None, 503), (504, 504)])
async def test_status_fault_refuses_handshakes(
    provider: Provider, value: float | None, status: int
) -> None:
    client = await dial(provider)
    provider.edges["ashburn"].fail(Fault.STATUS, value)
    assert await refusal(provider) == status
    await (await client.ping())  # what is open lives on
    await client.close()
    await (await dial(provider, DUBLIN)).close()


async def test_slow_first_byte_delays_the_answer_and_nothing_more(
    provider: Provider,
) -> None:
    provider.edges["ashburn"].fail(Fault.SLOW_FIRST_BYTE, 0.15)
    clock = asyncio.get_running_loop().time
    begun = clock()
    client = await dial(provider)
    assert clock() - begun >= 0.15
    await client.send(LISTEN)
    await client.recv()
    assert await client.recv() == "\n"
    await client.close()


async def test_client_that_leaves_before_the_answer_is_noted(
    provider: Provider,
) -> None:
    provider.edges["ashburn"].fail(Fault.SLOW_FIRST_BYTE, 60)
    with pytest.raises(TimeoutError):
        await dial(provider, open_timeout=0.1)
    await provider.ledger.wait("aborted", product="voice-js")


async def test_hushed_edge_accepts_and_says_nothing_until_healed(
    provider: Provider,
) -> None:
    before = await dial(provider)
    await before.send(LISTEN)
    await before.recv()
    provider.edges["ashburn"].fail(Fault.HUSH)
    client = await dial(provider)
    for one in (before, client):
        await one.send(LISTEN)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * BEAT):
                await one.recv()
    provider.heal()
    await client.send(LISTEN)
    assert json.loads(await client.recv())["type"] == "connected"
    for one in (before, client):
        await one.close()


async def test_severed_websocket_ends_within_a_frame(provider: Provider) -> None:
    spared = await dial(provider, DUBLIN)
    client = await dial(provider)
    provider.edges["ashburn"].fail(Fault.SEVER)
    assert await closing(client) is None
    later = await dial(provider)
    await later.send(LISTEN)
    assert await closing(later) is None
    await spared.close()
    await provider.ledger.wait("closed", edge="dublin")
    closed = provider.ledger.events("closed", edge="ashburn")
    assert [event.code for event in closed] == [1006, 1006]


async def test_draining_edge_closes_with_1001_and_refuses(provider: Provider) -> None:
    spared = await dial(provider, DUBLIN)
    client = await dial(provider)
    provider.edges["ashburn"].fail(Fault.DRAIN)
    assert await closing(client) == 1001
    assert await refusal(provider) == 503
    await spared.send(LISTEN)
    assert json.loads(await spared.recv())["type"] == "connected"
    await spared.close()


async def test_draining_address_spares_the_others(provider: Provider) -> None:
    provider.edges["ashburn"].addresses[0].fail(Fault.DRAIN)
    assert await refusal(provider) == 503
    other = provider.edges["ashburn"].addresses[1].address
    await (await dial(provider, host=other)).close()


async def test_killed_edge_is_noted_as_1006(provider: Provider) -> None:
    client = await dial(provider)
    provider.edges["ashburn"].kill()
    assert await closing(client) is None
    assert (await provider.ledger.wait("closed")).code == 1006


async def test_client_that_does_not_listen_is_not_heard(provider: Provider) -> None:
    client = await dial(provider, max_queue=1, compression=None, max_size=None)
    text = json.dumps({"type": "message", "payload": {"callsid": "x" * 900_000}})
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 100:
            async with asyncio.timeout(0.25):
                await client.send(text)
            sent += 1
    assert 0 < sent < 60
    client.transport.abort()
    await provider.ledger.wait("closed")
