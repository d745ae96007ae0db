"""Changes, answers and rankings become lines of the log."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocols.target import Outcome, Result, Target, Transport
from router.changes import (
    Change,
    Flip,
    RegionFailed,
    RegionRecovered,
    Stalled,
    UplinkCleared,
    UplinkSuspect,
)
from router.contradiction import Contradicted, Followed
from router.election import Switch
from router.endpoint import Kind
from router.events import Level
from router.health import State
from router.keyring import Renewal
from router.lines import Fields
from router.location import plain
from router.logs import Log
from router.names import Answer, recall
from router.problem import ConfigError, Problem, Severity
from router.sinks import Said
from router.snapshot import Edge, Home, Snapshot
from router.table import Table
from router.telling import (
    tell_answer,
    tell_arrivals,
    tell_change,
    tell_probe,
    tell_ranking,
    tell_rejection,
    tell_renewals,
)

TARGET = Target("192.0.2.1", 443, Transport.TLS, "api.example.com", label="dublin")


class Memory:
    """A sink that keeps what was said; the log checks fields before that."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, Fields]] = []

    def render(self, said: Said) -> bytes:
        assert isinstance(said.fields, dict)
        self.lines.append((said.event.name, said.level.name, said.fields))
        return b""

    def write(self, batch: list[bytes]) -> None:
        """All is kept already."""

    def close(self) -> None:
        """Nothing to close."""


