"""The arithmetic, and what would have to change: checked in words."""

import dataclasses
from typing import Any

import pytest

from router.endpoint import Kind, Protocol
from router.explanation import SCHEMA, explain
from router.health import State
from router.snapshot import Home, Pin, Service

NOW = 10_000.0
HOME = Home("home", NOW - 600.0)


def moves(snapshot: Any) -> dict[str, str]:
    """What would have to happen, by edge."""
    found = explain(snapshot, now=NOW)
    return {one["edge"]: one["moves"] for one in found["edges"]}


def test_explanation_holds_rules_scores_and_sums(
    make_snapshot: Any, make_edge: Any
) -> None:
    snapshot = make_snapshot([make_edge("home", 0.050), make_edge("far", 0.080)], HOME)
    found = explain(snapshot, now=NOW)
    assert (found["schema"], found["home"]) == (SCHEMA, "home")
    assert found["rules"][0] == (
        "score = lower quartile of the round trips of 120 s + 200.0 ms x lost share of "
        "the probes of 300 s"
    )
    home, far = found["edges"]
    assert (home["edge"], home["kind"], home["home"]) == ("home", "public", True)
    assert far["gain_ms"] == -30.0
    assert far["sum"].endswith("30.0 ms slower than home")
    (api,) = found["products"]
    assert api["why"] == "new flows go to home: it is home"
    assert [one["edge"] for one in api["edges"]] == ["home", "far"]


def test_explanation_of_one_protocol_leaves_the_others_out(
    make_snapshot: Any, make_edge: Any
) -> None:
    snapshot = make_snapshot([make_edge("home")], HOME)
    assert explain(snapshot, now=NOW, protocol=Protocol.SIP)["products"] == []
    assert explain(snapshot, now=NOW, protocol=Protocol.HTTPS)["products"]


@pytest.mark.parametrize(
    ("other", "state", "told"),
    [
        (
            {"score": 0.045},
            HOME,
            "becomes home below 40.0 ms, or below 48.0 ms for 1200 s (0 s so far)",
        ),
        (
            {"score": 0.045},
            Home("home", NOW - 20.0),
            "becomes home below 40.0 ms, in 40 s at the earliest, or below 48.0 ms for "
            "1200 s (0 s so far)",
        ),
        ({"draining": True}, HOME, "becomes home only once it is undrained"),
        ({"score": None}, HOME, "becomes home only once it is measured"),
        ({"samples": 0}, HOME, "becomes home only once it is measured"),
        ({"state": State.DOWN}, HOME, "becomes home only once it is up"),
        (
            {"kind": Kind.PRIVATE, "score": 0.060, "since": NOW - 50.0},
            HOME,
            "becomes home since its tier is better, in 10 s at the earliest",
        ),
        ({}, Home(), "the best edge becomes home once all are measured"),
    ],
)
def test_what_moves_home_to_an_edge(
    make_snapshot: Any, make_edge: Any, other: Any, state: Home, told: str
) -> None:
    edges = [make_edge("home", 0.050), make_edge("other", **other)]
    assert moves(make_snapshot(edges, state))["other"] == told


def test_home_of_a_better_tier_is_told(make_snapshot: Any, make_edge: Any) -> None:
    edges = [make_edge("home", 0.050, kind=Kind.PRIVATE), make_edge("other", 0.020)]
    assert moves(make_snapshot(edges, HOME))["other"].startswith(
        "becomes home only once its tier is as good as home's"
    )


def test_home_tells_what_it_is_left_for(make_snapshot: Any, make_edge: Any) -> None:
    edges = [make_edge("home", 0.050), make_edge("other", 0.045)]
    assert moves(make_snapshot(edges, HOME))["home"].startswith("stays home until")
    assert moves(make_snapshot(edges, HOME, frozen=True)) == {
        "home": "nothing moves home while our uplink is in doubt",
        "other": "nothing moves home while our uplink is in doubt",
    }
    dead = [make_edge("home", 0.050, State.DOWN), make_edge("other", 0.045)]
    assert moves(make_snapshot(dead, HOME))["other"] == "may become home at once"


def test_pin_is_explained(make_snapshot: Any, make_edge: Any) -> None:
    edges = [make_edge("home", 0.050), make_edge("other", 0.020)]
    pinned = make_snapshot(edges, HOME, pin=Pin("home", NOW + 90.0))
    assert moves(pinned) == {
        "home": "stays home for 90 s more, unless it is down or drained",
        "other": "becomes home at the earliest when the pin ends, or home fails",
    }
    elsewhere = make_snapshot(edges, HOME, pin=Pin("other", NOW + 90.0))
    assert moves(elsewhere)["other"] == "may become home at once"


def whys(snapshot: Any) -> list[str]:
    return [one["why"] for one in explain(snapshot, now=NOW)["products"]]


def test_product_that_does_not_go_home_tells_why(
    make_snapshot: Any, make_edge: Any, provider: Any
) -> None:
    def at(edge: str, state: State = State.UP, product: str = "api") -> Service:
        return Service(provider.endpoint(edge, product), state, 0.0, ())

    edges = [make_edge("home"), make_edge("other")]
    services = {
        "api": (at("home", State.DOWN), at("other")),
        "voice": (at("other", product="voice"),),
        "hooks": (at("10.0.0.20:80", product="hooks"),),
    }
    snapshot = make_snapshot(edges, HOME, services=services)
    assert whys(snapshot) == [
        "new flows go to other: at home it is down",
        "new flows go to other: it is not offered at home",
    ]
    assert whys(make_snapshot(edges, Home())) == [
        "new flows go to home: there is no home yet"
    ]
    assert whys(make_snapshot(edges, HOME, refusing=True)) == [
        "new flows are refused: all edges are drained"
    ]


def test_gain_that_nothing_can_reach_is_left_out(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [make_edge("home", 0.009), make_edge("other", 0.080)]
    told = moves(make_snapshot(edges, HOME))["other"]
    assert told == "becomes home below 8.5 ms for 1200 s (0 s so far)"


def test_barred_edge_is_told_with_the_reason(
    make_snapshot: Any, make_edge: Any
) -> None:
    barred = dataclasses.replace(
        make_edge("ix", state=State.DOWN, kind=Kind.PRIVATE), barred="link1 is down"
    )
    snapshot = make_snapshot([make_edge("home"), barred], HOME)
    assert moves(snapshot)["ix"] == "is used again once this is over: link1 is down"
    (_, ix) = explain(snapshot, now=NOW)["edges"]
    assert ix["sum"].endswith("nothing is sent there")
    alone = make_snapshot([barred], Home("ix", NOW))
    (api,) = explain(alone, now=NOW)["products"]
    assert api["why"] == (
        "new flows are refused: ix is barred, and no other edge is left"
    )
