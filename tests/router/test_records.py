"""Endpoints and edges roll up what is known of their parts."""

import dataclasses
from typing import Any

import pytest

from protocols.target import Target
from router.endpoint import Kind, Protocol
from router.health import Health, State
from router.location import Location
from router.records import Cause, EdgeRecord, EndpointRecord, ProbeOrder, Record, best
from router.window import Losses, Window

CAUSE = Cause("a test")
U, S, D = State.UP, State.SUSPECT, State.DOWN


@pytest.fixture
def edge_with(provider: Any) -> Any:
    """An edge with endpoints in these states, each with one address."""

    def build(*states: State) -> EdgeRecord:
        edge = EdgeRecord("a", Kind.PUBLIC, 0.0, Window(10.0), Losses(10.0), 0.2)
        for state in states:
            known = EndpointRecord(provider.endpoint("a"), False, 0.0, state)
            location = Location("192.0.2.1")
            target = known.endpoint.target(location)
            known.locations[target] = location
            health = Health(state)
            protocol = known.endpoint.protocol
            known.targets[target] = Record.of(target, protocol, False, health)
            edge.endpoints.append(known)
        return edge

    return build


@pytest.fixture
def shared(provider: Any) -> tuple[Record, Target, Target]:
    """An address that is UP, and the targets of two products there."""
    api, voice = (
        provider.endpoint("a", product).target(Location("192.0.2.1"))
        for product in ("api", "voice")
    )
    record = Record.of(api, Protocol.HTTPS, False, Health(U))
    record.share(voice)
    return record, api, voice


def test_deadline_of_an_order_is_its_time_out_later(provider: Any) -> None:
    endpoint = provider.endpoint("a")
    target = endpoint.target(Location("192.0.2.1"))
    order = ProbeOrder(1, target, endpoint.protocol, 5.0, 1.5, regular=True)
    assert order.deadline == 6.5


def test_best_is_up_if_any_and_down_only_if_all() -> None:
    assert best([D, U, S]) is U
    assert best([D, S]) is S
    assert best([D, D]) is D
    assert best([]) is D


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((U, U, D), U),
        ((U, D, D), D),
        ((S, S, D), S),
        ((D,), D),
        ((U,), U),
        ((S,), S),
    ],
)
def test_edge_is_down_when_two_endpoints_are_or_all(
    edge_with: Any, states: Any, expected: State
) -> None:
    edge = edge_with(*states)
    flip = edge.judge(5.0, CAUSE)
    assert edge.state is expected
    assert (flip is None) is (expected is S)


def test_edge_without_addresses_is_down_once_all_names_are_known_to_have_none(
    edge_with: Any,
) -> None:
    edge = edge_with(U, U)
    edge.judge(1.0, CAUSE)
    for known in edge.endpoints:
        known.targets.clear()
    edge.endpoints[0].resolved = True
    edge.judge(2.0, CAUSE)
    assert edge.state is S
    edge.endpoints[1].resolved = True
    edge.judge(3.0, CAUSE)
    assert edge.state is D


def test_short_suspicion_does_not_restart_the_clock_of_an_edge(edge_with: Any) -> None:
    edge = edge_with(U)
    for now, state in ((1.0, U), (2.0, S), (3.0, U)):
        edge.endpoints[0].state = state
        edge.judge(now, CAUSE)
    assert (edge.since, edge.failed) == (1.0, float("-inf"))
    edge.endpoints[0].state = D
    flip = edge.judge(4.0, CAUSE)
    assert flip is not None
    assert (flip.lasted, flip.reason) == (3.0, "a test")
    assert (edge.since, edge.failed, list(edge.flips)) == (4.0, 4.0, [4.0])


def test_endpoints_that_share_all_addresses_are_one_witness_against_an_edge(
    edge_with: Any,
) -> None:
    edge = edge_with(D, D, U)
    api, voice, _ = edge.endpoints
    voice.targets = dict(api.targets)
    edge.judge(1.0, CAUSE)
    assert edge.state is U
    assert len(edge.records) == 2


