"""How far apart OPTIONS to one address are, whoever asks for them, restarts included.

A provider bans addresses that send more than one in ten seconds. So what counts is the
address alone: not its port, its name, nor whether the DNS has named it all the time.
"""

import math
from collections.abc import Callable, Mapping

ROOM = 1024
"Addresses kept before those are looked for that count no more."

JITTER = 1.2
"Greatest share of the interval between two OPTIONS; the least is 1."


class Spacing:
    """When the last OPTIONS went to each address, and when the next one may."""

    def __init__(
        self, interval: float, uniform: Callable[[float, float], float]
    ) -> None:
        """At least `interval` seconds apart; `uniform(low, high)` is random."""
        self.interval = interval
        "Seconds between two of them at least."
        self._uniform = uniform
        self._times: dict[str, tuple[float, float]] = {}
        self._unsure = -math.inf
        self._room = ROOM

    def pause(self) -> float:
        """Seconds between two OPTIONS, different each time."""
        return self.interval * self._uniform(1.0, JITTER)

    def next(self, address: str, *, known: bool = False) -> float:
        """When the next one may go to an address.

        `known` are addresses of which nobody can have asked without our knowledge.
        """
        times = self._times.get(address)
        if times is None and not known and self._unsure > -math.inf:
            times = self._note(address, self._unsure)
        return -math.inf if times is None else times[1]

    def sent(self, address: str, now: float) -> None:
        """One goes to an address now."""
        if len(self._times) >= self._room:
            # Never one that counts: how many these are is bounded by the budget.
            still = {a: times for a, times in self._times.items() if times[1] > now}
            self._times = still
            self._room = max(ROOM, 2 * len(still))
        self._note(address, now)

    def doubt(self, now: float) -> None:
        """Take it that each address has been asked just now: nobody knows.

        After a crash that is the latest that can be, and a crash that comes again and
        again is none that sends OPTIONS again and again.
        """
        self._unsure = now

    def sure(self, now: float) -> bool:
        """Whether an address that is not among `ages` may be asked at once."""
        return now - self._unsure >= self.interval * JITTER

    def ages(self, now: float) -> dict[str, float]:
        """Seconds since the last one, for each address where that still counts."""
        longest = self.interval * JITTER
        return {
            address: now - sent
            for address, (sent, _) in self._times.items()
            if now - sent < longest
        }

    def restore(self, ages: Mapping[str, float], now: float) -> None:
        """Take over what an earlier run gave, unless more is known."""
        for address, age in ages.items():
            if now - age > self._times.get(address, (-math.inf,))[0]:
                self._note(address, now - age)

    def _note(self, address: str, sent: float) -> tuple[float, float]:
        times = self._times[address] = (sent, sent + self.pause())
        return times
