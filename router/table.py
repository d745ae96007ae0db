"""The core of the checker: all that is known of edges, and what to probe next.

`Table` holds the mutable state. It does no I/O and has no clock: the shell passes
outcomes and the time in, sends the probes that `due` orders, and hands on `snapshot`
and `changes`.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from protocols.target import Outcome, Result, Target
from router import health, policy
from router.changes import (
    Change,
    Flip,
    PinEnded,
    RegionFailed,
    RegionRecovered,
    Stalled,
    UplinkCleared,
    UplinkSuspect,
    joined,
    listed,
)
from router.endpoint import Endpoint, Kind, Protocol
from router.health import Health, State
from router.location import Location, plain
from router.order import order_edges
from router.records import (
    Cause,
    EdgeRecord,
    EndpointRecord,
    Exit,
    ProbeOrder,
    Record,
)
from router.register import Register
from router.routes import alike, prepare
from router.saved import MAX_ADDRESSES, Saved, dump, is_address, parse
from router.schedule import Schedule
from router.scope import Scope
from router.snapshot import Home, Pin, Route, Score, Snapshot
from router.uplink import TOGETHER, Uplink

SCAN_INTERVAL = 300.0
"Seconds between two probes of everything."

LATE = 0.5
"Seconds by which a time-out may be late before our own event loop is to blame."

ALTERNATES = 2
"Edges beside home that are probed as often as home."

HANDSHAKE = frozenset({Result.CERTIFICATE, Result.TLS})
"Findings that may be the fault of one name at an address where others do well."


class Table:
    """Health and preference of every endpoint and receiver; the only mutable state."""

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        endpoints: Iterable[Endpoint],
        receivers: Iterable[Endpoint] = (),
        *,
        now: float,
        uniform: Callable[[float, float], float],
        settings: health.Settings | None = None,
        preference: policy.Settings | None = None,
    ) -> None:
        """Know these edges, their endpoints, and the receivers of the site.

        `kinds` names the edges in configured order; a receiver's product is its
        listener. `uniform(low, high)` gives random numbers. Raises KeyError for an
        endpoint at an edge that `kinds` lacks.
        """
        scope = Scope(
            kinds,
            tuple(endpoints),
            tuple(receivers),
            settings or health.Settings(),
            preference or policy.Settings(),
        )
        self._schedule = Schedule(scope.settings, uniform, now)
        self._uplink = Uplink()
        self._edges: dict[str, EdgeRecord] = {}
        self._register = Register()
        self.carefree: Mapping[str, Record] = {}
        """Records of the targets in the routes, by key, for which one more answer to a
        live flow changes nothing: setting `heard` is enough."""
        self._changes: list[Change] = []
        self._region_failed = math.inf
        self._home = Home(None, now)
        self._pin: Pin | None = None
        self._refusing = False
        self._order: list[str] = []
        self._void_before = -math.inf
        self._refresh_at = now
        self._scan_at = now + SCAN_INTERVAL
        self._bars: Mapping[Exit, str] = {}
        self._snapshot = Snapshot(
            time=now,
            settings=scope.preference,
            home=self._home,
            frozen=False,
            edges={},
            services={},
        )
        self.change(scope, now)

    def change(self, scope: Scope, now: float) -> None:
        """Know what is in this scope, and nothing else any more.

        What is known of what stays is kept. Raises KeyError as the constructor.
        """
        self._settings = scope.settings
        self._preference = scope.preference
        self._schedule.change(scope.settings)
        known_edges, self._edges = self._edges, {}
        for name, kind in scope.kinds.items():
            edge = known_edges.get(name) or EdgeRecord.of(name, kind, now)
            edge.change(kind, scope.preference)
            self._edges[name] = edge
        self._order = list(self._edges)
        ranked = [(endpoint, False) for endpoint in scope.endpoints]
        site = [(endpoint, True) for endpoint in scope.receivers]
        for record in self._register.arrange([*ranked, *site], now):
            self._schedule.remove(record)
        for known in self._register.endpoints:
            if not known.receiver:
                self._edges[known.endpoint.edge].endpoints.append(known)
        self._dirty = True
        self._refresh(now)
        for known in self._register.endpoints:
            if is_address(known.endpoint.resolve) and not known.resolved:
                self._resolve(known, plain([known.endpoint.resolve]), now)
        # With an endpoint that is gone, what it said of its edge is gone.
        cause = Cause("new configuration")
        used = [edge for edge in self._edges.values() if edge.endpoints]
        for edge in used:
            self._judge_edge(edge, now, cause)
        if used and all(edge.useless for edge in used):
            self._judge_region(used[0].name, now, cause)

    @property
    def names(self) -> tuple[str, ...]:
        """The names to look up in the DNS."""
        return self._register.names()

    def names_of(self, target: Target) -> tuple[str, ...]:
        """The names whose look-up gave the address of this target."""
        return self._register.names_of(target)

    def addresses(self, name: str, found: Iterable[Location], now: float) -> None:
        """Take over where a name leads; nowhere means that it does not exist."""
        wanted = tuple(dict.fromkeys(found))[:MAX_ADDRESSES]
        for known in self._register.endpoints:
            if known.endpoint.resolve == name:
                self._resolve(known, wanted, now)

    @property
    def exits(self) -> Mapping[Exit, str]:
        """The ways to all addresses that are behind links, each with its edge."""
        return {
            record.exit: record.target.label
            for record in self._register
            if record.exit is not None
        }

    def bar(self, bars: Mapping[Exit, str], now: float) -> None:
        """Send nothing by exits of which it says why, and again where it says none.

        New addresses whose exit it does not have stay barred until it has.
        """
        self._bars = bars
        for record in self._register:
            self._guard(record, now)

    def observe(
        self,
        target: Target,
        outcome: Outcome,
        now: float,
        order: ProbeOrder | None = None,
    ) -> None:
        """Take in what became of a probe, or of a live flow if there is no order."""
        record = self._register.get(target)
        if record is None or record.health.barred:
            return
        if order is not None and record.orders.pop(order.number, None) is None:
            return
        if order is not None and now > order.deadline + LATE:
            self.stalled(now, now - order.deadline)
        self._measure(record, outcome, now, order)
        if outcome.result in HANDSHAKE and self._refuse(record, target, outcome, now):
            self._schedule.turn_to_next(record, now)
            return
        if order is not None and outcome.result is Result.ALIVE:
            self._trust(record, target, now)
        if not self._void(record, outcome, now, order):
            record.fold()
            state = health.observe(
                record.health,
                outcome,
                self._settings,
                now=now,
                live=order is None,
                verdicts=self._uplink.verdicts(now),
            )
            self._apply(record, state, now, outcome.result)
        if outcome.result is Result.SILENT:
            self._schedule.ask(record, now)
        else:
            self._schedule.plan(record, now)

    def due(self, now: float) -> list[ProbeOrder]:
        """The probes to send now."""
        if now >= self._scan_at:
            self._scan_at = now + SCAN_INTERVAL
            self._schedule.scan(self._register, now, at_once=False)
        if self._dirty or now >= self._refresh_at:
            self._refresh(now)
        orders = []
        for record in self._schedule.due(now):
            self._doubt(record, now)
            order = self._schedule.order(record, now)
            if order is not None:
                orders.append(order)
        return orders

    def next_due(self) -> float:
        """When to call `due` again, in monotonic seconds."""
        return min(self._schedule.next_due(), self._refresh_at, self._scan_at)

    def stalled(self, now: float, late: float) -> None:
        """Our event loop was late: what timed out meanwhile may have been answered."""
        if now - self._void_before > LATE:
            self._changes.append(Stalled(late))
        self._void_before = now

    def drain(self, edge: str, now: float) -> None:
        """Rank an edge last, cutting nothing. Raises KeyError for an unknown one."""
        record = self._edges[edge]
        if record.drained is None:
            record.drained = now
            self._dirty = True

    def undrain(self, edge: str) -> None:
        """Rank an edge by merit again; flows are refused no more.

        Raises KeyError for an unknown one.
        """
        self._edges[edge].drained = None
        self._refusing = False
        self._dirty = True

    def refuse(self, now: float) -> None:
        """Drain all edges, and have no flow go to any: they are refused from now on."""
        for edge in self._edges:
            self.drain(edge, now)
        self._refusing = self._dirty = True

    def pin(self, edge: str, until: float) -> None:
        """Have an edge for home while it is healthy, until a time.

        Raises KeyError for an unknown one.
        """
        self._pin = Pin(self._edges[edge].name, until)
        self._dirty = True

    def unpin(self) -> None:
        """Choose home by merit again."""
        self._pin = None
        self._dirty = True

    def ask(self, edge: str | None, now: float) -> tuple[tuple[Protocol, Target], ...]:
        """Probe every address of an edge at once, or of all; which these are.

        OPTIONS keep their distance even so. Raises KeyError for an unknown edge.
        """
        records = self._register if edge is None else self._edges[edge].records
        found = [
            record for record in records if edge is not None or not record.receiver
        ]
        for record in found:
            self._schedule.insist(record, now)
        return tuple((record.protocol, record.target) for record in found)

    def awaits(self, target: Target) -> bool:
        """Whether a probe of a target's address is under way, or about to be."""
        record = self._register[target]
        if record.health.barred:
            return False
        return bool(record.orders) or record.protocol is not Protocol.SIP

    def barred(self, target: Target) -> str:
        """Why nothing may be sent to a target; empty if something may."""
        record = self._register.get(target)
        found = record.health if record is not None else None
        return found.reason if found is not None and found.barred else ""

    def snapshot(self, now: float) -> Snapshot:
        """The state of things; the same object as before while nothing has changed."""
        if self._dirty:
            self._refresh(now)
        return self._snapshot

    def changes(self) -> tuple[Change, ...]:
        """What has changed since this was last called, in order."""
        changes, self._changes = tuple(self._changes), []
        return changes

    def saved(self, now: float, *, ended: bool = False) -> dict[str, object]:
        """What is worth keeping over a restart, as data that JSON can hold.

        `ended` says that no probe is ordered after this.
        """
        scores = {
            edge.name: edge.score.value for edge in self._edges.values() if edge.score
        }
        addresses = {
            known.endpoint.resolve: tuple(known.locations.values())
            for known in self._register.endpoints
            if known.targets and not is_address(known.endpoint.resolve)
        }
        spacing = self._schedule.spacing
        ended = ended and spacing.sure(now)
        return dump(Saved(scores, addresses, spacing.ages(now), ended))

    def restore(self, data: object, now: float, *, age: float = 0.0) -> None:
        """Take over what was saved `age` seconds ago, where nothing better is known.

        Raises saved.SavedError, having changed nothing, when the data is not sound.
        """
        saved = parse(data)
        if saved.ended and age >= 0:
            ages = {address: age + since for address, since in saved.options.items()}
            self._schedule.spacing.restore(ages, now)
        else:
            self.doubt(now)
        for name, value in saved.scores.items():
            edge = self._edges.get(name)
            if edge is not None and edge.score is None:
                edge.score = Score(value, value)
        self._refresh(now)  # the best edges are probed first
        for known in self._register.endpoints:
            found = saved.addresses.get(known.endpoint.resolve)
            if found is not None and not known.resolved:
                self._resolve(known, found, now)

    def doubt(self, now: float) -> None:
        """Nobody knows when edges were last asked by OPTIONS: it may be just now."""
        self._schedule.spacing.doubt(now)

    # Addresses

    def _resolve(
        self, known: EndpointRecord, wanted: tuple[Location, ...], now: float
    ) -> None:
        moved = self._register.resolve(known, wanted, now)
        for record in moved.new:
            self._schedule.add(record, now, turn=self._turn(record))
            self._guard(record, now)
        for record in moved.gone:
            self._schedule.remove(record)
        cause = Cause("new addresses" if wanted else "the name has no address")
        self._judge([known], now, cause)
        self._dirty = True

    def _guard(self, record: Record, now: float) -> None:
        """Bar an address, or lift its bar, as it is known of the way to it."""
        reason = self._bars.get(record.exit) if record.exit is not None else None
        if reason is None:
            return  # it needs none; or it has one until somebody has looked
        old = record.health
        new = health.bar(old, reason, now=now) if reason else health.lift(old, now=now)
        if new == old:
            return
        record.health, self._dirty = new, True
        if reason:
            # What is under way is answered to nobody: it says nothing any more.
            record.orders.clear()
            self._schedule.remove(record)
        else:
            self._schedule.insist(record, now)
        if new.state is not old.state or (new.barred and not old.barred):
            self._flip(record, record.targets, old, new, now)

    def _turn(self, record: Record) -> tuple[int, int]:
        """The best edges are probed first; a receiver at any time."""
        if record.receiver:
            return 0, 1
        return self._order.index(record.target.label), len(self._order)

    # Evidence

    def _void(
        self, record: Record, outcome: Outcome, now: float, order: ProbeOrder | None
    ) -> bool:
        """Whether silence is explained by our own stall, or a later probe's answer."""
        if outcome.result not in (Result.TIMEOUT, Result.SILENT):
            return False
        if order is None:
            return now - self._settings.timeout < self._void_before
        return order.sent < self._void_before or order.number < record.answered

    def _measure(
        self, record: Record, outcome: Outcome, now: float, order: ProbeOrder | None
    ) -> None:
        edge = self._edge_of(record)
        seen = outcome.round_trip
        if outcome.result is Result.ALIVE and seen is not None:
            self._dirty |= record.measure(seen)
            if edge is not None:
                edge.window.add(now, seen)
                edge.measured = True
        if order is None:
            return
        if outcome.result is Result.ALIVE:
            record.answered = max(record.answered, order.number)
        ours = order.sent < self._void_before or self._uplink.suspect
        if edge is None or not order.regular or ours:
            return
        if outcome.result in (Result.ALIVE, Result.TIMEOUT):
            edge.losses.add(now, outcome.result is Result.TIMEOUT)
            edge.measured = True

    def _refuse(
        self, record: Record, target: Target, outcome: Outcome, now: float
    ) -> bool:
        """Note a handshake that failed; whether that tells of this name only."""
        old = record.health_of(target)
        alone = record.refuse(target, outcome.detail or outcome.result.value)
        self._rename(record, target, old, now, outcome.result)
        return alone

    def _trust(self, record: Record, target: Target, now: float) -> None:
        """Note that a probe found a certificate right again."""
        old = record.health_of(target)
        if record.refused.pop(target, None) is not None:
            self._rename(record, target, old, now, Result.ALIVE)

    def _rename(
        self, record: Record, target: Target, old: Health, now: float, result: Result
    ) -> None:
        """Draw the conclusions from what became of one name of an address."""
        new = record.health_of(target)
        if new.state is not old.state:
            self._flip(record, [target], old, new, now, result)

    def _doubt(self, record: Record, now: float) -> None:
        """Look whether a probe is unanswered for too long."""
        order = self._schedule.overdue(record, now)
        if order is None or order.sent < self._void_before:
            return
        record.fold()
        if record.health.heard <= order.sent:
            doubted = health.overdue(record.health, now=now)
            self._apply(record, doubted, now, Result.SILENT)
            record.due = now

    def _apply(self, record: Record, new: Health, now: float, result: Result) -> None:
        """Give an address its new health, and draw the conclusions."""
        old, record.health = record.health, new
        if (old.good > 0, old.hopeless, old.carefree) != (
            new.good > 0,
            new.hopeless,
            new.carefree,
        ):
            self._dirty = True
        if old.state is new.state:
            return
        self._flip(record, record.targets, old, new, now, result)
        edge = self._edge_of(record)
        if edge is not None and old.state is State.UP:
            self._look_around(edge, now)

    def _flip(
        self,
        record: Record,
        targets: Iterable[Target],
        old: Health,
        new: Health,
        now: float,
        result: Result | None = None,
    ) -> None:
        """Tell that an address changed by these names, and judge who has it."""
        self._dirty = True
        targets = tuple(targets)
        owners = self._register.owners(record)
        named = [known for known in owners if any(t in known.targets for t in targets)]
        self._changes.append(
            Flip(
                edge=record.target.label,
                product=listed(known.endpoint.product for known in named),
                targets=targets,
                from_=old.state,
                to=new.state,
                reason=new.reason,
                result=result,
                lasted=now - old.since,
                first=not old.proved and new.state is State.UP,
            )
        )
        self._judge(named, now, Cause(new.reason, result, new.barred))

    def _edge_of(self, record: Record) -> EdgeRecord | None:
        return None if record.receiver else self._edges[record.target.label]

    def _judge(self, owners: list[EndpointRecord], now: float, cause: Cause) -> None:
        """Roll the addresses of an edge's endpoints up, and then the edge.

        An edge that turns speaks for the endpoints that turn with it.
        """
        flips = [flip for known in owners if (flip := known.judge(now, cause))]
        if owners[0].receiver:
            self._changes += joined(flips)
        else:
            self._judge_edge(self._edges[owners[0].endpoint.edge], now, cause, flips)

    def _judge_edge(
        self, edge: EdgeRecord, now: float, cause: Cause, flips: Iterable[Flip] = ()
    ) -> None:
        """Roll the endpoints of an edge up; it speaks for `flips` that go with it."""
        whole = edge.judge(now, cause)
        if whole is not None:
            flips = [whole, *(flip for flip in flips if flip.to is not whole.to)]
        self._changes += joined(list(flips))
        if whole is not None:
            self._dirty = True
            self._judge_region(whole.edge, now, cause)

    def _judge_region(self, edge: str, now: float, cause: Cause) -> None:
        """Tell whether any edge is of use, now that this one has turned."""
        used = [one for one in self._edges.values() if one.endpoints]
        failed = all(one.useless for one in used)
        if failed and self._region_failed == math.inf:
            self._region_failed = now
            self._changes.append(RegionFailed(len(used), cause.reason, cause.result))
        elif not failed and self._region_failed < math.inf:
            self._changes.append(RegionRecovered(now - self._region_failed, edge))
            self._region_failed = math.inf

    def _look_around(self, edge: EdgeRecord, now: float) -> None:
        """An address failed: ask its siblings, the best edges, and then all of them."""
        self._schedule.scan(edge.records, now, at_once=True)
        self._schedule.scan(self._hot_records(), now, at_once=True)
        failing, worked = self._failing(now)
        if self._uplink.failed(len(failing), worked, now):
            self._changes.append(UplinkSuspect(tuple(failing), worked))
            self._dirty = True
        elif self._uplink.survey(len(failing), now):
            self._schedule.scan(self._register, now, at_once=True)

    def _hot_records(self) -> Iterator[Record]:
        for name in self._order[: 1 + ALTERNATES]:
            yield from self._edges[name].records

    def _failing(self, now: float) -> tuple[list[str], int]:
        """The edges that failed together, and how many worked until then."""
        lately = [e.name for e in self._edges.values() if now - e.failed <= TOGETHER]
        working = sum(edge.state is State.UP for edge in self._edges.values())
        return lately, working + len(lately)

    # Snapshots

    def _refresh(self, now: float) -> None:
        """Build the snapshot anew."""
        changed, self._dirty = self._dirty, False
        self._refresh_at = now + self._settings.interval
        self._acquit(now)
        old = self._snapshot
        edges = {edge.name: edge.edge(now) for edge in self._edges.values()}
        snapshot = Snapshot(
            time=now,
            settings=self._preference,
            home=self._home,
            frozen=self._uplink.suspect,
            edges=edges,
            services={
                product: tuple(known.service() for known in endpoints)
                for product, endpoints in self._register.products.items()
            }
            if changed
            else old.services,
            routes=old.routes,
            pin=self._pinned(now),
            refusing=self._refusing,
        )
        election = policy.elect(snapshot, now=now)
        if election.home is not self._home:
            self._home = election.home
            snapshot = dataclasses.replace(snapshot, home=election.home)
        if election.switch is not None:
            self._changes.append(election.switch)
        order = order_edges(snapshot)
        if changed or order != self._order:
            self._order = order
            snapshot = dataclasses.replace(snapshot, routes=self._routes(snapshot))
        self._snapshot = snapshot
        self._heat(now)

    def _pinned(self, now: float) -> Pin | None:
        """What is pinned, until its time is over."""
        if self._pin is not None and now >= self._pin.until:
            self._changes.append(PinEnded(self._pin.edge))
            self._pin = None
        return self._pin

    def _acquit(self, now: float) -> None:
        answering = [e.name for e in self._edges.values() if e.state is State.UP]
        worked = sum(
            edge.proved and edge.state is not State.DOWN
            for edge in self._edges.values()
        )
        reason = self._uplink.acquitted(answering, worked, now)
        if reason:
            self._changes.append(UplinkCleared(now - self._uplink.since, reason))
            self._uplink.clear()
            self._schedule.scan(self._register, now, at_once=True)

    def _routes(self, snapshot: Snapshot) -> Mapping[str, Route]:
        """The routes, or the very same as before where nothing has changed."""
        routes: Mapping[str, Route] = {
            product: prepare(snapshot, product) for product in snapshot.services
        }
        old = self._snapshot.routes
        if old.keys() == routes.keys() and all(
            alike(old[product], route) for product, route in routes.items()
        ):
            routes = old
        self.carefree = {
            target.key: record
            for route in routes.values()
            for group in route.groups
            for target in group
            if (record := self._register[target]).health.carefree
        }
        return routes

    def _heat(self, now: float) -> None:
        """Probe home, its best alternates and the home that fell at every interval."""
        working = any(edge.state is State.UP for edge in self._edges.values())
        home, fallen = self._home.edge, self._home.fallen
        if home is None or not working:
            hot = None
        else:
            others = [name for name in self._order if name != home]
            hot = frozenset([home, fallen or home, *others[:ALTERNATES]])
        self._schedule.heat(hot, self._register, now)