class Told:
    """A strict log; `lines` ends it and gives what it was told."""

    def __init__(
        self,
        level: Level = Level.DEBUG,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._memory = Memory()
        self.log = Log(self._memory, level=level, clock=clock)

    def lines(self) -> list[tuple[str, str, Fields]]:
        self.log.close()
        return self._memory.lines


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    yield told
    told.log.close()


def test_flip_of_an_address_names_it(told: Told) -> None:
    flip = Flip(
        "dublin",
        "api",
        (TARGET,),
        State.UP,
        State.DOWN,
        "refused",
        Result.REFUSED,
        12.34,
    )
    tell_change(told.log, flip)
    expected = {
        "edge": "dublin", "state": "down", "before": "up", "reason": "refused",
        "held_s": 12.3, "product": "api", "result": "refused", "address": "192.0.2.1",
    }  # fmt: skip
    assert told.lines() == [("address.flipped", "INFO", expected)]


@pytest.mark.parametrize(("to", "level"), [("down", "WARNING"), ("up", "INFO")])
def test_flip_of_an_edge_warns_unless_it_is_for_the_better(
    told: Told, to: str, level: str
) -> None:
    flip = Flip("dublin", "", (), State.SUSPECT, State(to), "why", None, 1.0)
    tell_change(told.log, flip)
    ((event, said, fields),) = told.lines()
    assert (event, said) == ("edge.flipped", level)
    assert not {"product", "result", "address"} & fields.keys()


@pytest.mark.parametrize(
    ("to", "level"), [("down", "WARNING"), ("suspect", "INFO"), ("up", "INFO")]
)
def test_flip_of_a_product_warns_when_it_is_down(
    told: Told, to: str, level: str
) -> None:
    tell_change(told.log, Flip("dublin", "api", (), State.UP, State(to), "", None, 1.0))
    ((event, said, fields),) = told.lines()
    assert (event, said) == ("product.flipped", level)
    assert fields["product"] == "api"


@pytest.mark.parametrize(
    ("before", "to", "level"),
    [("up", "suspect", "DEBUG"), ("suspect", "up", "DEBUG"), ("down", "up", "INFO")],
)
def test_suspicion_of_one_address_is_for_who_looks_closely(
    told: Told, before: str, to: str, level: str
) -> None:
    old, new = State(before), State(to)
    tell_change(told.log, Flip("dublin", "api", (TARGET,), old, new, "", None, 1.0))
    assert [(event, said) for event, said, _ in told.lines()] == [
        ("address.flipped", level)
    ]


def test_edge_that_dies_with_twelve_products_is_told_in_a_handful_of_lines(
    provider: Any,
) -> None:
    """None of its products shares an address with another."""
    products = [f"product{number}" for number in range(12)]
    provider.round_trips = {"ashburn": 0.02, "dublin": 0.04, "tokyo": 0.15}
    table = Table(
        dict.fromkeys(provider.round_trips, Kind.PUBLIC),
        [provider.endpoint(e, p) for e in provider.round_trips for p in products],
        now=0.0,
        uniform=provider.chance.uniform,
    )
    for place, edge in enumerate(provider.round_trips):
        for number, product in enumerate(products):
            found = [f"10.{place}.{number}.{host}" for host in (1, 2)]
            table.addresses(f"{product}.{edge}.example.com", plain(found), 0.0)
    provider.run(table, 10.0)
    provider.changes.clear()
    provider.dead.add("ashburn")
    provider.run(table, 20.0)
    told = Told(Level.INFO, lambda: 0.0)
    for _, change in provider.changes:
        tell_change(told.log, change)
    assert len(provider.changes) > 48
    names = [event for event, _, _ in told.lines()]
    assert len(names) <= 10
    assert {"address.flipped", "edge.flipped", "edge.switched"} <= set(names)


@pytest.mark.parametrize(
    ("product", "targets", "level"),
    [("api", (TARGET,), "DEBUG"), ("api", (), "DEBUG"), ("", (), "INFO")],
)
def test_first_answer_is_news_of_an_edge_only(
    told: Told, product: str, targets: tuple[Target, ...], level: str
) -> None:
    old, new = State.SUSPECT, State.UP
    flip = Flip("dublin", product, targets, old, new, "answered", None, 0.1, first=True)
    tell_change(told.log, flip)
    ((_, said, _),) = told.lines()
    assert said == level


def test_switch_carries_its_arithmetic(told: Told) -> None:
    switch = Switch("dublin", "ashburn", "gains 41.3 ms", 0.08, 0.0387, 0.0413, 0.016)
    tell_change(told.log, switch)
    ((event, level, fields),) = told.lines()
    assert (event, level) == ("edge.switched", "WARNING")
    assert fields["home_ms"] == 38.7
    assert fields["before_ms"] == 80.0
    assert fields["gain_ms"] == 41.3
    assert fields["needed_ms"] == 16.0


def test_first_switch_has_no_arithmetic(told: Told) -> None:
    tell_change(told.log, Switch(None, "ashburn", "the first home"))
    ((_, _, fields),) = told.lines()
    assert not {"before", "home_ms", "before_ms", "gain_ms"} & fields.keys()


@pytest.mark.parametrize(
    ("change", "event", "fields"),
    [
        (
            UplinkSuspect(("a", "b"), 3),
            "uplink.suspect",
            {"failing": "a, b", "edges": 3},
        ),
        (UplinkCleared(1.24, "x"), "uplink.cleared", {"reason": "x", "held_s": 1.2}),
        (Stalled(0.7), "loop.stalled", {"late_ms": 700.0}),
        (
            RegionFailed(4, "3 failures", Result.TIMEOUT),
            "region.failed",
            {"region": "us1", "edges": 4, "reason": "3 failures", "result": "timeout"},
        ),
        (
            RegionFailed(4, "the name has no address", None),
            "region.failed",
            {"region": "us1", "edges": 4, "reason": "the name has no address"},
        ),
        (
            RegionRecovered(61.23, "dublin"),
            "region.recovered",
            {"region": "us1", "edge": "dublin", "held_s": 61.2},
        ),
    ],
)
def test_change_becomes_its_event(
    told: Told, change: Change, event: str, fields: dict[str, object]
) -> None:
    tell_change(told.log, change, "us1")
    ((said, _, carried),) = told.lines()
    assert (said, carried) == (event, fields)


@pytest.mark.parametrize(
    ("answer", "event", "level"),
    [
        (Answer(plain(["192.0.2.1"]), ttl=60.0), "name.resolved", "INFO"),
        (Answer(plain(["192.0.2.2"]), ttl=60.0), "name.resolved", "DEBUG"),
        (Answer(plain(["192.0.2.2"]), error="timeout"), "name.resolved", "DEBUG"),
        (
            Answer(plain(["192.0.2.1"]), stale=True, error="timeout"),
            "name.stale",
            "WARNING",
        ),
        (Answer(error="timeout"), "name.unresolved", "WARNING"),
        (Answer(gone=True), "name.gone", "WARNING"),
    ],
)
def test_answer_becomes_its_event(
    told: Told, answer: Answer, event: str, level: str
) -> None:
    tell_answer(told.log, "api.example.com", answer, ("192.0.2.2",))
    ((said, weight, fields),) = told.lines()
    assert (said, weight) == (event, level)
    assert fields["name"] == "api.example.com"


def test_first_answer_about_a_name_is_no_news(told: Told) -> None:
    tell_answer(told.log, "api.example.com", Answer(plain(["192.0.2.1"]), ttl=5.0), ())
    ((said, level, fields),) = told.lines()
    assert (said, level) == ("name.resolved", "DEBUG")
    assert "before" not in fields


def test_addresses_of_the_last_run_are_no_failure_of_the_resolver(told: Told) -> None:
    answer = recall(plain(["192.0.2.1"])).answer
    tell_answer(told.log, "api.example.com", answer, ())
    assert told.lines() == []


def test_dead_resolver_is_told_once_for_all_names() -> None:
    told = Told(Level.INFO, lambda: 0.0)
    for number in range(60):
        answer = Answer(plain(["192.0.2.1"]), stale=True, error="timeout")
        tell_answer(told.log, f"p{number}.example.com", answer, ("192.0.2.1",))
    (first, summary) = told.lines()
    assert first[0] == "name.stale"
    assert (summary[2]["of"], summary[2]["count"]) == ("name.stale", 59)


def test_failed_probes_of_one_edge_are_counted_together(told: Told) -> None:
    outcome = Outcome(Result.TIMEOUT, detail="no handshake within 1 s")
    for _ in range(3):
        tell_probe(told.log, TARGET, outcome)
    first, summary = told.lines()
    assert first == (
        "probe.failed",
        "DEBUG",
        {
            "edge": "dublin",
            "address": "192.0.2.1",
            "name": "api.example.com",
            "result": "timeout",
            "error": "no handshake within 1 s",
        },
    )
    assert summary[2]["about"] == "dublin, timeout"
    assert summary[2]["count"] == 2


def test_rejection_counts_errors_and_tells_the_first(told: Told) -> None:
    problems = [
        Problem("f.yaml", 1, 1, "a", "odd", severity=Severity.WARNING),
        Problem("f.yaml", 2, 3, "b", "wrong"),
        Problem("f.yaml", 4, 5, "c", "wrong, too"),
    ]
    tell_rejection(told.log, Path("f.yaml"), ConfigError(problems))
    expected = {"path": "f.yaml", "errors": 2, "first": "f.yaml:2:3: b: wrong"}
    assert told.lines() == [("config.rejected", "ERROR", expected)]


def test_files_written_anew_are_told_with_what_became_of_them(told: Told) -> None:
    pair = (Path("site.pem"), Path("site.key"))
    tell_renewals(told.log, [Renewal(pair), Renewal((Path("ca.pem"),), "it is empty")])
    assert told.lines() == [
        ("certificate.renewed", "INFO", {"path": "site.pem, site.key"}),
        ("certificate.rejected", "ERROR", {"path": "ca.pem", "error": "it is empty"}),
    ]


def test_ranking_is_a_line_for_each_edge_from_the_best_on(
    told: Told,
    make_snapshot: Callable[..., Snapshot],
    make_edge: Callable[..., Edge],
) -> None:
    edges = [
        make_edge("near", 0.010),
        make_edge("link", 0.020, kind=Kind.PRIVATE),
        make_edge("unknown", None),
    ]
    snapshot = make_snapshot(edges, Home("link"))
    tell_ranking(told.log, snapshot, "api")
    rows: list[dict[str, Any]] = [dict(fields) for _, _, fields in told.lines()]
    assert [(r["place"], r["edge"], r["kind"], r["tier"]) for r in rows] == [
        (1, "link", "private", 0),
        (2, "near", "public", 1),
        (3, "unknown", "public", 1),
    ]
    assert rows[0]["score_ms"] == 20.0
    assert rows[1]["gain_ms"] == 10.0
    assert "score_ms" not in rows[2]
    assert "gain_ms" not in rows[2]


def test_contradicted_and_followed_advice_are_told(told: Told) -> None:
    tell_arrivals(told.log, Contradicted("trunk", "ashburn-ix", "ashburn", 18, 20))
    tell_arrivals(told.log, Followed("trunk", "ashburn-ix"))
    expected = {
        "listener": "trunk", "advised": "ashburn-ix", "edge": "ashburn",
        "flows": 18, "looked": 20,
    }  # fmt: skip
    assert told.lines() == [
        ("advice.contradicted", "WARNING", expected),
        ("advice.followed", "INFO", {"listener": "trunk", "advised": "ashburn-ix"}),
    ]
