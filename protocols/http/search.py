"""Finds a connection for an exchange when none is at hand, or the one it had failed."""

import asyncio
from typing import Protocol

from protocols.http.far import Far
from protocols.http.shared import Shared
from protocols.net.dial import DialError
from protocols.net.race import Race
from protocols.record import Attempt
from protocols.target import Result, Target


class Seeker(Protocol):
    """Who wants a connection."""

    def found(self, far: Far) -> None:
        """Here it is."""

    def not_found(self) -> None:
        """There is none to be had."""


class Search:
    """One exchange's way from target to target."""

    __slots__ = ("_on", "_race", "_seeker", "_shared", "_surely", "_timer", "won_at")

    def __init__(self, seeker: Seeker, shared: Shared, *, surely: bool) -> None:
        """`surely`: what is sent cannot be sent once more (see `Pool.take`)."""
        self._seeker = seeker
        self._surely = surely
        self._shared = shared
        self._race = Race(shared.choose)
        self._timer: asyncio.TimerHandle | None = None
        self._on = False
        self.won_at: float | None = None
        "Loop time at which the last connection was found; None if none was."

    def go(self) -> None:
        """Turn to the next target, by a connection that stands, or by dialling."""
        now = self._shared.loop.time()
        race = self._race
        self.stop()
        self._on = True
        race.overdue(now)
        while (target := race.next(now)) is not None:
            far = self._shared.pool.take(target, surely=self._surely)
            if far is not None:
                self._win(far)
                return
            self._shared.pool.wait(target, self)
        if race.lost(now):
            self._on = False
            self._seeker.not_found()
        elif (wake := race.wake) is not None:
            self._timer = self._shared.loop.call_at(wake, self.go)

    def stop(self) -> None:
        """A connection is no longer wanted."""
        self._on = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def gave_up(
        self, target: Target, result: Result, detail: str, seconds: float
    ) -> None:
        """The connection that was found, or was at hand, came to nothing."""
        now = self._shared.loop.time()
        self._race.carry(Attempt(target, result, detail, seconds), now)

    def attempts(self) -> tuple[Attempt, ...]:
        """All targets turned to so far."""
        return self._race.attempts(self._shared.loop.time())

    def wants(self, target: Target) -> bool:
        """Asked by the pool: whether a connection is still of use."""
        return self._on and self._race.awaits(target)

    def connected(self, far: Far) -> None:
        """Told by the pool: here is one."""
        self._win(far)

    def dial_failed(self, target: Target, error: DialError) -> None:
        """Told by the pool: there will be none to this target."""
        if self._race.awaits(target):
            now = self._shared.loop.time()
            self._race.failed(target, error.result, error.detail, now)
            self.go()

    def _win(self, far: Far) -> None:
        self.stop()
        self.won_at = now = self._shared.loop.time()
        if self._race.awaits(far.target):
            self._race.won(far.target, now)
        self._seeker.found(far)