def test_address_has_the_same_advice_by_all_its_names(shared: Any) -> None:
    record, api, voice = shared
    assert record.measure(0.02)
    assert not record.measure(0.03)
    third = dataclasses.replace(api, host="third")
    record.share(third)
    for target in (*record.targets, record.advised(voice)):
        assert (target.patience, target.round_trip) == (pytest.approx(0.14), 0.02)
    assert list(record.targets) == [api, voice, third]


def test_answer_noted_by_a_flow_is_folded_in_once_and_never_back(shared: Any) -> None:
    record, _, _ = shared
    for noted, expected in ((5.0, 5.0), (4.0, 5.0)):
        record.heard = noted
        record.fold()
        assert (record.health.heard, record.heard) == (expected, float("-inf"))


def test_refused_name_is_a_suspect_while_another_is_not(shared: Any) -> None:
    record, api, voice = shared
    assert record.refuse(voice, "expired")
    assert record.health_of(api) is record.health
    suspect = record.health_of(voice)
    assert (suspect.state, suspect.reason) == (S, "expired")
    record.health = Health(D)
    assert record.health_of(voice) is record.health


def test_address_is_to_blame_when_all_its_names_are_refused(shared: Any) -> None:
    record, api, voice = shared
    assert record.refuse(voice, "expired")
    assert record.refuse(voice, "expired")
    assert not record.refuse(api, "expired")
    assert record.health_of(voice) is record.health_of(api) is record.health


def test_name_that_leaves_takes_its_refusal_along(shared: Any) -> None:
    record, api, voice = shared
    record.refuse(voice, "expired")
    assert record.leave(voice)
    assert (list(record.targets), record.refused) == ([api], {})
    assert not record.leave(api)


def test_first_answer_is_marked_once(edge_with: Any) -> None:
    edge = edge_with(S)
    known = edge.endpoints[0]
    (record,) = known.records
    marks = []
    for now, state in enumerate((U, D, U)):
        record.health = Health(state)
        marks.append((known.judge(now, CAUSE).first, edge.judge(now, CAUSE).first))
    assert marks == [(True, True), (False, False), (False, False)]


def test_endpoint_flips_with_its_addresses(edge_with: Any) -> None:
    known = edge_with(U).endpoints[0]
    assert known.judge(1.0, CAUSE) is None
    known.records[0].health = Health(D)
    flip = known.judge(2.0, CAUSE)
    assert flip is not None
    assert (flip.from_, flip.to, flip.product, flip.lasted) == (U, D, "api", 2.0)
    assert known.service().state is D


def test_score_is_quartile_and_penalty_until_it_is_old(edge_with: Any) -> None:
    edge = edge_with(U)
    assert edge.edge(0.0).score is None
    for number in range(40):
        edge.window.add(1.0, 0.020 + number / 1000)
        edge.losses.add(1.0, number < 4)
    edge.measured = True
    score = edge.edge(1.0).score
    assert score.round_trip == pytest.approx(0.029)
    assert score.penalty == pytest.approx(0.020)
    assert score.value == pytest.approx(0.049)
    assert (score.samples, score.lost, score.probes) == (40, 4, 40)
    old = edge.edge(20.0).score
    assert (old.value, old.fresh) == (score.value, False)


def test_loss_is_a_share_of_twenty_probes_at_least(edge_with: Any) -> None:
    edge = edge_with(U)
    edge.window.add(1.0, 0.020)
    edge.losses.add(1.0, True)
    edge.measured = True
    assert edge.edge(1.0).score.penalty == pytest.approx(0.010)


def test_outage_is_no_loss_and_flips_are_forgotten(edge_with: Any) -> None:
    edge = edge_with(D)
    edge.losses.add(1.0, True)
    edge.judge(1.0, CAUSE)
    assert len(edge.losses) == 0
    assert edge.edge(2.0).flips == 1
    assert edge.edge(3602.0).flips == 0
