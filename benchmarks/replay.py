"""Plays a day to a rule and judges what the rule did; the shipped table is one rule."""

import dataclasses
import heapq
import itertools
import random
from collections.abc import Callable, Sequence

from benchmarks.series import EXCHANGES, MINUTE, Series
from protocols.target import Outcome, Result, Transport
from router.endpoint import Endpoint, Kind, Protocol
from router.policy import Switch
from router.records import ProbeOrder
from router.table import Table

LOSS_COST = 0.2
"Seconds that a lost packet costs a flow: the shortest TCP retransmission time-out."


@dataclasses.dataclass
class Use:
    """Which edge a rule used from when on."""

    times: list[float] = dataclasses.field(default_factory=list)
    edges: list[int] = dataclasses.field(default_factory=list)
    switches: int = 0
    probes: int = 0

    def now(self, when: float, edge: int) -> None:
        """Note the edge that a flow would take from now on."""
        if not self.edges or self.edges[-1] != edge:
            self.times.append(when)
            self.edges.append(edge)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a rule made of a day."""

    regret: float
    """Mean round trip of the edges used, over that of an oracle that switches freely;
    every lost packet costs both of them 200 ms."""
    bare: float
    "The same with loss costing nothing."
    switches: int
    "Changes of home."
    detours: int
    "Changes of the edge that a new flow takes, short suspicions included."
    dead: float
    "Seconds spent on dead edges."
    longest: float
    "Most seconds spent on a dead edge in one outage."


Rule = Callable[[Series, random.Random], Use]
"Plays a day and returns which edge was used when."


def judge(series: Series, use: Use) -> Verdict:
    """Compare the use of edges with what was best at every moment."""
    marks = {minute * MINUTE for minute in range(series.minutes + 1)}
    for _, start, end in series.outages:
        marks |= {start, min(end, series.length)}
    moments = sorted(marks | {max(0.0, time) for time in use.times})
    used = best = felt = felt_best = dead = 0.0
    per_outage: dict[int, float] = {}
    place = 0
    for start, end in itertools.pairwise(moments):
        while place + 1 < len(use.times) and use.times[place + 1] <= start:
            place += 1
        if start < use.times[0] or start >= series.length:
            continue
        edge, seconds = use.edges[place], end - start
        out = _outage(series, edge, start)
        if out is not None:
            dead += seconds
            per_outage[out] = per_outage.get(out, 0.0) + seconds
            continue
        alive = [e for e in range(len(series.losses)) if not series.dead(e, start)]
        costs = {e: series.round_trip(e, start) for e in alive}
        felts = {e: costs[e] + LOSS_COST * series.loss(e, start) for e in alive}
        used += costs[edge] * seconds
        felt += felts[edge] * seconds
        best += min(costs.values()) * seconds
        felt_best += min(felts.values()) * seconds
    return Verdict(
        regret=felt / felt_best,
        bare=used / best,
        switches=use.switches,
        detours=len(use.edges) - 1,
        dead=dead,
        longest=max(per_outage.values(), default=0.0),
    )


def _outage(series: Series, edge: int, now: float) -> int | None:
    for number, (which, start, end) in enumerate(series.outages):
        if which == edge and start <= now < end:
            return number
    return None


def shipped(series: Series, chance: random.Random) -> Use:
    """The daemon's own table, driven by probes alone: the harder case for it."""
    names = [f"edge{number}" for number in range(len(series.losses))]
    table = Table(
        dict.fromkeys(names, Kind.PUBLIC),
        [_endpoint(name, number) for number, name in enumerate(names)],
        now=0.0,
        uniform=chance.uniform,
    )
    use = Use()
    arrivals: list[tuple[float, int, ProbeOrder, Outcome]] = []
    while True:
        now = min(table.next_due(), arrivals[0][0] if arrivals else series.length)
        if now >= series.length:
            return use
        while arrivals and arrivals[0][0] <= now:
            _, _, order, outcome = heapq.heappop(arrivals)
            table.observe(order.target, outcome, now, order)
        for order in table.due(now):
            use.probes += 1
            edge = names.index(order.target.label)
            when, outcome = _answer(series, edge, order, chance)
            heapq.heappush(arrivals, (when, order.number, order, outcome))
        route = table.snapshot(now).routes["api"]
        use.now(now, names.index(route.first[0].label))
        for change in table.changes():
            if isinstance(change, Switch) and change.from_ is not None:
                use.switches += 1


def _answer(
    series: Series, edge: int, order: ProbeOrder, chance: random.Random
) -> tuple[float, Outcome]:
    seen = series.sample(edge, order.sent, chance)
    if seen is None or EXCHANGES * seen > order.timeout:
        return order.deadline, Outcome(Result.TIMEOUT)
    return order.sent + EXCHANGES * seen, Outcome(Result.ALIVE, round_trip=seen)


def _endpoint(name: str, number: int) -> Endpoint:
    return Endpoint(
        product="api",
        edge=name,
        protocol=Protocol.HTTPS,
        transport=Transport.TLS,
        resolve=f"192.0.2.{number + 1}",
        port=443,
        host=f"api.{name}.example.com",
    )


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)
