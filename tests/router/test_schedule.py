"""When each address is probed."""

import dataclasses
import itertools
from typing import Any

import pytest

from protocols.target import Target, Transport
from router.budget import BURST, KEPT
from router.endpoint import Protocol
from router.health import Health, Settings, State
from router.records import ProbeOrder, Record
from router.schedule import ASK_INTERVAL, COLD, MAX_ORDERS, POOR, Schedule

SETTINGS = Settings()
UP = Health(State.UP, proved=True, good=9)
SUSPECT = Health(State.SUSPECT, proved=True, probe_failures=1)
DOWN = Health(State.DOWN, proved=True)


def record_of(
    label: str = "a",
    health: Health = UP,
    protocol: Protocol = Protocol.HTTPS,
    receiver: bool = False,
    address: str = "192.0.2.1",
) -> Record:
    """An address with 100 ms of patience."""
    target = Target(address, 443, Transport.TLS, label, label=label, patience=0.1)
    return Record.of(target, protocol, receiver, health)


@pytest.fixture
def schedule() -> Schedule:
    """One without chance: always the longest time."""
    return Schedule(SETTINGS, lambda low, high: high, 0.0)


def send(schedule: Schedule, record: Record, now: float) -> ProbeOrder:
    """The order that must be due for an address now."""
    assert record in list(schedule.due(now))
    order = schedule.order(record, now)
    assert order is not None
    return order


def answer(schedule: Schedule, record: Record, order: ProbeOrder, now: float) -> None:
    """A probe ends."""
    del record.orders[order.number]
    schedule.plan(record, now)


def test_new_addresses_are_probed_within_a_second_one_edge_after_the_other(
    schedule: Schedule,
) -> None:
    second, first, site = record_of("b"), record_of("a"), record_of(receiver=True)
    schedule.add(second, 5.0, turn=(1, 2))
    schedule.add(first, 5.0, turn=(0, 2))
    schedule.add(site, 5.0)
    assert (first.due, second.due, site.due) == (5.5, 6.0, 6.0)
    assert schedule.next_due() == 5.5


def test_names_of_an_address_are_probed_in_turn(schedule: Schedule) -> None:
    record = record_of()
    one, two = record.target, dataclasses.replace(record.target, host="two")
    record.share(two)
    asked = []
    for number in range(4):
        order = schedule.order(record, 10.0 * number)
        assert order is not None
        asked.append(order.target)
    assert asked == [one, two, one, two]


def test_name_without_a_handshake_has_the_next_one_probed_soon(
    schedule: Schedule,
) -> None:
    record = record_of()
    schedule.add(record, 0.0)
    order = send(schedule, record, 1.0)
    del record.orders[order.number]
    schedule.turn_to_next(record, 1.1)
    assert schedule.next_due() == 1.25
    assert not send(schedule, record, 1.25).regular


def test_answered_probe_is_followed_after_the_interval(schedule: Schedule) -> None:
    record = record_of()
    schedule.add(record, 0.0)
    order = send(schedule, record, 1.0)
    assert (order.timeout, order.deadline, order.regular) == (1.0, 2.0, True)
    answer(schedule, record, order, 1.05)
    assert schedule.next_due() == 3.0


def test_unanswered_probe_is_followed_by_others_without_waiting(
    schedule: Schedule,
) -> None:
    record = record_of()
    schedule.add(record, 0.0)
    sent = []
    while (now := schedule.next_due()) < 2.75:
        for due in schedule.due(now):
            schedule.overdue(due, now)
            if (order := schedule.order(due, now)) is not None:
                sent.append(order)
    pauses = [b.sent - a.sent for a, b in itertools.pairwise(sent)]
    assert pauses[:4] == pytest.approx([0.1, 0.1, 0.25, 0.25])
    assert len(record.orders) == len(sent) <= MAX_ORDERS
    assert [order.regular for order in sent] == [True] + [False] * (len(sent) - 1)


