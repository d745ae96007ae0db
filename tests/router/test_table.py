"""The table in virtual time: detection, our own faults, order, and what it costs."""

import dataclasses
import itertools
import json
import pickle
from typing import Any

import pytest

from protocols.target import ALIVE, Outcome, Result
from router import health, policy
from router.changes import (
    Flip,
    PinEnded,
    RegionFailed,
    RegionRecovered,
    Stalled,
    UplinkCleared,
    UplinkSuspect,
)
from router.endpoint import Kind, Protocol
from router.health import State
from router.location import Location, plain
from router.policy import Switch
from router.records import Exit, ProbeOrder
from router.saved import SavedError
from router.scope import Scope
from router.snapshot import Pin, Route, Snapshot
from router.table import Table

NEAR = {"ashburn": 0.020, "dublin": 0.040, "sydney": 0.200, "tokyo": 0.150}
EIGHT = {f"edge{number}": 0.020 + 0.030 * number for number in range(8)}
TIMEOUT = Outcome(Result.TIMEOUT)


def first(snapshot: Snapshot, product: str = "api") -> str:
    """Where a new flow goes."""
    return snapshot.routes[product].first[0].label


def flips(provider: Any, to: State) -> list[tuple[float, str]]:
    """When each edge as a whole turned so."""
    return [
        (when, change.edge)
        for when, change in provider.changes
        if isinstance(change, Flip) and not change.product and change.to is to
    ]


def of_type(provider: Any, kind: type) -> list[Any]:
    """The changes of one kind."""
    return [change for _, change in provider.changes if isinstance(change, kind)]


def home_of(snapshot: Snapshot) -> str | None:
    """The name of the home edge."""
    return snapshot.home.edge


def test_start_finds_the_nearest_edge(provider: Any) -> None:
    table = provider.table(NEAR)
    assert first(table.snapshot(0.0)) == "ashburn"
    snapshot = provider.run(table, 10.0)
    assert home_of(snapshot) == "ashburn"
    assert [
        target.label for group in snapshot.routes["api"].groups for target in group
    ] == ["ashburn", "dublin", "tokyo", "sydney"]
    (switch,) = of_type(provider, Switch)
    assert (switch.from_, switch.to, switch.reason) == (
        None,
        "ashburn",
        "the first home",
    )


def test_default_edge_is_first_until_something_is_measured(provider: Any) -> None:
    preference = policy.Settings(default_edge="tokyo")
    table = provider.table(NEAR, preference=preference)
    assert first(table.snapshot(0.0)) == "tokyo"
    assert first(provider.run(table, 2.0)) == "ashburn"


@pytest.mark.parametrize("seed", range(20))
def test_blackholed_home_is_left_at_once_and_down_within_3_5_s(
    provider: Any, seed: int
) -> None:
    provider.chance.seed(seed)
    table = provider.table(NEAR)
    provider.run(table, 30.0 + seed / 10)
    start = provider.now
    provider.dead.add("ashburn")
    while first(table.snapshot(provider.now)) == "ashburn":
        provider.run(table, provider.now + 0.01)
    assert provider.now - start <= 2.5
    provider.run(table, start + 3.5)
    assert [edge for _, edge in flips(provider, State.DOWN)] == ["ashburn"]
    assert home_of(table.snapshot(provider.now)) == "dublin"
    assert of_type(provider, Switch)[-1].reason == "home is down"


def test_blackholed_home_far_away_is_down_within_3_5_s(provider: Any) -> None:
    table = provider.table({"sydney": 0.240, "tokyo": 0.300})
    provider.run(table, 30.0)
    provider.dead.add("sydney")
    provider.run(table, 33.5)
    assert [edge for _, edge in flips(provider, State.DOWN)] == ["sydney"]


def test_refused_edge_is_left_at_the_first_refusal_and_down_at_the_second(
    provider: Any,
) -> None:
    table = provider.table(NEAR)
    snapshot = provider.run(table, 30.0)
    home = snapshot.routes["api"].first[0]
    provider.refusing.add("ashburn")
    refused = Outcome(Result.REFUSED, detail="connection refused")
    provider.live(table, home, refused)
    assert first(table.snapshot(provider.now)) == "dublin"
    provider.run(table, 30.3)
    assert [edge for _, edge in flips(provider, State.DOWN)] == ["ashburn"]


@pytest.mark.parametrize("stall", [0.7, 2.0, 10.0])
def test_stalled_event_loop_marks_no_edge_down(provider: Any, stall: float) -> None:
    table = provider.table(EIGHT)
    for _ in range(20):
        provider.run(table, provider.now + 10.0)
        provider.now += stall  # answers and time-outs wait meanwhile
        for number, (_, count, order, _) in enumerate(provider.under_way):
            late = (provider.now, count, order, TIMEOUT)
            provider.under_way[number] = late
        table.stalled(provider.now, stall)
        provider.step(table)
    assert flips(provider, State.DOWN) == []
    assert len(of_type(provider, Stalled)) == 20


def test_time_out_that_is_late_itself_shows_a_stall(provider: Any) -> None:
    table = provider.table(NEAR)
    provider.run(table, 10.0)
    table.changes()
    orders: list[ProbeOrder] = []
    while not orders:
        provider.now = table.next_due()
        orders = table.due(provider.now)
    late = orders[0].deadline + 0.6
    table.observe(orders[0].target, TIMEOUT, late, orders[0])
    (stalled,) = table.changes()
    assert isinstance(stalled, Stalled)
    assert stalled.late == pytest.approx(0.6)
    assert table.snapshot(late).edges["ashburn"].state is State.UP


def test_all_edges_failing_at_once_is_our_uplink(provider: Any) -> None:
    table = provider.table(EIGHT)
    provider.run(table, 60.0)
    provider.dead |= set(EIGHT)
    snapshot = provider.run(table, 90.0)
    assert snapshot.frozen
    assert home_of(snapshot) == "edge0"
    assert flips(provider, State.DOWN) == []
    (suspicion,) = of_type(provider, UplinkSuspect)
    assert len(suspicion.failing) * 2 > suspicion.edges
    assert of_type(provider, RegionFailed) == []
    provider.dead.clear()
    snapshot = provider.run(table, 95.0)
    assert not snapshot.frozen
    assert home_of(snapshot) == "edge0"
    assert first(snapshot) == "edge0"
    (cleared,) = of_type(provider, UplinkCleared)
    assert cleared.lasted > 25.0
    assert len(of_type(provider, Switch)) == 1


def test_most_edges_dead_for_good_are_condemned_when_one_answers(
    provider: Any,
) -> None:
    table = provider.table(EIGHT)
    provider.run(table, 60.0)
    provider.dead |= set(EIGHT) - {"edge7"}
    snapshot = provider.run(table, 64.0)
    assert snapshot.frozen
    assert first(snapshot) == "edge7"
    snapshot = provider.run(table, 90.0)
    assert not snapshot.frozen
    assert home_of(snapshot) == "edge7"
    assert of_type(provider, UplinkCleared)[0].reason == "edge7 answers all the while"


