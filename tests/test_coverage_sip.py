"""Each core of SIP is covered whole, every branch, by its own twin alone.

In a module of its own, so that the others are measured at the same time.
"""

import coverage
import pytest

from tests.covering import assert_whole, measured

CORES = (
    "protocols/sip/account.py",
    "protocols/sip/answering.py",
    "protocols/sip/branch.py",
    "protocols/sip/cancel.py",
    "protocols/sip/context.py",
    "protocols/sip/failover.py",
    "protocols/sip/fields.py",
    "protocols/sip/guard.py",
    "protocols/sip/headers.py",
    "protocols/sip/machines.py",
    "protocols/sip/message.py",
    "protocols/sip/names.py",
    "protocols/sip/pins.py",
    "protocols/sip/places.py",
    "protocols/sip/proxy.py",
    "protocols/sip/replies.py",
    "protocols/sip/routing.py",
    "protocols/sip/seals.py",
    "protocols/sip/search.py",
    "protocols/sip/shared.py",
    "protocols/sip/stamp.py",
    "protocols/sip/stream.py",
    "protocols/sip/timers.py",
    "protocols/sip/token.py",
    "protocols/sip/transaction.py",
    "protocols/sip/validity.py",
    "protocols/sip/ways.py",
)


@pytest.fixture(scope="module")
def covered(tmp_path_factory: pytest.TempPathFactory) -> coverage.Coverage:
    return measured(CORES, tmp_path_factory.mktemp("coverage") / "data")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("core", CORES)
def test_core_is_covered_by_its_twin_alone(
    core: str, covered: coverage.Coverage
) -> None:
    assert_whole(core, covered)
