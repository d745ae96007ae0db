"""Who is due when: a heap in which every key has one time, the latest one set."""

import heapq
import math
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Agenda(Generic[Key]):
    """Times in monotonic seconds, one per key; setting one again replaces it."""

    def __init__(self) -> None:
        self._times: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def set(self, key: Key, when: float) -> None:
        """Make a key due at a time."""
        if self._times.get(key) == when:
            return
        self._times[key] = when
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, key))
        if len(self._heap) > 64 + 8 * len(self._times):
            self._rebuild()

    def discard(self, key: Key) -> None:
        """Forget a key."""
        self._times.pop(key, None)

    def pop(self, now: float) -> Iterator[Key]:
        """Take out the keys that are due, earliest first."""
        while self.next() <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._times[key]
            yield key

    def next(self) -> float:
        """When the next key is due; infinity when there is none."""
        heap = self._heap
        while heap and self._times.get(heap[0][2]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf

    def _rebuild(self) -> None:
        numbered = enumerate(self._times.items())
        self._heap = [(when, number, key) for number, (key, when) in numbered]
        self._count = len(self._heap)
        heapq.heapify(self._heap)