def test_last_edge_to_fall_fails_the_region_once_until_one_is_up_again(
    provider: Any,
) -> None:
    table = provider.table(NEAR)
    provider.run(table, 60.0)
    for edge in NEAR:
        assert of_type(provider, RegionFailed) == []
        provider.refusing.add(edge)
        provider.run(table, provider.now + 60.0)
    provider.run(table, provider.now + 600.0)
    (failed,) = of_type(provider, RegionFailed)
    assert (failed.edges, failed.result) == (len(NEAR), Result.REFUSED)
    assert "failures" in failed.reason
    assert of_type(provider, RegionRecovered) == []
    provider.refusing.remove("tokyo")
    provider.run(table, provider.now + 100.0)
    (recovered,) = of_type(provider, RegionRecovered)
    assert recovered.edge == "tokyo"
    assert 600.0 < recovered.lasted < 800.0


def test_all_edges_answering_with_server_errors_fail_the_region_not_the_uplink(
    provider: Any,
) -> None:
    table = provider.table(NEAR)
    route = provider.run(table, 60.0).routes["api"]
    for target in [target for group in route.groups for target in group]:
        for _ in range(5):
            provider.live(table, target, Outcome(Result.SERVER_ERROR))
    provider.run(table, 61.0)
    (failed,) = of_type(provider, RegionFailed)
    assert failed.result is Result.SERVER_ERROR
    assert of_type(provider, UplinkSuspect) == []
    provider.run(table, 80.0)
    assert len(of_type(provider, RegionRecovered)) == 1


def test_all_hopeless_targets_together_cost_less_than_a_tenth_of_a_second(
    provider: Any,
) -> None:
    table = provider.table(EIGHT)
    provider.run(table, 60.0)
    provider.dead |= set(EIGHT)
    route = provider.run(table, 90.0).routes["api"]
    waits = [target.patience for group in route.groups for target in group]
    assert len(waits) == 8
    assert sum(waits) <= 0.050001


def test_recovered_edge_is_used_at_once_when_nothing_else_works(provider: Any) -> None:
    table = provider.table({"ashburn": 0.02})
    provider.run(table, 10.0)
    provider.dead.add("ashburn")
    snapshot = provider.run(table, 20.0)
    assert snapshot.edges["ashburn"].state is State.DOWN
    hopeless = snapshot.routes["api"].first[0].patience
    provider.dead.clear()
    snapshot = provider.run(table, 25.0)
    assert snapshot.edges["ashburn"].state is State.DOWN
    assert snapshot.routes["api"].first[0].patience > hopeless


def test_among_the_down_the_one_that_answers_again_comes_first(provider: Any) -> None:
    table = provider.table(NEAR)
    provider.run(table, 60.0)
    for edge in ("sydney", "tokyo", "dublin", "ashburn"):
        provider.refusing.add(edge)
        provider.run(table, provider.now + 60.0)
    provider.refusing.remove("sydney")
    snapshot = provider.run(table, provider.now + 20.0)
    assert snapshot.edges["sydney"].state is State.DOWN
    assert first(snapshot) == "sydney"


@pytest.mark.long
def test_two_near_edges_with_jitter_for_a_day_switch_at_most_once(
    provider: Any,
) -> None:
    settings = health.Settings(interval=10.0)  # fewer samples: the harder case
    table = provider.table({"one": 0.025, "two": 0.020}, settings=settings)
    provider.jitter = 0.005
    provider.run(table, 86_400.0)
    assert len(of_type(provider, Switch)) <= 2  # the first home included
    assert home_of(table.snapshot(provider.now)) == "two"


@pytest.mark.long
def test_five_percent_loss_for_an_hour_condemns_nothing(provider: Any) -> None:
    table = provider.table(NEAR)
    provider.loss = 0.05
    provider.run(table, 3600.0)
    assert flips(provider, State.DOWN) == []
    assert len(of_type(provider, Switch)) == 1
    score = table.snapshot(provider.now).edges["ashburn"].score
    assert score is not None
    assert score.lost / score.probes == pytest.approx(0.05, abs=0.04)
    assert score.value == pytest.approx(0.020 + 0.2 * score.lost / score.probes)


def test_home_returns_after_recovery_and_probation(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020, "dublin": 0.080})
    provider.run(table, 60.0)
    provider.dead.add("ashburn")
    provider.run(table, 120.0)
    provider.dead.clear()
    provider.run(table, 300.0)
    back = of_type(provider, Switch)[-1]
    assert (back.from_, back.to) == ("dublin", "ashburn")
    assert back.gain == pytest.approx(0.060)
    assert back.needed == pytest.approx(0.016)
    (up,) = [when for when, edge in flips(provider, State.UP) if when > 60]
    assert 180.0 <= up <= 184.0
    (switched,) = [w for w, change in provider.changes if change is back]
    assert 60.0 <= switched - up <= 63.0


@pytest.mark.long
def test_flapping_edge_is_left_alone(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020, "dublin": 0.080})
    provider.run(table, 60.0)
    for _ in range(40):
        provider.dead.add("ashburn")
        provider.run(table, provider.now + 20.0)
        provider.dead.clear()
        provider.run(table, provider.now + 70.0)
    assert len(of_type(provider, Switch)) <= 4


def test_edge_with_two_endpoints_down_is_down(provider: Any) -> None:
    edges = ("ashburn", "dublin")
    products = ("api", "voice", "video")
    table = Table(
        dict.fromkeys(edges, Kind.PUBLIC),
        [provider.endpoint(edge, product) for edge in edges for product in products],
        now=0.0,
        uniform=provider.chance.uniform,
    )
    provider.round_trips = {"ashburn": 0.02, "dublin": 0.05}
    for number, name in enumerate(table.names):
        table.addresses(name, plain([f"192.0.2.{number}"]), 0.0)
    snapshot = provider.run(table, 30.0)
    assert snapshot.home.edge == "ashburn"
    refused = Outcome(Result.REFUSED)

    def refuse(product: str) -> Snapshot:
        target = snapshot.routes[product].first[0]
        for _ in range(2):
            provider.live(table, target, refused)
        return table.snapshot(provider.now)

    after = refuse("api")
    assert after.edges["ashburn"].state is State.UP
    assert after.home.edge == "ashburn"
    assert first(after) == "dublin"
    assert first(after, "video") == "ashburn"
    after = refuse("voice")
    assert after.edges["ashburn"].state is State.DOWN
    assert after.home.edge == "dublin"
    assert first(after, "video") == "dublin"


