"""The shell around the table: sends probes, takes outcomes in, swaps the snapshot."""

import asyncio
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping

from protocols.net.tasks import Tasks
from protocols.target import Outcome, Probe, Report, Result, Target
from router.changes import Change
from router.endpoint import Protocol
from router.location import Location
from router.records import Exit, ProbeOrder
from router.scope import Scope
from router.snapshot import Snapshot
from router.table import LATE, Table

ALIVE = Result.ALIVE
"As a global: an attribute of an enumeration takes longer than all else in `report`."

HEARTBEAT = 0.25
"Seconds between two looks at the clock: a late one shows that the loop stalled."

SLACK = 0.25
"Seconds beyond its time-out after which a probe that overruns is broken off."

LOOK_UP_INTERVAL = 2.0
"Least seconds between two requests for fresh addresses of one name."

DISCONNECTED = frozenset(
    {Result.REFUSED, Result.RESET, Result.TIMEOUT, Result.CERTIFICATE, Result.TLS}
)
"Findings after which the addresses may be out of date."

ANSWERS = 4.0
"Seconds for which answers to probes are waited for that somebody asked for."


@dataclasses.dataclass(frozen=True, slots=True)
class Probed:
    """What became of a probe that somebody asked for."""

    protocol: Protocol
    "In which protocol."
    target: Target
    "Whom it asked."
    outcome: Outcome | None = None
    "What it found; None if it was not sent, or has no answer yet."
    took: float | None = None
    "Seconds from its order to that."
    why: str = "not asked: requests to one address keep their distance"
    "Why there is no outcome."


OnChange = Callable[[Snapshot, tuple[Change, ...]], None]
"Told of a new snapshot when routes or health changed, and of what changed."


