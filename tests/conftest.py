"""What all tests have: cores are measured while their twins run."""

import pytest

from tests.covering import CORES, ROOT, Covering, twins


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Covering(ROOT, twins(CORES)), "covering")
