"""One connection to a target, used by one exchange after the other."""

import asyncio
import select
from typing import Protocol, cast

from protocols.http.head import HeadBuffer
from protocols.net.buffered import Buffered
from protocols.target import Target, Transport

_DEFAULT_PORTS = {Transport.TLS: 443, Transport.TCP: 80}


class Answered(Protocol):
    """What a far connection tells the exchange that it serves."""

    def answer_received(self, data: bytes) -> None:
        """Bytes of the answer came."""

    def far_lost(self, error: Exception | None) -> None:
        """The connection ended; with an error if it broke."""

    def far_full(self) -> None:
        """More is written than the far side takes: stop reading the client."""

    def far_drained(self) -> None:
        """The far side took it: go on."""


class _TlsTransport(Protocol):
    """What event loops give beside `asyncio.Transport` where there is TLS."""

    def set_read_buffer_limits(self, high: int) -> None:
        """Read no more while so many bytes wait to be decrypted."""


class Idle(Protocol):
    """What a far connection without an exchange tells the pool."""

    def drop(self, far: "Far") -> None:
        """The connection is of no use any more."""


def authority(target: Target) -> bytes:
    """What stands in the Host field of requests to this target."""
    if target.port == _DEFAULT_PORTS.get(target.transport):
        return target.host.encode("ascii")
    return f"{target.host}:{target.port}".encode("ascii")


class Far(Buffered):
    """The far end of an exchange, or an idle connection in the pool."""

    __slots__ = (
        "authority",
        "ended",
        "exchange",
        "heads",
        "idle_since",
        "pool",
        "resumed",
        "seconds",
        "served",
        "target",
        "transport",
    )

    def __init__(self, target: Target, pool: Idle) -> None:
        self.target = target
        self.authority = authority(target)
        self.pool = pool
        self.exchange: Answered | None = None
        self.heads = HeadBuffer()
        "Gathers the heads of answers."
        self.served = 0
        "Requests sent over it so far."
        self.idle_since = 0.0
        "Loop time at which it was last laid ready; 0 if it never was."
        self.seconds: tuple[float, float | None] = (0.0, None)
        "How long connecting took, and the TLS handshake."
        self.resumed = False
        self.ended = False
        "Whether the far side said that no more comes: by close_notify, where TLS is."
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the loop."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=65_536)
        if self.target.transport is Transport.TLS:
            # uvloop drops what it has not decrypted yet when it reads the end of the
            # stream. So that it reads none while the client is slow, it keeps nothing.
            cast("_TlsTransport", transport).set_read_buffer_limits(high=1)

    def is_quiet(self) -> bool:
        """Whether nothing has come that the loop has not read yet, an end included."""
        watch = select.poll()
        watch.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not watch.poll(0)

    def data_received(self, data: bytes) -> None:
        """Called by the loop for all that comes."""
        if self.exchange is not None:
            self.exchange.answer_received(data)
        else:
            # An idle connection that speaks is out of step: whatever it says would be
            # taken for the answer to the next request.
            self.pool.drop(self)

    def eof_received(self) -> None:
        """Called by the loop when the far side ends what it sends."""
        self.ended = True

    def connection_lost(self, error: Exception | None) -> None:
        """Called once by the loop."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.far_lost(error)
        else:
            self.pool.drop(self)

    def pause_writing(self) -> None:
        """Called by the loop when its buffer is above the high-water mark."""
        if self.exchange is not None:
            self.exchange.far_full()

    def resume_writing(self) -> None:
        """Called by the loop when its buffer is below the low-water mark."""
        if self.exchange is not None:
            self.exchange.far_drained()
