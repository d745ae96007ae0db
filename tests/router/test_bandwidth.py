"""How much of each link its calls take."""

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.bandwidth import MAX_CALLS, MAX_RATE, TAU, Bandwidth, Capacity, Limits, Use

MEGABIT = {"link1": Capacity(1_000_000)}
G711 = 87_200.0
OPUS = 55_200.0


def megabit(**limits: float) -> dict[str, Capacity]:
    """One of a megabit, on which calls may last for so long."""
    return {"link1": Capacity(1_000_000, limits=Limits(**limits))}


def filled(bandwidth: Bandwidth, rate: float, now: float = 0.0) -> int:
    """How many calls of a rate a link takes before the next one spills."""
    count = 0
    while bandwidth.fits("link1", rate, now):
        bandwidth.open(f"{rate}-{count}", "link1", rate, now)
        count += 1
    return count


@pytest.mark.parametrize(("rate", "calls"), [(G711, 11), (OPUS, 18), (1_000_000, 1)])
def test_megabit_takes_so_many_calls_and_spills_the_next(
    rate: float, calls: int
) -> None:
    bandwidth = Bandwidth(MEGABIT)
    assert filled(bandwidth, rate) == calls
    use = bandwidth.use("link1", 0.0)
    assert (use.calls, use.taken, use.spilled) == (calls, calls * rate, 0)


def test_reserve_is_left_alone_by_new_calls() -> None:
    bandwidth = Bandwidth({"link1": Capacity(1_000_000, reserve=200_000)})
    assert filled(bandwidth, G711) == 9


def test_what_a_call_has_already_is_not_counted_against_it() -> None:
    bandwidth = Bandwidth({"link1": Capacity(100_000), "link2": Capacity(100_000)})
    bandwidth.open("one", "link1", G711, 0.0)
    assert not bandwidth.fits("link1", G711, 0.0)
    assert bandwidth.fits("link1", G711, 0.0, call="one")
    assert not bandwidth.fits("link1", G711, 0.0, call="other")
    bandwidth.open("two", "link2", G711, 0.0)
    assert not bandwidth.fits("link2", G711, 0.0, call="one")
    assert bandwidth.fits("internet", 1e12, 0.0, call="one")


def test_calls_that_go_elsewhere_are_counted() -> None:
    bandwidth = Bandwidth(MEGABIT)
    bandwidth.spill("link1")
    bandwidth.spill("internet")
    assert bandwidth.use("link1", 0.0).spilled == 1


def test_call_may_ring_for_long_as_long_as_that_is_said() -> None:
    bandwidth = Bandwidth(megabit(early=60, session=3600))
    bandwidth.open("one", "link1", G711, 0.0)
    bandwidth.ring("one", 50.0)
    bandwidth.ring("none", 50.0)
    assert bandwidth.expire(109.0) == []
    bandwidth.stand("one", 109.0)
    bandwidth.ring("one", 110.0)
    assert bandwidth.expire(3708.0) == []
    assert bandwidth.expire(3709.0) == ["one"]


def test_slot_of_a_call_that_was_turned_down_is_kept_for_a_moment() -> None:
    bandwidth = Bandwidth(megabit(early=60))
    bandwidth.open("one", "link1", G711, 0.0)
    bandwidth.keep("one", 10.0, 5.0)
    bandwidth.keep("one", 10.0, 500.0)
    bandwidth.keep("none", 10.0, 5.0)
    assert bandwidth.expire(14.9) == []
    assert bandwidth.expire(15.0) == ["one"]


def test_traffic_that_was_counted_later_is_taken_as_it_was_then() -> None:
    bandwidth = Bandwidth(MEGABIT)
    bandwidth.carried("link1", 10_000, 100.0)
    assert bandwidth.use("link1", 90.0).other == bandwidth.use("link1", 100.0).other


def test_call_that_stands_keeps_its_slot_however_full_the_link_is() -> None:
    bandwidth = Bandwidth({"link1": Capacity(100_000)})
    bandwidth.open("one", "link1", G711, 0.0)
    bandwidth.adjust("one", 300_000)
    assert bandwidth.use("link1", 0.0) == Use(1, 300_000, 0.0, -200_000, 0)
    bandwidth.open("from the provider", "link1", G711, 0.0)
    assert bandwidth.use("link1", 0.0).calls == 2


def test_call_that_is_sent_elsewhere_takes_its_slot_along() -> None:
    bandwidth = Bandwidth({"link1": Capacity(1e6), "link2": Capacity(1e6)})
    bandwidth.open("one", "link1", G711, 0.0)
    bandwidth.open("one", "link2", OPUS, 0.0)
    assert bandwidth.use("link1", 0.0).taken == 0
    assert bandwidth.use("link2", 0.0).taken == OPUS
    bandwidth.open("one", "internet", OPUS, 0.0)
    assert len(bandwidth) == 0


