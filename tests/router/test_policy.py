"""Rankings with their reasons."""

import dataclasses
import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.endpoint import Kind
from router.health import State
from router.policy import rank, rank_edges
from router.snapshot import Edge, Home, Pin, Score

NOW = 10_000.0
EDGES = st.lists(
    st.builds(
        Edge,
        name=st.sampled_from([f"edge{number}" for number in range(6)]),
        kind=st.sampled_from(Kind),
        state=st.sampled_from(State),
        since=st.floats(0.0, NOW),
        score=st.none()
        | st.builds(
            Score,
            st.floats(0.001, 0.5),
            st.floats(0.001, 0.5),
            samples=st.sampled_from([0, 6, 60]),
        ),
        drained=st.none() | st.just(0.0),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda edge: edge.name,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=EDGES, home=st.integers(0, 7), frozen=st.booleans())
def test_same_snapshot_and_time_give_the_same_ranking_and_reasons(
    make_snapshot: Any, edges: Any, home: int, frozen: bool
) -> None:
    snapshot = make_snapshot(edges, Home(f"edge{home}"), frozen=frozen)
    ranking = rank(snapshot, "api", now=NOW)
    again = rank(pickle.loads(pickle.dumps(snapshot)), "api", now=NOW)
    assert ranking == again
    assert [str(p.reasons) for p in ranking] == [str(p.reasons) for p in again]
    assert sorted(p.endpoint.edge for p in ranking) == sorted(e.name for e in edges)


def lines(snapshot: Any) -> dict[str, str]:
    """The reasons of each edge in words."""
    return {
        place.endpoint.edge: str(place.reasons)
        for place in rank(snapshot, "api", now=NOW)
    }


def test_reasons_show_the_arithmetic(make_snapshot: Any, make_edge: Any) -> None:
    score = Score(0.0345, 0.0312, penalty=0.0033, samples=61, lost=1, probes=60)
    edges = [
        Edge("ashburn", Kind.PUBLIC, State.UP, NOW - 90.0, score),
        make_edge("dublin", 0.030, since=NOW - 200.0),
        make_edge("sydney", None, State.SUSPECT, since=NOW - 3.0, draining=True),
        make_edge("tokyo", 0.150, samples=0),
    ]
    home = Home("ashburn", NOW - 80.0, NOW, {"dublin": 400.0})
    assert lines(make_snapshot(edges, home)) == {
        "ashburn": "up for 90 s; tier 1; score 34.5 ms = 31.2 ms lower quartile of 61 "
        "in 120 s + 3.3 ms for 1 of 60 lost; home for 80 s",
        "dublin": "up for 200 s; tier 1; score 30.0 ms = 30.0 ms lower quartile of 60 "
        "in 120 s + 0.0 ms for 0 of 0 lost; gain 4.5 ms of 10.0 ms; "
        "leads for 400 s of 1200 s",
        "sydney": "suspect for 3 s; tier 1; draining; not fit to be home: draining",
        "tokyo": "up for 10000 s; tier 1; score 150.0 ms, old; gain -115.5 ms of "
        "10.0 ms; not fit to be home: not measured",
    }


@pytest.mark.parametrize(
    ("challenger", "verdict"),
    [
        ({}, "gains 30.0 ms"),
        ({"score": 0.05}, "0.0 ms slower than home"),
        ({"score": 0.06, "since": NOW - 30.0}, "10.0 ms slower than home"),
        ({"score": 0.049}, "no gain worth a move"),
        ({"score": 0.07, "kind": Kind.PRIVATE}, "of a better tier"),
        ({"state": State.SUSPECT}, "not fit to be home: suspect"),
        ({"since": NOW - 30.0}, "healthy for 30 s of 60 s"),
        ({"samples": 7}, "too few samples to compare"),
        ({"kind": Kind.PRIVATE}, "of a better tier"),
    ],
)
def test_verdict_says_what_is_missing(
    make_snapshot: Any, make_edge: Any, challenger: Any, verdict: str
) -> None:
    edges = [make_edge("home", 0.05), make_edge("other", **challenger)]
    if "score" not in challenger:
        edges[1] = make_edge("other", 0.02, **challenger)
    snapshot = make_snapshot(edges, Home("home"))
    assert lines(snapshot)["other"].endswith(verdict)


def test_verdict_while_home_is_held(make_snapshot: Any, make_edge: Any) -> None:
    edges = [make_edge("home", 0.05), make_edge("other")]
    snapshot = make_snapshot(edges, Home("home", NOW - 9.0))
    assert lines(snapshot)["other"].endswith("home is held for 9 s of 60 s")


def test_verdict_against_a_better_tier(make_snapshot: Any, make_edge: Any) -> None:
    edges = [make_edge("home", 0.05, kind=Kind.PRIVATE), make_edge("other")]
    snapshot = make_snapshot(edges, Home("home"))
    assert lines(snapshot)["other"].endswith("home is of a better tier")


def test_verdict_without_home(make_snapshot: Any, make_edge: Any) -> None:
    assert lines(make_snapshot([make_edge("a")]))["a"].endswith("no home yet")


def test_verdict_while_the_uplink_is_suspected(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [make_edge("home"), make_edge("other")]
    snapshot = make_snapshot(edges, Home("home"), frozen=True)
    assert lines(snapshot)["other"].endswith("our uplink is in doubt: home stays")


def test_verdict_when_home_is_down(make_snapshot: Any, make_edge: Any) -> None:
    edges = [make_edge("home", None, State.DOWN), make_edge("other")]
    snapshot = make_snapshot(edges, Home("home"))
    found = lines(snapshot)
    assert list(found) == ["other", "home"]
    assert found["other"].endswith("home is about to move")
    assert "gain" not in found["other"]


def test_unknown_product_is_a_key_error(make_snapshot: Any, make_edge: Any) -> None:
    with pytest.raises(KeyError):
        rank(make_snapshot([make_edge("a")]), "fax", now=NOW)


@pytest.mark.parametrize(
    ("pin", "home", "other"),
    [
        ("home", "home for 100 s, pinned", "home is pinned"),
        ("other", "home for 100 s", "home is about to move here: pinned"),
    ],
)
def test_pin_is_among_the_reasons(
    make_snapshot: Any, make_edge: Any, pin: str, home: str, other: str
) -> None:
    edges = [make_edge("home", 0.050), make_edge("other", 0.020)]
    state = Home("home", NOW - 100.0)
    snapshot = make_snapshot(edges, state, pin=Pin(pin, NOW + 1.0))
    found = {name: one.verdict for name, one in rank_edges(snapshot, now=NOW).items()}
    assert found == {"home": home, "other": other}


def test_edges_are_ranked_by_their_own_health(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [make_edge("a", 0.050), make_edge("b", 0.020, State.DOWN, since=NOW - 5.0)]
    ranked = rank_edges(make_snapshot(edges, Home("a")), now=NOW)
    assert list(ranked) == ["a", "b"]
    assert (ranked["b"].state, ranked["b"].age) == (State.DOWN, 5.0)


def test_barred_edge_is_not_used_whatever_its_score(
    make_snapshot: Any, make_edge: Any
) -> None:
    barred = dataclasses.replace(
        make_edge("ix", 0.001, State.DOWN), barred="link1 is down"
    )
    snapshot = make_snapshot([make_edge("near"), barred], Home("near"))
    (_, place) = rank(snapshot, "api", now=NOW)
    assert place.reasons.verdict == "nothing is sent there"