def test_failure_at_one_endpoint_has_the_others_of_its_edge_probed_at_once(
    provider: Any,
) -> None:
    table = Table(
        {"ashburn": Kind.PUBLIC},
        [provider.endpoint("ashburn", product) for product in ("api", "voice")],
        now=0.0,
        uniform=provider.chance.uniform,
    )
    provider.round_trips = {"ashburn": 0.02}
    table.addresses("api.ashburn.example.com", plain(["192.0.2.1"]), 0.0)
    table.addresses("voice.ashburn.example.com", plain(["192.0.2.2", "192.0.2.3"]), 0.0)
    snapshot = provider.run(table, 31.0)
    while provider.under_way or any(
        provider.now - order.sent < 0.2 for order in provider.orders
    ):
        provider.run(table, provider.now + 0.05)
    provider.live(table, snapshot.routes["api"].first[0], Outcome(Result.RESET))
    probed = {order.target.address for order in table.due(provider.now)}
    assert probed == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}


@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_options_to_one_address_keep_their_distance(provider: Any, loss: float) -> None:
    table = Table(
        {"ashburn": Kind.PUBLIC, "dublin": Kind.PUBLIC},
        [
            provider.endpoint(edge, product, Protocol.SIP, resolve=address)
            for edge, address in (("ashburn", "192.0.2.1"), ("dublin", "192.0.2.2"))
            for product in ("pstn", "sip")
        ],
        now=0.0,
        uniform=provider.chance.uniform,
    )
    provider.round_trips = {"ashburn": 0.02, "dublin": 0.05}
    provider.loss = loss
    while provider.now < 1200.0:
        snapshot = provider.run(table, provider.now + 5.0)
        for group in snapshot.routes["sip"].groups:
            for outcome in (Outcome(Result.SILENT), Outcome(Result.RESET), ALIVE):
                provider.live(table, group[0], outcome)
    sent: dict[str, list[float]] = {}
    for order in provider.orders:
        sent.setdefault(order.target.address, []).append(order.sent)
    assert set(sent) == {"192.0.2.1", "192.0.2.2"}
    for times in sent.values():
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert min(gaps) >= 15.0
        assert len(times) >= 1200 / 20


def test_home_and_two_alternates_are_probed_often_the_others_now_and_then(
    provider: Any,
) -> None:
    table = provider.table(EIGHT)
    provider.run(table, 30.0)
    provider.orders.clear()
    provider.run(table, 290.0)
    count = dict.fromkeys(EIGHT, 0)
    for order in provider.orders:
        count[order.target.label] += 1
    often = [count[edge] for edge in ("edge0", "edge1", "edge2")]
    seldom = [count[f"edge{number}"] for number in range(3, 8)]
    assert all(130 <= number <= 150 for number in often)
    assert all(9 <= number <= 14 for number in seldom), seldom


def test_everything_is_probed_every_five_minutes(provider: Any) -> None:
    table = provider.table(EIGHT)
    provider.run(table, 300.0)
    provider.orders.clear()
    provider.run(table, 302.1)
    assert {order.target.label for order in provider.orders} == set(EIGHT)


def test_silent_flow_and_silent_probe_make_a_suspect_within_patience(
    provider: Any,
) -> None:
    table = provider.table({"ashburn": 0.001, "dublin": 0.002})
    snapshot = provider.run(table, 30.0)
    target = snapshot.routes["api"].first[0]
    assert target.patience == 0.1
    while provider.under_way:
        provider.run(table, provider.now + 0.01)
    provider.dead.add("ashburn")
    start = provider.now
    provider.live(table, target, Outcome(Result.SILENT))
    provider.run(table, start + 0.09)
    assert first(table.snapshot(provider.now)) == "ashburn"
    provider.run(table, start + 0.11)
    assert first(table.snapshot(provider.now)) == "dublin"
    assert flips(provider, State.DOWN) == []


def test_slow_answers_of_a_living_edge_change_nothing(provider: Any) -> None:
    table = provider.table(NEAR)
    provider.run(table, 30.0)
    provider.orders.clear()
    for _ in range(300):
        target = table.snapshot(provider.now).routes["api"].first[0]
        provider.live(table, target, Outcome(Result.SILENT))
        provider.run(table, provider.now + 0.1)
        provider.live(table, target)
    assert flips(provider, State.SUSPECT) == []
    asked = [order for order in provider.orders if order.target.label == "ashburn"]
    assert len(asked) <= 30 + 16 + 2  # one a second, beside the regular ones


def test_probe_unanswered_while_a_flow_is_answered_is_no_doubt(provider: Any) -> None:
    table = provider.table(NEAR)
    provider.run(table, 30.0)
    provider.dead.add("ashburn")  # for probes; live flows are answered
    while provider.now < 40.0:
        target = table.snapshot(provider.now).routes["api"].first[0]
        assert target.label == "ashburn"
        provider.live(table, target)
        provider.run(table, provider.now + 0.02)


def test_answer_to_a_flow_is_hot_only_where_it_changes_nothing(provider: Any) -> None:
    table = provider.table(NEAR)
    target = provider.run(table, 30.0).routes["api"].first[0]
    assert target.key in table.carefree
    provider.live(table, target, Outcome(Result.SERVER_ERROR))
    table.snapshot(30.0)
    assert target.key not in table.carefree
    provider.live(table, target)
    table.snapshot(30.0)
    assert target.key in table.carefree


def test_answer_over_a_connection_older_than_its_advice_is_hot_too(
    provider: Any,
) -> None:
    table = provider.table(NEAR)
    target = provider.run(table, 30.0).routes["api"].first[0]
    before = dataclasses.replace(target, patience=9.0)
    record = table.carefree[before.key]
    assert record.target == target
    provider.now = 31.0
    provider.live(table, before)
    assert record.heard == 31.0


def test_unknown_target_and_order_are_ignored(provider: Any) -> None:
    table = provider.table(NEAR)
    snapshot = provider.run(table, 30.0)
    stranger = provider.endpoint("nowhere").target(Location("192.0.2.77"))
    table.observe(stranger, TIMEOUT, 30.0)
    order = provider.orders[0]
    table.observe(order.target, TIMEOUT, 30.0, order)
    assert table.snapshot(30.0) is snapshot


def test_address_that_vanishes_leaves_and_a_new_one_is_probed(provider: Any) -> None:
    table = provider.table(NEAR)
    provider.run(table, 30.0)
    table.addresses("api.ashburn.example.com", plain(["192.0.2.1", "192.0.2.51"]), 30.0)
    snapshot = provider.run(table, 35.0)
    both = {target.address for target in snapshot.routes["api"].first}
    assert both == {"192.0.2.1", "192.0.2.51"}
    table.addresses("api.ashburn.example.com", plain(["192.0.2.51"]), 35.0)
    snapshot = provider.run(table, 40.0)
    assert [t.address for t in snapshot.routes["api"].first] == ["192.0.2.51"]
    provider.orders.clear()
    provider.run(table, 60.0)
    assert "192.0.2.1" not in {order.target.address for order in provider.orders}


