"""Each core but those of SIP is covered whole, every branch, by its own twin alone.

In a module of its own, so that those of SIP are measured at the same time.
"""

import coverage
import pytest

from tests.covering import assert_whole, measured

CORES = (
    "protocols/http/answers.py",
    "protocols/http/fields.py",
    "protocols/http/framing.py",
    "protocols/http/head.py",
    "protocols/http/hello.py",
    "protocols/net/admission.py",
    "protocols/net/race.py",
    "protocols/websocket/frames.py",
    "protocols/websocket/handshake.py",
    "router/catalogue.py",
    "router/choice.py",
    "router/config.py",
    "router/demo/tally.py",
    "router/differences.py",
    "router/document.py",
    "router/election.py",
    "router/health.py",
    "router/location.py",
    "router/names.py",
    "router/order.py",
    "router/policy.py",
    "router/register.py",
    "router/services.py",
    "router/spacing.py",
    "router/table.py",
    "router/units.py",
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
