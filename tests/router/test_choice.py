"""Which target a flow takes, and which one next."""

import dataclasses
import pickle
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.target import Target, Transport
from router.choice import Choice, by_link
from router.health import State
from router.location import rotation
from router.routes import prepare
from router.snapshot import Home, Route, Snapshot


class Source:
    """Holds a snapshot, as the checker does."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot


def targets(label: str, count: int) -> tuple[Target, ...]:
    """Addresses of one endpoint."""
    return tuple(
        Target(f"192.0.2.{number}", 443, Transport.TLS, f"api.{label}", label=label)
        for number in range(count)
    )


@pytest.fixture
def choice_of(make_snapshot: Any) -> Any:
    """A choice by a route of these groups, of which so many are not DOWN."""

    def build(
        *groups: tuple[Target, ...], usable: int | None = None, product: str = "api"
    ) -> Choice:
        route = Route(groups, len(groups) if usable is None else usable)
        empty = make_snapshot([])
        snapshot = Snapshot(0.0, empty.settings, Home(), False, {}, {}, {"api": route})
        return Choice(Source(snapshot), product)

    return build


def exhaust(choice: Choice) -> list[Target]:
    """Every target that one flow tries, in order."""
    tried: list[Target] = []
    while (target := choice(tried)) is not None:
        tried.append(target)
        assert len(tried) < 100
    return tried


def test_addresses_of_the_first_group_are_used_in_rotation(choice_of: Any) -> None:
    group = targets("a", 3)
    choice = choice_of(group, targets("b", 2))
    assert [choice(()) for _ in range(6)] == [*group, *group]


@pytest.mark.parametrize("seed", range(20))
def test_weights_are_honoured_among_the_addresses_that_are_left(
    choice_of: Any, seed: int
) -> None:
    """Two share the flows of a third that fails, whoever else asks between."""
    chance = random.Random(seed)
    failing, *others = targets("a", 3)
    weights = (60, 30, 10)
    group = tuple((failing, *others)[turn] for turn in rotation(weights))
    choice = choice_of(group)
    first: Counter[Target] = Counter()
    second: Counter[Target] = Counter()
    for _ in range(6000):
        chosen = choice(())
        first[chosen] += 1
        if chosen == failing:
            second[choice((failing,))] += 1
        for _ in range(chance.randint(0, 2)):
            choice(())
    shares = [first[one] / first.total() for one in (failing, *others)]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.03)
    assert second[others[0]] / second.total() == pytest.approx(0.75, abs=0.06)


def test_two_addresses_of_an_endpoint_are_tried_before_the_next_endpoint(
    choice_of: Any,
) -> None:
    tried = exhaust(choice_of(targets("a", 4), targets("b", 3)))
    assert [target.label for target in tried] == ["a", "a", "b", "b", "a", "a", "b"]
    assert len(set(tried)) == 7


def test_down_targets_come_after_all_others(choice_of: Any) -> None:
    down = targets("c", 1)
    tried = exhaust(choice_of(targets("a", 4), targets("b", 1), down, usable=2))
    assert [target.label for target in tried] == ["a", "a", "b", "a", "a", "c"]


def test_nothing_to_choose_from_is_none(choice_of: Any) -> None:
    assert choice_of()(()) is None
    assert choice_of(targets("a", 1), product="fax")(()) is None
    group = targets("a", 1)
    assert choice_of(group)(list(group)) is None


def test_target_tried_under_older_advice_is_not_tried_again(choice_of: Any) -> None:
    group = targets("a", 1)
    again = pickle.loads(pickle.dumps(group[0]))
    assert choice_of(group)([again]) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    states=st.lists(st.sampled_from(State), min_size=1, max_size=8),
    home=st.integers(0, 8),
    turns=st.integers(0, 3),
)
def test_down_endpoint_is_never_chosen_while_one_that_is_up_is_left(
    make_snapshot: Any, make_edge: Any, states: Any, home: int, turns: int
) -> None:
    edges = [make_edge(f"edge{n}", state=state) for n, state in enumerate(states)]
    bare = make_snapshot(edges, Home(f"edge{home}"))
    routes = {"api": prepare(bare, "api")}
    choice = Choice(
        Source(
            Snapshot(
                0.0, bare.settings, bare.home, False, bare.edges, bare.services, routes
            )
        ),
        "api",
    )
    for _ in range(turns):
        choice(())
    chosen = [bare.edges[target.label].state for target in exhaust(choice)]
    assert sorted(chosen, key=list(State).index) == chosen
    assert len(chosen) == len(states)


def test_choice_is_among_the_endpoints_asked_for_alone(make_snapshot: Any) -> None:
    empty = make_snapshot([])
    groups = (targets("other", 2), targets("ours", 2), targets("ours-down", 1))

    def source(usable: int) -> Source:
        routes = {"api": Route(groups, usable)}
        return Source(
            Snapshot(0.0, empty.settings, Home(), False, {}, {}, routes),
        )

    held = source(2)
    choice = Choice(held, "api", only=lambda target: target.label != "other")
    assert {choice(()), choice(())} == {*groups[1]}
    assert {*exhaust(choice)} == {*groups[1], *groups[2]}
    held.snapshot = source(1).snapshot
    assert choice(groups[1]) == groups[2][0]
    held.snapshot = Snapshot(
        0.0, empty.settings, Home(), False, {}, {}, {"api": Route(groups[:1], 1)}
    )
    assert choice(()) is None


def test_listener_that_demands_privacy_chooses_behind_links_alone(
    choice_of: Any,
) -> None:
    inner = tuple(
        dataclasses.replace(one, device="link1") for one in targets("inner", 2)
    )
    whole = choice_of(targets("outer", 2), inner, targets("other", 1))
    private = Choice(whole._source, "api", only=by_link)
    assert {target.label for target in exhaust(private)} == {"inner"}
