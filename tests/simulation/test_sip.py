"""Many small worlds: what must hold of the proxy whatever the network does."""

import pytest

from tests.simulation.world import World

SEEDS = 2_000
STEP = 250


@pytest.mark.parametrize("first", range(0, SEEDS, STEP))
def test_no_call_is_lost_doubled_or_left_ringing(first: int) -> None:
    for seed in range(first, first + STEP):
        try:
            World(seed).run()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