def test_name_that_ceases_to_exist_takes_its_edge_down(provider: Any) -> None:
    table = provider.table(NEAR)
    provider.run(table, 30.0)
    table.addresses("api.ashburn.example.com", plain([]), 30.0)
    snapshot = table.snapshot(30.0)
    assert snapshot.home.edge == "dublin"
    assert "ashburn" not in {t.label for g in snapshot.routes["api"].groups for t in g}


def test_addresses_of_a_name_are_bounded_and_distinct(provider: Any) -> None:
    table = provider.table(NEAR)
    found = ["192.0.2.1"] * 9 + [f"198.51.100.{number}" for number in range(99)]
    table.addresses("api.ashburn.example.com", plain(found), 0.0)
    assert len(table.snapshot(0.0).services["api"][0].addresses) == 16


def test_names_are_those_that_are_no_addresses(provider: Any) -> None:
    table = Table(
        {"ashburn": Kind.PUBLIC},
        [provider.endpoint("ashburn"), provider.endpoint("ashburn", "voice")],
        [provider.endpoint("10.0.0.2:80", "hooks", resolve="10.0.0.2")],
        now=0.0,
        uniform=provider.chance.uniform,
    )
    assert table.names == ("api.ashburn.example.com", "voice.ashburn.example.com")
    receiver = table.snapshot(0.0).routes["hooks"].first[0]
    assert receiver.address == "10.0.0.2"
    assert table.names_of(receiver) == ()
    table.addresses("api.ashburn.example.com", plain(["192.0.2.1"]), 0.0)
    target = table.snapshot(0.0).routes["api"].first[0]
    assert table.names_of(target) == ("api.ashburn.example.com",)


def test_receivers_keep_their_order_and_share_what_is_known_of_an_address(
    provider: Any,
) -> None:
    receivers = [
        provider.endpoint(f"10.0.0.{n}:80", product, resolve=f"10.0.0.{n}")
        for product in ("hooks", "more")
        for n in (3, 2)
    ]
    receivers = [
        receiver.__class__(
            **{
                field: getattr(receiver, field)
                for field in receiver.__dataclass_fields__
            }
            | {"host": receiver.edge}
        )
        for receiver in receivers
    ]
    table = Table({}, [], receivers, now=0.0, uniform=provider.chance.uniform)
    provider.round_trips = {"10.0.0.3:80": 0.002, "10.0.0.2:80": 0.001}
    snapshot = provider.run(table, 10.0)
    assert first(snapshot, "hooks") == first(snapshot, "more") == "10.0.0.3:80"
    target = snapshot.routes["hooks"].first[0]
    provider.live(table, target, Outcome(Result.REFUSED))
    snapshot = table.snapshot(10.0)
    assert first(snapshot, "hooks") == first(snapshot, "more") == "10.0.0.2:80"
    assert snapshot.home.edge is None
    per_target = len({order.target for order in provider.orders})
    assert per_target == 2
    table.addresses("10.0.0.3", plain([]), 10.0)
    assert len(table.snapshot(10.0).routes["hooks"].groups) == 1


def test_drained_edge_is_last_among_the_usable_and_home_moves(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020, "dublin": 0.040})
    provider.run(table, 30.0)
    table.drain("ashburn", 0.0)
    snapshot = table.snapshot(30.0)
    assert first(snapshot) == "dublin"
    assert [change.reason for change in table.changes()] == ["home is draining"]
    provider.refusing.add("dublin")
    assert first(provider.run(table, 35.0)) == "ashburn"
    provider.refusing.clear()
    table.undrain("ashburn")
    snapshot = table.snapshot(35.0)
    assert not snapshot.edges["ashburn"].draining
    with pytest.raises(KeyError):
        table.drain("atlantis", 0.0)


def test_saved_scores_and_addresses_order_the_next_start(provider: Any) -> None:
    table = provider.table({"ashburn": 0.050, "dublin": 0.020})
    provider.run(table, 30.0)
    data = json.loads(json.dumps(table.saved(30.0)))
    again = Table(
        {"ashburn": Kind.PUBLIC, "dublin": Kind.PUBLIC},
        [provider.endpoint("ashburn"), provider.endpoint("dublin")],
        now=0.0,
        uniform=provider.chance.uniform,
    )
    again.restore(data | {"unknown": 1}, 0.0)
    snapshot = again.snapshot(0.0)
    assert snapshot.routes["api"].first[0].address == "192.0.2.2"
    score = snapshot.edges["dublin"].score
    assert score is not None
    assert not score.fresh
    assert snapshot.home.edge is None


def test_ports_priorities_and_weights_outlive_a_restart(provider: Any) -> None:
    name = "_sip._udp.pstn.example"
    endpoint = provider.endpoint("ashburn", "pstn", Protocol.SIP, resolve=name)

    def table() -> Table:
        return Table(
            {"ashburn": Kind.PUBLIC},
            [endpoint],
            now=0.0,
            uniform=provider.chance.uniform,
        )

    before, after = table(), table()
    found = (
        Location("192.0.2.1", 5070, 10, 3),
        Location("192.0.2.1", 5080, 10, 1),
        Location("192.0.2.2", 5070, 20, 1),
    )
    before.addresses(name, found, 0.0)
    after.restore(json.loads(json.dumps(before.saved(0.0))), 0.0)
    for one in (before, after):
        groups = one.snapshot(0.0).routes["pstn"].groups
        at = [[(target.address[-1], target.port) for target in g] for g in groups]
        assert at == [
            [("1", 5070), ("1", 5070), ("1", 5080), ("1", 5070)],
            [("2", 5070)],
        ]
    after.addresses(name, found[:1] + found[2:], 1.0)
    assert len(after.snapshot(1.0).routes["pstn"].first) == 1


@pytest.mark.parametrize(
    ("ended", "age", "first"),
    [(True, 4.0, 10.5), (True, 60.0, 0.0), (True, -1.0, 15.0), (False, 4.0, 15.0)],
)
def test_options_after_a_restart_keep_their_distance_to_those_before(
    provider: Any, ended: bool, age: float, first: float
) -> None:
    """By what was saved at the end; after a crash, as if all was asked just then."""

    def table() -> Table:
        return Table(
            {"ashburn": Kind.PUBLIC},
            [provider.endpoint("ashburn", "pstn", Protocol.SIP, resolve="192.0.2.1")],
            now=provider.now,
            uniform=lambda low, high: low,
        )

    provider.round_trips = {"ashburn": 0.02}
    before = table()
    provider.run(before, 0.5)
    (order,) = provider.orders
    assert order.sent == 0.0
    data = json.loads(json.dumps(before.saved(provider.now, ended=ended)))
    provider.now = start = 1000.0
    after = table()
    after.restore(data, start, age=age)
    provider.run(after, start + 100.0)
    assert provider.orders[1].sent == pytest.approx(start + first)


