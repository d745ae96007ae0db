"""A provider on loopback, without distance unless a test asks for some."""

import contextlib
import os
import socket
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


def writes_at_once(near: tuple[str, int], far: tuple[str, int]) -> bool:
    """Whether the end of a connection in this process never waits for an ACK."""
    for name in os.listdir("/proc/self/fd"):
        with (
            contextlib.suppress(OSError),  # no socket, or not connected
            socket.socket(fileno=os.dup(int(name))) as sock,
        ):
            if (sock.getsockname(), sock.getpeername()) == (near, far):
                return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    raise AssertionError(f"no connection from {near} to {far}")
