"""Each core is covered whole, every branch, by its own twin alone.

By its plain tests, even: properties and long runs come on top of them.
"""

import subprocess
import sys
from pathlib import Path

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
    "router/order.py",
    "router/policy.py",
    "router/register.py",
    "router/table.py",
    "router/units.py",
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("core", CORES)
def test_core_is_covered_by_its_twin_alone(core: str, tmp_path: Path) -> None:
    path = Path(core)
    twin = Path("tests") / path.parent / f"test_{path.name}"
    coverage = [sys.executable, "-m", "coverage"]
    data = f"--data-file={tmp_path / 'data'}"
    ran = subprocess.run(
        [
            *coverage, "run", data, "--branch", f"--include={core}",
            "-m", "pytest", "-q", "-p", "no:cacheprovider",
            "-m", "not hypothesis and not long", str(twin),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    report = subprocess.run(
        [*coverage, "report", data, "--show-missing", "--fail-under=100"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert report.returncode == 0, report.stdout
