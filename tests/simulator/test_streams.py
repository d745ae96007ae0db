"""Media streams to a site that checks them with the client library's own validator."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from twilio.request_validator import RequestValidator
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

from simulator.certificates import Authority
from simulator.ledger import Ledger
from simulator.messages import Messages
from simulator.streams import StreamEngine

TOKEN, ACCOUNT = "12345", "AC1"
EDGES = {"ashburn": "127.20.1.1", "dublin": "127.20.2.1"}
URL = "wss://site.example/stream/%41"
LEFT = 4000
"Code with which the site leaves, when it is told to."


class Site:
    """Takes streams, answers sound with a mark now and then, keeps what it heard."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        self.context = authority.context(["site.example"])
        self.trust = authority.client()
        self.port = 0
        self.status = 0
        "What to refuse with, if not 0."
        self.leaves = False
        "Whether it closes at the first sound."
        self.requests: list[Request] = []
        self.sources: list[str] = []
        self.heard: list[Any] = []
        self.received, self.sent = Messages(), Messages()
        self.answered = asyncio.Event()
        "Set when marks have come back twice."

    def judge(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        self.sources.append(connection.remote_address[0])
        return connection.respond(self.status, "no\n") if self.status else None

    async def serve(self, connection: ServerConnection) -> None:
        async for message in connection:
            self.received.add(message)
            heard = json.loads(message)
            self.heard.append(heard)
            if sum(one["event"] == "mark" for one in self.heard) == 2:
                self.answered.set()
            if heard["event"] == "media":
                if self.leaves:
                    await connection.close(LEFT)
                for text in (
                    json.dumps({"event": "mark", "mark": {"name": "m"}}),
                    '{"event": "mark", "mark": {"name": 1}}',
                    '{"event": "clear"}',
                    "[]",
                    "{",
                ):
                    self.sent.add(text)
                    with contextlib.suppress(ConnectionClosed):
                        await connection.send(text)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    async with (
        asyncio.timeout(10),
        serve(
            site.serve,
            "127.0.0.1",
            0,
            ssl=site.context,
            process_request=site.judge,
            ping_interval=None,
        ) as server,
    ):
        site.port = next(iter(server.sockets)).getsockname()[1]
        yield site


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(time.monotonic)


@pytest.fixture
def engine(ledger: Ledger) -> StreamEngine:
    return StreamEngine(EDGES, ACCOUNT, TOKEN, ledger)


def where(site: Site) -> dict[str, Any]:
    return {"address": "127.0.0.1", "port": site.port, "trust": site.trust}


async def test_stream_begins_sounds_and_stops(site: Site, engine: StreamEngine) -> None:
    given = {"to": "sales"}
    async with engine.open(URL, parameters=given, **where(site)) as stream:
        await stream.play(3, pace=0)
        assert stream.code == 0
    assert stream.code == 1000

    connected, start, *_ = site.heard
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start["streamSid"] == start["start"]["streamSid"] == stream.sid
    assert start["start"]["customParameters"] == given
    sounds = [heard for heard in site.heard if heard["event"] == "media"]
    times = [(one["media"]["chunk"], one["media"]["timestamp"]) for one in sounds]
    assert times == [("1", "0"), ("2", "20"), ("3", "40")]
    assert len(base64.b64decode(sounds[0]["media"]["payload"])) == 160
    assert "stop" in [heard["event"] for heard in site.heard]
    numbers = [int(one["sequenceNumber"]) for one in site.heard[1:]]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_sound_is_paced(site: Site, engine: StreamEngine) -> None:
    clock = asyncio.get_running_loop().time
    async with engine.open(URL, **where(site)) as stream:
        begun = clock()
        await stream.play(5)
        assert clock() - begun >= 0.099


async def test_handshake_is_signed_and_comes_from_the_edge(
    site: Site, engine: StreamEngine
) -> None:
    async with engine.open(URL, edge="dublin", **where(site)):
        pass
    (request,) = site.requests
    assert request.path == "/stream/%41"
    assert request.headers["Host"] == "site.example"
    validator = RequestValidator(TOKEN)
    assert validator.validate(URL, {}, request.headers["X-Twilio-Signature"])
    assert site.sources == ["127.20.2.1"]


async def test_marks_come_back_and_both_sums_agree(
    site: Site, engine: StreamEngine, ledger: Ledger
) -> None:
    async with engine.open(URL, **where(site)) as stream:
        await stream.play(2, pace=0.01)
        await stream.marked(2)
        await site.answered.wait()
    assert stream.marks == ["m", "m"]
    assert [one["mark"] for one in site.heard if one["event"] == "mark"] == [
        {"name": "m"}
    ] * 2
    (received,) = ledger.events("received", request=stream.sid)
    (sent,) = ledger.events("sent", request=stream.sid)
    assert (sent.messages, sent.digest) == (site.received.count, site.received.digest)
    assert (received.messages, received.digest) == (10, site.sent.digest)
    assert ledger.events("stream", status=101, request=stream.sid, target=URL)
    assert ledger.events("closed", code=1000, request=stream.sid)


async def test_refused_stream_is_noted(
    site: Site, engine: StreamEngine, ledger: Ledger
) -> None:
    site.status = 503
    with pytest.raises(InvalidStatus):
        async with engine.open(URL, **where(site)):
            pytest.fail("it cannot open")
    (event,) = ledger.events("stream")
    assert (event.status, event.edge) == (503, "ashburn")


async def test_stream_that_the_site_leaves_can_play_no_more(
    site: Site, engine: StreamEngine, ledger: Ledger
) -> None:
    site.leaves = True
    with pytest.raises(ConnectionClosed):
        async with engine.open(URL, **where(site)) as stream:
            await stream.play(500, pace=0.01)
    with pytest.raises(ConnectionError, match="then the end"):
        await stream.marked(9)
    assert ledger.events("closed", code=LEFT)


@pytest.mark.parametrize(
    "url", ["ws://site.example/", "wss://site.example:8443/", "wss://site.example/?a=b"]
)
async def test_url_that_the_provider_refuses_is_an_error(
    url: str, site: Site, engine: StreamEngine
) -> None:
    with pytest.raises(ValueError, match="a stream takes wss"):
        async with engine.open(url, **where(site)):
            pytest.fail("it cannot open")
