"""What tunnels of one listener share."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from protocols.http.tunnel import Deadlines, Tunnels
from protocols.net.tasks import Tasks
from tests.protocols.http.tunnelling import Site


@pytest.fixture
async def site() -> Site:
    return Site()


@pytest.fixture
async def tunnels(site: Site, tasks: Tasks) -> AsyncIterator[Tunnels]:
    tunnels = Tunnels(
        "api",
        "to_provider",
        site.report,
        site.records.put_nowait,
        tasks,
        Deadlines(hello=2.0, connect=2.0, answer=0.5, idle=60.0),
    )
    yield tunnels
    tunnels.close()
    while tunnels.open:  # noqa: ASYNC110
        await asyncio.sleep(0)
