"""Stages for scenarios: a site, a provider without faults, a receiver, a daemon."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
import uvloop
from aiohttp import web

from simulator.provider import Provider
from tests import stage
from tests.stage import Daemon, Site


class Loop(uvloop.Loop):
    """A loop that lets the far ends of connections just closed notice it."""

    def close(self) -> None:
        if not self.is_closed():
            for _ in range(10):
                self.run_until_complete(asyncio.sleep(0))
        super().close()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], uvloop.Loop]]:
    return {"uvloop": Loop}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The certificate of the daemon's listeners."""
    return stage.site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one module keeps its files."""
    return tmp_path_factory.mktemp("stage")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[Provider]:
    """Two edges, one of them close by, for modules in which neither fails."""
    async with Provider.start(["ashburn=0ms", "dublin=25ms"], seed=1) as running:
        yield running


@dataclasses.dataclass(frozen=True, slots=True)
class Delivered:
    """One whole request at the site's receiver."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """A webhook receiver of the site, which keeps what it is sent."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Delivered] = []

    async def take(self, request: web.Request) -> web.Response:
        """Answer 200."""
        body = await request.read()
        self.requests.append(
            Delivered(request.method, request.raw_path, request.headers.copy(), body)
        )
        return web.Response(text="<Response/>", content_type="text/xml")


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver without TLS on a port of its own."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(
    provider: Provider, receiver: Receiver, site: Site, directory: Path
) -> AsyncIterator[Daemon]:
    """A daemon with a listener of each kind, for modules without faults."""
    deadlines = {"header": "1s", "first_byte": "1s", "body_grace": "1s"}
    limits = {"body_rate": "10KiB/s"}
    listeners = {
        "api": stage.terminate(site),
        "strict": stage.terminate(site, deadlines=deadlines, limits=limits),
        # Patient, so that connections held on a busy machine are all held at once.
        "crowded": stage.terminate(site, limits={"connections_per_client": 5}),
        "few": stage.terminate(site, allow=["127.0.0.2/32"]),
        "proxy": stage.connect(),
        "names": stage.passthrough(),
        "webhooks": stage.webhooks(site, receiver.url),
    }
    # Nothing fails here: a busy machine is to be no reason to change edges.
    settings = stage.configuration(provider, directory, listeners, health={})
    tokens = provider.account.tokens.values()
    async with stage.running(settings, directory, secrets=[*tokens]) as running:
        yield running
