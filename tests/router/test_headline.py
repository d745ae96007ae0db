"""The line of `systemctl status`."""

import dataclasses

from router.endpoint import Kind
from router.headline import headline
from router.health import State
from router.policy import Settings
from router.snapshot import Edge, Home, Score, Snapshot


def edge(name: str, state: State = State.UP, trip: float | None = None) -> Edge:
    score = None if trip is None else Score(trip, trip)
    kind = Kind.PRIVATE if name.endswith("-ix") else Kind.PUBLIC
    return Edge(name, kind, state, 0.0, score)


def snapshot(*edges: Edge, home: str | None = None, frozen: bool = False) -> Snapshot:
    known = {one.name: one for one in edges}
    return Snapshot(0.0, Settings(), Home(home), frozen, known, {})


def test_home_and_what_goes_on_and_the_edges_are_told() -> None:
    near, far = edge("ashburn-ix", trip=0.0041), edge("dublin", State.DOWN)
    flows = {"SIP requests": 12, "connections": 0, "sockets": 7}
    assert headline(snapshot(near, far, home="ashburn-ix"), "", flows) == (
        "home ashburn-ix 4.1 ms (private) | 12 SIP requests, 7 sockets | 1/2 edges up"
    )


def test_home_that_is_down_and_a_suspected_uplink_are_told() -> None:
    taken = snapshot(edge("dublin", State.DOWN, 0.08), home="dublin", frozen=True)
    assert headline(taken, "", {}) == (
        "home dublin 80.0 ms (public, down) | idle | 0/1 edges up"
        " | own uplink suspected"
    )


def test_edges_that_nobody_needs_are_not_counted() -> None:
    idle = dataclasses.replace(edge("sydney", State.SUSPECT), used=False)
    told = snapshot(edge("dublin", trip=0.08), idle, home="dublin")
    assert headline(told, "", {}).endswith("| 1/1 edges up")


def test_default_is_home_as_long_as_none_is_chosen() -> None:
    assert headline(snapshot(edge("dublin")), "dublin", {}) == (
        "home dublin not measured (public) | idle | 1/1 edges up"
    )


def test_no_home_at_all_is_told() -> None:
    assert headline(snapshot(), "", {}) == "no home | idle | 0/0 edges up"
