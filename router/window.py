"""What was measured lately: round trips and losses that are forgotten with age."""

import bisect
from collections import deque

MAX_SAMPLES = 4096
"Samples kept per edge: 16 addresses probed every second for longer than any window."


class Window:
    """Round trips of the last so many seconds, kept sorted as they come and go."""

    def __init__(self, length: float) -> None:
        self.length = length
        "Seconds."
        self._order: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, now: float, value: float) -> None:
        """Remember a value, in seconds."""
        if len(self._order) == MAX_SAMPLES:
            self._drop()
        self._order.append((now, value))
        bisect.insort(self._sorted, value)

    def expire(self, now: float) -> bool:
        """Forget what is older than the window; True if anything was."""
        before = len(self._order)
        while self._order and self._order[0][0] <= now - self.length:
            self._drop()
        return len(self._order) < before

    def lower_quartile(self) -> float:
        """The value that a quarter of the samples stay below. Needs one sample."""
        return self._sorted[(len(self._sorted) - 1) // 4]

    def _drop(self) -> None:
        _, value = self._order.popleft()
        del self._sorted[bisect.bisect_left(self._sorted, value)]


class Losses:
    """How many of the probes of the last so many seconds were lost."""

    def __init__(self, length: float) -> None:
        self.length = length
        "Seconds."
        self._order: deque[tuple[float, bool]] = deque(maxlen=MAX_SAMPLES)
        self.lost = 0

    def __len__(self) -> int:
        return len(self._order)

    def add(self, now: float, lost: bool) -> None:
        """Remember a probe."""
        if len(self._order) == MAX_SAMPLES:
            self.lost -= self._order.popleft()[1]
        self._order.append((now, lost))
        self.lost += lost

    def expire(self, now: float) -> bool:
        """Forget what is older than the window; True if anything was."""
        before = len(self._order)
        while self._order and self._order[0][0] <= now - self.length:
            self.lost -= self._order.popleft()[1]
        return len(self._order) < before

    def clear(self) -> None:
        """Forget everything: an outage is not a loss."""
        self._order.clear()
        self.lost = 0
