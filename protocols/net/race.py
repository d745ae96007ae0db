"""Who is dialled when: the next target after a failure at once, after silence as well.

A pure core. A flow starts on the first target; the next one is added as soon as an
attempt fails, or when the latest has been silent for its `patience`. Attempts that are
merely slow go on, since the slow one may be the only one that answers. Only where all
that is left is a last resort, the flow ends soon: it would wait for the dead.
"""

import math

from protocols.record import Attempt
from protocols.target import Choose, Result, Target

LAST_RESORT = 0.1
"Patience, in seconds, below which a target is one that the policy holds for dead."
OUTRUN = "another target was sooner"
"Detail of an attempt under way when another one won."
UNFINISHED = "still under way when the flow ended"
"Detail of an attempt under way when nobody waited for it any more."


class Race:
    """The attempts of one flow. Times in seconds on any one clock.

    Ask `overdue`, then `next` until it is None: first of all, after each `failed`, and
    at `wake`. Then `lost` tells whether to go on waiting.
    """

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._begun: dict[Target, float] = {}
        self._ended: dict[Target, Attempt] = {}
        self._silent: set[Target] = set()
        self._latest: Target | None = None
        self._exhausted = False
        self._last_call = math.inf

    @property
    def pending(self) -> int:
        """How many attempts are under way."""
        return len(self._begun) - len(self._ended)

    @property
    def wake(self) -> float | None:
        """When to ask again though nothing happened; None for never."""
        if self._latest is not None:
            return self._begun[self._latest] + self._latest.patience
        return self._last_call if self._last_call < math.inf else None

    def lost(self, now: float) -> bool:
        """Whether nothing more is to be hoped for."""
        return self._exhausted and (not self.pending or now >= self._last_call)

    def carry(self, attempt: Attempt, now: float) -> None:
        """Begin again after an attempt that had won and then came to nothing.

        Those that it outran are open to be chosen again: whoever waited for them did so
        no longer, and what they brought has gone elsewhere.
        """
        for target in [one for one in self._begun if self.awaits(one)]:
            del self._begun[target]
        self._latest = None
        self._begun[attempt.target] = now - attempt.seconds
        self._ended[attempt.target] = attempt
        self._exhausted = False
        self._last_call = math.inf

    def awaits(self, target: Target) -> bool:
        """Whether an attempt at this target is under way."""
        return target in self._begun and target not in self._ended

    def next(self, now: float) -> Target | None:
        """A target to start on now, if any."""
        if self._latest is not None or self._exhausted:
            return None
        target = self._choose(tuple(self._begun))
        if target is None or target in self._begun:
            self._exhausted = True
            awaited = [t.patience for t in self._begun if self.awaits(t)]
            if awaited and max(awaited) < LAST_RESORT:
                self._last_call = now + max(awaited)
            return None
        self._begun[target] = now
        self._latest = target
        return target

    def overdue(self, now: float) -> Target | None:
        """The target whose patience has just run out; said once of each."""
        late = self._latest
        if late is None or now < self._begun[late] + late.patience:
            return None
        self._latest = None
        self._silent.add(late)
        return late

    def failed(self, target: Target, result: Result, detail: str, now: float) -> None:
        """An attempt came to nothing."""
        self._end(target, result, detail, now)

    def won(self, target: Target, now: float) -> None:
        """An attempt succeeded."""
        self._end(target, None, "", now)

    def attempts(self, now: float) -> tuple[Attempt, ...]:
        """All attempts in the order of their start, those under way included."""
        return tuple(
            self._ended.get(target) or self._unfinished(target, now)
            for target in self._begun
        )

    def _end(
        self, target: Target, result: Result | None, detail: str, now: float
    ) -> None:
        seconds = now - self._begun[target]
        self._ended[target] = Attempt(target, result, detail, seconds)
        if target == self._latest:
            self._latest = None

    def _unfinished(self, target: Target, now: float) -> Attempt:
        silent = Result.SILENT if target in self._silent else None
        outrun = any(one.result is None for one in self._ended.values())
        detail = OUTRUN if outrun else UNFINISHED
        return Attempt(target, silent, detail, now - self._begun[target])
