"""A plugin of pytest that has coverage keep files of tests apart, fixtures included."""

from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

_FILE = pytest.StashKey[Path]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Put all that one test runs under the name of its file."""
    # With each switch coverage writes down what it has, which takes longer than a test.
    if item.session.stash.get(_FILE, None) != item.path:
        running = coverage.Coverage.current()
        assert running is not None
        running.switch_context(str(item.path))
        item.session.stash[_FILE] = item.path
    return (yield)
