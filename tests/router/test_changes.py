"""Changes are values that a log can print and a process can pass on."""

import pickle

from router.changes import Flip, Stalled, UplinkCleared, UplinkSuspect
from router.health import State


def test_changes_are_hashable_values_that_can_be_pickled() -> None:
    changes = {
        Flip("ashburn", "api", None, State.UP, State.SUSPECT, "reset", None, 3.0),
        UplinkSuspect(("ashburn", "dublin"), 2),
        UplinkCleared(9.0, "2 of 2 edges answer"),
        Stalled(2.0),
    }
    assert pickle.loads(pickle.dumps(changes)) == changes
