"""What happened lately, and how far away edges were: bounded, for whoever asks.

Times are monotonic seconds, as everywhere; what shows them turns them into others.
"""

import dataclasses
import heapq
from collections import deque
from typing import assert_never

from router.changes import (
    Change,
    Flip,
    PinEnded,
    RegionFailed,
    RegionRecovered,
    Stalled,
    UplinkCleared,
    UplinkSuspect,
)
from router.election import Switch, ms
from router.health import State
from router.snapshot import Snapshot

INTERVAL = 10.0
"Seconds between two samples of an edge."

SAMPLES = 360
"Samples kept of each edge: an hour."

SWITCHES = 100
"Switches kept, apart from all else: an edge that flaps must not push them out."

STALLS = 20
"Stalls of the event loop kept: they say nothing of edges."

OTHERS = 200
"Other changes kept."


@dataclasses.dataclass(frozen=True, slots=True)
class Happening:
    """A change, and when it was."""

    time: float
    "When."
    change: Change
    "What."


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """An edge at one moment."""

    time: float
    "When."
    state: State
    "Its health."
    round_trip: float | None
    "Lower quartile of its round trips in seconds; None while nothing is measured."


class History:
    """Recent changes and samples."""

    def __init__(self) -> None:
        self._switches: deque[Happening] = deque(maxlen=SWITCHES)
        self._stalls: deque[Happening] = deque(maxlen=STALLS)
        self._others: deque[Happening] = deque(maxlen=OTHERS)
        self._home: Switch | None = None
        self.suspect_since = 0.0
        "When our uplink was last found suspect."
        self._samples: dict[str, deque[Sample]] = {}

    def note(self, change: Change, now: float) -> None:
        """Remember a change, unless it is one that nobody asks for."""
        happening = Happening(now, change)
        if isinstance(change, UplinkSuspect):
            self.suspect_since = now
        if isinstance(change, Switch):
            self._home = change
            self._switches.append(happening)
        elif isinstance(change, Stalled):
            self._stalls.append(happening)
        elif not isinstance(change, Flip) or _matters(change):
            self._others.append(happening)

    def sample(self, snapshot: Snapshot, now: float) -> None:
        """Remember how far away each edge is; to be called every `INTERVAL`."""
        for name in self._samples.keys() - snapshot.edges.keys():
            del self._samples[name]
        for edge in snapshot.edges.values():
            score = edge.score
            known = score is not None and score.fresh and edge.state is not State.DOWN
            seen = score.round_trip if known and score is not None else None
            kept = self._samples.setdefault(edge.name, deque(maxlen=SAMPLES))
            kept.append(Sample(now, edge.state, seen))

    def happenings(self) -> tuple[Happening, ...]:
        """What changed, the latest first."""
        kept = self._switches, self._stalls, self._others
        merged = heapq.merge(*kept, key=lambda one: one.time)
        return tuple(merged)[::-1]

    def samples(self, edge: str) -> tuple[Sample, ...]:
        """The samples of an edge, the latest last; none of one that is unknown."""
        return tuple(self._samples.get(edge, ()))

    def why_home(self, edge: str | None) -> str:
        """Why an edge is home, in words; empty where that is not known."""
        home = self._home
        return home.reason if home is not None and home.to == edge else ""


def _matters(flip: Flip) -> bool:
    """Whether a flip is worth a line: first answers and passing doubts are not."""
    if flip.first and flip.product:
        return False
    return not flip.targets or State.DOWN in (flip.from_, flip.to)


def in_words(change: Change) -> str:
    """A change as a line for people."""
    match change:
        case Switch():
            return _switch(change)
        case Flip():
            return f"{subject(change)} is {change.to}: {change.reason}"
        case UplinkSuspect():
            failing = ", ".join(change.failing)
            return f"our uplink is in doubt: {failing} fail at once; home stays"
        case UplinkCleared():
            return f"our uplink is in doubt no more: {change.reason}"
        case RegionFailed():
            return f"none of {change.edges} edges is of use: {change.reason}"
        case RegionRecovered():
            return f"{change.edge} is of use again, after {change.lasted:.0f} s of none"
        case Stalled():
            return f"our event loop stalled for {change.late:.1f} s"
        case PinEnded():
            return f"{change.edge} is pinned no more: its time is over"
        case _:
            assert_never(change)


def subject(flip: Flip) -> str:
    """What flipped."""
    name = flip.edge
    if flip.targets:
        name = f"{flip.targets[0].address} at {name}"
    return f"{name} for {flip.product}" if flip.product else name


def _switch(switch: Switch) -> str:
    if switch.from_ is None:
        return f"home is {switch.to}: {switch.reason}"
    line = f"home moves from {switch.from_} to {switch.to}: {switch.reason}"
    if switch.from_score is not None and switch.to_score is not None:
        line += f" ({ms(switch.from_score)} to {ms(switch.to_score)})"
    return line
