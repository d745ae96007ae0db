"""Connections to targets: kept warm where flows are going to go, reused, retired.

A pool never chooses. It is told which targets to keep warm, hands out an idle
connection if there is one, and dials where there is none; whoever waits gets the first
connection that becomes free, dialled or given back.
"""

import asyncio
import collections
import dataclasses
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from protocols.http.far import Far
from protocols.net.dial import DialError, Dialled, alive
from protocols.net.tasks import Tasks
from protocols.target import Outcome, Report, Result, Target

Dial = Callable[[Target, Callable[[], asyncio.BaseProtocol]], Awaitable[Dialled]]
"Connect to a target; raises DialError."


class Waiter(Protocol):
    """An exchange that waits for a connection."""

    def wants(self, target: Target) -> bool:
        """Whether it still waits."""

    def connected(self, far: Far) -> None:
        """Take this connection."""

    def dial_failed(self, target: Target, error: DialError) -> None:
        """There will be no connection to this target."""


@dataclasses.dataclass(frozen=True, slots=True)
class Keeping:
    """How long and how many connections are kept; times in seconds."""

    idle: float = 45.0
    "Age at which an idle connection is retired, before the edge does it."
    most_idle: int = 64
    "Idle connections kept for one target."
    most_dials: int = 32
    "Dials under way to one target."
    retry: float = 1.0
    "First pause between two dials that keep a target warm; doubled up to 30."


class _Reserve:
    """What the pool has for one target."""

    __slots__ = ("dials", "idle", "pause", "retry_at", "target", "waiters", "warm")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.idle: list[Far] = []
        self.waiters: collections.deque[Waiter] = collections.deque()
        self.dials = 0
        self.warm = False
        self.retry_at = 0.0
        self.pause = 0.0


