"""The unit files, judged by systemd's own tools where they are installed."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from protocols.sip.datagrams import RECEIVE_BUFFER
from router import events
from router.handover import MOST
from router.supervision import BEATS, LATE

SYSTEMD = pathlib.Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "edge-router.service"
UNITS = [UNIT, *sorted(SYSTEMD.glob("*.socket"))]
DROP_INS = sorted((SYSTEMD / "edge-router.service.d").iterdir())


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


@pytest.fixture
def installed(tmp_path: pathlib.Path) -> pathlib.Path:
    """All units, with an executable that exists, and no drop-in."""
    for unit in UNITS:
        text = unit.read_text()
        command = "/opt/edge-router/bin/edge-router"
        (tmp_path / unit.name).write_text(text.replace(command, sys.executable))
    return tmp_path


@pytest.mark.parametrize("dropped", [None, *DROP_INS], ids=str)
def test_units_are_understood_whole(
    installed: pathlib.Path, dropped: pathlib.Path | None
) -> None:
    if dropped is not None:
        (installed / dropped.parent.name).mkdir()
        place = installed / dropped.parent.name / dropped.name.removesuffix(".example")
        place.write_text(dropped.read_text())
    verified = run(
        tool("systemd-analyze"), "verify", *(str(installed / u.name) for u in UNITS)
    )
    about_them = [
        line for line in verified.stderr.splitlines() if "edge-router" in line
    ]
    assert about_them == []
    assert verified.returncode == 0


@pytest.mark.parametrize(
    ("dropped", "threshold"),
    # 1.6 of 10 at most: what a service that binds privileged ports can reach.
    [([], 16), (["10-ip-allow"], 15), (["20-sockets"], 13)],
    ids=str,
)
def test_unit_is_hardened(
    dropped: list[str], threshold: int, tmp_path: pathlib.Path
) -> None:
    texts = [UNIT.read_text()]
    texts += [one.read_text() for one in DROP_INS if one.name.split(".")[0] in dropped]
    unit = tmp_path / UNIT.name
    unit.write_text("\n".join(texts))
    judged = run(
        tool("systemd-analyze"),
        "security",
        "--offline=true",
        f"--threshold={threshold}",
        str(unit),
    )
    assert judged.returncode == 0, judged.stdout[-2000:]


def test_watchdog_and_store_fit_what_the_daemon_does() -> None:
    text = UNIT.read_text()
    assert "\nType=notify\n" in text
    assert "\nNotifyAccess=main\n" in text
    (seconds,) = re.findall(r"^WatchdogSec=(\d+)$", text, re.MULTILINE)
    assert int(seconds) / BEATS >= 4 * LATE
    (most,) = re.findall(r"^FileDescriptorStoreMax=(\d+)$", text, re.MULTILINE)
    assert 64 <= int(most) <= MOST


def test_sysctl_gives_what_udp_sockets_ask_for() -> None:
    text = (SYSTEMD / "sysctl.d" / "edge-router.conf").read_text()
    assert f"net.core.rmem_max = {RECEIVE_BUFFER}\n" in text
    assert str(RECEIVE_BUFFER) in events.LISTENER_CRAMPED.advice


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
