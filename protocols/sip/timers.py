"""Timers of a few fixed lengths: one queue per length, each in the order of setting.

What is set later for the same length expires later, so that setting a timer is an
append and expiring one is a look at the head of a few queues. A cancelled timer keeps
its place until its time has come, but holds on to nothing.
"""

import math
from collections import deque
from collections.abc import Iterator
from typing import Protocol

RESOLUTION = 0.01
"Seconds by which timers may be late, so that those of many calls expire together."


class Expires(Protocol):
    """What has timers."""

    def expired(self, kind: int, now: float) -> None:
        """Take that the timer of this kind has run out."""


class Timer:
    """One timer that is set."""

    __slots__ = ("deadline", "kind", "owner")

    def __init__(self, deadline: float, owner: Expires, kind: int) -> None:
        self.deadline = deadline
        self.kind = kind
        self.owner: Expires | None = owner

    def cancel(self) -> None:
        """Let it pass without a word."""
        self.owner = None


class Timers:
    """All timers that are set. Times in seconds on any one clock."""

    def __init__(self) -> None:
        self._queues: dict[float, deque[Timer]] = {}
        self._soonest = math.inf
        self._looked = -math.inf

    def set(self, seconds: float, owner: Expires, kind: int, now: float) -> Timer:
        """Let the owner know in so many seconds."""
        timer = Timer(now + seconds, owner, kind)
        queue = self._queues.get(seconds)
        if queue is None:
            queue = self._queues[seconds] = deque()
        queue.append(timer)
        if timer.deadline < self._soonest:
            self._soonest = timer.deadline
        return timer

    def expire(self, now: float) -> None:
        """Tell all owners whose time has come, in the order of their deadlines."""
        for timer in self._due(now):
            owner = timer.owner
            # An earlier one may have cancelled it.
            if owner is not None:
                timer.owner = None  # or they would hold each other
                owner.expired(timer.kind, now)

    def next(self) -> float:
        """When to call `expire` again; never too late, and infinity for never."""
        return max(self._soonest, self._looked + RESOLUTION)

    def __len__(self) -> int:
        """How many are set, the cancelled ones left out."""
        return sum(1 for timer in self._all() if timer.owner is not None)

    def _all(self) -> Iterator[Timer]:
        for queue in self._queues.values():
            yield from queue

    def _due(self, now: float) -> list[Timer]:
        self._looked = now
        self._soonest = math.inf
        due = []
        for queue in self._queues.values():
            while queue and (queue[0].owner is None or queue[0].deadline <= now):
                due.append(queue.popleft())
            if queue:
                self._soonest = min(self._soonest, queue[0].deadline)
        due.sort(key=_deadline)
        return due


def _deadline(timer: Timer) -> float:
    return timer.deadline
