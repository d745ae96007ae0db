"""The daemon under the restrictions of its unit, as far as they can be had without
systemd: requests and calls pass, and what is forbidden is."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import stage
from tests.scenarios.phones import ring
from tests.scenarios.sockets import voice
from tests.scenarios.telephony import ANSWERS, asked, set_up
from tests.stage import HERE, ROOT, Settings
from tests.wire import Caller

USER = 64_123
"Any user that owns nothing."
PRIVILEGED = 443
"A port that needs CAP_NET_BIND_SERVICE."
UNIT = ROOT / "systemd" / "edge-router.service"
PROBE = """
import mmap, os, socket, subprocess
def forbidden(what):
    try:
        what()
    except OSError as error:
        return error.strerror
    return "allowed"
print(forbidden(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)))
print(forbidden(lambda: open("/etc/of-ours", "w")))
print(forbidden(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)))
print(forbidden(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).bind((0, 1))))
print(forbidden(lambda: os.setuid(os.getuid())))
print(forbidden(lambda: os.listdir("/proc/1")))
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that another user reaches."""
    made = Path(tempfile.mkdtemp(prefix="edge-router-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def hardened(directory: Path) -> list[str]:
    """What runs a command so; the test is skipped where that cannot be."""
    if os.geteuid():
        pytest.skip("mount namespaces and users need root")
    for tool in ("systemd-analyze", "setpriv"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    launcher = str(ROOT / "tests" / "systemd" / "hardened.py")
    readable = [*dict.fromkeys((sys.base_prefix, sys.prefix, str(ROOT)))]
    # -I: the user cannot reach what PYTHONPATH may name.
    command = [sys.executable, "-IS", launcher, str(UNIT), str(USER)]
    command += [str(directory), *readable, "--"]
    tried = run([*command, "/bin/true"])
    if tried.returncode:
        said = tried.stderr.splitlines()[-1]
        assert "Error: [Errno" in said, tried.stderr  # else the launcher is wrong
        pytest.skip(f"the kernel refuses: {said}")
    return command


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False
    )


def test_restrictions_are_in_force(hardened: list[str]) -> None:
    tried = run([*hardened, sys.executable, "-IS", "-c", PROBE])
    assert tried.stdout.splitlines() == [
        "Operation not permitted",
        "Read-only file system",
        "Address family not supported by protocol",
        "allowed",
        "Operation not permitted",
        "No such file or directory",
    ], tried.stderr


def _give_away(settings: Settings, directory: Path) -> None:
    """Have the other user own what is there, and be able to read what it needs."""
    trusted = directory / "provider-ca.pem"
    shutil.copy(settings["provider"]["ca_file"], trusted)
    settings["provider"]["ca_file"] = str(trusted)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, USER, USER)


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return dict(line.split(":\t") for line in lines if line)


async def test_daemon_serves_all_protocols_under_the_restrictions_of_its_unit(
    hardened: list[str], directory: Path
) -> None:
    # Nothing fails here: a busy machine is to be no reason to change edges.
    async with set_up(directory, "udp", health={}) as made:
        listeners = made.settings["listeners"]
        listeners["api"] = stage.terminate(made.place, bind=f"{HERE}:{PRIVILEGED}")
        listeners["voice"] = voice(made.place)
        _give_away(made.settings, directory)
        async with stage.running(made.settings, directory, before=hardened) as daemon:
            values = _status(daemon.pid)
            assert values["Uid"].split()[0] == str(USER)
            assert values["NoNewPrivs"] == "1"
            assert values["Seccomp"] == "2"
            assert int(values["CapEff"], 16) == int(values["CapBnd"], 16) == 1 << 10
            async with Caller(PRIVILEGED, made.place.trust()) as caller:
                assert (await caller.ask("POST", "/", body=b"text")).status == 200
            phone = await ring(daemon.ports["voice"], made.place)
            await phone.talk(3)
            await phone.hang_up(made.provider)
            call = made.pbx.call(ANSWERS)
            assert await call.outcome == 200
            assert await asked(made.pbx, call, "BYE") == 200
        assert await daemon.end() == 0
        kept = Path(made.settings["state_directory"]) / "state.json"
        assert kept.stat().st_uid == USER
