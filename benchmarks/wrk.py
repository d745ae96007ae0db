"""Load by wrk, and what it prints read back."""

import dataclasses
import re
import subprocess
from pathlib import Path

_TOTAL = re.compile(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h)\b")
_PERCENTILE = re.compile(r"^ +(50|99)% +([\d.]+)(us|ms|s|m|h)$", re.MULTILINE)
_NOT_OK = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_ERRORS = re.compile(
    r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)"
)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class NoResultError(Exception):
    """wrk did not run, or what it measured is not what was asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw; times in seconds."""

    requests: int
    "Requests answered."
    seconds: float
    "For how long."
    p50: float
    "Half of the answers came within this."
    p99: float
    "99 of 100 answers came within this."

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def read(text: str) -> Load:
    """Read what `wrk --latency` printed.

    Raises NoResultError if a request failed: a proxy that sheds load is not faster.
    """
    total = _TOTAL.search(text)
    percentiles = {
        found[1]: float(found[2]) * _SECONDS[found[3]]
        for found in _PERCENTILE.finditer(text)
    }
    if total is None or len(percentiles) != 2:
        raise NoResultError(f"wrk printed no figures: {text.strip()[-300:]!r}")
    for failed in (_NOT_OK.search(text), _ERRORS.search(text)):
        if failed is not None:
            raise NoResultError(failed[0])
    if not int(total[1]):
        raise NoResultError("no request was answered")
    return Load(
        requests=int(total[1]),
        seconds=float(total[2]) * _SECONDS[total[3]],
        p50=percentiles["50"],
        p99=percentiles["99"],
    )


def run(
    url: str, *, connections: int, seconds: float, script: Path | None = None
) -> Load:
    """Load one URL with keep-alive connections, each sending as it is answered.

    Raises NoResultError.
    """
    command = ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds:g}s"]
    if script is not None:
        command += ["-s", str(script)]
    done = subprocess.run(
        [*command, url], capture_output=True, text=True, timeout=seconds + 30
    )
    if done.returncode:
        raise NoResultError(done.stderr.strip() or f"wrk exited with {done.returncode}")
    return read(done.stdout)
