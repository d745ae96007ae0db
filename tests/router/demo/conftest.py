"""The demo's stage, ready for requests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from router.demo.stage import Stage, set_up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Provider, daemon and the client that every machine has, for one file of tests."""
    async with set_up(tmp_path_factory.mktemp("stage"), "python") as running:
        await running.daemon.wait("daemon.ready", seconds=20)
        yield running