def test_unsound_saved_data_changes_nothing(provider: Any) -> None:
    table = provider.table(NEAR)
    before = table.snapshot(0.0)
    data = {
        "version": 1,
        "scores": {"ashburn": 0.1},
        "addresses": {"api.ashburn.example.com": ["no address"]},
    }
    with pytest.raises(SavedError):
        table.restore(data, 0.0)
    assert table.snapshot(0.0) is before


def test_saved_data_does_not_overrule_what_is_known(provider: Any) -> None:
    table = provider.table(NEAR)
    provider.run(table, 30.0)
    table.restore(
        {
            "version": 1,
            "scores": {"ashburn": 9.0, "atlantis": 1.0},
            "addresses": {"api.ashburn.example.com": ["203.0.113.1"]},
        },
        30.0,
    )
    snapshot = table.snapshot(30.0)
    assert first(snapshot) == "ashburn"
    assert snapshot.routes["api"].first[0].address == "192.0.2.1"


def test_snapshot_is_the_same_until_something_changes_and_can_be_pickled(
    provider: Any,
) -> None:
    table = provider.table(NEAR)
    snapshot = provider.run(table, 30.0)
    assert table.snapshot(30.1) is snapshot
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot
    later = provider.run(table, 33.0)
    assert later is not snapshot
    assert later.routes is snapshot.routes


def test_advice_on_a_target_follows_its_round_trip(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020})
    assert table.snapshot(0.0).routes["api"].first[0].patience == 0.5
    route: Route = provider.run(table, 30.0).routes["api"]
    assert route.first[0].patience == pytest.approx(0.140)
    assert route.first[0].round_trip == pytest.approx(0.020)
    provider.round_trips["ashburn"] = 0.040
    route = provider.run(table, 90.0).routes["api"]
    assert route.first[0].patience == pytest.approx(0.220, abs=0.03)


def test_live_flow_may_bring_a_round_trip(provider: Any) -> None:
    table = provider.table(NEAR)
    target = table.snapshot(0.0).routes["api"].first[0]
    table.observe(target, Outcome(Result.ALIVE, round_trip=0.033), 0.0)
    score = table.snapshot(0.0).edges["ashburn"].score
    assert score is not None
    assert score.round_trip == 0.033


def test_flip_tells_all_about_itself(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020})
    target = provider.run(table, 30.0).routes["api"].first[0]
    table.changes()
    table.observe(target, Outcome(Result.RESET, detail="reset by peer"), 30.0)
    address, edge = table.changes()
    assert isinstance(address, Flip)
    assert address.targets == (target,)
    assert (address.product, address.from_, address.to) == (
        "api",
        State.UP,
        State.SUSPECT,
    )
    assert (address.reason, address.result) == ("reset by peer", Result.RESET)
    assert 29.0 < address.lasted < 30.0
    assert isinstance(edge, Flip)
    assert (edge.edge, edge.product, edge.targets) == ("ashburn", "", ())


PRODUCTS = tuple(f"product{number}" for number in range(12))
ADDRESSES = {
    edge: [f"192.0.2.{10 * place + n}" for n in range(4)]
    for place, edge in enumerate(("ashburn", "dublin", "tokyo"))
}


@pytest.fixture
def twelve(provider: Any) -> Table:
    """Twelve products at three edges with four addresses each."""
    provider.round_trips = {edge: NEAR[edge] for edge in ADDRESSES}
    table = Table(
        dict.fromkeys(ADDRESSES, Kind.PUBLIC),
        [provider.endpoint(e, product) for e in ADDRESSES for product in PRODUCTS],
        now=0.0,
        uniform=provider.chance.uniform,
    )
    for product in PRODUCTS:
        for edge, found in ADDRESSES.items():
            table.addresses(f"{product}.{edge}.example.com", plain(found), 0.0)
    return table


def test_products_of_an_edge_share_probes_and_each_name_has_its_turn(
    provider: Any, twelve: Table
) -> None:
    provider.run(twelve, 60.0)
    assert len(provider.orders) <= 9 * 60
    home = [o.target for o in provider.orders if o.target.address == "192.0.2.0"]
    assert {target.host for target in home[:12]} == {
        f"{product}.ashburn.example.com" for product in PRODUCTS
    }


def test_first_probes_take_a_second_and_everything_is_measured_soon_after(
    provider: Any, twelve: Table
) -> None:
    snapshot = provider.run(twelve, 1.0)
    first_probes = provider.orders[:12]
    assert [order.target.label for order in first_probes] == sorted(
        order.target.label for order in first_probes
    )
    assert first_probes[-1].sent - first_probes[0].sent > 0.5
    snapshot = provider.run(twelve, 1.5)
    assert all(edge.score is not None for edge in snapshot.edges.values())


def test_edge_that_dies_is_told_in_a_handful_of_lines_that_name_all_targets(
    provider: Any, twelve: Table
) -> None:
    snapshot = provider.run(twelve, 30.0)
    lost = {
        target
        for product in PRODUCTS
        for target in snapshot.routes[product].first
        if target.label == "ashburn"
    }
    assert len(lost) == 48
    provider.changes.clear()
    provider.dead.add("ashburn")
    provider.run(twelve, 40.0)
    told = of_type(provider, Flip)
    assert len(told) <= 10
    fallen = {t for flip in told if flip.to is State.DOWN for t in flip.targets}
    assert fallen == lost
    assert {flip.product for flip in told} == {", ".join(PRODUCTS), ""}


def test_flow_of_one_product_warns_the_others_at_its_address(
    provider: Any, twelve: Table
) -> None:
    route = provider.run(twelve, 30.0).routes["product3"]
    bad = route.first[0]
    provider.live(twelve, bad, Outcome(Result.REFUSED))
    snapshot = twelve.snapshot(30.0)
    for product in PRODUCTS:
        first_choice = {target.address for target in snapshot.routes[product].first}
        assert first_choice == set(ADDRESSES["ashburn"]) - {bad.address}
    assert len(twelve.names_of(bad)) == 12


@pytest.mark.parametrize("result", [Result.CERTIFICATE, Result.TLS])
def test_handshake_refused_by_one_name_is_no_fault_of_the_others(
    provider: Any, twelve: Table, result: Result
) -> None:
    provider.run(twelve, 30.0)
    answer = provider.answer

    def wrong(order: ProbeOrder) -> tuple[float, Outcome]:
        when, outcome = answer(order)
        if order.target.host == "product3.ashburn.example.com":
            outcome = Outcome(result, detail="expired")
        return when, outcome

    provider.answer = wrong
    snapshot = provider.run(twelve, 90.0)
    assert first(snapshot, "product3") == "dublin"
    assert first(snapshot, "product4") == "ashburn"
    assert snapshot.edges["ashburn"].state is State.UP
    told = [flip for flip in of_type(provider, Flip) if flip.to is State.SUSPECT]
    assert [(f.product, f.reason, f.result) for f in told] == [
        ("product3", "expired", result)
    ] * 5
    provider.live(twelve, snapshot.routes["product3"].groups[1][0])
    provider.answer = answer
    snapshot = provider.run(twelve, 150.0)
    assert first(snapshot, "product3") == "ashburn"


