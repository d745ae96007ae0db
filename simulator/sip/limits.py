"""How often something may happen, and who is banned for doing it too often."""

import collections
import dataclasses
from collections.abc import Hashable

MOST = 10_000
"Sources remembered; the oldest are forgotten first."


class Rate:
    """At most `most` events in any `period` seconds, for each key."""

    def __init__(self, most: int, period: float) -> None:
        self.most = most
        self.period = period
        self._times: dict[Hashable, collections.deque[float]] = {}

    def allows(self, key: Hashable, now: float) -> bool:
        """Whether one more is allowed now; if so, it is counted."""
        times = self._times.pop(key, None) or collections.deque()
        while times and times[0] <= now - self.period:
            times.popleft()
        self._times[key] = times
        if len(self._times) > MOST:
            del self._times[next(iter(self._times))]
        if len(times) >= self.most:
            return False
        times.append(now)
        return True


@dataclasses.dataclass(slots=True)
class Bans:
    """Sources that get no answer for a while."""

    duration: float
    "Seconds that a ban lasts."
    until: dict[Hashable, float] = dataclasses.field(default_factory=dict)
    "When each ban ends, on the caller's clock."

    def ban(self, key: Hashable, now: float) -> None:
        """Answer it no more for a while."""
        self.until.pop(key, None)
        self.until[key] = now + self.duration
        if len(self.until) > MOST:
            del self.until[next(iter(self.until))]

    def holds(self, key: Hashable, now: float) -> bool:
        """Whether it is banned now."""
        if self.until.get(key, now) <= now:
            self.until.pop(key, None)
            return False
        return True
