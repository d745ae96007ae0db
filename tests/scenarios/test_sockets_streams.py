"""Media streams of the provider through the daemon, to receivers of which some die."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from twilio.request_validator import RequestValidator
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import OPEN

from simulator.messages import Messages
from simulator.provider import Provider
from simulator.streams import Stream
from tests import stage
from tests.scenarios.sockets import media, voice
from tests.stage import HERE, NAME, Daemon, Site

URL = f"wss://{NAME}/stream/one"

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Receiver:
    """Where the site takes streams: checks the signature, marks every tenth sound."""

    def __init__(self, token: str) -> None:
        self._validator = RequestValidator(token)
        self.port = 0
        self.genuine: list[bool] = []
        self.connections: set[ServerConnection] = set()
        self.received: dict[str, Messages] = {}
        "What was heard on each stream, by its identifier."
        self.sent: dict[str, Messages] = {}
        self._server: Server

    async def open(self) -> None:
        """Listen; on the former port, if there was one."""
        self._server = await serve(
            self._serve, "127.0.0.1", self.port, ping_interval=None
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def kill(self) -> None:
        """Be gone."""
        self._server.close(close_connections=False)
        for connection in list(self.connections):
            connection.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        request = connection.request
        assert request is not None
        url = f"wss://{request.headers['Host']}{request.path}"
        signature = request.headers["X-Twilio-Signature"]
        self.genuine.append(self._validator.validate(url, {}, signature))
        try:
            await self._hear(connection)
        except ConnectionClosed:
            pass
        self.connections.discard(connection)

    async def _hear(self, connection: ServerConnection) -> None:
        received, sent = Messages(), Messages()
        async for message in connection:
            received.add(message)
            told: dict[str, Any] = json.loads(message)
            if told["event"] == "start":
                self.received[told["streamSid"]] = received
                self.sent[told["streamSid"]] = sent
            elif told["event"] == "media" and int(told["media"]["chunk"]) % 10 == 0:
                mark = {"event": "mark", "mark": {"name": told["media"]["chunk"]}}
                if connection.state is OPEN:
                    sent.add(json.dumps(mark))
                    await connection.send(json.dumps(mark))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def receivers(provider: Provider) -> AsyncIterator[list[Receiver]]:
    """The first in order, and the second."""
    both = [Receiver(provider.account.tokens["us1"]) for _ in range(2)]
    for receiver in both:
        await receiver.open()
    yield both
    for receiver in both:
        await receiver.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(
    provider: Provider, receivers: list[Receiver], site: Site, directory: Path
) -> AsyncIterator[Daemon]:
    to = [f"ws://127.0.0.1:{receiver.port}" for receiver in receivers]
    settings = stage.configuration(
        provider,
        directory,
        # One to the provider too: the daemon is ready when an edge is measured.
        {"media": media(site, *to), "voice": voice(site)},
        health=stage.SOON | {"recovery": "0s"},
    )
    async with stage.running(settings, directory) as running:
        while not receivers[0].genuine:  # until it has answered its first probe
            async with provider.streams.open(URL, **where(running, site)):
                pass
        for receiver in receivers:
            receiver.genuine.clear()
        yield running


def where(daemon: Daemon, site: Site) -> dict[str, Any]:
    return {"address": HERE, "port": daemon.ports["media"], "trust": site.trust()}


def assert_same(provider: Provider, stream: Stream, receiver: Receiver) -> None:
    """Each message arrived at either side once, in order, unaltered."""
    sums = {
        "sent": receiver.received[stream.sid],
        "received": receiver.sent[stream.sid],
    }
    for event, ours in sums.items():
        (theirs,) = provider.ledger.events(event, request=stream.sid)
        assert (theirs.messages, theirs.digest) == (ours.count, ours.digest), event


async def test_streams_reach_the_first_receiver_signed_and_unaltered(
    provider: Provider, daemon: Daemon, site: Site, receivers: list[Receiver]
) -> None:
    streams = []

    async def one(number: int) -> None:
        edge = ("ashburn", "dublin")[number % 2]
        async with provider.streams.open(
            URL, edge=edge, **where(daemon, site)
        ) as stream:
            streams.append(stream)
            await stream.play(50, pace=0.002)
            await stream.marked(5)

    await asyncio.gather(*(one(number) for number in range(5)))
    first, second = receivers
    assert (first.genuine, second.genuine) == ([True] * 5, [])
    for stream in streams:
        assert stream.code == 1000
        assert_same(provider, stream, first)


async def test_receiver_that_dies_takes_its_own_streams_and_no_others(
    provider: Provider, daemon: Daemon, site: Site, receivers: list[Receiver]
) -> None:
    first, second = receivers
    opening = provider.streams.open
    to = where(daemon, site)
    async with opening(URL, **to) as doomed:
        await doomed.play(5, pace=0)
        await first.kill()
        with pytest.raises(ConnectionClosed):
            await doomed.play(500, pace=0.01)
        assert doomed.code == 1014
        async with opening(URL, **to) as pinned:  # at once, on the next receiver
            await pinned.play(10, pace=0)
            seen = len(daemon.records)
            await first.open()
            await daemon.wait("product.flipped", after=seen, state="up")
            async with opening(URL, **to) as back:
                await back.play(10, pace=0)
                await back.marked(1)
            await pinned.play(10, pace=0)
            await pinned.marked(2)
    assert_same(provider, pinned, second)
    assert_same(provider, back, first)


async def test_no_healthy_receiver_is_a_503_at_once(
    provider: Provider, daemon: Daemon, site: Site, receivers: list[Receiver]
) -> None:
    """The last test of its module."""
    for receiver in receivers:
        await receiver.kill()
    clock = asyncio.get_running_loop().time
    took = []
    for _ in range(3):
        began = clock()
        with pytest.raises(InvalidStatus) as refused:
            async with provider.streams.open(URL, **where(daemon, site)):
                pytest.fail("it cannot open")
        took.append(clock() - began)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "1"
    assert min(took) < 1, took
