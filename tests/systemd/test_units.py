"""The unit files, judged by systemd's own tools where they are installed."""

import pathlib
import shutil
import subprocess
import sys

import pytest

SYSTEMD = pathlib.Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "edge-router.service"


def tool(name: str) -> str:
    """The tool's path; the test is skipped without it."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False
    )


def test_unit_is_understood_whole(tmp_path: pathlib.Path) -> None:
    unit = tmp_path / UNIT.name
    text = UNIT.read_text().replace("/opt/edge-router/bin/edge-router", sys.executable)
    unit.write_text(text)
    verified = run(tool("systemd-analyze"), "verify", str(unit))
    about_it = [line for line in verified.stderr.splitlines() if UNIT.name in line]
    assert about_it == []
    assert verified.returncode == 0


def test_unit_is_hardened() -> None:
    """1.6 of 10 at most: what a service that binds privileged ports can reach."""
    judged = run(
        tool("systemd-analyze"),
        "security",
        "--offline=true",
        "--threshold=16",
        str(UNIT),
    )
    assert judged.returncode == 0, judged.stdout[-2000:]


def test_user_is_created(tmp_path: pathlib.Path) -> None:
    (tmp_path / "etc").mkdir()
    sysusers = SYSTEMD / "sysusers.d" / "edge-router.conf"
    made = run(
        tool("systemd-sysusers"),
        f"--root={tmp_path}",
        "--replace=/x.conf",
        str(sysusers),
    )
    assert made.returncode == 0, made.stderr
    assert "edge-router:" in (tmp_path / "etc" / "passwd").read_text()


def test_unit_runs_as_the_user_that_is_created() -> None:
    sysusers = (SYSTEMD / "sysusers.d" / "edge-router.conf").read_text()
    (created,) = [line for line in sysusers.splitlines() if line.startswith("u ")]
    assert f"User={created.split()[1]}\n" in UNIT.read_text()
