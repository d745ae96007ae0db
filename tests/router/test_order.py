"""The order of edges and endpoints: usable, measured, home, tier, score."""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.endpoint import Kind
from router.health import State
from router.order import grade, order, order_edges, tiers
from router.snapshot import Edge, Home, Score, Settings, Snapshot

SCORES = st.none() | st.builds(
    lambda value, samples: Score(value, value, samples=samples),
    st.floats(0.001, 0.5),
    st.sampled_from([0, 6, 60]),
)
EDGES = st.lists(
    st.builds(
        Edge,
        name=st.sampled_from([f"edge{number}" for number in range(8)]),
        kind=st.sampled_from(Kind),
        state=st.sampled_from(State),
        since=st.just(0.0),
        score=SCORES,
        drained=st.none() | st.just(0.0),
        flips=st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda edge: edge.name,
)
FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def names(snapshot: Snapshot) -> list[str]:
    """The edges of the product in order."""
    return [service.endpoint.edge for service in order(snapshot, "api")]


@FIXTURES
@given(edges=EDGES, home=st.integers(0, 9))
def test_down_is_never_before_up(make_snapshot: Any, edges: Any, home: int) -> None:
    snapshot = make_snapshot(edges, Home(f"edge{home}"))
    states = [service.state for service in order(snapshot, "api")]
    for before, after in itertools.pairwise(states):
        assert not (before is State.DOWN and after is not State.DOWN)


@FIXTURES
@given(edges=EDGES, home=st.integers(0, 9))
def test_unmeasured_is_never_before_a_measured_one_of_equal_health(
    make_snapshot: Any, edges: Any, home: int
) -> None:
    snapshot = make_snapshot(edges, Home(f"edge{home}"))
    ranked = [snapshot.edges[name] for name in names(snapshot)]
    for place, edge in enumerate(ranked):
        for later in ranked[place + 1 :]:
            if edge.state is later.state and edge.draining is later.draining:
                assert not (edge.score is None and later.score is not None)


def test_home_is_first_then_the_rest_by_score(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [make_edge("far", 0.2), make_edge("near", 0.01), make_edge("mid", 0.05)]
    assert names(make_snapshot(edges)) == ["near", "mid", "far"]
    assert names(make_snapshot(edges, Home("mid"))) == ["mid", "near", "far"]


def test_old_scores_rank_between_fresh_ones_and_none(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [
        make_edge("unknown", None),
        make_edge("old", 0.01, samples=0),
        make_edge("fresh", 0.2),
    ]
    assert names(make_snapshot(edges, Home("old"))) == ["fresh", "old", "unknown"]


def test_default_edge_is_first_of_the_unmeasured(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [make_edge(name, None, State.SUSPECT) for name in "abc"]
    assert names(make_snapshot(edges)) == ["a", "b", "c"]
    preference = Settings(default_edge="c")
    assert names(make_snapshot(edges, settings=preference)) == ["c", "a", "b"]


def test_draining_edge_is_last_of_the_usable(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [
        make_edge("down", 0.01, State.DOWN),
        make_edge("draining", 0.01, draining=True),
        make_edge("suspect", 0.3, State.SUSPECT),
    ]
    assert names(make_snapshot(edges)) == ["suspect", "draining", "down"]
    assert order_edges(make_snapshot(edges)) == ["suspect", "draining", "down"]


def test_answering_is_the_better_kind_of_down() -> None:
    assert grade(State.DOWN, True, False) < grade(State.DOWN, False, False)
    assert grade(State.SUSPECT, False, True) < grade(State.DOWN, True, False)


@pytest.mark.parametrize(
    ("extra", "tier"), [(-0.01, 0), (0.039, 0), (0.041, 1), (0.06, 1)]
)
def test_private_edge_wins_unless_it_is_much_slower(
    make_snapshot: Any, make_edge: Any, extra: float, tier: int
) -> None:
    edges = [
        make_edge("public", 0.050),
        make_edge("private", 0.050 + extra, kind=Kind.PRIVATE),
    ]
    snapshot = make_snapshot(edges)
    assert tiers(snapshot) == {"public": 1, "private": tier}
    assert names(snapshot)[0] == ("public" if tier else "private")


def test_private_home_keeps_its_tier_a_little_longer(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [make_edge("public", 0.050), make_edge("ix", 0.095, kind=Kind.PRIVATE)]
    assert tiers(make_snapshot(edges))["ix"] == 1
    assert tiers(make_snapshot(edges, Home("ix")))["ix"] == 0


def test_private_edge_without_a_public_one_is_of_the_better_tier_once_measured(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [
        make_edge("ix", 0.5, kind=Kind.PRIVATE),
        make_edge("unknown-ix", None, kind=Kind.PRIVATE),
    ]
    assert tiers(make_snapshot(edges)) == {"ix": 0, "unknown-ix": 1}