def test_probes_under_way_at_one_address_are_bounded(schedule: Schedule) -> None:
    record = record_of(health=SUSPECT)
    schedule.add(record, 0.0)
    for _ in range(1000):
        now = schedule.next_due()
        for due in schedule.due(now):
            schedule.order(due, now)
    assert len(record.orders) == MAX_ORDERS


def test_overdue_probe_is_found_once(schedule: Schedule) -> None:
    record = record_of()
    schedule.add(record, 0.0)
    order = send(schedule, record, 1.0)
    assert schedule.overdue(record, 1.05) is None
    assert schedule.overdue(record, 1.1) is order
    assert schedule.overdue(record, 1.2) is None


@pytest.mark.parametrize(
    ("health", "pause"),
    [
        (UP, 2.0),
        (SUSPECT, 0.25),
        (Health(State.UP, doubts=1), 0.25),
        (DOWN, 2.0),
        (Health(State.SUSPECT, probe_failures=3), 2.0),
        (Health(State.SUSPECT, server_errors=5), 2.0),
    ],
)
def test_pause_depends_on_health(
    schedule: Schedule, health: Health, pause: float
) -> None:
    record = record_of(health=health)
    schedule.add(record, 0.0)
    order = send(schedule, record, 1.0)
    if health in (DOWN, UP):
        assert order.regular is (health is UP)
    answer(schedule, record, order, 1.01)
    assert record.due == 1.0 + pause


def test_down_address_is_not_pressed(schedule: Schedule) -> None:
    record = record_of(health=DOWN)
    schedule.add(record, 0.0)
    send(schedule, record, 1.0)
    assert schedule.next_due() == 3.0


def test_cold_edge_is_probed_now_and_then_and_not_pressed(
    schedule: Schedule,
) -> None:
    cold, site = record_of("cold"), record_of("site", receiver=True)
    schedule.heat(frozenset({"hot"}), [], 0.0)
    for record in (cold, site):
        schedule.add(record, 0.0)
    for record in (cold, site):
        list(schedule.due(1.0))
        order = schedule.order(record, 1.0)
        assert order is not None
        if record is cold:
            assert record.due == 1.0 + SETTINGS.interval
        answer(schedule, record, order, 1.05)
    assert cold.due == 1.0 + COLD[1]
    assert site.due == 3.0


def test_edge_that_becomes_hot_is_probed_soon(schedule: Schedule) -> None:
    records = [record_of("a"), record_of("b")]
    schedule.heat(frozenset({"a"}), records, 0.0)
    for record in records:
        record.due = 99.0
    schedule.heat(frozenset({"a"}), records, 10.0)
    assert [record.due for record in records] == [99.0, 99.0]
    schedule.heat(frozenset({"a", "b"}), records, 10.0)
    assert [record.due for record in records] == [99.0, 12.0]
    schedule.heat(frozenset({"b"}), records, 10.0)
    schedule.heat(None, records, 20.0)
    assert [record.due for record in records] == [22.0, 12.0]


def test_scan_probes_everything_at_once_or_within_an_interval(
    schedule: Schedule,
) -> None:
    records = [record_of("a"), record_of("b")]
    for record in records:
        record.due = 99.0
    schedule.scan(records, 10.0, at_once=False)
    assert [record.due for record in records] == [12.0, 12.0]
    schedule.scan(records, 10.0, at_once=True)
    assert list(schedule.due(10.0)) == records


def test_hastened_probe_is_not_regular_and_survives_other_news(
    schedule: Schedule,
) -> None:
    record = record_of()
    schedule.add(record, 0.0)
    order = send(schedule, record, 1.0)
    schedule.hasten(record, 1.01)  # an answer is awaited
    assert not record.urgent
    answer(schedule, record, order, 1.02)
    schedule.hasten(record, 1.03)  # one has just been got
    assert not record.urgent
    schedule.hasten(record, 1.5)
    schedule.plan(record, 1.5)
    assert not send(schedule, record, 1.5).regular


