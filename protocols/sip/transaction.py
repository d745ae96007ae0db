"""One transaction of RFC 3261 section 17: its state, and its timers.

What happens in which state is said by the tables of `protocols.sip.machines`.
"""

from protocols.sip.machines import LIFE, Do, Event, Machine, State
from protocols.sip.timers import Timer, Timers


class Transaction:
    """One transaction: its state, its timers and the message that it sends again.

    Its user derives from it, and takes `expired`. Times in seconds on any one clock.
    """

    __slots__ = (
        "_again",
        "_ending",
        "_interval",
        "_machine",
        "_rules",
        "last",
        "state",
        "timers",
    )

    def __init__(
        self, machine: Machine, state: State, timers: Timers, now: float
    ) -> None:
        self._machine = machine
        self._again: Timer | None = None
        self._ending: Timer | None = None
        self._interval = 0.0
        self.timers = timers
        self.last = b""
        "The message to send again."
        self._enter(state, now)

    def on(self, event: Event, now: float) -> Do:
        """Take an event; returns what is to be done about it."""
        step = self._rules.steps.get(event)
        if step is None:
            return Do.NOTHING
        state, do = step
        if state is not self.state:
            self._enter(state, now)
        elif event is Event.REPEAT:
            self._interval = min(2 * self._interval, self._rules.longest)
            self._again = self.timers.set(self._interval, self, Event.REPEAT, now)
        return do

    def expired(self, kind: int, now: float) -> None:
        """Take that a timer of this transaction, or of its user, has run out."""
        raise NotImplementedError

    def hush(self) -> None:
        """Let all timers of the transaction pass: it sends nothing, and never ends."""
        for timer in (self._again, self._ending):
            if timer is not None:
                timer.cancel()

    def resume(self, now: float) -> None:
        """Go on after `hush` as if the state had been entered just now.

        With a TIMEOUT of its own where it would go on with the one before.
        """
        self._enter(self.state, now)
        if self._rules.goes_on:
            self._ending = self.timers.set(LIFE, self, Event.TIMEOUT, now)

    def _enter(self, state: State, now: float) -> None:
        self.state = state
        self._rules = rules = self._machine[state]
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if rules.repeat:
            self._interval = rules.repeat
            self._again = self.timers.set(rules.repeat, self, Event.REPEAT, now)
        if self._ending is not None and not rules.goes_on:
            self._ending.cancel()
            self._ending = None
        if rules.timeout:
            self._ending = self.timers.set(rules.timeout, self, Event.TIMEOUT, now)
        elif rules.over:
            self._ending = self.timers.set(rules.over, self, Event.OVER, now)