class Pool:
    """All connections of one relay to its targets."""

    def __init__(
        self,
        dial: Dial,
        report: Report,
        tasks: Tasks,
        now: Callable[[], float],
        keeping: Keeping = Keeping(),
    ) -> None:
        self._dial = dial
        self._report = report
        self._tasks = tasks
        self._now = now
        self._keeping = keeping
        self._reserves: dict[str, _Reserve] = {}
        self._closed = False

    def take(self, target: Target, *, surely: bool = False) -> Far | None:
        """An idle connection to the target, the one used last; or None.

        `surely` asks the kernel, too, whether the far side has ended it by now: for
        requests that cannot be sent once more.
        """
        reserve = self._reserves.get(target.key)
        if reserve is None:
            return None
        idle = reserve.idle
        while idle:
            far = idle.pop()
            if far.transport.is_closing():
                continue
            if surely and not far.is_quiet():
                far.transport.abort()
            else:
                if not idle and reserve.warm:
                    self._refill(reserve)
                return far
        return None

    def give(self, far: Far) -> None:
        """Take back a connection on which nothing is outstanding."""
        far.exchange = None
        reserve = self._reserves.get(far.target.key)
        if reserve is None or self._closed or far.transport.is_closing():
            far.transport.close()
            return
        while reserve.waiters:
            waiter = reserve.waiters.popleft()
            if waiter.wants(far.target):
                waiter.connected(far)
                return
        if len(reserve.idle) >= self._keeping.most_idle:
            far.transport.close()
            return
        far.idle_since = self._now()
        reserve.idle.append(far)

    def drop(self, far: Far) -> None:
        """Forget a connection that ended or spoke out of turn while idle."""
        far.transport.abort()
        reserve = self._reserves.get(far.target.key)
        if reserve is not None and far in reserve.idle:
            reserve.idle.remove(far)
            if reserve.warm and not reserve.idle:
                self._refill(reserve)

    def wait(self, target: Target, waiter: Waiter) -> None:
        """Get the waiter a connection: it is told of the first, or of the failure."""
        reserve = self._reserve(target)
        reserve.waiters.append(waiter)
        self._dial_for_waiters(reserve)

    def keep_warm(self, targets: Collection[Target]) -> None:
        """From now on have a connection ready to each of these, and to no others."""
        for reserve in self._reserves.values():
            reserve.warm = False
        for target in targets:
            reserve = self._reserve(target)
            reserve.warm = True
            if not reserve.idle:
                self._refill(reserve)

    def forsake(self, target: Target) -> None:
        """The target fell ill: its idle connections are worth nothing."""
        reserve = self._reserves.get(target.key)
        if reserve is not None:
            idle, reserve.idle = reserve.idle, []
            for far in idle:
                far.transport.abort()

    def sweep(self, now: float) -> None:
        """Retire what is old, warm what is cold; called about every second."""
        for key, reserve in list(self._reserves.items()):
            self._retire(reserve, now)
            if reserve.warm and not reserve.idle:
                self._refill(reserve)
            elif not (reserve.warm or reserve.idle or reserve.dials or reserve.waiters):
                del self._reserves[key]

    def close(self) -> None:
        """Close all idle connections and take none back."""
        self._closed = True
        for reserve in self._reserves.values():
            reserve.warm = False
            for far in reserve.idle:
                far.transport.close()
            reserve.idle.clear()

    def idle_count(self, target: Target) -> int:
        """Idle connections to the target."""
        reserve = self._reserves.get(target.key)
        return len(reserve.idle) if reserve is not None else 0

    def _reserve(self, target: Target) -> _Reserve:
        reserve = self._reserves.get(target.key)
        if reserve is None:
            reserve = self._reserves[target.key] = _Reserve(target)
        return reserve

    def _retire(self, reserve: _Reserve, now: float) -> None:
        """Close the connections that idled too long; the oldest are in front."""
        oldest = now - self._keeping.idle
        count = 0
        for far in reserve.idle:
            if far.idle_since > oldest:
                break
            count += 1
        retired, reserve.idle = reserve.idle[:count], reserve.idle[count:]
        for far in retired:
            far.transport.close()

    def _refill(self, reserve: _Reserve) -> None:
        if not (self._closed or reserve.dials) and self._now() >= reserve.retry_at:
            self._start_dial(reserve)

    def _dial_for_waiters(self, reserve: _Reserve) -> None:
        """Have one more dial under way if more wait than connections are to come."""
        waiters = reserve.waiters
        while waiters and not waiters[0].wants(reserve.target):
            waiters.popleft()
        most = 0 if self._closed else self._keeping.most_dials
        if reserve.dials < min(len(waiters), most):
            self._start_dial(reserve)

    def _start_dial(self, reserve: _Reserve) -> None:
        reserve.dials += 1
        self._tasks.start(self._connect(reserve), name=f"dial {reserve.target}")

    async def _connect(self, reserve: _Reserve) -> None:
        target = reserve.target
        try:
            dialled = await self._dial(target, lambda: Far(target, self))
        except DialError as error:
            reserve.dials -= 1
            self._failed(reserve, error)
            return
        reserve.dials -= 1
        if dialled.transport.is_closing():
            detail = "closed as soon as it stood"
            self._failed(reserve, DialError(Result.RESET, detail, "tls"))
            return
        reserve.pause = 0.0
        far = dialled.protocol
        assert isinstance(far, Far)
        far.seconds = (dialled.connect_seconds, dialled.tls_seconds)
        far.resumed = dialled.resumed
        self._report(target, alive(dialled))
        self.give(far)
        self._dial_for_waiters(reserve)

    def _failed(self, reserve: _Reserve, error: DialError) -> None:
        longest = 30.0
        reserve.pause = min(max(self._keeping.retry, 2 * reserve.pause), longest)
        reserve.retry_at = self._now() + reserve.pause
        self._report(reserve.target, Outcome(error.result, detail=error.detail))
        waiters, reserve.waiters = reserve.waiters, collections.deque()
        for waiter in waiters:
            if waiter.wants(reserve.target):
                waiter.dial_failed(reserve.target, error)
