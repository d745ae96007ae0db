"""What a client sees through the relay: every kind of answer and of body."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from simulator.provider import Provider
from tests import stage
from tests.stage import Daemon, Site
from tests.wire import Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[Provider]:
    async with Provider.start(["ashburn=0ms", "dublin=5ms"], seed=1) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(
    provider: Provider, site: Site, directory: Path
) -> AsyncIterator[Daemon]:
    settings = stage.configuration(provider, directory, {"api": stage.terminate(site)})
    async with stage.running(settings, directory) as running:
        yield running


async def test_get_answered(daemon: Daemon, site: Site) -> None:
    async with Caller(daemon.ports["api"], site.trust()) as caller:
        answer = await caller.ask("GET", "/hello?hush-hush=1")
    assert answer.status == 200
    await daemon.wait("flow.ended", path="/hello")