class Checker:
    """Keeps `snapshot` true. Relays use `report` as their `Report`."""

    def __init__(
        self,
        table: Table,
        probes: Mapping[Protocol, Probe],
        *,
        tasks: Tasks,
        on_change: OnChange,
        on_failure: Report,
        look_up: Callable[[str], None],
    ) -> None:
        """Probe what the table orders, once started.

        `probes` needs one for every protocol in the table; `on_failure` is told of each
        that finds its target not alive. `look_up` asks for fresh addresses of a name,
        which come back through `addresses`.
        """
        self._table = table
        self._carefree = table.carefree
        self._probes = probes
        self._tasks = tasks
        self._on_change = on_change
        self._on_failure = on_failure
        self._look_up = look_up
        self._looked_up: dict[str, float] = {}
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._timer: asyncio.TimerHandle | None = None
        self._armed = math.inf
        self._changes: list[Change] = []
        self._notice: asyncio.Handle | None = None
        self._hearers: list[Callable[[ProbeOrder, Outcome, float], None]] = []
        self._closed = False
        self.lag = 0.0
        "Seconds by which the event loop was last late."
        self.snapshot = table.snapshot(self._time())
        "The latest snapshot."
        self.looked = self._time()
        "When it last looked whether a probe is due."

    def start(self) -> None:
        """Begin to probe."""
        self._tick()

    def close(self) -> None:
        """Probe no more. Probes under way end with the tasks."""
        self._closed = True
        for handle in (self._timer, self._notice):
            if handle is not None:
                handle.cancel()

    def report(self, target: Target, outcome: Outcome) -> None:
        """Take in what became of a flow; mostly just that the target is alive."""
        if outcome.result is ALIVE:
            record = self._carefree.get(target.key)
            if record is not None:
                record.heard = self._time()
                return
        self._observe(target, outcome, self._time(), None)

    def addresses(self, name: str, found: Iterable[Location]) -> None:
        """Take over where a name leads; nowhere means that it does not exist."""
        self._table.addresses(name, found, self._time())
        self._settle()

    @property
    def exits(self) -> Mapping[Exit, str]:
        """The ways to all addresses that are behind links, each with its edge."""
        return self._table.exits

    def bar(self, bars: Mapping[Exit, str]) -> None:
        """Send nothing by exits of which it says why, and again where it says none."""
        self._table.bar(bars, self._time())
        self._settle()

    def change(self, scope: Scope, probes: Mapping[Protocol, Probe]) -> None:
        """Know what is in this scope from now on, and probe it like this."""
        self._probes = probes
        self._table.change(scope, self._time())
        self._settle()

    def drain(self, edge: str) -> None:
        """Rank an edge last, cutting nothing. Raises KeyError for an unknown one."""
        self._table.drain(edge, self._time())
        self._settle()

    def refuse(self) -> None:
        """Drain all edges, and have no new flow go to any."""
        self._table.refuse(self._time())
        self._settle()

    def undrain(self, edge: str) -> None:
        """Rank an edge by merit again. Raises KeyError for an unknown one."""
        self._table.undrain(edge)
        self._settle()

    def pin(self, edge: str, seconds: float) -> None:
        """Have an edge for home while it is healthy, for so long.

        Raises KeyError for an unknown one.
        """
        self._table.pin(edge, self._time() + seconds)
        self._settle()

    def unpin(self) -> None:
        """Choose home by merit again."""
        self._table.unpin()
        self._settle()

    async def probe_now(self, edge: str | None = None) -> tuple[Probed, ...]:
        """Probe every address of an edge at once, or of all edges; what was found.

        What may not be asked now, or does not answer within a few seconds, has no
        outcome. Raises KeyError for an unknown edge.
        """
        asked = self._table.ask(edge, self._time())
        found: dict[str, Probed] = {}
        done = asyncio.Event()

        def hear(order: ProbeOrder, outcome: Outcome, now: float) -> None:
            spot = _spot(order.protocol, order.target)
            if spot in waiting:
                waiting.discard(spot)
                took = now - order.sent
                found[spot] = Probed(order.protocol, order.target, outcome, took)
            if not waiting:
                done.set()

        self._tick()
        waiting = {_spot(*one) for one in asked if self._table.awaits(one[1])}
        self._hearers.append(hear)
        try:
            async with asyncio.timeout(ANSWERS):
                if waiting:
                    await done.wait()
        except TimeoutError:
            pass
        finally:
            self._hearers.remove(hear)
        return tuple(
            found.get(_spot(protocol, target)) or self._unasked(protocol, target)
            for protocol, target in asked
        )

    def _unasked(self, protocol: Protocol, target: Target) -> Probed:
        """What to tell of a target that has no outcome."""
        barred = self._table.barred(target)
        if barred:
            return Probed(protocol, target, why=f"not asked: {barred}")
        return Probed(protocol, target)

    def saved(self) -> dict[str, object]:
        """What is worth keeping over a restart, as data that JSON can hold."""
        return self._table.saved(self._time(), ended=self._closed)

    def restore(self, data: object, age: float = 0.0) -> None:
        """Take over what was saved `age` seconds ago. Raises saved.SavedError."""
        self._table.restore(data, self._time(), age=age)
        self._settle()

    def doubt(self) -> None:
        """Nobody knows when edges were last asked by OPTIONS: it may be just now."""
        self._table.doubt(self._time())

    def _tick(self) -> None:
        now = self.looked = self._time()
        self.lag = max(0.0, now - self._armed)
        if now > self._armed + LATE:
            self._table.stalled(now, now - self._armed)
        self._armed = math.inf
        for order in self._table.due(now):
            self._tasks.start(self._probe(order), name=f"probe {order.target}")
        self._settle()

    async def _probe(self, order: ProbeOrder) -> None:
        probe = self._probes[order.protocol]
        outcome = Outcome(Result.TIMEOUT, detail="the probe overran its time-out")
        try:
            async with asyncio.timeout(order.timeout + SLACK):
                outcome = await probe(order.target, order.timeout)
        except TimeoutError:
            pass
        finally:
            # Even if the probe broke: an order that never ends would block the next.
            now = self._time()
            self._observe(order.target, outcome, now, order)
            for hear in list(self._hearers):
                hear(order, outcome, now)

    def _observe(
        self, target: Target, outcome: Outcome, now: float, order: ProbeOrder | None
    ) -> None:
        if self._closed:
            return
        if order is not None and outcome.result is not ALIVE:
            self._on_failure(target, outcome)
        self._table.observe(target, outcome, now, order)
        if outcome.result in DISCONNECTED:
            self._refresh_names(target, now)
        self._settle()

    def _refresh_names(self, target: Target, now: float) -> None:
        for name in self._table.names_of(target):
            if now - self._looked_up.get(name, -math.inf) >= LOOK_UP_INTERVAL:
                self._looked_up[name] = now
                self._look_up(name)

    def _settle(self) -> None:
        """Swap the snapshot, set the timer, and tell of changes in a while.

        Later, since a relay that reports is in the middle of something.
        """
        old, self.snapshot = self.snapshot, self._table.snapshot(self._time())
        self._carefree = self._table.carefree
        self._changes += self._table.changes()
        changed = self._changes or self.snapshot.routes is not old.routes
        if changed and self._notice is None and not self._closed:
            self._notice = self._loop.call_soon(self._tell)
        when = min(self._table.next_due(), self._time() + HEARTBEAT)
        if when < self._armed and not self._closed:
            if self._timer is not None:
                self._timer.cancel()
            self._armed = when
            self._timer = self._loop.call_at(when, self._tick)

    def _tell(self) -> None:
        self._notice = None
        changes, self._changes = tuple(self._changes), []
        self._on_change(self.snapshot, changes)


def _spot(protocol: Protocol, target: Target) -> str:
    """What the probes of one address have in common, whatever name they ask by."""
    place = (protocol.value, target.label, target.address, str(target.port))
    return "|".join((*place, target.transport.value, target.source or ""))
