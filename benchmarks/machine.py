"""Date, machine and versions: figures mean nothing without them."""

import datetime
import os
import platform
import shutil
import subprocess
from pathlib import Path

_DAEMON = """import platform, ssl, sys, uvloop
print("CPython", platform.python_version(), sys.executable + ", uvloop",
      uvloop.__version__ + ",", ssl.OPENSSL_VERSION)"""


def surroundings(python: str, *programs: list[str]) -> str:
    """What is measured with: the interpreter, and what these commands say first."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    cores = f"{len(os.sched_getaffinity(0))} x {(*model, platform.machine())[0]}"
    date = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    lines = [
        f"{date}, {cores}, Linux {platform.release()}",
        *(_first_line(command) for command in ([python, "-c", _DAEMON], *programs)),
    ]
    return "\n".join(line for line in lines if line)


def _first_line(command: list[str]) -> str:
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    return (done.stdout or done.stderr).strip().partition("\n")[0]
