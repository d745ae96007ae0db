"""One time per key, the latest one set."""

import math

from hypothesis import given
from hypothesis import strategies as st

from router.agenda import Agenda


def test_due_keys_come_out_once_in_order() -> None:
    agenda: Agenda[str] = Agenda()
    for key, when in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("d", 9.0)):
        agenda.set(key, when)
    assert agenda.next() == 1.0
    assert list(agenda.pop(3.0)) == ["a", "b", "c"]
    assert list(agenda.pop(3.0)) == []
    assert agenda.next() == 9.0


def test_discarded_key_never_comes_out() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.set("a", 1.0)
    agenda.discard("a")
    agenda.discard("b")
    assert list(agenda.pop(9.0)) == []
    assert agenda.next() == math.inf


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0.0, 9.0)), max_size=300))
def test_latest_time_set_is_the_one_that_counts(steps: list[tuple[int, float]]) -> None:
    agenda: Agenda[int] = Agenda()
    wanted: dict[int, float] = {}
    for key, when in steps:
        agenda.set(key, when)
        wanted[key] = when
        assert agenda.next() == min(wanted.values())
    assert sorted(agenda.pop(9.0)) == sorted(wanted)


def test_setting_a_time_over_and_over_takes_no_more_memory() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.set("b", 0.5)
    for number in range(10_000):
        agenda.set("a", 10_000.0 - number)
    assert len(agenda._heap) <= 64 + 8 * 2 + 1
    assert list(agenda.pop(1.0)) == ["b", "a"]
