"""Whether the provider's flows come from the edge that it was advised to use.

Nobody but the provider knows what was set there. What can be seen is where calls come
from: if most of them keep coming from another edge, the advice was not taken, or is out
of date. That is said once, and once more when it has become otherwise.
"""

import collections
import dataclasses

WINDOW = 20
"Flows that are looked at, the latest ones."
SPAN = 60.0
"Seconds over which they must have come: one burst shows nothing lasting."
SHARE = 0.75
"How many of them must agree for anything to be said."
SETTLED = 600.0
"Seconds that advice must have stood: whoever follows it by hand needs some time."


@dataclasses.dataclass(frozen=True, slots=True)
class Contradicted:
    """Flows keep coming from elsewhere."""

    listener: str
    "Where they arrive."
    advised: str
    "The edge that comes first in the advice."
    edge: str
    "The edge that most of the others come from."
    flows: int
    "How many of the latest came from another edge than advised."
    of: int
    "How many were looked at."


@dataclasses.dataclass(frozen=True, slots=True)
class Followed:
    """They come from the advised edge again."""

    listener: str
    "Where they arrive."
    advised: str
    "The edge that comes first in the advice."


class Arrivals:
    """The latest flows of each listener; times in monotonic seconds."""

    def __init__(self) -> None:
        self._listeners: dict[str, _Listener] = {}

    def advise(self, listener: str, edge: str, now: float) -> None:
        """The edge that the policy likes best there now; empty for none."""
        known = self._listeners.setdefault(listener, _Listener())
        if known.advised != edge:
            known.advised, known.since = edge, now
            known.latest.clear()

    def forget(self, listener: str) -> None:
        """A listener is gone."""
        self._listeners.pop(listener, None)

    def arrived(
        self, listener: str, edge: str, now: float
    ) -> Contradicted | Followed | None:
        """A flow came from an edge; what is to be said about it, if anything."""
        known = self._listeners.get(listener)
        if known is None or not known.advised or not edge:
            return None
        if now < known.since + SETTLED:
            return None
        known.latest.append((now, edge))
        if len(known.latest) < WINDOW or now - known.latest[0][0] < SPAN:
            return None
        return _judge(listener, known)


@dataclasses.dataclass(slots=True)
class _Listener:
    advised: str = ""
    since: float = 0.0
    contradicted: bool = False
    latest: collections.deque[tuple[float, str]] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=WINDOW)
    )


def _judge(listener: str, known: _Listener) -> Contradicted | Followed | None:
    others = collections.Counter(edge for _, edge in known.latest)
    agreeing = others.pop(known.advised, 0)
    if known.contradicted:
        if agreeing < SHARE * WINDOW:
            return None
        known.contradicted = False
        return Followed(listener, known.advised)
    if WINDOW - agreeing < SHARE * WINDOW:
        return None
    known.contradicted = True
    ((most, _),) = others.most_common(1)
    return Contradicted(listener, known.advised, most, WINDOW - agreeing, WINDOW)
