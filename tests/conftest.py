"""What all tests have: cores are measured while their twins run."""

from collections.abc import Iterator

import pytest

from tests.covering import CORES, ROOT, Covering, twins
from tests.namespaces import Network


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Covering(ROOT, twins(CORES)), "covering")


def made() -> Iterator[Network]:
    try:
        network = Network()
    except OSError as error:
        pytest.skip(f"needs network namespaces: {error}")
    yield network
    network.close()


@pytest.fixture
def network() -> Iterator[Network]:
    """A network of our own, in namespaces of the kernel."""
    yield from made()


@pytest.fixture(scope="module")
def lasting_network() -> Iterator[Network]:
    """A network for all tests of a file, which leave it as they found it."""
    yield from made()