def test_handshakes_refused_by_all_names_condemn_the_edge(
    provider: Any, twelve: Table
) -> None:
    provider.run(twelve, 30.0)
    answer = provider.answer

    def wrong(order: ProbeOrder) -> tuple[float, Outcome]:
        when, outcome = answer(order)
        if order.target.label == "ashburn":
            outcome = Outcome(Result.CERTIFICATE, detail="expired")
        return when, outcome

    provider.answer = wrong
    snapshot = provider.run(twelve, 50.0)
    assert snapshot.edges["ashburn"].state is State.DOWN
    assert {first(snapshot, product) for product in PRODUCTS} == {"dublin"}


def test_pinned_edge_is_home_until_its_time_is_over(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020, "dublin": 0.040})
    provider.run(table, 30.0)
    table.changes()
    table.pin("dublin", 60.0)
    snapshot = table.snapshot(30.0)
    assert (snapshot.home.edge, snapshot.pin) == ("dublin", Pin("dublin", 60.0))
    assert provider.run(table, 59.0).home.edge == "dublin"
    assert provider.run(table, 62.0).pin is None
    ended = [change for _, change in provider.changes if isinstance(change, PinEnded)]
    assert ended == [PinEnded("dublin")]
    table.pin("dublin", 999.0)
    table.unpin()
    assert table.snapshot(62.0).pin is None
    with pytest.raises(KeyError):
        table.pin("atlantis", 99.0)


def test_all_edges_drained_have_no_routes_until_one_is_not(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020, "dublin": 0.040})
    provider.run(table, 30.0)
    table.refuse(30.0)
    snapshot = table.snapshot(30.0)
    assert snapshot.refusing
    assert snapshot.routes["api"].groups == ()
    assert all(edge.drained == 30.0 for edge in snapshot.edges.values())
    table.drain("ashburn", 31.0)
    assert table.snapshot(31.0).edges["ashburn"].drained == 30.0
    table.undrain("dublin")
    assert first(table.snapshot(31.0)) == "dublin"


def test_probes_that_are_asked_for_are_sent_at_once(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020, "dublin": 0.040})
    provider.run(table, 30.0)
    sent = len(provider.orders)
    asked = table.ask("dublin", 30.0)
    assert [(protocol, target.label) for protocol, target in asked] == [
        (Protocol.HTTPS, "dublin")
    ]
    provider.step(table)
    assert "dublin" in {order.target.label for order in provider.orders[sent:]}
    assert table.awaits(asked[0][1])
    assert {target.label for _, target in table.ask(None, 30.0)} == {
        "ashburn",
        "dublin",
    }


# ---- Another configuration -----------------------------------------------------------


def scope(provider: Any, *edges: str, **fields: Any) -> Scope:
    """The product `api` at these edges."""
    return Scope(
        **{
            "kinds": dict.fromkeys(edges, Kind.PUBLIC),
            "endpoints": tuple(provider.endpoint(edge) for edge in edges),
            "receivers": (),
            "settings": health.Settings(),
            "preference": policy.Settings(),
            **fields,
        }
    )


def targets(snapshot: Snapshot, product: str = "api") -> list[str]:
    """The edges of a route, from the best to the worst."""
    return [group[0].label for group in snapshot.routes[product].groups]


def test_change_keeps_what_is_known_of_edges_that_stay(provider: Any) -> None:
    table = provider.table(NEAR)
    before = provider.run(table, 30.0)
    provider.changes.clear()
    table.change(scope(provider, "tokyo", "dublin", "ashburn"), provider.now)
    after = table.snapshot(provider.now)
    assert after is not before
    assert home_of(after) == "ashburn"
    assert list(after.edges) == ["tokyo", "dublin", "ashburn"]
    for name, edge in after.edges.items():
        assert edge.score == before.edges[name].score
        assert edge.state is State.UP
    assert targets(after) == ["ashburn", "dublin", "tokyo"]
    provider.orders.clear()
    provider.run(table, 60.0)
    assert {order.target.label for order in provider.orders} == {*after.edges}
    assert provider.changes == []


def test_change_to_the_same_changes_nothing(provider: Any) -> None:
    table = provider.table(NEAR)
    before = provider.run(table, 30.0)
    table.change(scope(provider, *NEAR), provider.now)
    assert table.snapshot(provider.now).routes is before.routes
    assert table.changes() == ()


def test_home_that_is_removed_is_followed_by_another_at_once(provider: Any) -> None:
    table = provider.table(NEAR)
    provider.run(table, 30.0)
    table.change(scope(provider, "dublin", "sydney", "tokyo"), provider.now)
    snapshot = table.snapshot(provider.now)
    assert home_of(snapshot) == "dublin"
    assert targets(snapshot) == ["dublin", "tokyo", "sydney"]
    (switch,) = [one for one in table.changes() if isinstance(one, Switch)]
    assert (switch.from_, switch.to, switch.reason) == (
        "ashburn",
        "dublin",
        "home is gone",
    )
    # It may come back, and knows nothing of its earlier life.
    table.change(scope(provider, *NEAR), provider.now)
    assert table.snapshot(provider.now).edges["ashburn"].score is None
    assert home_of(table.snapshot(provider.now)) == "dublin"


def test_answer_from_an_edge_that_was_removed_is_not_taken(provider: Any) -> None:
    table = provider.table(NEAR)
    provider.run(table, 30.0)
    gone = table.snapshot(provider.now).routes["api"].first[0]
    assert gone.label == "ashburn"
    table.change(scope(provider, "dublin", "sydney", "tokyo"), provider.now)
    table.changes()
    provider.live(table, gone, TIMEOUT)
    provider.live(table, gone)
    assert table.changes() == ()
    assert table.names_of(gone) == ()


def test_edge_that_is_added_is_measured_and_may_become_home(provider: Any) -> None:
    table = provider.table({"sydney": 0.200, "tokyo": 0.150})
    provider.run(table, 30.0)
    provider.round_trips["ashburn"] = 0.020
    table.change(scope(provider, "sydney", "tokyo", "ashburn"), provider.now)
    assert "api.ashburn.example.com" in table.names
    assert home_of(table.snapshot(provider.now)) == "tokyo"
    table.addresses("api.ashburn.example.com", plain(["192.0.2.99"]), provider.now)
    snapshot = provider.run(table, 32.0)
    assert snapshot.edges["ashburn"].state is State.UP
    assert home_of(provider.run(table, 240.0)) == "ashburn"


