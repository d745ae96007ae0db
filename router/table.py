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
from router.changes import Change, Flip, Stalled, UplinkCleared, UplinkSuspect
from router.endpoint import Endpoint, Kind
from router.health import Health, State
from router.order import order_edges
from router.records import Cause, EdgeRecord, EndpointRecord, ProbeOrder, Record
from router.routes import alike, patience, prepare
from router.saved import MAX_ADDRESSES, Saved, dump, is_address, parse
from router.schedule import Schedule
from router.snapshot import Home, Route, Score, Snapshot
from router.uplink import TOGETHER, Uplink
from router.window import Losses, Window

SCAN_INTERVAL = 300.0
"Seconds between two probes of everything."

LATE = 0.5
"Seconds by which a time-out may be late before our own event loop is to blame."

ALTERNATES = 2
"Edges beside home that are probed as often as home."

SMOOTHING = 0.2
"Weight of the latest round trip of an address."


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
        self._settings = settings or health.Settings()
        self._preference = preference or policy.Settings()
        self._schedule = Schedule(self._settings, uniform)
        self._uplink = Uplink()
        self._edges = {
            name: EdgeRecord(
                name,
                kind,
                now,
                Window(self._preference.window),
                Losses(self._preference.loss_window),
                self._preference.loss_cost,
            )
            for name, kind in kinds.items()
        }
        self._endpoints: list[EndpointRecord] = []
        self._products: dict[str, list[EndpointRecord]] = {}
        self._records: dict[Target, Record] = {}
        self.carefree: Mapping[str, Record] = {}
        """Records of the targets in the routes, by key, for which one more answer to a
        live flow changes nothing: setting `heard` is enough."""
        self._changes: list[Change] = []
        self._home = Home(None, now)
        self._order = list(self._edges)
        self._void_before = -math.inf
        self._refresh_at = now
        self._scan_at = now + SCAN_INTERVAL
        self._dirty = True
        for endpoint in endpoints:
            self._edges[endpoint.edge].endpoints.append(
                self._add(endpoint, receiver=False, now=now)
            )
        for endpoint in receivers:
            self._add(endpoint, receiver=True, now=now)
        for endpoint in [known.endpoint for known in self._endpoints]:
            if is_address(endpoint.resolve):
                self.addresses(endpoint.resolve, (endpoint.resolve,), now)
        self._snapshot = Snapshot(
            time=now,
            settings=self._preference,
            home=self._home,
            frozen=False,
            edges={},
            services={},
        )
        self._refresh(now)

    @property
    def names(self) -> tuple[str, ...]:
        """The names to look up in the DNS."""
        names = (known.endpoint.resolve for known in self._endpoints)
        return tuple(dict.fromkeys(name for name in names if not is_address(name)))

    def names_of(self, target: Target) -> tuple[str, ...]:
        """The names whose look-up gave this target."""
        return tuple(
            known.endpoint.resolve
            for known in self._endpoints
            if any(record.target == target for record in known.records)
            and not is_address(known.endpoint.resolve)
        )

    def addresses(self, name: str, found: Iterable[str], now: float) -> None:
        """Take over the addresses of a name; none means that it does not exist."""
        wanted = tuple(dict.fromkeys(found))[:MAX_ADDRESSES]
        for known in self._endpoints:
            if known.endpoint.resolve == name:
                self._resolve(known, wanted, now)
        self._dirty = True

    def observe(
        self,
        target: Target,
        outcome: Outcome,
        now: float,
        order: ProbeOrder | None = None,
    ) -> None:
        """Take in what became of a probe, or of a live flow if there is no order."""
        record = self._records.get(target)
        if record is None or (
            order is not None and record.orders.pop(order.number, None) is None
        ):
            return
        if order is not None and now > order.deadline + LATE:
            self.stalled(now, now - order.deadline)
        self._measure(record, outcome, now, order)
        if not self._void(record, outcome, now, order):
            self._fold(record)
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
            self._schedule.scan(self._records.values(), now, at_once=False)
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

    def drain(self, edge: str) -> None:
        """Rank an edge last, cutting nothing. Raises KeyError for an unknown one."""
        self._edges[edge].draining = True
        self._dirty = True

    def undrain(self, edge: str) -> None:
        """Rank an edge by merit again. Raises KeyError for an unknown one."""
        self._edges[edge].draining = False
        self._dirty = True

    def snapshot(self, now: float) -> Snapshot:
        """The state of things; the same object as before while nothing has changed."""
        if self._dirty:
            self._refresh(now)
        return self._snapshot

    def changes(self) -> tuple[Change, ...]:
        """What has changed since this was last called, in order."""
        changes, self._changes = tuple(self._changes), []
        return changes

    def saved(self) -> dict[str, object]:
        """What is worth keeping over a restart, as data that JSON can hold."""
        scores = {
            edge.name: edge.score.value for edge in self._edges.values() if edge.score
        }
        addresses = {
            known.endpoint.resolve: tuple(r.target.address for r in known.records)
            for known in self._endpoints
            if known.records and not is_address(known.endpoint.resolve)
        }
        return dump(Saved(scores, addresses))

    def restore(self, data: object, now: float) -> None:
        """Take over what an earlier run saved, where nothing better is known yet.

        Raises saved.SavedError, having changed nothing, when the data is not sound.
        """
        saved = parse(data)
        for name, value in saved.scores.items():
            edge = self._edges.get(name)
            if edge is not None and edge.score is None:
                edge.score = Score(value, value)
        for known in self._endpoints:
            found = saved.addresses.get(known.endpoint.resolve)
            if found is not None and not known.resolved:
                self._resolve(known, found, now)
        self._dirty = True

    # Addresses

    def _add(self, endpoint: Endpoint, *, receiver: bool, now: float) -> EndpointRecord:
        known = EndpointRecord(endpoint, receiver, now)
        self._endpoints.append(known)
        self._products.setdefault(endpoint.product, []).append(known)
        return known

    def _resolve(
        self, known: EndpointRecord, wanted: tuple[str, ...], now: float
    ) -> None:
        before = known.records
        by_address = {record.target.address: record for record in before}
        known.resolved = True
        known.records = [
            by_address.get(address) or self._record(known, address, now)
            for address in wanted
        ]
        for record in before:
            if record.target.address not in wanted:
                self._forget(record)
        cause = Cause("new addresses" if wanted else "the name has no address")
        self._judge(known, now, cause)

    def _record(self, known: EndpointRecord, address: str, now: float) -> Record:
        endpoint = known.endpoint
        target = endpoint.target(address, patience=patience(None))
        record = self._records.get(target)
        if record is None:
            record = Record(
                target, endpoint.protocol, known.receiver, Health(since=now)
            )
            self._records[target] = record
            self._schedule.add(record, now)
        return record

    def _forget(self, record: Record) -> None:
        if not any(record in known.records for known in self._endpoints):
            del self._records[record.target]
            self._schedule.remove(record)

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
            known = record.round_trip
            record.round_trip = (
                seen if known is None else known + SMOOTHING * (seen - known)
            )
            self._advise(record)
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

    def _advise(self, record: Record) -> None:
        """Renew the advice on a target when it is off by a fifth."""
        seen, given = record.round_trip, record.target.round_trip
        if seen is None or (given is not None and abs(seen - given) <= 0.2 * given):
            return
        record.target = dataclasses.replace(
            record.target, patience=patience(seen), round_trip=seen
        )
        self._dirty = True

    def _fold(self, record: Record) -> None:
        """Take over what the hot path has noted."""
        if record.heard > record.health.heard:
            record.health = health.heard(record.health, record.heard)
        record.heard = -math.inf

    def _doubt(self, record: Record, now: float) -> None:
        """Look whether a probe is unanswered for too long."""
        order = self._schedule.overdue(record, now)
        if order is None or order.sent < self._void_before:
            return
        self._fold(record)
        if record.health.heard <= order.sent:
            doubted = health.overdue(record.health, now=now)
            self._apply(record, doubted, now, Result.SILENT)
            record.due = now

    def _apply(self, record: Record, new: Health, now: float, result: Result) -> None:
        """Give an address its new health, and draw the conclusions."""
        old, record.health = record.health, new
        if (old.good > 0, old.hopeless, _carefree(old)) != (
            new.good > 0,
            new.hopeless,
            _carefree(new),
        ):
            self._dirty = True
        if old.state is new.state:
            return
        self._dirty = True
        owners = [known for known in self._endpoints if record in known.records]
        for known in owners:
            self._changes.append(
                Flip(
                    edge=record.target.label,
                    product=known.endpoint.product,
                    target=record.target,
                    from_=old.state,
                    to=new.state,
                    reason=new.reason,
                    result=result,
                    lasted=now - old.since,
                )
            )
            self._judge(known, now, Cause(new.reason, result))
        edge = self._edge_of(record)
        if edge is not None and old.state is State.UP:
            self._look_around(edge, now)

    def _edge_of(self, record: Record) -> EdgeRecord | None:
        return None if record.receiver else self._edges[record.target.label]

    def _judge(self, known: EndpointRecord, now: float, cause: Cause) -> None:
        """Roll the addresses of an endpoint up, and the endpoints of its edge."""
        edge = None if known.receiver else self._edges[known.endpoint.edge]
        flips = [known.judge(now, cause)]
        if edge is not None:
            flips.append(edge.judge(now, cause))
        for flip in flips:
            if flip is not None:
                self._changes.append(flip)

    def _look_around(self, edge: EdgeRecord, now: float) -> None:
        """An address failed: ask its siblings, the best edges, and then all of them."""
        for known in edge.endpoints:
            for record in known.records:
                self._schedule.hasten(record, now)
        self._schedule.scan(self._hot_records(), now, at_once=True)
        failing, worked = self._failing(now)
        if self._uplink.failed(len(failing), worked, now):
            self._changes.append(UplinkSuspect(tuple(failing), worked))
            self._dirty = True
        elif self._uplink.survey(len(failing), now):
            self._schedule.scan(self._records.values(), now, at_once=True)

    def _hot_records(self) -> Iterator[Record]:
        names = self._order[: 1 + ALTERNATES]
        for name in names:
            for known in self._edges[name].endpoints:
                yield from known.records

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
                for product, endpoints in self._products.items()
            }
            if changed
            else old.services,
            routes=old.routes,
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
            self._schedule.scan(self._records.values(), now, at_once=True)

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
            if _carefree((record := self._records[target]).health)
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
        self._schedule.heat(hot, self._records.values(), now)


def _carefree(state: Health) -> bool:
    """Whether one more answer to a live flow would change nothing."""
    return (
        state.state is State.UP and not state.live_failures and not state.server_errors
    )
