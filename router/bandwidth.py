"""How much of each link its calls take, and whether one more fits.

A link has so many bits per second, and a reserve that calls must leave alone. Each call
has a slot at its rate until it ends. A slot whose end nobody has seen ends at its
limit: no lost BYE keeps one for ever. A call that stands is never touched, whatever it
comes to take.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_CALLS = 10_000
"Most slots, which the state file can hold. A new call beyond them fits no link."
MAX_RATE = 1e10
"Bits per second that a call counts for at most, whatever it says."
TAU = 5.0
"Seconds over which other traffic is averaged."
VERSION = 1
"Version of what is saved."
_NEVER = _MOST = 1e12
"Seconds that stand for infinity; greatest number in what was saved."


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """After which time a slot ends by itself, in seconds."""

    early: float = 240.0
    "For a call that nobody has answered, since it last rang: more than Timer C."
    session: float = 4 * 3600.0
    "For one that was answered."
    silence: float = math.inf
    "For one that was answered, since its latest message."


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """What calls may take of a link."""

    rate: float
    "Bits per second provisioned, in each direction."
    reserve: float = 0.0
    "Bits per second of them that new calls must leave."
    overhead: int = 18
    "Bytes that the link adds to each packet: 18 on Ethernet."
    limits: Limits = Limits()
    "How long, at most."


@dataclasses.dataclass(slots=True)
class Slot:
    """What one call takes. Times in monotonic seconds."""

    link: str
    "Name of the link."
    rate: float
    "Bits per second."
    until: float
    "When it ends, if nothing ends it before."
    refresh: float
    "When it ends unless its session is refreshed; infinite without a session timer."
    heard: float
    "When the latest message of the call passed."
    answered: bool = False
    "Whether the call was answered."


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """What is in use of one link, in bits per second."""

    calls: int
    "Number of slots."
    taken: float
    "What they take."
    other: float
    "What other traffic takes."
    room: float
    "What is left for new calls; below 0 where calls have come to take more."
    spilled: int
    "Calls so far that went elsewhere for want of room."


class _Link:
    """Counters of one link, beside its slots."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.calls = 0
        self.taken = 0.0
        self.spilled = 0
        self.octets = 0.0
        self.counted = -math.inf

    def other(self, now: float) -> float:
        """Bits per second of other traffic, over the last few seconds."""
        passed = max(0.0, now - self.counted)
        return 8 * self.octets * math.exp(-passed / TAU) / TAU

    def room(self, now: float) -> float:
        kept = self.capacity.rate - self.capacity.reserve
        return kept - self.taken - self.other(now)


