"""How many probes may be sent at all."""

import pytest

from router.budget import BURST, KEPT, RATE, Budget


def taken(budget: Budget, now: float, *, hot: bool) -> int:
    """How many tokens are to be had at once."""
    count = 0
    while budget.take(now, hot=hot):
        count += 1
    return count


def test_tokens_saved_up_are_bounded_and_come_back_by_and_by() -> None:
    budget = Budget(5.0)
    assert taken(budget, 5.0, hot=True) == BURST
    assert taken(budget, 5.5, hot=True) == RATE / 2
    assert taken(budget, 1e6, hot=True) == BURST


def test_probes_of_other_edges_leave_a_part_to_those_in_use() -> None:
    budget = Budget(0.0)
    assert taken(budget, 0.0, hot=False) == BURST - KEPT
    assert taken(budget, 0.0, hot=True) == KEPT


@pytest.mark.parametrize("hot", [True, False])
def test_clock_that_goes_back_gives_nothing(hot: bool) -> None:
    budget = Budget(10.0)
    taken(budget, 10.0, hot=True)
    assert not budget.take(9.0, hot=hot)
