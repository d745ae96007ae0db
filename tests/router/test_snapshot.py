"""The values that decisions read."""

import dataclasses
from typing import Any

import pytest

from router.health import Health, State
from router.location import Location
from router.snapshot import Address, Route, Score, Service


def test_score_without_samples_is_not_fresh() -> None:
    assert Score(0.02, 0.02, samples=1).fresh
    assert not Score(0.02, 0.02).fresh


def test_service_answers_while_one_address_does(provider: Any) -> None:
    endpoint = provider.endpoint("a")
    silent = Address(endpoint.target(Location("192.0.2.1")), Health(State.DOWN))
    answering = Address(
        endpoint.target(Location("192.0.2.2")), Health(State.DOWN, good=1)
    )
    assert not Service(endpoint, State.DOWN, 0.0, (silent,)).answering
    assert Service(endpoint, State.DOWN, 0.0, (silent, answering)).answering


def test_warm_targets_of_an_unknown_product_are_none(
    make_snapshot: Any, make_edge: Any, provider: Any
) -> None:
    target = provider.endpoint("a").target(Location("192.0.2.1"))
    snapshot = dataclasses.replace(
        make_snapshot([make_edge("a")]), routes={"api": Route(warm=(target,))}
    )
    assert snapshot.warm("api") == (target,)
    assert snapshot.warm("fax") == ()


def test_snapshot_cannot_be_changed(make_snapshot: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_snapshot([]).frozen = True


def test_route_without_groups_has_no_first_targets() -> None:
    assert Route().first == ()
