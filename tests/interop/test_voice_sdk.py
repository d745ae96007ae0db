"""The voice SDK for browsers, unmodified, as far as signalling goes."""

import asyncio
import hashlib
import json
import tarfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection

from simulator.provider import Provider
from tests import stage
from tests.interop.browser import browsing, installed
from tests.scenarios.sockets import Endpoint, signalling, voice
from tests.stage import NAME, ROOT, Daemon, Settings, Site

VERSION = "2.18.5"
PACKAGE = ROOT / "build" / f"twilio-voice-sdk-{VERSION}.tgz"
DIGEST = "b78b887ce35832e4316d477b6148660f13dae7b5b0db027286a4bbcf7ca1ded9"
FETCH = f"npm pack --pack-destination build @twilio/voice-sdk@{VERSION}"

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not installed(), reason="chromium is not installed"),
    pytest.mark.skipif(not PACKAGE.exists(), reason=f"@twilio/voice-sdk: {FETCH}"),
]

EDGE_NAMES = [f"voice-js.{edge}.twilio.com" for edge in ("ashburn", "dublin")]


class Signalling(Endpoint):
    """Speaks as much of the SDK's protocol as registering takes."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.tokens: list[str] = []
        self.heartbeats = asyncio.Queue[str]()

    async def answer(self, connection: ServerConnection, message: str | bytes) -> None:
        """Answer `listen` and `register`, and count heartbeats, which are a newline."""
        if message == "\n":
            self.heartbeats.put_nowait(self.label)
            return
        told = json.loads(message)
        if told["type"] == "listen":
            self.tokens.append(told["payload"]["token"])
            known = {"identity": "alice", "ttl": 3600}
            place = {"edge": self.label, "region": "US_EAST_VIRGINIA", "home": "us1"}
            await self._tell(connection, "connected", {**place, "token": known})
            await connection.send("\n")
        elif told["type"] == "register":
            await self._tell(connection, "ready", {})

    async def _tell(
        self, connection: ServerConnection, kind: str, payload: Mapping[str, object]
    ) -> None:
        message = {"type": kind, "version": "1.6", "payload": payload}
        await connection.send(json.dumps(message))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose names for the edges lead its browsers to the daemon."""
    return stage.site(tmp_path_factory.mktemp("site"), *EDGE_NAMES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edges(
    provider: Provider, directory: Path
) -> AsyncIterator[tuple[Mapping[str, Signalling], Settings]]:
    """A signalling endpoint at each edge."""
    async with signalling(provider, directory, Signalling) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(
    provider: Provider,
    edges: tuple[Mapping[str, Signalling], Settings],
    site: Site,
    directory: Path,
) -> AsyncIterator[Daemon]:
    """A daemon for the site's browsers."""
    listeners = {"voice": voice(site)}
    settings = stage.configuration(provider, directory, listeners, health={})
    settings["provider"] = edges[1]
    async with stage.running(settings, directory) as running:
        yield running


@pytest.fixture(scope="module")
def library() -> bytes:
    """The SDK as its package has it for pages."""
    assert hashlib.sha256(PACKAGE.read_bytes()).hexdigest() == DIGEST
    with tarfile.open(PACKAGE) as package:
        file = package.extractfile("package/dist/twilio.min.js")
        assert file is not None
        return file.read()


def script(options: Mapping[str, object]) -> str:
    """Register a device with these options, and tell each time that it is."""
    return f"""
const device = new Twilio.Device("header.payload.signature", {json.dumps(options)});
device.on("registered", () => tell({{
    registered: device.state, edge: device.edge, identity: device.identity,
    home: device.home,
}}));
device.register();
"""


@pytest.mark.parametrize(
    ("options", "names"),
    [
        pytest.param({"edge": ["ashburn", "dublin"]}, EDGE_NAMES, id="edge option"),
        pytest.param({"chunderw": f"{NAME}:443"}, [NAME], id="host of the site's own"),
    ],
)
async def test_device_registers_and_comes_back_on_the_next_edge(
    daemon: Daemon,
    edges: tuple[Mapping[str, Signalling], Settings],
    site: Site,
    library: bytes,
    tmp_path: Path,
    options: Mapping[str, object],
    names: list[str],
) -> None:
    async with browsing(
        script(options),
        certificate=site.certificate,
        ports=dict.fromkeys(names, daemon.ports["voice"]),
        profile=tmp_path,
        libraries={"twilio.min.js": library},
    ) as page:
        first = await page.next()
        here = edges[0][first["edge"]]
        registered = {"registered": "registered", "identity": "alice", "home": "us1"}
        assert first == {**registered, "edge": here.label}
        assert await here.heartbeats.get() == here.label
        assert here.tokens[-1] == "header.payload.signature"
        assert here.asked[-1].path == "/signal"
        here.status = 503
        for connection in list(here.connections):
            connection.transport.abort()
        second = await page.next()
        there = edges[0][second["edge"]]
        assert second == {**registered, "edge": there.label}
        assert there is not here
        assert await there.heartbeats.get() == there.label
        here.status = 0
    await daemon.wait("flow.ended", edge=here.label, close_code=1014)
