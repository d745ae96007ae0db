"""Say a thing once, then how often it happened again, ever less often.

A key (an event and what it is about) that happens again and again is said at first
sight, then at most once per gap; the gap doubles from a second to five minutes. When it
has been quiet for two gaps it is forgotten, and the next time is a first time again.
"""

import dataclasses

FIRST_GAP = 1.0
"Seconds of silence after a key was said first."
LAST_GAP = 300.0
"Seconds between two lines about one key at most, while it goes on."
CAPACITY = 1024
"Keys told apart; all further ones count as one."
OTHERS = ("others",)
"The key of all keys beyond the capacity."

Key = tuple[str, ...]
"What makes two events the same: a name, and what it is about."


@dataclasses.dataclass(frozen=True, slots=True)
class Unsaid:
    """What was suppressed about one key, and not said with a later line."""

    key: Key
    "What it is about, as it was given to `admit`."
    count: int
    "Times suppressed."
    seconds: float
    "Seconds since the last line about it."


@dataclasses.dataclass(slots=True)
class _Seen:
    said: float
    gap: float
    suppressed: int = 0

    def in_gap(self, now: float) -> bool:
        return now < self.said + self.gap

    def forgotten(self, now: float) -> bool:
        return not self.suppressed and now >= self.said + 3 * self.gap

    def say(self, now: float) -> int:
        suppressed, self.suppressed = self.suppressed, 0
        self.said, self.gap = now, min(2 * self.gap, LAST_GAP)
        return suppressed


class Repeats:
    """The table of what was said lately. Times are monotonic seconds."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self._seen: dict[Key, _Seen] = {}
        self._capacity = capacity

    def admit(self, key: Key, *, now: float) -> int | None:
        """The times it was suppressed since it was said last; None for silence now."""
        seen = self._seen.get(key)
        if seen is None and len(self._seen) >= self._capacity:
            key, seen = OTHERS, self._seen.get(OTHERS)
        if seen is None or seen.forgotten(now):
            self._seen[key] = _Seen(now, FIRST_GAP)
            return 0
        if seen.in_gap(now):
            seen.suppressed += 1
            return None
        return seen.say(now)

    def unsaid(self, *, now: float, final: bool = False) -> list[Unsaid]:
        """What is to be summed up now: the gaps that ended with something suppressed.

        To be called about once a second, and with `final` at the end, when no gap is
        waited for any more.
        """
        summed = []
        for key, seen in list(self._seen.items()):
            if seen.forgotten(now):
                del self._seen[key]
            elif seen.suppressed and (final or not seen.in_gap(now)):
                seconds = now - seen.said
                summed.append(Unsaid(key, seen.say(now), seconds))
        return summed
