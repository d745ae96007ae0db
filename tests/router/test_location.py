"""Addresses with ports, and the rotation that gives each its share."""

import random
from collections import Counter

import pytest

from router.location import SLOTS, Location, plain, rotation

CRITICAL = (3.84, 5.99, 7.81, 9.49, 11.07, 12.59, 14.07, 15.51)
"Chi-square that chance exceeds once in twenty, by degrees of freedom from 1 on."


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (Location("192.0.2.1"), "192.0.2.1"),
        (Location("192.0.2.1", 5070), "192.0.2.1:5070"),
        (Location("2001:db8::1"), "2001:db8::1"),
        (Location("2001:db8::1", 5070), "[2001:db8::1]:5070"),
    ],
)
def test_location_is_shown_with_its_port_if_it_has_one(
    location: Location, text: str
) -> None:
    assert str(location) == text


def test_plain_addresses_are_equal_and_leave_the_port_to_the_endpoint() -> None:
    assert plain(["192.0.2.1", "::1"]) == (
        Location("192.0.2.1", 0, 0, 1),
        Location("::1", 0, 0, 1),
    )


@pytest.mark.parametrize(
    ("weights", "turns"),
    [
        ((), ()),
        ((7,), (0,)),
        ((1, 1, 1), (0, 1, 2)),
        ((0, 0), (0, 1)),
        ((30, 10), (0, 0, 1, 0)),
        ((5, 1, 1), (0, 0, 1, 0, 2, 0, 0)),
    ],
)
def test_rotation_is_spread_evenly(
    weights: tuple[int, ...], turns: tuple[int, ...]
) -> None:
    assert rotation(weights) == turns


def test_weight_of_nothing_beside_others_is_a_very_small_share() -> None:
    assert Counter(rotation((0, 10))) == {1: SLOTS, 0: 1}


@pytest.mark.parametrize("seed", range(100))
def test_weights_are_honoured_as_well_as_lots_would(seed: int) -> None:
    """Chi-square of a thousand choices; by lot, one seed in twenty would fail."""
    chance = random.Random(seed)
    count = chance.randint(2, 9)
    weights = tuple(chance.randint(1, 65_535) for _ in range(count))
    turns = rotation(weights)
    assert len(turns) <= SLOTS + count
    start = chance.randrange(len(turns))
    seen = Counter(turns[(start + n) % len(turns)] for n in range(1000))
    expected = {n: 1000 * weight / sum(weights) for n, weight in enumerate(weights)}
    # What asks for less than a turn in a round has one all the same.
    fair = {n: e for n, e in expected.items() if e >= 1000 / SLOTS}
    assert sum((seen[n] - e) ** 2 / e for n, e in fair.items()) < CRITICAL[count - 2]