def test_change_of_thresholds_counts_from_the_next_failure_on(provider: Any) -> None:
    table = provider.table(NEAR)
    provider.run(table, 30.0)
    patient = health.Settings(fall=100, timeout=0.5)
    table.change(scope(provider, *NEAR, settings=patient), provider.now)
    provider.orders.clear()
    provider.dead.add("ashburn")
    provider.run(table, 36.0)
    assert flips(provider, State.DOWN) == []
    assert {order.timeout for order in provider.orders} == {0.5}
    table.change(scope(provider, *NEAR), provider.now)
    provider.run(table, 40.0)
    assert [edge for _, edge in flips(provider, State.DOWN)] == ["ashburn"]


def test_change_of_the_window_forgets_what_is_older(provider: Any) -> None:
    table = provider.table(NEAR)
    before = provider.run(table, 100.0).edges["ashburn"].score
    short = policy.Settings(window=30.0, min_gain=0.5)
    table.change(scope(provider, *NEAR, preference=short), provider.now)
    snapshot = table.snapshot(provider.now)
    assert snapshot.settings is short
    after = snapshot.edges["ashburn"].score
    assert before is not None
    assert after is not None
    assert 0 < after.samples < before.samples


def test_receivers_that_change_places_keep_what_is_known_of_them(
    provider: Any,
) -> None:
    provider.round_trips = dict.fromkeys(["a", "b"], 0.001)
    one, two = (
        dataclasses.replace(provider.endpoint(name, "hooks"), resolve=address)
        for name, address in (("a", "198.51.100.1"), ("b", "198.51.100.2"))
    )
    table = Table({}, [], [one, two], now=0.0, uniform=provider.chance.uniform)
    assert targets(provider.run(table, 10.0), "hooks") == ["a", "b"]
    table.change(scope(provider, receivers=(two, one)), provider.now)
    snapshot = table.snapshot(provider.now)
    assert targets(snapshot, "hooks") == ["b", "a"]
    assert {one.state for one in snapshot.services["hooks"]} == {State.UP}
    # A listener of another name has the same receivers: they are known by address.
    table.change(scope(provider), provider.now)
    assert "hooks" not in table.snapshot(provider.now).routes
    assert table.due(provider.now + 60.0) == []


def test_edge_is_judged_anew_by_the_products_that_are_left(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020, "dublin": 0.040})
    both = tuple(
        provider.endpoint(edge, product)
        for edge in ("ashburn", "dublin")
        for product in ("api", "voice")
    )
    table.change(scope(provider, "ashburn", "dublin", endpoints=both), provider.now)
    for edge in ("ashburn", "dublin"):
        table.addresses(f"voice.{edge}.example.com", plain(["192.0.2.50"]), 0.0)
    provider.run(table, 30.0)
    voice = table.snapshot(30.0).services["voice"]
    assert {one.state for one in voice} == {State.UP}
    only_api = scope(provider, "ashburn", "dublin")
    for target in [a.target for a in voice[0].addresses]:
        for _ in range(3):
            provider.live(table, target, Outcome(Result.REFUSED))
    assert table.snapshot(30.0).services["voice"][0].state is State.DOWN
    table.change(only_api, provider.now)
    snapshot = table.snapshot(provider.now)
    assert list(snapshot.services) == ["api"]
    assert snapshot.edges["ashburn"].state is State.UP


def test_region_is_lost_with_the_last_edge_that_worked(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020, "dublin": 0.040, "tokyo": 0.100})
    provider.run(table, 30.0)
    provider.refusing.add("dublin")
    provider.run(table, 50.0)
    table.change(scope(provider, "dublin"), provider.now)
    (failed,) = [one for one in table.changes() if isinstance(one, RegionFailed)]
    assert (failed.edges, failed.reason) == (1, "new configuration")
    table.change(scope(provider, "dublin"), provider.now)
    assert table.changes() == ()


def test_configuration_without_the_provider_knows_no_region(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020})
    provider.run(table, 30.0)
    table.changes()
    table.change(scope(provider, "ashburn", endpoints=()), provider.now)
    assert table.snapshot(provider.now).routes == {}
    assert table.changes() == ()


def test_endpoint_at_an_edge_that_is_not_there_is_refused(provider: Any) -> None:
    table = provider.table({"ashburn": 0.020})
    foreign = (provider.endpoint("nowhere"),)
    with pytest.raises(KeyError):
        table.change(scope(provider, "ashburn", endpoints=foreign), 0.0)


# ---- Addresses that may not be used --------------------------------------------------

PRIVATE_AND_PUBLIC = {"ix": 0.020, "iy": 0.025, "near": 0.030, "far": 0.060}
IX, IY = Exit("link1", None, "192.0.2.1"), Exit("link2", None, "192.0.2.2")
FREE = {IX: "", IY: ""}


def linked(provider: Any) -> Table:
    """Two private edges, each behind a link of its own, and two public ones."""
    provider.round_trips = dict(PRIVATE_AND_PUBLIC)
    devices = {"ix": "link1", "iy": "link2"}
    table = Table(
        {
            edge: Kind.PRIVATE if edge in devices else Kind.PUBLIC
            for edge in provider.round_trips
        },
        [
            dataclasses.replace(provider.endpoint(edge), device=devices.get(edge))
            for edge in provider.round_trips
        ],
        now=provider.now,
        uniform=provider.chance.uniform,
    )
    for number, edge in enumerate(provider.round_trips):
        found = plain([f"192.0.2.{number + 1}"])
        table.addresses(f"api.{edge}.example.com", found, provider.now)
    return table


def probed(provider: Any, since: float) -> set[str]:
    """The edges that were probed from a time on."""
    return {order.target.label for order in provider.orders if order.sent >= since}


def test_edge_that_has_no_endpoint_is_of_no_use(provider: Any) -> None:
    kinds = {"ashburn": Kind.PUBLIC, "dublin": Kind.PUBLIC}
    table = Table(
        kinds, [provider.endpoint("ashburn")], now=0.0, uniform=provider.chance.uniform
    )
    edges = table.snapshot(0.0).edges
    assert {name: edge.used for name, edge in edges.items()} == {
        "ashburn": True,
        "dublin": False,
    }


