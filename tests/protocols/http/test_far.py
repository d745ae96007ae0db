"""The far end against TLS servers that end the stream in their own ways."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocols.http.far import Far
from protocols.net.dial import dial
from protocols.net.handshake import Contexts
from protocols.net.tls import server_context
from protocols.target import Target

Pair = tuple[Path, Path]
SIZE = 600_000


class Listening:
    """An exchange that stops reading at the first bytes, and goes on when told."""

    def __init__(self, far: Far) -> None:
        self.far = far
        self.count = 0
        self.came = asyncio.Event()
        self.lost: asyncio.Future[Exception | None]
        self.lost = asyncio.get_running_loop().create_future()
        far.exchange = self

    def answer_received(self, data: bytes) -> None:
        if not self.count:
            self.far.transport.pause_reading()
        self.count += len(data)
        self.came.set()

    def far_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)

    def far_full(self) -> None: ...

    def far_drained(self) -> None: ...


class Dropping:
    """A pool that keeps nothing."""

    def drop(self, far: Far) -> None: ...


def _answer(listener: socket.socket, context: ssl.SSLContext, alert: bool) -> None:
    """Send a body and end at once, waiting for nobody; with an alert, or rudely."""
    accepted, _ = listener.accept()
    with context.wrap_socket(accepted, server_side=True) as connection:
        connection.sendall(b"z" * SIZE)
        if alert:
            connection.settimeout(0)
            with contextlib.suppress(OSError):
                connection.unwrap()
        socket.socket(fileno=connection.detach()).close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.parametrize("alert", [True, False])
async def test_slow_reader_gets_all_that_came_before_the_end_and_learns_its_kind(
    alert: bool,
    listener: socket.socket,
    pair: Pair,
    ca_file: Path,
    place: Callable[..., Target],
) -> None:
    context = server_context(*pair)
    answering = asyncio.to_thread(_answer, listener, context, alert)
    serving = asyncio.gather(answering)
    target = place(listener.getsockname()[1])
    dialled = await dial(
        target,
        lambda: Far(target, Dropping()),
        contexts=Contexts(ca_file),
        connect_timeout=2.0,
        tls_timeout=2.0,
    )
    far = dialled.protocol
    assert isinstance(far, Far)
    reader = Listening(far)
    await reader.came.wait()
    await serving  # so the end is on its way, or here
    far.transport.resume_reading()
    assert await reader.lost is None
    if alert:
        assert reader.count == SIZE
    assert far.ended is alert
