"""The order of targets, the advice on them, and which to keep warm."""

import dataclasses
from typing import Any

import pytest

from router.health import Health, State
from router.location import Location
from router.routes import LAST_RESORT, alike, patience, prepare
from router.snapshot import Address, Home, Service, Snapshot

UP = Health(State.UP, proved=True, good=3)
SUSPECT = Health(State.SUSPECT, proved=True, probe_failures=1)
ANSWERING = Health(State.DOWN, proved=True, good=1)
DOWN = Health(State.DOWN, proved=True)


def with_addresses(snapshot: Snapshot, **healths: list[Health]) -> Snapshot:
    """The same with these addresses at each edge."""
    services = tuple(
        Service(
            service.endpoint,
            service.state,
            service.since,
            tuple(
                Address(service.endpoint.target(Location(f"192.0.2.{number}")), health)
                for number, health in enumerate(healths[service.endpoint.edge])
            ),
        )
        for service in snapshot.services["api"]
    )
    return dataclasses.replace(snapshot, services={"api": services})


def groups(snapshot: Snapshot) -> list[list[str]]:
    """Edge and last digit of each target."""
    return [
        [f"{target.label}{target.address[-1]}" for target in group]
        for group in prepare(snapshot, "api").groups
    ]


@pytest.mark.parametrize(
    ("round_trip", "seconds"),
    [(None, 0.5), (0.001, 0.1), (0.050, 0.260), (0.200, 0.860), (0.900, 1.0)],
)
def test_patience_is_four_round_trips_within_limits(
    round_trip: float | None, seconds: float
) -> None:
    assert patience(round_trip) == pytest.approx(seconds)


def test_up_before_suspect_before_down_home_first(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [make_edge("a", 0.05), make_edge("b", 0.02), make_edge("c", 0.03)]
    snapshot = with_addresses(
        make_snapshot(edges, Home("a")),
        a=[UP, SUSPECT, DOWN, UP],
        b=[DOWN, UP],
        c=[ANSWERING, SUSPECT],
    )
    assert groups(snapshot) == [
        ["a0", "a3"],
        ["b1"],
        ["a1"],
        ["c1"],
        ["c0"],
        ["a2"],
        ["b0"],
    ]
    assert prepare(snapshot, "api").usable == 4


def test_draining_addresses_come_before_those_that_are_down(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [make_edge("a", draining=True), make_edge("b")]
    snapshot = with_addresses(make_snapshot(edges), a=[UP], b=[DOWN, SUSPECT])
    assert groups(snapshot) == [["b1"], ["a0"], ["b0"]]


def test_receivers_keep_their_order(make_snapshot: Any, make_edge: Any) -> None:
    snapshot = make_snapshot([make_edge("b", 0.1), make_edge("a", 0.01)])
    site = dataclasses.replace(snapshot, edges={})
    assert groups(with_addresses(site, b=[UP], a=[UP])) == [["b0"], ["a0"]]
    assert groups(with_addresses(site, b=[DOWN], a=[UP])) == [["a0"], ["b0"]]


def weighted(snapshot: Snapshot, *known: tuple[int, int, Health]) -> Snapshot:
    """The same with addresses of these priorities and weights at the first edge."""
    first, *others = snapshot.services["api"]
    addresses = tuple(
        Address(first.endpoint.target(Location(f"192.0.2.{n}")), health, order, weight)
        for n, (order, weight, health) in enumerate(known)
    )
    services = (dataclasses.replace(first, addresses=addresses), *others)
    return dataclasses.replace(snapshot, services={"api": services})


def test_addresses_come_by_priority_once_they_are_as_healthy(
    make_snapshot: Any, make_edge: Any
) -> None:
    snapshot = weighted(
        make_snapshot([make_edge("a", 0.01), make_edge("b", 0.02)]),
        (20, 1, UP),
        (10, 1, UP),
        (10, 1, UP),
        (10, 1, SUSPECT),
        (0, 1, DOWN),
    )
    assert groups(snapshot) == [["a1", "a2"], ["a0"], ["b2"], ["a3"], ["a4"]]


def test_address_is_in_the_rotation_as_often_as_its_weight_asks_for(
    make_snapshot: Any, make_edge: Any
) -> None:
    snapshot = weighted(
        make_snapshot([make_edge("a")]), (10, 30, UP), (10, 10, UP), (10, 10, SUSPECT)
    )
    assert groups(snapshot) == [["a0", "a0", "a1", "a0"], ["a2"]]
    assert [t.address for t in prepare(snapshot, "api").warm] == [
        "192.0.2.0",
        "192.0.2.1",
        "192.0.2.2",
    ]


def test_hopeless_targets_share_little_patience(
    make_snapshot: Any, make_edge: Any
) -> None:
    snapshot = with_addresses(
        make_snapshot([make_edge("a"), make_edge("b")]),
        a=[DOWN, DOWN, ANSWERING],
        b=[DOWN, dataclasses.replace(SUSPECT, probe_failures=3)],
    )
    waits = {
        str(target): target.patience
        for group in prepare(snapshot, "api").groups
        for target in group
    }
    assert waits.pop("a 192.0.2.2:443") == 1.0
    assert set(waits.values()) == {LAST_RESORT / 4}


def test_first_endpoint_and_runner_up_are_kept_warm_with_four_addresses_each(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [make_edge("a", 0.01), make_edge("b", 0.02), make_edge("c", 0.03)]
    snapshot = with_addresses(
        make_snapshot(edges), a=[UP] * 3 + [SUSPECT] * 3, b=[UP] * 2, c=[UP]
    )
    warm = [f"{t.label}{t.address[-1]}" for t in prepare(snapshot, "api").warm]
    assert warm == ["a0", "a1", "a2", "a3", "b0", "b1"]


def test_nothing_gives_an_empty_route(make_snapshot: Any, make_edge: Any) -> None:
    snapshot = with_addresses(make_snapshot([make_edge("a")]), a=[])
    route = prepare(snapshot, "api")
    assert (route.groups, route.first, route.warm, route.usable) == ((), (), (), 0)
    with pytest.raises(KeyError):
        prepare(snapshot, "fax")


def test_routes_are_alike_only_with_the_same_advice(
    make_snapshot: Any, make_edge: Any
) -> None:
    route = prepare(make_snapshot([make_edge("a")]), "api")
    target = dataclasses.replace(route.groups[0][0], patience=0.3)
    other = dataclasses.replace(route, groups=((target,),))
    assert route == other
    assert alike(route, route)
    assert not alike(route, other)
    assert not alike(route, dataclasses.replace(route, groups=()))


def test_barred_address_is_no_target_not_even_of_last_resort(
    make_snapshot: Any, make_edge: Any
) -> None:
    barred = dataclasses.replace(DOWN, barred=True)
    edges = [make_edge("a"), make_edge("b", state=State.DOWN)]
    snapshot = make_snapshot(edges, Home("a"))
    snapshot = with_addresses(snapshot, a=[barred, barred], b=[barred, DOWN])
    assert groups(snapshot) == [["b1"]]
    assert [target.label for target in prepare(snapshot, "api").warm] == ["b"]
    assert prepare(with_addresses(snapshot, a=[barred], b=[barred]), "api").groups == ()