def test_other_traffic_takes_room_and_is_forgotten() -> None:
    bandwidth = Bandwidth(MEGABIT)
    for tenth in range(600):
        bandwidth.carried("link1", 6_250, tenth / 10)  # half a megabit a second
    use = bandwidth.use("link1", 60.0)
    assert use.other == pytest.approx(500_000, rel=0.02)
    assert filled(bandwidth, G711, 60.0) == 5
    assert bandwidth.use("link1", 60.0 + 20 * TAU).other < 1


def test_what_is_not_counted_changes_nothing() -> None:
    bandwidth = Bandwidth(MEGABIT)
    bandwidth.adjust("none", 1e6)
    bandwidth.stand("none", 1.0)
    bandwidth.close("none")
    assert bandwidth.slot("none") is None
    assert bandwidth.capacity("internet") is None
    assert bandwidth.capacity("link1") == MEGABIT["link1"]
    assert bandwidth.use("link1", 0.0) == Use(0, 0.0, 0.0, 1e6, 0)


def test_table_is_bounded_and_more_calls_go_elsewhere() -> None:
    bandwidth = Bandwidth({"link1": Capacity(1e12)})
    for number in range(MAX_CALLS + 1):
        bandwidth.open(str(number), "link1", 1.0, 0.0)
    assert len(bandwidth) == MAX_CALLS
    assert not bandwidth.fits("link1", 1.0, 0.0)


def test_call_counts_for_what_can_be_saved_whatever_it_says() -> None:
    bandwidth = Bandwidth(MEGABIT)
    bandwidth.open("honest", "link1", G711, 0.0)
    bandwidth.open("liar", "link1", 1e15, 0.0)
    assert bandwidth.use("link1", 0.0).taken == G711 + MAX_RATE
    bandwidth.adjust("liar", 1e14)
    assert bandwidth.use("link1", 0.0).taken == G711 + MAX_RATE
    after = Bandwidth(MEGABIT)
    after.restore(bandwidth.saved(0.0), 0.0)
    assert len(after) == 2


def test_slot_of_an_unanswered_call_ends_early_and_of_an_answered_one_late() -> None:
    bandwidth = Bandwidth(megabit(early=60, session=3600))
    bandwidth.open("rings", "link1", G711, 0.0)
    bandwidth.open("stands", "link1", G711, 0.0)
    bandwidth.stand("stands", 10.0)
    bandwidth.stand("stands", 3000.0)
    assert bandwidth.expire(59.0) == []
    assert bandwidth.expire(60.0) == ["rings"]
    assert bandwidth.expire(3609.0) == []
    assert bandwidth.expire(3610.0) == ["stands"]
    assert bandwidth.use("link1", 0.0).taken == 0


def test_session_timer_ends_a_slot_unless_it_is_refreshed() -> None:
    bandwidth = Bandwidth(megabit(session=3600))
    bandwidth.open("one", "link1", G711, 0.0)
    bandwidth.stand("one", 0.0, expires=600)
    bandwidth.stand("one", 500.0, expires=600)
    assert bandwidth.expire(1099.0) == []
    after = Bandwidth(megabit(session=3600))
    after.restore(json.loads(json.dumps(bandwidth.saved(600.0))), 0.0)
    assert bandwidth.expire(1100.0) == ["one"]
    assert after.expire(499.0) == []
    after.stand("one", 499.0)
    assert after.expire(2999.0) == []
    assert after.expire(3000.0) == ["one"]


def test_silent_call_ends_its_slot_where_calls_are_heard_of() -> None:
    audited, other = megabit(silence=90), {"link2": Capacity(1e6)}
    bandwidth = Bandwidth(audited | other)
    for call, link in (("rings", "link1"), ("stands", "link1"), ("else", "link2")):
        bandwidth.open(call, link, G711, 0.0)
    bandwidth.stand("stands", 10.0)
    bandwidth.stand("else", 10.0)
    bandwidth.hear("stands", 60.0)
    bandwidth.hear("none", 60.0)
    assert bandwidth.expire(149.0) == []
    after = Bandwidth(audited)
    after.restore(json.loads(json.dumps(bandwidth.saved(149.0))), 0.0)
    assert after.expire(89.0) == []
    assert after.expire(90.0) == ["stands"]
    bandwidth.change(MEGABIT | other)
    assert bandwidth.expire(150.0) == []
    bandwidth.change(audited | other)
    assert bandwidth.expire(150.0) == ["stands"]
    assert bandwidth.expire(239.0) == []


