"""When each address is probed.

Home and its best alternates at every `interval`, the others now and then, suspects at
`fast_interval`. A probe that stays unanswered is followed by the next without waiting
for its time-out. OPTIONS to one address keep their distance whatever asks for them, and
all probes together keep to a budget.
"""

from collections.abc import Callable, Iterable, Iterator

from router.agenda import Agenda
from router.budget import Budget
from router.endpoint import Protocol
from router.health import Health, Settings, State
from router.records import ProbeOrder, Record
from router.spacing import Spacing

COLD = (20.0, 26.0)
"Seconds between two probes of an edge that is not among the best, at random."

JITTER = 0.9
"Least share of an interval that passes before the next probe."

START = 1.0
"Seconds over which the first probes are spread, one edge after the other."

MAX_ORDERS = 8
"Probes of one address under way at once."

ASK_INTERVAL = 1.0
"Seconds between two probes asked for by silent flows: many answers are just slow."

POOR = (0.1, 1.0)
"Seconds, at random, after which a probe is tried again for which nothing was left."


class Schedule:
    """Who is probed when. All that is mutable here is time."""

    def __init__(
        self,
        settings: Settings,
        uniform: Callable[[float, float], float],
        now: float,
    ) -> None:
        self._settings = settings
        self._uniform = uniform
        self._budget = Budget(now)
        self._agenda: Agenda[Record] = Agenda()
        self._hot: frozenset[str] | None = None
        self.spacing = Spacing(settings.sip_options_interval, uniform)
        "Of OPTIONS to one address."
        self._number = 0

    def change(self, settings: Settings) -> None:
        """Go by these from now on."""
        self._settings = settings
        self.spacing.interval = settings.sip_options_interval

    def add(
        self, record: Record, now: float, *, turn: tuple[int, int] = (0, 1)
    ) -> None:
        """Probe a new address soon, its edge having this turn of so many."""
        place, edges = turn
        step = START / edges
        record.due = now + self._uniform(place * step, (place + 1) * step)
        self._enter(record)

    def remove(self, record: Record) -> None:
        """Probe an address no more."""
        self._agenda.discard(record)

    def heat(
        self, edges: frozenset[str] | None, records: Iterable[Record], now: float
    ) -> None:
        """Probe these edges at every interval; None stands for all of them."""
        if edges == self._hot:
            return
        before, self._hot = self._hot, edges
        if before is None:
            return
        for record in records:
            if self._is_hot(record) and record.target.label not in before:
                self._soon(record, now)

    def scan(self, records: Iterable[Record], now: float, *, at_once: bool) -> None:
        """Probe everything: at once, or within an interval."""
        for record in records:
            if at_once:
                self.hasten(record, now)
            else:
                self._soon(record, now)

    def hasten(self, record: Record, now: float) -> None:
        """Probe an address at once, unless an answer is being waited for."""
        if now - record.sent > self._settings.fast_interval / 2:
            self.insist(record, now)

    def insist(self, record: Record, now: float) -> None:
        """Probe an address at once, unless an answer is being waited for, even if it
        was probed just now."""
        if not record.orders:
            record.urgent = True
            record.due = now
            self._enter(record)

    def ask(self, record: Record, now: float) -> None:
        """Probe an address at once since a flow waits there in silence."""
        if record.orders:
            return
        record.asked = max(now, record.asked + ASK_INTERVAL)
        record.urgent = True
        record.due = min(record.due, record.asked)
        self._enter(record)

    def turn_to_next(self, record: Record, now: float) -> None:
        """Probe an address by its next name since this one got no handshake."""
        record.urgent = True
        record.due = max(now, record.sent + self._settings.fast_interval)
        self._enter(record)

    def plan(self, record: Record, now: float) -> None:
        """Find the time of the next probe after something was learnt."""
        if not record.urgent:
            record.due = max(now, record.sent + self._pause(record))
        self._enter(record)

    def due(self, now: float) -> Iterator[Record]:
        """The addresses to look at now. Each must be passed to `order`."""
        return self._agenda.pop(now)

    def next_due(self) -> float:
        """When `due` is to be called again."""
        return self._agenda.next()

    def overdue(self, record: Record, now: float) -> ProbeOrder | None:
        """The last probe that by now is unanswered for longer than patience allows."""
        found = None
        for order in record.orders.values():
            late = now >= order.sent + record.target.patience
            if late and order.number > record.doubted:
                found = order
        if found is not None:
            record.doubted = found.number
        return found

    def order(self, record: Record, now: float) -> ProbeOrder | None:
        """The probe to send to an address now, if one is due and allowed."""
        if record.due > now or not self._allowed(record, now):
            self._enter(record)
            return None
        calm = record.health.state is State.UP and not record.health.doubts
        self._number += 1
        order = ProbeOrder(
            number=self._number,
            target=record.target,
            protocol=record.protocol,
            sent=now,
            timeout=self._settings.timeout,
            regular=calm and not record.urgent and not record.orders,
        )
        record.targets.rotate(-1)  # so that each name's certificate is seen in turn
        record.orders[order.number] = order
        record.sent = now
        record.urgent = False
        record.due = now + self._press(record)
        self._enter(record)
        return order

    def _allowed(self, record: Record, now: float) -> bool:
        if len(record.orders) >= MAX_ORDERS:
            record.due = now + self._settings.interval
            return False
        address = record.target.address
        options = record.protocol is Protocol.SIP
        if options:
            # Nobody bans us at the site.
            allowed = self.spacing.next(address, known=record.receiver)
            if now < allowed:
                record.due = allowed
                return False
        if not self._budget.take(now, hot=self._is_hot(record)):
            record.due = now + self._uniform(*POOR)
            return False
        if options:
            self.spacing.sent(address, now)
        return True

    def _press(self, record: Record) -> float:
        """Seconds until the next probe if this one is not answered."""
        if _settled(record.health, self._settings):
            return self._pause(record)
        fast = self._settings.fast_interval
        if not self._is_hot(record):
            return self._settings.interval
        # The first follows as soon as there is doubt, so that three failures fit into
        # interval + timeout + 2 x fast_interval.
        return min(record.target.patience, fast) if len(record.orders) < 3 else fast

    def _pause(self, record: Record) -> float:
        """Seconds between this probe and the next when nothing is awaited."""
        health = record.health
        wavering = health.state is State.SUSPECT or health.doubts
        if wavering and not _settled(health, self._settings):
            hot = self._is_hot(record)
            return self._settings.fast_interval if hot else self._settings.interval
        if record.protocol is Protocol.SIP:
            return self.spacing.pause()
        if self._is_hot(record):
            return self._settings.interval * self._uniform(JITTER, 1.0)
        return self._uniform(*COLD)

    def _is_hot(self, record: Record) -> bool:
        return record.receiver or self._hot is None or record.target.label in self._hot

    def _soon(self, record: Record, now: float) -> None:
        soon = now + self._uniform(0.0, self._settings.interval)
        record.due = min(record.due, soon)
        self._enter(record)

    def _enter(self, record: Record) -> None:
        if record.health.barred:
            self._agenda.discard(record)
            return
        when = record.due
        if record.health.state is State.UP:
            for order in record.orders.values():
                if order.number > record.doubted:
                    when = min(when, order.sent + record.target.patience)
        self._agenda.set(record, when)


def _settled(health: Health, settings: Settings) -> bool:
    """Whether there is nothing to hurry for: the verdict stands or only time heals."""
    return (
        health.state is State.DOWN
        or max(health.probe_failures, health.live_failures) >= settings.fall
        or health.server_errors >= settings.server_errors
    )
