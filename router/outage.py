"""How long the resolver failed, and for how many names."""

import dataclasses
import math
from collections.abc import Collection


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """An outage that is over."""

    names: int
    "How many names were concerned."
    lasted: float
    "For how many seconds."


class Outage:
    """From the first name for which the resolver fails until it fails for none."""

    def __init__(self) -> None:
        self._failing: set[str] = set()
        self._concerned: set[str] = set()
        self._since = math.inf

    def note(self, name: str, failed: bool, now: float) -> Ended | None:
        """Take in the latest answer about a name; the outage, if that ended it."""
        if failed:
            self._since = min(self._since, now)
            self._failing.add(name)
            self._concerned.add(name)
            return None
        self._failing.discard(name)
        return self._ended(now)

    def keep(self, names: Collection[str], now: float) -> Ended | None:
        """Forget all but these names, which alone are still looked up."""
        self._failing.intersection_update(names)
        return self._ended(now)

    def _ended(self, now: float) -> Ended | None:
        if self._failing or not self._concerned:
            return None
        ended = Ended(len(self._concerned), now - self._since)
        self._concerned.clear()
        self._since = math.inf
        return ended