def test_new_configuration_keeps_what_calls_take() -> None:
    bandwidth = Bandwidth(MEGABIT | {"link2": Capacity(1e6)})
    bandwidth.open("one", "link1", G711, 0.0)
    bandwidth.open("two", "link2", G711, 0.0)
    bandwidth.carried("link1", 1000, 0.0)
    bandwidth.change({"link1": Capacity(200_000), "link3": Capacity(1e6)})
    use = bandwidth.use("link1", 0.0)
    assert (use.calls, use.taken, use.other) == (1, G711, 8 * 1000 / TAU)
    assert bandwidth.slot("two") is None
    assert bandwidth.use("link3", 0.0).calls == 0


def test_slots_survive_a_restart_with_their_ages() -> None:
    bandwidth = Bandwidth(megabit(session=1000) | {"link2": Capacity(1e6)})
    bandwidth.open("rings", "link1", G711, 900.0)
    bandwidth.open("stands", "link1", OPUS, 900.0)
    bandwidth.stand("stands", 910.0)
    bandwidth.open("over", "link1", OPUS, 0.0)
    bandwidth.open("gone", "link2", OPUS, 900.0)
    saved = json.loads(json.dumps(bandwidth.saved(1000.0)))

    after = Bandwidth(megabit(session=1000))
    after.restore(saved, 5.0, age=10.0)
    assert after.use("link1", 5.0).taken == G711 + OPUS
    assert after.expire(134.0) == []
    assert after.expire(135.0) == ["rings"]
    assert after.expire(5.0 + 900.0) == ["stands"]


def test_slot_that_ran_out_while_nobody_looked_is_not_taken_up() -> None:
    bandwidth = Bandwidth(MEGABIT)
    row = ["one", "link1", 1.0, 5.0, 9.0, True]
    bandwidth.restore({"version": 1, "calls": [row]}, 0.0, age=5.0)
    assert len(bandwidth) == 0


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"version": 2, "calls": []},
        {"version": 1},
        {"version": 1, "calls": {}},
        {"version": 1, "calls": [[]] * (MAX_CALLS + 1)},
        {"version": 1, "calls": [["a"]]},
        {"version": 1, "calls": [["a", "link1", -1, 1, 1, True]]},
        {"version": 1, "calls": [["a", "link1", math.nan, 1, 1, True]]},
        {"version": 1, "calls": [["a", "link1", 1, math.inf, 1, True]]},
        {"version": 1, "calls": [["a", "link1", 1, 10**400, 1, True]]},
        {"version": 1, "calls": [["a", "link1", 1, 1, "1", True]]},
        {"version": 1, "calls": [["a", "link1", 1, 1, 1, 1]]},
        {"version": 1, "calls": [["b", "link1", 1, 1, 1, True], ["a"]]},
    ],
)
def test_what_was_not_saved_by_us_is_refused_whole(data: Any) -> None:
    bandwidth = Bandwidth(MEGABIT)
    with pytest.raises(ValueError, match="call"):
        bandwidth.restore(data, 0.0)
    assert len(bandwidth) == 0


CALLS = st.sampled_from("abcdef")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), CALLS, st.sampled_from(["link1", "link2", "x"])),
        st.tuples(st.just("close"), CALLS, st.just("")),
        st.tuples(st.just("adjust"), CALLS, st.just("")),
        st.tuples(st.just("stand"), CALLS, st.just("")),
        st.tuples(st.just("expire"), CALLS, st.just("")),
        st.tuples(st.just("restore"), CALLS, st.just("")),
    ),
    max_size=60,
)


@given(STEPS, st.randoms())
def test_counters_are_always_the_sum_of_the_slots(
    steps: list[tuple[str, str, str]], chance: random.Random
) -> None:
    limits = Limits(early=9, session=30)
    bandwidth = Bandwidth(
        {"link1": Capacity(1e6, limits=limits), "link2": Capacity(1e5, limits=limits)}
    )
    for now, (step, call, link) in enumerate(steps):
        match step:
            case "open":
                bandwidth.open(call, link, chance.uniform(0, 1e6), now)
            case "close":
                bandwidth.close(call)
            case "adjust":
                bandwidth.adjust(call, chance.uniform(0, 1e6))
            case "stand":
                bandwidth.stand(call, now)
            case "expire":
                bandwidth.expire(now)
            case _:
                bandwidth.restore(bandwidth.saved(now), now)
        slots = [s for c in "abcdef" if (s := bandwidth.slot(c)) is not None]
        assert len(slots) == len(bandwidth)
        for name in ("link1", "link2"):
            rates = [slot.rate for slot in slots if slot.link == name]
            use = bandwidth.use(name, now)
            assert use.calls == len(rates)
            assert use.taken == pytest.approx(sum(rates), abs=1e-3)
    bandwidth.expire(len(steps) + 31)
    assert len(bandwidth) == 0
    assert bandwidth.use("link1", 0).taken == bandwidth.use("link2", 0).taken == 0
