"""WebSockets through the daemon: unmodified clients and servers, both directions."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from simulator.provider import Provider
from tests import stage
from tests.scenarios.sockets import (
    SUBPROTOCOL,
    Endpoint,
    dial,
    media,
    signalling,
    voice,
)
from tests.stage import HERE, HUSH, NAME, Daemon, Site
from tests.wire import tell

Edges = tuple[Mapping[str, Endpoint], dict[str, object]]

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPENING = (
    "GET / HTTP/1.1\r\nHost: router.test\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edges(provider: Provider, directory: Path) -> AsyncIterator[Edges]:
    """A signalling endpoint at each edge."""
    async with signalling(provider, directory, Endpoint) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def receiver() -> AsyncIterator[Endpoint]:
    """A receiver of media streams at the site."""
    endpoint = Endpoint("site")
    await endpoint.open(["127.0.0.1"], 0, None)
    yield endpoint
    await endpoint.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(
    provider: Provider,
    edges: Edges,
    receiver: Endpoint,
    site: Site,
    directory: Path,
) -> AsyncIterator[Daemon]:
    """A daemon with a listener of each direction."""
    listeners = {
        "voice": voice(site, drain={"spread": "0s"}),
        "media": media(site, f"ws://127.0.0.1:{receiver.port}"),
    }
    settings = stage.configuration(provider, directory, listeners, health={})
    settings["provider"] = edges[1]
    async with stage.running(settings, directory) as running:
        yield running


@pytest.fixture
def ashburn(edges: Edges) -> Endpoint:
    """The endpoint at home."""
    return edges[0]["ashburn"]


@pytest.fixture
def dublin(edges: Edges) -> Endpoint:
    """The other one."""
    return edges[0]["dublin"]


async def test_websockets_client_and_server_meet_through_the_daemon(
    daemon: Daemon, site: Site
) -> None:
    client = await dial(
        daemon.ports["voice"], site, f"/signal?token={HUSH}", subprotocols=[SUBPROTOCOL]
    )
    assert client.subprotocol == SUBPROTOCOL
    assert client.protocol.extensions  # permessage-deflate, end to end
    await client.send("who")
    assert await client.recv() == "ashburn"
    for message in ("", "text \u2603", b"\x00" * 100, bytes(range(256)) * 8_000):
        await client.send(message)
        assert await client.recv() == message
    await client.send(["in ", "fragments ", "\u2603"])
    assert await client.recv() == "in fragments \u2603"
    async with asyncio.timeout(5):
        await (await client.ping(b"across"))
    await client.close(4001, "done")
    ended = await daemon.wait("flow.ended", listener="voice", close_code=4001)
    assert (ended["ended"], ended["status"], ended["edge"]) == ("--", 101, "ashburn")
    assert ended["path"] == "/signal"
    assert (ended["received_messages"], ended["sent_messages"]) == (6, 6)


async def test_edges_are_probed_by_opening_handshakes(
    daemon: Daemon, ashburn: Endpoint, dublin: Endpoint
) -> None:
    assert daemon.events("daemon.ready")
    assert ashburn.probes > 0
    assert dublin.probes > 0


async def test_aiohttp_client_meets_the_server_through_the_daemon(
    daemon: Daemon, site: Site
) -> None:
    url = f"https://{HERE}:{daemon.ports['voice']}/signal"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            url, ssl=site.trust(), server_hostname=NAME, compress=15
        ) as client,
    ):
        for message in ("who", "a" * 100_000):
            await client.send_str(message)
        assert await client.receive_str() == "ashburn"
        assert await client.receive_str() == "a" * 100_000
        await client.send_bytes(bytes(10))
        assert await client.receive_bytes() == bytes(10)
        await client.close(code=4002)
    ended = await daemon.wait("flow.ended", listener="voice", close_code=4002)
    assert ended["ended"] == "--"


async def test_media_stream_reaches_the_receiver_as_it_was_signed(
    daemon: Daemon, site: Site, receiver: Endpoint
) -> None:
    signature = {"X-Twilio-Signature": "c2lnbmVk"}
    client = await dial(
        daemon.ports["media"], site, "/stream/%41?a=b", additional_headers=signature
    )
    frames = [bytes((number % 256,)) * 160 for number in range(500)]
    for frame in frames:
        await client.send(frame)
    assert [await client.recv() for _ in frames] == frames
    await client.close()
    asked = receiver.asked[-1]
    assert asked.path == "/stream/%41?a=b"
    assert asked.headers["Host"] == NAME
    assert asked.headers["X-Twilio-Signature"] == "c2lnbmVk"
    assert asked.headers["X-Forwarded-Proto"] == "https"
    ended = await daemon.wait("flow.ended", listener="media", close_code=1000)
    assert (ended["received_messages"], ended["sent_messages"]) == (500, 500)
    assert ended["direction"] == "from_provider"


async def test_refusal_of_the_edge_is_the_client_s(
    daemon: Daemon, site: Site, ashburn: Endpoint
) -> None:
    ashburn.status = 403
    try:
        with pytest.raises(InvalidStatus) as refused:
            await dial(daemon.ports["voice"], site)
    finally:
        ashburn.status = 0
    response = refused.value.response
    assert response.status_code == 403
    assert response.headers["X-From"] == "ashburn"
    assert response.body == b"ashburn says no\n"


async def test_smuggled_request_reaches_no_edge(
    daemon: Daemon, site: Site, ashburn: Endpoint, dublin: Endpoint
) -> None:
    before = [len(one.asked) for one in (ashburn, dublin)]
    smuggled = "GET /smuggled HTTP/1.1\r\nHost: router.test\r\n\r\n"
    for more in ("", "Content-Length: 48\r\n", "Upgrade: h2c\r\n"):
        data = f"{OPENING}{more}\r\n{smuggled}".encode()
        heard = await tell(daemon.ports["voice"], site.trust(), data)
        assert heard.startswith(b"HTTP/1.1 400 ")
    assert [len(one.asked) for one in (ashburn, dublin)] == before


SLOW = 4
"Slow readers at a time."
WINDOW = 2 << 20
"""Bytes that each may cost the daemon: 64 KiB wait for it, and the 256 KiB that TLS
reads at a time are there decrypted, encrypted again, and written in part."""


@pytest.mark.parametrize("listener", ["voice", "media"])
async def test_clients_that_read_slowly_stop_their_senders_and_cost_little(
    daemon: Daemon, site: Site, ashburn: Endpoint, receiver: Endpoint, listener: str
) -> None:
    far = {"voice": ashburn, "media": receiver}[listener]
    port, far.flooded = daemon.ports[listener], 0
    clients = [
        await dial(port, site, compression=None, max_queue=1) for _ in range(SLOW)
    ]
    before = daemon.memory()
    for client in clients:
        await client.send("flood")
    last = -1
    async with asyncio.timeout(20):
        while not far.flooded or far.flooded != last:
            last = far.flooded
            await asyncio.sleep(0.15)
    assert 0 < last < SLOW * (32 << 20)
    assert daemon.memory() - before < SLOW * WINDOW
    received = 0
    while received <= last // SLOW:  # it goes on when the reader does
        received += len(await clients[0].recv())
    seen = len(daemon.records)
    for client in clients:
        client.transport.abort()
    await daemon.wait("flow.ended", after=seen, listener=listener, ended="CD")


@pytest.mark.parametrize("listener", ["voice", "media"])
async def test_far_sides_that_read_slowly_stop_their_clients_and_cost_little(
    daemon: Daemon, site: Site, ashburn: Endpoint, receiver: Endpoint, listener: str
) -> None:
    far = {"voice": ashburn, "media": receiver}[listener]
    port = daemon.ports[listener]
    clients = [await dial(port, site, compression=None) for _ in range(SLOW)]
    before = daemon.memory()
    sent = sum(await asyncio.gather(*(send_all(client) for client in clients)))
    assert 0 < sent < SLOW * (32 << 20)
    assert daemon.memory() - before < SLOW * WINDOW
    far.released.set()
    seen = len(daemon.records)
    await asyncio.gather(*(client.close() for client in clients))
    async with asyncio.timeout(10):
        assert sum([await far.held.get() for _ in clients]) == sent
    await daemon.wait("flow.ended", after=seen, listener=listener, ended="--")


async def send_all(client: ClientConnection) -> int:
    """Send until nothing more is taken; how many bytes that were."""
    await client.send("hold")
    sent = 0
    try:
        while True:
            sent += 65_536
            async with asyncio.timeout(0.3):
                await client.send(bytes(65_536))
    except TimeoutError:
        return sent


async def test_edge_that_dies_ends_its_own_websockets_and_no_others(
    daemon: Daemon, site: Site, ashburn: Endpoint
) -> None:
    port = daemon.ports["voice"]
    ashburn.status = 503
    pinned = await dial(port, site)
    await pinned.send("who")
    assert await pinned.recv() == "dublin"
    ashburn.status = 0
    doomed = await dial(port, site)
    await doomed.send("who")
    assert await doomed.recv() == "ashburn"
    ashburn.kill()
    with pytest.raises(ConnectionClosed) as closed:
        await doomed.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1014
    again = await dial(port, site)
    await again.send("who")
    assert await again.recv() == "dublin"
    await pinned.send("still here")
    assert await pinned.recv() == "still here"
    for client in (pinned, again):
        await client.close()


async def test_nothing_healthy_is_told_at_once(
    daemon: Daemon, site: Site, dublin: Endpoint
) -> None:
    dublin.status = 503
    try:
        with pytest.raises(InvalidStatus) as refused:
            await dial(daemon.ports["voice"], site)
    finally:
        dublin.status = 0
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["Retry-After"] == "1"


async def test_stop_asks_clients_back_lets_streams_end_and_refuses_new_ones(
    daemon: Daemon, site: Site, dublin: Endpoint
) -> None:
    """The last test of its module: the daemon ends."""
    signal = await dial(daemon.ports["voice"], site)
    stream = await dial(daemon.ports["media"], site)
    daemon.terminate()
    with pytest.raises(ConnectionClosed) as closed:
        await signal.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    for name in ("voice", "media"):
        with pytest.raises(InvalidStatus) as refused:
            await dial(daemon.ports[name], site)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "1"
    await stream.send("goes on")
    assert await stream.recv() == "goes on"
    await stream.close()
    assert await daemon.end() == 0
    assert dublin.closed[-1] == 1012
    (stopped,) = daemon.events("daemon.stopped")
    assert stopped["flows"] == 0
