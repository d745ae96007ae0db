"""Each core is covered whole, every branch, by its own twin alone.

By its plain tests, even: properties and long runs come on top of them. All twins run
once, in a process of their own, and coverage keeps apart what each file of tests runs
(`tests/contexts.py`).
"""

import io
import re
import subprocess
import sys
from pathlib import Path

import coverage
import pytest

ROOT = Path(__file__).parents[1]

CORES = (
    "protocols/http/answers.py",
    "protocols/http/fields.py",
    "protocols/http/framing.py",
    "protocols/http/head.py",
    "protocols/http/hello.py",
    "protocols/net/admission.py",
    "protocols/net/race.py",
    "protocols/sip/answering.py",
    "protocols/sip/branch.py",
    "protocols/sip/context.py",
    "protocols/sip/fields.py",
    "protocols/sip/guard.py",
    "protocols/sip/headers.py",
    "protocols/sip/message.py",
    "protocols/sip/names.py",
    "protocols/sip/proxy.py",
    "protocols/sip/routing.py",
    "protocols/sip/stream.py",
    "protocols/sip/timers.py",
    "protocols/sip/token.py",
    "protocols/sip/transaction.py",
    "protocols/sip/validity.py",
    "protocols/sip/ways.py",
    "router/catalogue.py",
    "router/choice.py",
    "router/config.py",
    "router/demo/tally.py",
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


def twin(core: str) -> Path:
    path = Path(core)
    return ROOT / "tests" / path.parent / f"test_{path.name}"


@pytest.fixture(scope="module")
def covered(tmp_path_factory: pytest.TempPathFactory) -> coverage.Coverage:
    """What all twins have run."""
    data = tmp_path_factory.mktemp("coverage") / "data"
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "coverage", "run", f"--data-file={data}"),
            *("--branch", f"--include={','.join(CORES)}"),
            *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.contexts"),
            *("-m", "not hypothesis and not long", *(str(twin(one)) for one in CORES)),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = coverage.Coverage(data_file=str(data))
    found.load()
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("core", CORES)
def test_core_is_covered_by_its_twin_alone(
    core: str, covered: coverage.Coverage
) -> None:
    # What runs while modules are imported has no context.
    contexts = ["^$", f"^{re.escape(str(twin(core)))}$"]
    shown = io.StringIO()
    share = covered.report(
        include=[str(ROOT / core)], contexts=contexts, show_missing=True, file=shown
    )
    assert share == 100, shown.getvalue()
