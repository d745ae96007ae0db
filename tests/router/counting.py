"""What counts flows, for those that have a daemon without links."""

import functools
import time
from pathlib import Path

from router.config import Loaded
from router.files import read
from router.incoming import Incoming
from router.logs import Log
from router.usage import Usage

EXAMPLE = Path(__file__).parents[2] / "examples" / "edge-router.yaml"


@functools.cache
def example() -> Loaded:
    """A configuration without links."""
    return read(EXAMPLE, verify=False)


def counting(log: Log, loaded: Loaded | None = None) -> tuple[Incoming, Usage]:
    """Both parts of a `Ground` that count flows."""
    loaded = loaded or example()
    incoming = Incoming(loaded, log)
    return incoming, Usage(loaded, lambda: (), incoming.edge_of, time.monotonic)
