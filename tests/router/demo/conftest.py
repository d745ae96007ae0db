"""The demo's stage, ready for requests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router.demo.stage import Stage, set_up


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Provider, daemon and the client that every machine has."""
    async with set_up(tmp_path, "python") as running:
        await running.daemon.wait("daemon.ready", seconds=20)
        yield running