def test_silent_flows_ask_for_a_probe_at_most_once_a_second(schedule: Schedule) -> None:
    record = record_of()
    schedule.add(record, 0.0)
    order = send(schedule, record, 1.0)
    schedule.ask(record, 1.01)
    assert not record.urgent
    answer(schedule, record, order, 1.02)
    schedule.ask(record, 1.03)
    order = send(schedule, record, 1.03)
    answer(schedule, record, order, 1.04)
    schedule.ask(record, 1.05)
    assert schedule.next_due() == 1.03 + ASK_INTERVAL


def test_options_keep_their_distance_whatever_asks_for_them(schedule: Schedule) -> None:
    one = record_of(protocol=Protocol.SIP)
    two = record_of("b", SUSPECT, Protocol.SIP)  # the same address
    schedule.add(one, 0.0)
    schedule.add(two, 0.0)
    assert list(schedule.due(1.0)) == [one, two]
    order = schedule.order(one, 1.0)
    assert order is not None
    assert schedule.order(two, 1.0) is None
    assert two.due == 1.0 + 15.0 * 1.2
    answer(schedule, one, order, 1.1)
    assert one.due == 1.0 + 15.0 * 1.2
    schedule.hasten(one, 5.0)
    assert list(schedule.due(5.0)) == [one]
    assert schedule.order(one, 5.0) is None


def test_options_to_an_address_that_was_gone_keep_their_distance(
    schedule: Schedule,
) -> None:
    record = record_of(protocol=Protocol.SIP)
    assert schedule.order(record, 1.0) is not None
    schedule.remove(record)
    target = dataclasses.replace(record.target, port=5070, host="other")
    again = Record.of(target, Protocol.SIP, False, UP)
    schedule.add(again, 2.0)
    assert list(schedule.due(3.0)) == [again]
    assert schedule.order(again, 3.0) is None
    assert again.due == 1.0 + 15.0 * 1.2


def test_in_doubt_edges_wait_for_their_first_options_and_receivers_do_not(
    schedule: Schedule,
) -> None:
    edge = record_of(protocol=Protocol.SIP)
    pbx = record_of(protocol=Protocol.SIP, receiver=True, address="10.0.0.10")
    https = record_of(address="192.0.2.3")
    schedule.spacing.doubt(0.0)
    assert schedule.order(edge, 1.0) is None
    assert edge.due == 15.0 * 1.2
    assert schedule.order(pbx, 1.0) is not None
    assert schedule.order(https, 1.0) is not None
    assert schedule.order(edge, edge.due) is not None


def test_removed_address_is_never_due(schedule: Schedule) -> None:
    record: Any = record_of()
    schedule.add(record, 0.0)
    schedule.remove(record)
    assert list(schedule.due(99.0)) == []


def test_suspect_at_a_cold_edge_is_probed_at_the_interval(schedule: Schedule) -> None:
    schedule.heat(frozenset({"hot"}), [], 0.0)
    cold = record_of("cold", SUSPECT)
    schedule.add(cold, 0.0)
    order = send(schedule, cold, 1.0)
    answer(schedule, cold, order, 1.1)
    assert cold.due == 1.0 + SETTINGS.interval


@pytest.mark.parametrize("protocol", Protocol)
def test_probes_beyond_the_budget_wait_and_those_of_hot_edges_go_first(
    schedule: Schedule, protocol: Protocol
) -> None:
    schedule.heat(frozenset({"hot"}), [], 0.0)
    cold = [
        record_of("cold", protocol=protocol, address=f"192.0.2.{n}") for n in range(99)
    ]
    hot = [
        record_of("hot", protocol=protocol, address=f"198.51.100.{n}")
        for n in range(99)
    ]
    for record in (*cold, *hot):
        schedule.add(record, 0.0)
    sent = [
        record
        for record in schedule.due(1.0)
        if schedule.order(record, 1.0) is not None
    ]
    assert sum(record in cold for record in sent) == BURST - KEPT
    assert len(sent) == BURST
    waiting = next(record for record in hot if record not in sent)
    assert waiting.due == 1.0 + max(POOR)
    list(schedule.due(waiting.due))
    assert schedule.order(waiting, waiting.due) is not None
