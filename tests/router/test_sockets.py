"""WebSocket listeners composed: whose choice they follow, and whom they leave."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from protocols.net.handshake import Contexts
from protocols.net.tasks import Tasks
from protocols.record import FlowRecord
from protocols.target import Outcome, Result, Target, Transport
from router.changes import Flip
from router.checker import Checker
from router.health import State
from router.listeners import WebsocketFromProvider
from router.snapshot import Route
from router.sockets import Sockets

CLOSING = 0.1


class Known:
    """What a checker knows: one receiver, and what it was told of it."""

    def __init__(self, target: Target) -> None:
        route = Route(((target,),), 1, ())
        self.snapshot = cast(Any, type("S", (), {"routes": {"media": route}}))
        self.reports: list[Result] = []

    def report(self, target: Target, outcome: Outcome) -> None:
        self.reports.append(outcome.result)


class Site:
    """A receiver, and the listener before it."""

    def __init__(self) -> None:
        self.records: asyncio.Queue[FlowRecord] = asyncio.Queue()
        self.tasks = Tasks()
        self.sockets = Sockets(self.records.put_nowait, self.tasks)
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
                "tls": {"certificate": "a.pem", "key": "a.pem"},
                "to": [f"ws://127.0.0.1:{port}"],
                "deadlines": {"closing": f"{CLOSING * 1000:g}ms"},
                "drain": {"wait": "0s", "spread": "0s"},
            }
        )
        factory = self.sockets.compose(
            "media",
            listener,
            cast(Checker, Known(self.target)),
            Contexts(),
            lambda *_: None,
        )
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(factory, "127.0.0.1", 0)

    async def client(self) -> ClientConnection:
        port = self._listener.sockets[0].getsockname()[1]
        return await connect(f"ws://127.0.0.1:{port}", proxy=None)

    async def close_listeners(self, names: list[str]) -> None:
        assert names == ["media"]
        self._listener.close()

    async def end(self) -> None:
        await self.sockets.drain(self.close_listeners)
        self._receiver.close()
        await self._receiver.wait_closed()
        await self.tasks.close()

    def flip(self, to: State, result: Result) -> Flip:
        targets = (self.target,)
        return Flip("site", "media", targets, State.UP, to, "why", result, 1.0)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    running = Site()
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
    site.sockets.changed([site.flip(to, result)])
    await asyncio.sleep(0)
    for relay in site.sockets._relays.values():
        relay.look()
    await client.send("still here")
    assert await client.recv() == "still here"
    assert site.sockets.flows == 1
    await client.close()
    assert (await site.records.get()).ended == "--"


async def test_silent_address_ends_its_websockets(site: Site) -> None:
    client = await site.client()
    site.sockets.changed([site.flip(State.DOWN, Result.TIMEOUT)])
    for relay in site.sockets._relays.values():
        relay.look()
    with pytest.raises(ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1014
    assert (await site.records.get()).ended == "FD"


async def test_drain_asks_clients_to_come_back(site: Site) -> None:
    client = await site.client()
    assert await site.sockets.drain(site.close_listeners) == 0
    with pytest.raises(ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert (await site.records.get()).close_code == 1012
