"""The same stage as for scenarios, for clients that are not ours."""

from tests.scenarios.conftest import (
    daemon,
    directory,
    provider,
    pytest_asyncio_loop_factories,
    receiver,
    site,
)

__all__ = [
    "daemon",
    "directory",
    "provider",
    "pytest_asyncio_loop_factories",
    "receiver",
    "site",
]
