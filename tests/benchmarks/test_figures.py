import pytest

from benchmarks.figures import percentile, ratios, spread


def test_spread_of_many_values_is_the_median_and_the_quartiles() -> None:
    found = spread([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (found.median, found.low, found.high) == (3.0, 2.0, 4.0)
    assert str(found) == "3.00 (2.00-4.00)"


def test_spread_of_few_values_is_the_median_and_the_extremes() -> None:
    found = spread([3.0, 1.0])
    assert (found.median, found.low, found.high) == (2.0, 1.0, 3.0)


def test_ratios_are_formed_within_each_round() -> None:
    # The second round was disturbed for both: the ratio does not show it.
    assert ratios([2.0, 20.0], [1.0, 10.0]) == [2.0, 2.0]


def test_ratios_of_unequal_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_percentile_is_a_value_that_occurred(share: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0
