"""One transaction in virtual time."""

from protocols.sip.machines import Do, Event, Machine, State
from protocols.sip.timers import Timers
from protocols.sip.transaction import Transaction


class Noted(Transaction):
    """A transaction that notes when its timers run out, and what was to be done."""

    def __init__(self, machine: Machine, state: State, timers: Timers) -> None:
        super().__init__(machine, state, timers, 0.0)
        self.notes: list[tuple[float, Event, Do]] = []

    def expired(self, kind: int, now: float) -> None:
        self.notes.append((now, Event(kind), self.on(Event(kind), now)))


class Run:
    """One transaction in virtual time."""

    def __init__(self, machine: Machine, state: State) -> None:
        self.timers = Timers()
        self.transaction = Noted(machine, state, self.timers)
        self.now = 0.0

    @property
    def state(self) -> State:
        return self.transaction.state

    def on(self, *events: Event) -> list[Do]:
        return [self.transaction.on(event, self.now) for event in events]

    def until(self, end: float) -> list[tuple[float, Event, Do]]:
        """Let time pass; returns what the timers made of it."""
        self.transaction.notes.clear()
        while (soonest := self.timers.next()) <= end:
            self.now = soonest
            self.timers.expire(soonest)
        self.now = end
        return list(self.transaction.notes)

    def when(self, event: Event, end: float = 100.0) -> list[float]:
        return [round(at, 3) for at, which, _ in self.until(end) if which is event]
