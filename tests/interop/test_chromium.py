"""A browser's own WebSocket through the daemon: what its pages see."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from simulator.provider import Provider
from tests import stage
from tests.interop.browser import browsing, installed
from tests.scenarios.sockets import SUBPROTOCOL, Endpoint, signalling, voice
from tests.stage import HUSH, NAME, Daemon, Settings, Site

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not installed(), reason="chromium is not installed"),
]

Edges = tuple[Mapping[str, Endpoint], Settings]

SCRIPT = f"""
const opened = () => new Promise((resolve, reject) => {{
    const socket = new WebSocket("wss://{NAME}/signal?token={HUSH}", "{SUBPROTOCOL}");
    socket.binaryType = "arraybuffer";
    socket.onopen = () => resolve(socket);
    socket.onerror = reject;
}});
const heard = socket => new Promise(resolve => {{
    socket.onmessage = event => resolve(event.data);
}});
const closed = socket => new Promise(resolve => {{
    socket.onclose = ({{code, reason, wasClean}}) =>
        resolve({{code, reason, wasClean}});
}});
const asked = async (socket, message) => {{
    const answer = heard(socket);
    socket.send(message);
    return await answer;
}};
(async () => {{
    const first = await opened();
    const bytes = Uint8Array.from({{length: 1_000_000}}, (_, place) => place % 251);
    const echoed = new Uint8Array(await asked(first, bytes));
    const edge = await asked(first, "who");
    const text = await asked(first, "Grüße \\u2603");
    const ended = closed(first);
    first.close(4003, "done");
    await tell({{
        protocol: first.protocol,
        extensions: first.extensions,
        same: echoed.length === bytes.length && bytes.every((b, i) => b === echoed[i]),
        edge, text, ended: await ended,
    }});
    const second = await opened();
    const lost = closed(second);
    await tell({{edge: await asked(second, "who")}});
    await tell(await lost);
    await tell({{edge: await asked(await opened(), "who")}});
}})();
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edges(provider: Provider, directory: Path) -> AsyncIterator[Edges]:
    """A signalling endpoint at each edge."""
    async with signalling(provider, directory, Endpoint) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(
    provider: Provider, edges: Edges, site: Site, directory: Path
) -> AsyncIterator[Daemon]:
    """A daemon for the site's browsers."""
    listeners = {"voice": voice(site)}
    settings = stage.configuration(provider, directory, listeners, health={})
    settings["provider"] = edges[1]
    async with stage.running(settings, directory) as running:
        yield running


async def test_page_has_its_websocket_and_is_told_when_its_edge_dies(
    daemon: Daemon, edges: Edges, site: Site, tmp_path: Path
) -> None:
    async with browsing(
        SCRIPT,
        certificate=site.certificate,
        ports={NAME: daemon.ports["voice"]},
        profile=tmp_path,
    ) as page:
        told = await page.next()
        assert told["protocol"] == SUBPROTOCOL
        assert told["extensions"].startswith("permessage-deflate")
        assert told["same"]
        assert (told["edge"], told["text"]) == ("ashburn", "Grüße \u2603")
        assert told["ended"] == {"code": 4003, "reason": "done", "wasClean": True}
        ended = await daemon.wait("flow.ended", close_code=4003)
        assert (ended["ended"], ended["received_messages"]) == ("--", 3)
        assert await page.next() == {"edge": "ashburn"}
        edges[0]["ashburn"].kill()
        assert await page.next() == {
            "code": 1014,
            "reason": "connection lost",
            "wasClean": True,
        }
        assert await page.next() == {"edge": "dublin"}
