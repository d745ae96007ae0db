"""The measure of twins finds what is not covered, and asks nothing of a part of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.covering import CORES, ROOT, twins

CORE = """
import functools

@functools.lru_cache
def sign(number):
    if number < 0:
        return -1
    return 1
"""
TWIN = """
import pytest
from signs import sign

def test_one():
    assert sign.sign(1) == 1

{}
def test_other():
    assert sign.sign(-1) == -1
"""
EARLIER = """
from signs import sign

def test_as_the_twin_does():
    assert (sign.sign(1), sign.sign(-1)) == (1, -1)
"""
PLUGIN = """
from pathlib import Path
from tests.covering import Covering, twins

def pytest_configure(config):
    plugin = Covering(Path(__file__).parent, twins(["signs/sign.py"]))
    config.pluginmanager.register(plugin)
"""
LAST = "test_core_is_covered_by_its_twin"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A core with two branches, and its twin with a test for each."""
    for name, text in {
        "pytest.ini": "[pytest]\nmarkers = long\naddopts = --import-mode=importlib",
        "conftest.py": PLUGIN,
        "signs/sign.py": CORE,
        "tests/signs/test_earlier.py": EARLIER,
        "tests/signs/test_sign.py": TWIN.format(""),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(project: Path, *arguments: str) -> str:
    """What pytest says of the project."""
    path = os.pathsep.join(map(str, (project, ROOT)))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env={"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout + ran.stderr


def test_twin_that_runs_every_branch_passes(project: Path) -> None:
    said = run(project)
    assert f"PASSED tests/signs/test_sign.py::{LAST}" in said, said
    assert "4 passed" in said


@pytest.mark.parametrize("change", ["removed", "@pytest.mark.long"])
def test_branch_that_no_plain_test_of_the_twin_runs_is_shown(
    project: Path, change: str
) -> None:
    """An earlier file of tests ran it, and what it ran is remembered."""
    whole = TWIN.format(change)
    twin = whole.partition("removed")[0]
    (project / "tests/signs/test_sign.py").write_text(twin, encoding="utf-8")
    said = run(project)
    assert f"FAILED tests/signs/test_sign.py::{LAST}" in said, said
    assert "1 failed" in said
    assert "signs/sign.py" in said.replace(os.sep, "/")


def test_part_of_a_twin_is_not_measured(project: Path) -> None:
    said = run(project, "tests/signs/test_sign.py::test_one")
    assert LAST not in said
    assert "1 passed" in said, said


def test_this_run_measures_every_core(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("covering")
    for twin, core in twins(CORES).items():
        assert (ROOT / core).exists()
        assert (ROOT / twin).exists()
