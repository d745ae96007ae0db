"""The status as metrics, in the names and units of Prometheus.

Labels are names of the configuration and of its catalogue, and words of this program:
no peer can make another one. Counters count from the start of the daemon.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import prometheus_client
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from router.changes import Change, Flip, Stalled
from router.egress import Privacy
from router.election import Switch
from router.health import State
from router.status import Condition, EdgeStatus, LinkUse, Status

PREFIX = "edge_router_"
"What every name begins with."


@dataclasses.dataclass(slots=True)
class Counts:
    """What is counted as it happens, and not part of a status."""

    switches: int = 0
    "Changes of home."
    flips: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    "Changes of an edge's health, by its name and what it became."
    stalls: int = 0
    "How often the event loop stood still."
    reloaded: float = 0.0
    "When one was last taken over, at the start or since, in Unix seconds."
    reload_failed: bool = False
    "Whether the last one was refused."

    def note(self, changes: Iterable[Change]) -> None:
        """Count what changed."""
        for change in changes:
            if isinstance(change, Switch):
                self.switches += 1
            elif isinstance(change, Stalled):
                self.stalls += 1
            elif isinstance(change, Flip) and not (change.targets or change.product):
                self.flips[change.edge, change.to.value] += 1


@dataclasses.dataclass(frozen=True, slots=True)
class Lines:
    """How the log fares."""

    written: int
    "Lines handed to the log."
    dropped: int
    "Lines that it did not take."


class Metrics(Collector):
    """Makes the metrics from a status, whenever they are asked for."""

    def __init__(
        self,
        status: Callable[[], Status],
        counts: Counts,
        lines: Callable[[], Lines],
        lag: Callable[[], float],
    ) -> None:
        """`lag` gives the seconds by which the event loop was late of late."""
        self._status = status
        self._counts = counts
        self._lines = lines
        self._lag = lag
        self._registry = CollectorRegistry()
        self._registry.register(self)
        prometheus_client.ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All of them in the text format."""
        return prometheus_client.generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on the configuration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        status = self._status()
        yield from _whole(status)
        for edge_metric in _EDGE:
            yield edge_metric.family(status.edges)
        yield from _endpoints(status)
        yield from _flows(status)
        yield from _links(status)
        yield from self._counted()

    def _counted(self) -> Iterator[Metric]:
        counts, lines = self._counts, self._lines()
        yield _counter("switches", "Changes of home.", counts.switches)
        flips = CounterMetricFamily(
            PREFIX + "edge_flips",
            "Changes of an edge's health, by what it became.",
            labels=("edge", "to"),
        )
        for (edge, state), number in sorted(counts.flips.items()):
            flips.add_metric((edge, state), number)
        yield flips
        yield _counter(
            "loop_stalls", "Times the event loop stood still.", counts.stalls
        )
        yield _gauge(
            "loop_lag_seconds", "By how much the event loop was late.", self._lag()
        )
        yield _gauge(
            "config_last_reload_successful",
            "Whether the last configuration that was read could be taken over.",
            not counts.reload_failed,
        )
        yield _gauge(
            "config_last_reload_success_timestamp_seconds",
            "When a configuration was last taken over.",
            counts.reloaded,
        )
        yield _counter("log_lines", "Lines handed to the log.", lines.written)
        yield _counter(
            "log_dropped_lines", "Lines that the log did not take.", lines.dropped
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _OfEdge:
    """A gauge that each edge has."""

    name: str
    meaning: str
    value: Callable[[EdgeStatus], float | None]

    def family(self, edges: Iterable[EdgeStatus]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            PREFIX + self.name, self.meaning, labels=("edge", "kind")
        )
        for edge in edges:
            value = self.value(edge)
            if value is not None:
                family.add_metric((edge.name, edge.kind.value), value)
        return family


def _round_trip(edge: EdgeStatus) -> float | None:
    score = edge.reasons.score
    return score.round_trip if score is not None else None


def _score(edge: EdgeStatus) -> float | None:
    score = edge.reasons.score
    return score.value if score is not None else None


def _loss(edge: EdgeStatus) -> float | None:
    score = edge.reasons.score
    return score.lost / score.probes if score is not None and score.probes else None


_EDGE = (
    _OfEdge(
        "edge_up",
        "Whether the edge is up; one in doubt is not.",
        lambda edge: edge.state is State.UP,
    ),
    _OfEdge(
        "edge_down", "Whether the edge is down.", lambda edge: edge.state is State.DOWN
    ),
    _OfEdge(
        "edge_home",
        "Whether new flows go there first.",
        lambda edge: edge.reasons.home,
    ),
    _OfEdge(
        "edge_drained",
        "Whether an operator wants no new flows there.",
        lambda edge: edge.drained is not None,
    ),
    _OfEdge(
        "edge_round_trip_seconds",
        "Lower quartile of the latest round trips.",
        _round_trip,
    ),
    _OfEdge(
        "edge_score_seconds",
        "What edges are compared by: round trip and penalties.",
        _score,
    ),
    _OfEdge("edge_probe_loss_ratio", "Share of its probes that were lost.", _loss),
)


def _whole(status: Status) -> Iterator[Metric]:
    info = GaugeMetricFamily(PREFIX + "info", "Always 1.", labels=("version", "region"))
    info.add_metric((status.about.version, status.about.region), 1)
    yield info
    yield _gauge("start_time_seconds", "When the daemon started.", status.about.started)
    condition = GaugeMetricFamily(
        PREFIX + "condition", "How it goes: 1 for the one that holds.", labels=("is",)
    )
    for one in Condition:
        condition.add_metric((one.value,), status.condition is one)
    yield condition
    yield _gauge(
        "home_since_timestamp_seconds",
        "Since when the edge of now is home.",
        status.home_since,
    )
    yield _gauge(
        "uplink_suspect", "Whether our own uplink is in doubt.", status.uplink_suspect
    )


def _endpoints(status: Status) -> Iterator[Metric]:
    products = GaugeMetricFamily(
        PREFIX + "endpoint_up",
        "Whether a product at an edge is up.",
        labels=("product", "protocol", "edge"),
    )
    for edge in status.edges:
        for one in edge.services:
            labels = (one.product, one.protocol, edge.name)
            products.add_metric(labels, one.state is State.UP)
    yield products
    receivers = GaugeMetricFamily(
        PREFIX + "receiver_up",
        "Whether a machine of the site is up.",
        labels=("listener", "protocol", "receiver"),
    )
    for one in status.receivers:
        labels = (one.product, one.protocol, one.place)
        receivers.add_metric(labels, one.state is State.UP)
    yield receivers


def _flows(status: Status) -> Iterator[Metric]:
    labels = ("listener", "protocol", "edge")
    open_ = GaugeMetricFamily(PREFIX + "flows", "Flows under way.", labels=labels)
    ended = CounterMetricFamily(
        PREFIX + "flows_ended", "Flows that have ended.", labels=labels
    )
    for one in status.flows:
        sort = (one.listener, one.protocol, one.edge)
        open_.add_metric(sort, one.open)
        ended.add_metric(sort, one.ended)
    yield open_
    yield ended


_OF_LINK: tuple[tuple[str, str, Callable[[LinkUse], float]], ...] = (
    ("calls", "Calls on a direct link.", lambda use: use.calls),
    (
        "bandwidth_bytes_per_second",
        "What was ordered of a direct link.",
        lambda use: use.bandwidth / 8,
    ),
    (
        "calls_bytes_per_second",
        "What calls take of a direct link.",
        lambda use: use.taken / 8,
    ),
    (
        "other_bytes_per_second",
        "What requests and WebSockets take of a direct link.",
        lambda use: use.other / 8,
    ),
    (
        "room_bytes_per_second",
        "What a direct link has left for new calls.",
        lambda use: use.room / 8,
    ),
)


def _links(status: Status) -> Iterator[Metric]:
    privacy = GaugeMetricFamily(
        PREFIX + "link_privacy",
        "Whether packets leave by a direct link: 1 for what holds.",
        labels=("link", "is"),
    )
    for told in status.links:
        for one in Privacy:
            privacy.add_metric((told.name, one.value), told.privacy is one)
    yield privacy
    uses = [(link.name, link.use) for link in status.links if link.use is not None]
    for name, meaning, value in _OF_LINK:
        family = GaugeMetricFamily(f"{PREFIX}link_{name}", meaning, labels=("link",))
        for link, use in uses:
            family.add_metric((link,), value(use))
        yield family
    spilled = CounterMetricFamily(
        PREFIX + "link_spilled_calls",
        "Calls that went elsewhere, since a direct link had no room.",
        labels=("link",),
    )
    for link, use in uses:
        spilled.add_metric((link,), use.spilled)
    yield spilled


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, meaning, value=value)


def _counter(name: str, meaning: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, meaning, value=value)
