"""WebSocket listeners composed: whose choice they follow, and whom they leave."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from protocols.net.tasks import Tasks
from protocols.record import FlowRecord
from protocols.target import Outcome, Result, Target, Transport
from router.changes import Flip
from router.checker import Checker
from router.choice import WITHOUT_LINK
from router.health import State
from router.keyring import Keyring
from router.listeners import WebsocketFromProvider, WebsocketToProvider
from router.logs import Log
from router.relays import Ground
from router.snapshot import Route, Snapshot
from router.sockets import SocketRelay
from tests.router.counting import counting, example

CLOSING = 0.1

SNAPSHOT = cast(Snapshot, None)
"These relays do not look at it."


class Known:
    """What a checker knows: one receiver, and what it was told of it."""

    def __init__(self, target: Target) -> None:
        route = Route(((target,),), 1, ())
        routes = {"media": route, "voice": route}
        self.snapshot = cast(Any, type("S", (), {"routes": routes}))
        self.reports: list[Result] = []

    def report(self, target: Target, outcome: Outcome) -> None:
        self.reports.append(outcome.result)


async def serving(relay: SocketRelay) -> asyncio.Server:
    """What accepts its clients, without TLS."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(relay.serving.factory, "127.0.0.1", 0)


class Site:
    """A receiver, and the listener before it."""

    def __init__(self, pem: Path) -> None:
        self.records: asyncio.Queue[FlowRecord] = asyncio.Queue()
        self.tasks = Tasks()
        self.pem = pem
        self.relay: SocketRelay
        self.target: Target
        self._receiver: Server
        self._listener: asyncio.Server

    async def open(self) -> None:
        async def echo(connection: ServerConnection) -> None:
            async for message in connection:
                await connection.send(message)

        self._receiver = await serve(echo, "127.0.0.1", 0)
        port = next(iter(self._receiver.sockets)).getsockname()[1]
        self.target = Target("127.0.0.1", port, Transport.TCP, "site", label="site")
        listener = WebsocketFromProvider.model_validate(
            {
                "protocol": "websocket",
                "direction": "from_provider",
                "bind": "127.0.0.1:0",
                "tls": {"certificate": str(self.pem), "key": str(self.pem)},
                "to": [f"ws://127.0.0.1:{port}"],
                "deadlines": {"closing": f"{CLOSING * 1000:g}ms"},
                "drain": {"wait": "0s", "spread": "0s"},
            }
        )
        self.relay = SocketRelay(self.ground(), "media", listener)
        self._listener = await serving(self.relay)

    def ground(self) -> Ground:
        checker, log = cast(Checker, Known(self.target)), cast(Log, self)
        return Ground(example(), checker, Keyring(), log, self.tasks, *counting(log))

    def log_flow(self, record: FlowRecord) -> None:
        """The one method of a log that a relay uses."""
        self.records.put_nowait(record)

    async def client(self) -> ClientConnection:
        port = self._listener.sockets[0].getsockname()[1]
        return await connect(f"ws://127.0.0.1:{port}", proxy=None)

    async def accept_no_more(self) -> None:
        self._listener.close()

    async def end(self) -> None:
        await self.relay.drain(self.accept_no_more)
        self._receiver.close()
        await self._receiver.wait_closed()
        await self.tasks.close()

    def flip(self, to: State, result: Result) -> Flip:
        targets = (self.target,)
        return Flip("site", "media", targets, State.UP, to, "why", result, 1.0)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    certificate = trustme.CA().issue_cert("site.test")
    pem = tmp_path / "site.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(pem))
    running = Site(pem)
    await running.open()
    yield running
    await running.end()


@pytest.mark.parametrize(
    ("to", "result"),
    [
        (State.SUSPECT, Result.TIMEOUT),
        (State.DOWN, Result.REFUSED),
        (State.DOWN, Result.CERTIFICATE),
    ],
)
async def test_what_says_nothing_of_open_websockets_does_not_end_them(
    to: State, result: Result, site: Site
) -> None:
    client = await site.client()
    site.relay.changed(SNAPSHOT, [site.flip(to, result)])
    await asyncio.sleep(0)
    site.relay._relay.look()
    await client.send("still here")
    assert await client.recv() == "still here"
    assert site.relay.flows == 1
    await client.close()
    assert (await site.records.get()).ended == "--"


async def test_silent_address_ends_its_websockets(site: Site) -> None:
    client = await site.client()
    site.relay.changed(SNAPSHOT, [site.flip(State.DOWN, Result.TIMEOUT)])
    site.relay._relay.look()
    with pytest.raises(ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1014
    assert (await site.records.get()).ended == "FD"


async def test_drain_asks_clients_to_come_back(site: Site) -> None:
    client = await site.client()
    assert await site.relay.drain(site.accept_no_more) == 0
    with pytest.raises(ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert (await site.records.get()).close_code == 1012


async def test_retired_relay_serves_who_is_there_until_all_left(site: Site) -> None:
    client = await site.client()
    retiring = site.tasks.start(site.relay.retire(), name="retire")
    await client.send("still here")
    assert await client.recv() == "still here"
    assert not retiring.done()
    await client.close()
    await asyncio.wait_for(retiring, 2)
    assert (await site.records.get()).ended == "--"


async def test_handshake_that_demands_privacy_is_refused_where_no_link_is_left(
    site: Site,
) -> None:
    listener = WebsocketToProvider.model_validate(
        {
            "protocol": "websocket",
            "direction": "to_provider",
            "product": "voice",
            "allow": ["127.0.0.0/8"],
            "bind": "127.0.0.1:0",
            "tls": {"certificate": str(site.pem), "key": str(site.pem)},
            "privacy": "required",
        }
    )
    relay = SocketRelay(site.ground(), "voice", listener)
    server = await serving(relay)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{port}", proxy=None)
    server.close()
    relay.close()
    response = refused.value.response
    assert response.status_code == 503
    assert (response.body or b"").decode().strip() == f"edge-router: {WITHOUT_LINK}"
    assert (await site.records.get()).attempts == ()
