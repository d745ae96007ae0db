"""Measures what files of tests run of the modules that they are twins of.

Their plain tests, that is: properties and long runs come on top of them. All given
twins run once, in a process of their own, and coverage keeps apart what each file of
tests runs (`tests/contexts.py`).
"""

import io
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import coverage

ROOT = Path(__file__).parents[1]


def measured(cores: Sequence[str], data: Path) -> coverage.Coverage:
    """What the twins of all these modules run."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "coverage", "run", f"--data-file={data}"),
            *("--branch", f"--include={','.join(cores)}"),
            *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.contexts"),
            *("-m", "not hypothesis and not long", *(str(_twin(one)) for one in cores)),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = coverage.Coverage(data_file=str(data))
    found.load()
    return found


def assert_whole(core: str, covered: coverage.Coverage) -> None:
    """Fail, and show what is missing, unless its twin runs every branch of a module."""
    # What runs while modules are imported has no context.
    contexts = ["^$", f"^{re.escape(str(_twin(core)))}$"]
    shown = io.StringIO()
    share = covered.report(
        include=[str(ROOT / core)], contexts=contexts, show_missing=True, file=shown
    )
    assert share == 100, shown.getvalue()


def _twin(core: str) -> Path:
    path = Path(core)
    return ROOT / "tests" / path.parent / f"test_{path.name}"
