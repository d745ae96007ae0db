"""What all exchanges of one listener share: the seam, the pool, limits, the watch."""

import asyncio
import dataclasses
import re
from collections.abc import Callable
from typing import Protocol

from protocols.http.head import HEAD
from protocols.http.pool import Pool
from protocols.record import Record
from protocols.target import NOBODY, Choose, Report, Target

Refused = Callable[[str, int, str], None]
"Tell that a client's bytes were no request: its address, the status given, the reason."


@dataclasses.dataclass(frozen=True, slots=True)
class Deadlines:
    """How long things may take, in seconds; looked at about once a second."""

    head: float = 10.0
    "From a request's first byte to the end of its head."
    idle: float = 75.0
    "Between two requests on one client connection."
    connect: float = 10.0
    "From a request to a connection for it, all targets together."
    first_byte: float = 30.0
    "From the end of a request to the first byte of its answer."
    stall: float = 60.0
    "Without a byte in either direction while an answer is relayed."
    linger: float = 2.0
    "For a refused client to read why, before the connection is cut."


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """The least speed of a request body: a trickle holds a connection for nothing."""

    window: float = 20.0
    "Seconds over which speed is taken."
    bytes: int = 240 * 20
    "Bytes that must have come within the window."


class Waiting(Protocol):
    """An exchange that sent its request and has no answer yet."""

    def waits_since(self) -> float:
        """When its request was complete, or its silence was last told, in seconds."""

    def patience(self) -> float:
        """Seconds of silence after which to tell of it."""

    def is_silent(self, now: float) -> None:
        """Tell of the silence."""

    def forsaken(self, target: Target) -> None:
        """The target fell ill: turn to another if that is safe."""


class Watch:
    """Notices answers that do not come, a few tens of milliseconds after they are due.

    Exchanges stand in the order in which they began to wait, so that one look at the
    front suffices; the timer runs only while anybody waits.
    """

    __slots__ = ("_armed", "_loop", "_waiting")

    TICK = 0.025
    SHORTEST = 0.1

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[Waiting, None] = {}
        self._armed = False

    def add(self, exchange: Waiting) -> None:
        """Its request is complete."""
        self._waiting[exchange] = None
        if not self._armed:
            self._armed = True
            self._loop.call_later(self.SHORTEST, self._look)

    def remove(self, exchange: Waiting) -> None:
        """Its answer began, or it is over."""
        self._waiting.pop(exchange, None)

    def forsake(self, target: Target) -> None:
        """Tell all that wait."""
        for exchange in list(self._waiting):
            exchange.forsaken(target)

    def _look(self) -> None:
        if not self._waiting:
            self._armed = False
            return
        now = self._loop.time()
        silent = []
        for exchange in self._waiting:
            waited = now - exchange.waits_since()
            if waited < self.SHORTEST:
                break
            if waited >= exchange.patience():
                silent.append(exchange)
        for exchange in silent:
            # To the back: it is told of again after the same time.
            self._waiting.pop(exchange, None)
            self._waiting[exchange] = None
            exchange.is_silent(now)
        self._loop.call_later(self.TICK, self._look)


@dataclasses.dataclass(slots=True)
class Shared:
    """Built once per listener."""

    listener: str
    "Name of the listener, for records."
    to_provider: bool
    "The direction in which flows open."
    choose: Choose
    "Where to send the next flow."
    report: Report
    "Whom to tell what became of it."
    record: Record
    "Whom to give the access record."
    refused: Refused
    "Whom to tell of what was no request."
    pool: Pool
    "Connections to the targets."
    watch: Watch
    "Notices silence."
    loop: asyncio.AbstractEventLoop
    "The loop that all of it runs on."
    head: int = HEAD
    "Bytes that the head of a request may have."
    deadlines: Deadlines = Deadlines()
    "How long things may take."
    pace: Pace = Pace()
    "How slow a request body may be."
    nobody: str = NOBODY
    "What to tell a client that can be taken nowhere."
    retry: bool = True
    "Whether a request that is safe to repeat goes to the next target when broken."
    request_id: re.Pattern[bytes] | None = None
    "Finds what the far side calls a request, in its answer; None to look for nothing."
    leaving: bool = False
    "Each answer says that its connection ends with it."
    draining: bool = False
    "No further request is taken from a connection, whatever it was told."

    @property
    def direction(self) -> str:
        """The direction, as records have it."""
        return "to_provider" if self.to_provider else "from_provider"
