"""HTTPS listeners composed: what they keep warm, whom they leave, how they retire."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from protocols.net.tasks import Tasks
from protocols.record import FlowRecord
from protocols.target import Outcome, Result, Target
from router.changes import Flip
from router.checker import Checker
from router.choice import WITHOUT_LINK
from router.health import State
from router.https import HttpsRelay
from router.keyring import Keyring
from router.listeners import HttpsFromProvider, HttpsTerminate
from router.logs import Log
from router.relays import Ground, Relayed
from router.snapshot import Route, Snapshot
from tests import stage
from tests.protocols.http.stage import OK, Client, Origin, answering
from tests.router.counting import counting, example

GET = b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n"


class Known:
    """What a checker knows: where a route leads, and what it was told of that."""

    def __init__(self, route: str, *targets: Target) -> None:
        self.route = Route(tuple((one,) for one in targets), len(targets), targets)
        self.snapshot = cast(Snapshot, self)
        self.routes = {route: self.route}
        self.results: list[Result] = []
        self.dialled: list[Target] = []

    def warm(self, route: str) -> tuple[Target, ...]:
        return self.routes[route].warm

    def report(self, target: Target, outcome: Outcome) -> None:
        self.results.append(outcome.result)
        self.dialled.append(target)


class House:
    """A listener whose clients speak no TLS, and one server behind it."""

    def __init__(
        self, name: str, listener: Relayed, origin: Origin, *targets: Target
    ) -> None:
        self.origin = origin
        self.known = Known(name, *(targets or (origin.target,)))
        self.tasks = Tasks()
        self.records: list[FlowRecord] = []
        ground = Ground(
            example(),
            cast(Checker, self.known),
            Keyring(),
            cast(Log, self),
            self.tasks,
            *counting(cast(Log, self)),
        )
        self.relay = HttpsRelay(ground, name, listener)

    def log_flow(self, record: FlowRecord) -> None:
        """The one method of a log that a relay uses."""
        self.records.append(record)

    async def client(self) -> Client:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self.relay.serving.factory, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        while not self.relay.flows:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        server.close()
        return client

    async def warm(self) -> None:
        """Wait until a connection to the receiver is ready."""
        async with asyncio.timeout(5):
            while not self.known.results:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)

    def changed(self, *changes: Flip) -> None:
        self.relay.changed(cast(Snapshot, self.known), changes)

    def flip(self, to: State) -> Flip:
        targets = (self.origin.target,)
        return Flip("site", "hooks", targets, State.UP, to, "why", Result.REFUSED, 1.0)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    origin = Origin(answering(OK))
    await origin.open("site", 1.0)
    to = f"http://127.0.0.1:{origin.target.port}"
    settings = stage.webhooks(stage.site(tmp_path), to)
    house = House("hooks", HttpsFromProvider.model_validate(settings), origin)
    yield house
    house.relay.close()
    await origin.end()
    await house.tasks.close()


@contextlib.asynccontextmanager
async def demanding(
    origin: Origin, directory: Path, *targets: Target
) -> AsyncIterator[House]:
    """A listener for requests that take a link or none."""
    settings = stage.terminate(stage.site(directory), privacy="required")
    house = House("api", HttpsTerminate.model_validate(settings), origin, *targets)
    yield house
    house.relay.close()
    await house.tasks.close()


async def test_connection_is_kept_warm_where_the_ranking_says(house: House) -> None:
    house.changed()
    await house.warm()
    client = await house.client()
    assert await client.ask(GET) == (200, b"ok")
    assert [record.reused for record in house.records] == [True]
    assert house.relay.flows == 1
    client.close()


async def test_nothing_is_kept_warm_beside_links_where_privacy_is_demanded(
    house: House, tmp_path: Path
) -> None:
    public = house.origin.target
    private = dataclasses.replace(public, device="lo")
    async with demanding(house.origin, tmp_path, public, private) as other:
        other.changed()
        await other.warm()
        assert other.known.dialled == [private]


async def test_request_that_demands_privacy_is_refused_where_no_link_is_left(
    house: House, tmp_path: Path
) -> None:
    async with demanding(house.origin, tmp_path, house.origin.target) as other:
        client = await other.client()
        status, said = await client.ask(GET)
        client.close()
    assert (status, said.decode().strip()) == (503, f"edge-router: {WITHOUT_LINK}")
    assert house.origin.visits == []


async def test_target_that_fell_ill_is_left(house: House) -> None:
    house.changed()
    await house.warm()
    house.changed(house.flip(State.UP))
    house.changed(house.flip(State.SUSPECT))
    async with asyncio.timeout(5):
        while not house.origin.visits[0].reader.at_eof():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_listener_that_retires_keeps_nothing_warm_any_more(house: House) -> None:
    client = await house.client()
    retiring = house.tasks.start(house.relay.retire(), name="retire")
    await asyncio.sleep(0)
    house.changed()
    assert await client.ask(GET) == (200, b"ok")
    assert await client.rest() == b""
    client.close()
    await retiring
    assert [record.reused for record in house.records] == [False]
    assert len(house.origin.visits) == 1


async def test_listener_that_drains_keeps_nothing_warm_any_more(house: House) -> None:
    asked = []

    async def accept_no_more() -> None:
        asked.append(house.relay.flows)

    assert await house.relay.drain(accept_no_more) == 0
    assert asked == [0]
    house.changed()
    await asyncio.sleep(0)
    assert house.origin.visits == []