def test_new_address_behind_a_link_is_used_only_once_its_way_is_known(
    provider: Any,
) -> None:
    table = linked(provider)
    assert table.exits == {IX: "ix", IY: "iy"}
    snapshot = provider.run(table, 10.0)
    assert probed(provider, 0.0) == {"near", "far"}
    assert snapshot.edges["ix"].state is State.SUSPECT
    assert snapshot.edges["ix"].barred == "the way there is not yet known"
    table.bar({IX: "", IY: "link2 is down"}, provider.now)
    snapshot = provider.run(table, 100.0)
    assert probed(provider, 10.0) == {"ix", "near", "far"}
    assert home_of(snapshot) == "ix"
    assert (snapshot.edges["ix"].barred, snapshot.edges["ix"].state) == ("", State.UP)
    assert snapshot.edges["iy"].state is State.DOWN
    table.addresses("api.iy.example.com", plain(["192.0.2.2", "192.0.2.9"]), 100.0)
    addresses = table.snapshot(100.0).services["api"][1].addresses
    assert [(one.health.state, one.health.reason) for one in addresses] == [
        (State.DOWN, "link2 is down"),
        (State.SUSPECT, "the way there is not yet known"),
    ]


def test_barred_address_is_left_at_once_and_heard_no_more(provider: Any) -> None:
    table = linked(provider)
    table.bar(FREE, 0.0)
    snapshot = provider.run(table, 30.0)
    assert home_of(snapshot) == "ix"
    target = snapshot.routes["api"].first[0]
    provider.changes.clear()
    (order,) = _ordered(table, "ix", provider)
    table.bar({**FREE, IX: "route leaves by eth0"}, provider.now)
    snapshot = table.snapshot(provider.now)
    left = [one.label for group in snapshot.routes["api"].groups for one in group]
    assert left == ["iy", "near", "far"]
    assert home_of(snapshot) == "iy"
    assert table.barred(target) == "route leaves by eth0"
    assert not table.awaits(target)
    table.observe(target, ALIVE, provider.now, order)
    table.observe(target, Outcome(Result.ALIVE, round_trip=0.001), provider.now)
    table.ask("ix", provider.now)
    start = provider.now
    snapshot = provider.run(table, start + 40.0)
    assert "ix" not in probed(provider, start)
    assert snapshot.edges["ix"].barred == "route leaves by eth0"
    flip = next(one for one in of_type(provider, Flip) if not one.product)
    assert (flip.edge, flip.to, flip.reason) == (
        "ix",
        State.DOWN,
        "route leaves by eth0",
    )
    table.bar({**FREE, IX: "link1 is down"}, provider.now)
    assert table.snapshot(provider.now).edges["ix"].barred == "link1 is down"


def test_bar_that_is_lifted_is_followed_by_a_probe_at_once_and_by_a_recovery(
    provider: Any,
) -> None:
    table = linked(provider)
    table.bar(FREE, 0.0)
    provider.run(table, 30.0)
    (order,) = _ordered(table, "ix", provider)
    table.bar({**FREE, IX: "link1 is down"}, provider.now)
    provider.run(table, 40.0)
    table.bar(FREE, 40.0)
    table.observe(order.target, TIMEOUT, 40.0, order)  # it was sent before the bar
    provider.run(table, 40.01)
    assert "ix" in probed(provider, 40.0)
    provider.run(table, 99.0)
    assert table.snapshot(99.0).edges["ix"].state is State.DOWN
    provider.run(table, 102.0)
    assert table.snapshot(102.0).edges["ix"].state is State.UP
    table.bar(FREE, 102.0)
    assert table.snapshot(102.0).edges["ix"].state is State.UP


def _ordered(table: Table, edge: str, provider: Any) -> list[ProbeOrder]:
    """The probe of an edge that somebody asks for."""
    table.ask(edge, provider.now)
    return [one for one in table.due(provider.now) if one.target.label == edge]


def test_address_that_is_down_already_is_told_of_when_it_is_barred(
    provider: Any,
) -> None:
    table = linked(provider)
    table.bar(FREE, 0.0)
    provider.run(table, 30.0)
    provider.dead.add("ix")
    provider.run(table, 40.0)
    provider.changes.clear()
    table.bar({**FREE, IX: "link1 is down"}, 40.0)
    provider.run(table, 41.0)
    (flip,) = [one for one in of_type(provider, Flip) if one.targets]
    assert (flip.from_, flip.to, flip.reason) == (
        State.DOWN,
        State.DOWN,
        "link1 is down",
    )


def test_links_lost_together_cast_no_doubt_on_our_uplink(provider: Any) -> None:
    table = linked(provider)
    table.bar(FREE, 0.0)
    provider.run(table, 90.0)
    table.bar({IX: "link1 has no carrier", IY: "link2 has no carrier"}, 90.0)
    provider.dead.add("near")  # a third one of four, for another reason
    snapshot = provider.run(table, 95.0)
    assert not of_type(provider, UplinkSuspect)
    assert home_of(snapshot) == "far"


def test_suspected_uplink_does_not_keep_a_barred_edge_in_use(provider: Any) -> None:
    table = linked(provider)
    table.bar(FREE, 0.0)
    provider.run(table, 90.0)
    provider.dead.update(PRIVATE_AND_PUBLIC)
    provider.run(table, 93.0)
    assert table.snapshot(93.0).frozen
    table.bar({**FREE, IX: "route leaves by eth0"}, 93.0)
    routes = table.snapshot(93.0).routes["api"]
    assert "ix" not in {one.label for group in routes.groups for one in group}


@pytest.mark.parametrize("seed", range(2))
def test_link_that_flaps_every_5_s_for_5_minutes_moves_home_at_most_4_times(
    provider: Any, seed: int
) -> None:
    provider.chance.seed(seed)
    provider.jitter = 0.002
    table = linked(provider)
    other = {IY: "link2 is down"}
    table.bar({**other, IX: ""}, 0.0)
    assert home_of(provider.run(table, 90.0)) == "ix"
    provider.changes.clear()
    for turn in range(60):
        reason = "" if turn % 2 else "link1 has no carrier"
        table.bar({**other, IX: reason}, provider.now)
        snapshot = provider.run(table, provider.now + 5.0)
        used = snapshot.routes["api"].first[0].label
        assert used != "ix", "it has not recovered"
    table.bar({**other, IX: ""}, provider.now)
    snapshot = provider.run(table, provider.now + 240.0)
    assert home_of(snapshot) == "ix"
    assert [switch.to for switch in of_type(provider, Switch)] == ["near", "ix"]


def test_saved_addresses_behind_a_link_are_not_used_unseen(provider: Any) -> None:
    table = linked(provider)
    table.bar(FREE, 0.0)
    provider.run(table, 30.0)
    saved = table.saved(30.0)
    fresh = Table(
        {"ix": Kind.PRIVATE},
        [dataclasses.replace(provider.endpoint("ix"), device="link1")],
        now=0.0,
        uniform=provider.chance.uniform,
    )
    fresh.restore(saved, 0.0)
    assert fresh.exits == {IX: "ix"}
    assert fresh.snapshot(0.0).routes["api"].groups == ()
    assert not fresh.due(10.0)
    other = provider.endpoint("near").target(Location("192.0.2.3"))
    assert fresh.barred(other) == ""
