"""Recent changes and samples: what is kept, and for how long."""

from typing import Any

import pytest

from protocols.target import Result, Target, Transport
from router.changes import (
    Flip,
    PinEnded,
    RegionFailed,
    RegionRecovered,
    Stalled,
    UplinkCleared,
    UplinkSuspect,
)
from router.election import Switch
from router.endpoint import Kind
from router.health import State
from router.history import OTHERS, SAMPLES, STALLS, SWITCHES, History, in_words
from router.snapshot import Home

TARGET = Target("192.0.2.1", 443, Transport.TLS, "api.example.com", label="ashburn")
UP, SUSPECT, DOWN = State.UP, State.SUSPECT, State.DOWN


def flip(**changed: Any) -> Flip:
    fields: dict[str, Any] = {
        "edge": "ashburn",
        "product": "",
        "targets": (),
        "from_": UP,
        "to": DOWN,
        "reason": "refused",
        "result": Result.REFUSED,
        "lasted": 60.0,
    }
    return Flip(**fields | changed)


@pytest.fixture
def history() -> History:
    return History()


def test_changes_come_latest_first_with_their_times(history: History) -> None:
    switch = Switch("ashburn", "dublin", "home is down")
    for time, change in ((1.0, flip()), (2.0, switch), (3.0, Stalled(2.0))):
        history.note(change, time)
    assert [(one.time, one.change) for one in history.happenings()] == [
        (3.0, Stalled(2.0)),
        (2.0, switch),
        (1.0, flip()),
    ]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (flip(product="api", to=UP, first=True), False),
        (flip(to=UP, from_=SUSPECT, first=True), True),
        (flip(product="api", targets=(TARGET,), to=SUSPECT), False),
        (flip(product="api", targets=(TARGET,)), True),
        (flip(product="api", to=SUSPECT), True),
    ],
)
def test_passing_doubts_and_first_answers_are_not_kept(
    history: History, change: Flip, kept: bool
) -> None:
    history.note(change, 1.0)
    assert bool(history.happenings()) is kept


def test_flapping_pushes_no_switch_out(history: History) -> None:
    history.note(Switch(None, "ashburn", "the first home"), 0.0)
    for number in range(OTHERS + 1):
        history.note(flip(), float(number))
    assert len(history.happenings()) == OTHERS + 1
    for number in range(SWITCHES):
        history.note(Switch("ashburn", "dublin", "better"), float(number))
    assert len(history.happenings()) == OTHERS + SWITCHES


def test_stalls_push_nothing_else_out(history: History) -> None:
    history.note(flip(), 0.0)
    for number in range(OTHERS):
        history.note(Stalled(2.0), float(number))
    kept = [one.change for one in history.happenings()]
    assert kept == [Stalled(2.0)] * STALLS + [flip()]


def test_reason_of_home_outlives_what_is_kept(history: History) -> None:
    assert history.why_home("ashburn") == ""
    history.note(Switch(None, "ashburn", "the first home"), 0.0)
    assert history.why_home("ashburn") == "the first home"
    assert history.why_home("dublin") == ""


def test_doubt_in_the_uplink_is_dated(history: History) -> None:
    history.note(UplinkSuspect(("a", "b"), 3), 7.0)
    assert history.suspect_since == 7.0


def test_samples_are_bounded_and_gone_with_their_edge(
    history: History, make_snapshot: Any, make_edge: Any
) -> None:
    edges = [
        make_edge("fresh", 0.020),
        make_edge("old", 0.020, samples=0),
        make_edge("dead", 0.020, DOWN),
        make_edge("unknown", None),
    ]
    snapshot = make_snapshot(edges, Home())
    for number in range(SAMPLES + 1):
        history.sample(snapshot, float(number))
    seen = {e.name: history.samples(e.name)[-1].round_trip for e in edges}
    assert seen == {"fresh": 0.020, "old": None, "dead": None, "unknown": None}
    kept = history.samples("fresh")
    assert (len(kept), kept[0].time, kept[-1].time) == (SAMPLES, 1.0, float(SAMPLES))
    history.sample(make_snapshot(edges[1:], Home()), 999.0)
    assert history.samples("fresh") == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (flip(), "ashburn is down: refused"),
        (flip(product="api"), "ashburn for api is down: refused"),
        (
            flip(product="api", targets=(TARGET,)),
            "192.0.2.1 at ashburn for api is down: refused",
        ),
        (Switch(None, "ashburn", "the first home"), "home is ashburn: the first home"),
        (
            Switch("ashburn", "dublin", "gains 9.0 ms", 0.019, 0.010),
            "home moves from ashburn to dublin: gains 9.0 ms (19.0 ms to 10.0 ms)",
        ),
        (
            Switch("ashburn", "dublin", "home is down", 0.019),
            "home moves from ashburn to dublin: home is down",
        ),
        (
            UplinkSuspect(("a", "b"), 3),
            "our uplink is in doubt: a, b fail at once; home stays",
        ),
        (
            UplinkCleared(3.0, "2 of 3 edges answer"),
            "our uplink is in doubt no more: 2 of 3 edges answer",
        ),
        (
            RegionFailed(3, "refused", Result.REFUSED),
            "none of 3 edges is of use: refused",
        ),
        (
            RegionRecovered(9.0, "dublin"),
            "dublin is of use again, after 9 s of none",
        ),
        (Stalled(2.04), "our event loop stalled for 2.0 s"),
        (PinEnded("dublin"), "dublin is pinned no more: its time is over"),
    ],
)
def test_change_in_words(change: Any, words: str) -> None:
    assert in_words(change) == words


def test_kinds_of_edges_do_not_matter_here(
    history: History, make_snapshot: Any, make_edge: Any
) -> None:
    edge = make_edge("ix", 0.004, kind=Kind.PRIVATE)
    history.sample(make_snapshot([edge]), 0.0)
    assert history.samples("ix")[0].round_trip == 0.004