class Bandwidth:
    """The slots of all links: all that is remembered of them is here."""

    def __init__(self, capacities: Mapping[str, Capacity]) -> None:
        """`capacities` by the names of links."""
        self._links: dict[str, _Link] = {}
        self._slots: dict[str, Slot] = {}
        self.change(capacities)

    def change(self, capacities: Mapping[str, Capacity]) -> None:
        """Go by these from now on. Slots of links that are no more are given up.

        Calls that stand keep the end that they have, but for a limit of silence.
        """
        for call in [c for c, s in self._slots.items() if s.link not in capacities]:
            self.close(call)
        links = {name: _Link(capacity) for name, capacity in capacities.items()}
        for name, link in links.items():
            old = self._links.get(name, link)
            link.calls, link.taken, link.spilled = old.calls, old.taken, old.spilled
            link.octets, link.counted = old.octets, old.counted
        self._links = links

    def capacity(self, link: str) -> Capacity | None:
        """What a link has; None if it is no link that is counted."""
        found = self._links.get(link)
        return found.capacity if found is not None else None

    def slot(self, call: str) -> Slot | None:
        """The slot of a call, if it has one. Only to be read."""
        return self._slots.get(call)

    def __len__(self) -> int:
        """Slots in use."""
        return len(self._slots)

    def use(self, link: str, now: float) -> Use:
        """What is in use of a link. Raises KeyError for none."""
        one = self._links[link]
        return Use(one.calls, one.taken, one.other(now), one.room(now), one.spilled)

    def carried(self, link: str, octets: int, now: float) -> None:
        """Take that bytes of other traffic went over a link, in its fuller direction.

        Raises KeyError for no link.
        """
        one = self._links[link]
        one.octets = octets + one.other(now) * TAU / 8
        one.counted = now

    def fits(self, link: str, rate: float, now: float, *, call: str = "") -> bool:
        """Whether a new call of that rate fits; on what is no link it always does.

        What the call takes already, since it was tried at another edge, is not counted
        against it.
        """
        one = self._links.get(link)
        if one is None:
            return True
        own = self._slots.get(call)
        if own is None and len(self._slots) >= MAX_CALLS:
            return False
        taken = own.rate if own is not None and own.link == link else 0.0
        return rate <= one.room(now) + taken

    def spill(self, link: str) -> None:
        """Note that a call goes elsewhere for want of room on a link."""
        one = self._links.get(link)
        if one is not None:
            one.spilled += 1

    def open(self, call: str, link: str, rate: float, now: float) -> None:
        """Give a call a slot, whether it fits or not, or move the one that it has.

        On what is no link, and beyond MAX_CALLS, it gets none.
        """
        self.close(call)
        one = self._links.get(link)
        if one is None or len(self._slots) >= MAX_CALLS:
            return
        rate = min(rate, MAX_RATE)
        until = now + one.capacity.limits.early
        self._slots[call] = Slot(link, rate, until, math.inf, now)
        one.calls += 1
        one.taken += rate

    def adjust(self, call: str, rate: float) -> None:
        """Note that a call takes more, or less."""
        slot = self._slots.get(call)
        if slot is not None:
            rate = min(rate, MAX_RATE)
            self._links[slot.link].taken += rate - slot.rate
            slot.rate = rate

    def ring(self, call: str, now: float) -> None:
        """Note that a call that nobody has answered yet is under way still."""
        slot = self._slots.get(call)
        if slot is not None and not slot.answered:
            slot.until = now + self._limits(slot).early

    def hear(self, call: str, now: float) -> None:
        """Note that a message of a call passed."""
        slot = self._slots.get(call)
        if slot is not None:
            slot.heard = now

    def stand(self, call: str, now: float, *, expires: float = math.inf) -> None:
        """Note that a call was answered, or refreshed.

        `expires` is what is left of the session unless it is refreshed again (RFC
        4028). The limit of a session counts from its first answer.
        """
        slot = self._slots.get(call)
        if slot is None:
            return
        if not slot.answered:
            slot.until = now + self._limits(slot).session
            slot.answered = True
        # RFC 4028 section 7.2: without the field in the 2xx, "no session expiration".
        slot.refresh = now + expires

    def keep(self, call: str, now: float, seconds: float) -> None:
        """Have the slot of a call that was turned down end after so many seconds."""
        slot = self._slots.get(call)
        if slot is not None:
            slot.until = min(slot.until, now + seconds)

    def close(self, call: str) -> None:
        """Take back the slot of a call that has ended, if it has one."""
        slot = self._slots.pop(call, None)
        if slot is None:
            return
        link = self._links[slot.link]
        link.calls -= 1
        # Sums of fractions drift: an empty link has nothing in use.
        link.taken = link.taken - slot.rate if link.calls else 0.0

    def expire(self, now: float) -> list[str]:
        """Take back the slots whose time is over; the calls that they belonged to."""
        over = [call for call, slot in self._slots.items() if self._end(slot) <= now]
        for call in over:
            self.close(call)
        return over

    def saved(self, now: float) -> dict[str, Any]:
        """All slots as data that JSON can hold, with times relative to now."""
        return {
            "version": VERSION,
            "calls": [
                [
                    call,
                    s.link,
                    round(s.rate),
                    round(s.until - now, 1),
                    round(min(s.refresh - now, _NEVER), 1),
                    s.answered,
                ]
                for call, s in self._slots.items()
                if self._end(s) > now
            ],
        }

    def restore(self, data: object, now: float, *, age: float = 0.0) -> None:
        """Take slots up again that were saved `age` seconds ago.

        Those of other links, and those whose time is over, are left out. Raises
        ValueError for what `saved` has not made, having changed nothing.
        """
        for call, saved in _calls(data).items():
            if min(saved.left, saved.refresh) <= age:
                continue
            self.open(call, saved.link, saved.rate, now)
            slot = self._slots.get(call)
            if slot is not None:
                limits = self._limits(slot)
                most = limits.session if saved.answered else limits.early
                slot.until = now + min(saved.left - age, most)
                slot.refresh = now + saved.refresh - age
                slot.answered = saved.answered

    def _limits(self, slot: Slot) -> Limits:
        return self._links[slot.link].capacity.limits

    def _end(self, slot: Slot) -> float:
        """When it ends, as things are."""
        ends = min(slot.until, slot.refresh)
        if not slot.answered:
            return ends
        return min(ends, slot.heard + self._limits(slot).silence)


class _Saved(NamedTuple):
    """What was saved of one call; all times are relative."""

    link: str
    rate: float
    left: float
    refresh: float
    answered: bool


def _calls(data: object) -> dict[str, _Saved]:
    """What was saved of each call."""
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise ValueError("calls of another version")
    calls = data.get("calls")
    if not isinstance(calls, list) or len(calls) > MAX_CALLS:
        raise ValueError("no list of calls, or too long a one")
    return dict(map(_saved, calls))


def _saved(row: object) -> tuple[str, _Saved]:
    match row:
        case [str(call), str(link), *numbers, bool(answered)] if len(numbers) == 3:
            rate, left, refresh = map(_number, numbers)
            return call, _Saved(link, rate, left, refresh, answered)
        case _:
            raise ValueError("malformed call")


def _number(value: object) -> float:
    # NaN is neither, and `bool` is an `int`.
    if not isinstance(value, int | float) or not 0 <= value <= _MOST:
        raise ValueError("malformed number of a call")
    return float(value)
