"""A provider on loopback, without distance unless a test asks for some."""

from collections.abc import AsyncIterator

import pytest

from simulator.provider import Provider

SOURCE = "127.0.0.9"


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """Three edges: ashburn, dublin, and the private ashburn-ix."""
    plans = ["ashburn=0ms", "dublin=0ms", f"ashburn-ix=0ms@{SOURCE}"]
    async with Provider.start(plans, seed=1) as running:
        yield running
