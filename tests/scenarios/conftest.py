"""Stages for scenarios: a site for all of them, a provider and daemon where wanted."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from tests import stage


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
def site(tmp_path_factory: pytest.TempPathFactory) -> stage.Site:
    """The certificate of the daemon's listeners."""
    return stage.site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one module keeps its files."""
    return tmp_path_factory.mktemp("stage")
