"""Changes, answers and rankings become lines of the log."""

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
from router.election import Switch
from router.endpoint import Kind
from router.events import Level
from router.health import State
from router.lines import Fields
from router.logs import Log
from router.names import Answer
from router.problem import ConfigError, Problem, Severity
from router.sinks import Said
from router.snapshot import Edge, Home, Snapshot
from router.telling import (
    tell_answer,
    tell_change,
    tell_probe,
    tell_ranking,
    tell_rejection,
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

    def __init__(self) -> None:
        self._memory = Memory()
        self.log = Log(self._memory, level=Level.DEBUG)

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
    assert fields["before"] == ""
    assert not {"home_ms", "before_ms", "gain_ms", "needed_ms"} & fields.keys()


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
    ("answer", "event"),
    [
        (Answer(("192.0.2.1",), ttl=60.0), "name.resolved"),
        (Answer(("192.0.2.1",), stale=True, error="timeout"), "name.stale"),
        (Answer(error="timeout"), "name.unresolved"),
        (Answer(gone=True), "name.gone"),
    ],
)
def test_answer_becomes_its_event(told: Told, answer: Answer, event: str) -> None:
    tell_answer(told.log, "api.example.com", answer, ("192.0.2.2",))
    ((said, _, fields),) = told.lines()
    assert said == event
    assert fields["name"] == "api.example.com"


def test_failed_probes_of_one_edge_are_counted_together(told: Told) -> None:
    outcome = Outcome(Result.TIMEOUT, detail="no handshake within 1 s")
    for _ in range(3):
        tell_probe(told.log, TARGET, outcome)
    first, summary = told.lines()
    assert first == (
        "probe.failed",
        "INFO",
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
