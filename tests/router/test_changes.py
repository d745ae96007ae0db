"""Changes are values that a log can print and a process can pass on."""

import pickle

from router.changes import (
    Flip,
    RegionFailed,
    RegionRecovered,
    Stalled,
    UplinkCleared,
    UplinkSuspect,
    joined,
)
from router.health import State


def test_changes_are_hashable_values_that_can_be_pickled() -> None:
    changes = {
        Flip("ashburn", "api", (), State.UP, State.SUSPECT, "reset", None, 3.0),
        UplinkSuspect(("ashburn", "dublin"), 2),
        UplinkCleared(9.0, "2 of 2 edges answer"),
        RegionFailed(4, "3 failures", None),
        RegionRecovered(60.0, "ashburn"),
        Stalled(2.0),
    }
    assert pickle.loads(pickle.dumps(changes)) == changes


def test_flips_that_differ_by_product_only_become_one() -> None:
    def flip(product: str, to: State) -> Flip:
        return Flip("ashburn", product, (), State.UP, to, "reset", None, 3.0)

    down, suspect = State.DOWN, State.SUSPECT
    flips = [flip("", down), flip("api", down), flip("voice", suspect)]
    again = [flip("video", down), flip("api", down)]
    assert joined([*flips, *again]) == (
        flip("", down),
        flip("api, video", down),
        flip("voice", suspect),
    )
