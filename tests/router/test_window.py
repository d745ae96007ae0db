"""Round trips and losses that are forgotten with age."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from router.window import MAX_SAMPLES, Losses, Window


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 1.0)), max_size=80))
def test_window_holds_what_is_young_enough(steps: list[tuple[float, float]]) -> None:
    window, now, added = Window(10.0), 0.0, []
    for pause, value in steps:
        now += pause
        window.add(now, value)
        added.append((now, value))
        window.expire(now)
        kept = sorted(value for when, value in added if when > now - 10.0)
        assert len(window) == len(kept)
        assert window.lower_quartile() == kept[(len(kept) - 1) // 4]


def test_lower_quartile_shrugs_off_spikes() -> None:
    window = Window(100.0)
    for number in range(40):
        window.add(float(number), 5.0 if number % 2 else 0.020 + number * 1e-6)
    assert window.lower_quartile() < 0.0201 < statistics.median([0.0201, 5.0])


def test_expiry_tells_whether_anything_was_forgotten() -> None:
    window, losses = Window(10.0), Losses(10.0)
    window.add(0.0, 1.0)
    losses.add(0.0, True)
    assert not window.expire(9.9)
    assert not losses.expire(9.9)
    assert window.expire(10.0)
    assert losses.expire(10.0)
    assert (len(window), len(losses), losses.lost) == (0, 0, 0)


def test_window_and_losses_are_bounded() -> None:
    window, losses = Window(1e9), Losses(1e9)
    for number in range(MAX_SAMPLES + 10):
        window.add(float(number), float(number))
        losses.add(float(number), number < 10)
    assert len(window) == len(losses) == MAX_SAMPLES
    assert losses.lost == 0


def test_losses_are_counted_and_cleared() -> None:
    losses = Losses(10.0)
    losses.add(1.0, True)
    losses.add(2.0, False)
    losses.add(3.0, True)
    assert (losses.lost, len(losses)) == (2, 3)
    losses.expire(11.0)
    assert (losses.lost, len(losses)) == (1, 2)
    losses.clear()
    assert (losses.lost, len(losses)) == (0, 0)
