"""A plugin of pytest that has coverage keep files of tests apart, fixtures included."""

from collections.abc import Generator

import coverage
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Put all that one test runs under the name of its file."""
    running = coverage.Coverage.current()
    assert running is not None
    running.switch_context(str(item.path))
    return (yield)
