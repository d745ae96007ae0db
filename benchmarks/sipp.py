"""Calls by SIPp: a PBX that keeps many of them up, and the edge that answers them."""

import dataclasses
import re
import subprocess
from pathlib import Path

from benchmarks.caller import NUMBER
from benchmarks.processes import Process, free_port
from benchmarks.wrap import Address

AT_A_TIME = 32
"Calls that stand at a time, unless told otherwise."
ANSWERS = Path(__file__).with_name("sipp") / "uas.xml"
"What an edge does."
_CALLS = ANSWERS.with_name("uac.xml")
_USUAL = (0, 1)  # exit codes: every call succeeded, or not every one
_FASTEST = 10_000  # calls that SIPp would begin per second, if it might
_RATE = re.compile(r"Call Rate\s*\|[^|]*\|\s*([\d.]+) cps")
_COUNT = re.compile(r"(Successful|Failed) call\s*\|[^|]*\|\s*(\d+)")


class NoResultError(Exception):
    """SIPp did not run, or calls failed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What SIPp saw."""

    calls: int
    "Calls set up and hung up."
    failed: int
    "Calls that were not."
    rate: float
    "Of them, per second."


def read(text: str) -> Load:
    """Read the last statistics that SIPp printed.

    Raises NoResultError if more than one call in a hundred failed: a proxy that sheds
    load is not faster.
    """
    rates, counts = _RATE.findall(text), dict(_COUNT.findall(text))
    if not rates or len(counts) != 2:
        raise NoResultError(f"SIPp printed no figures: {text.strip()[-300:]!r}")
    successful, failed = int(counts["Successful"]), int(counts["Failed"])
    if 100 * failed >= successful:
        raise NoResultError(f"{failed} calls failed, {successful} did not")
    return Load(successful, failed, float(rates[-1]))


def edge(
    way: str,
    at: Address,
    log: Path,
    known_as: Address | None = None,
    scenario: Path = ANSWERS,
) -> Process:
    """An edge of the provider, which answers every call at once.

    Over TLS it is `known_as` another address than the one `at` which it takes TCP.
    """
    return Process.start("SIPp", _command(scenario, way, at, known_as or at), log)


@dataclasses.dataclass(frozen=True, slots=True)
class Pbx:
    """A PBX that calls, over and over."""

    way: str
    "Transport: udp, tcp or tls."
    to: Address
    "The proxy, or for TLS what wraps its connections."
    host: str
    "What the provider is called in the Request-URI."
    source: str
    "Where it calls from."
    directory: Path
    "Where it may write."

    def run(self, *, calls: int, at_a_time: int = AT_A_TIME) -> Load:
        """Keep calls up until so many were made. Raises NoResultError."""
        limits = ["-m", calls, "-l", at_a_time, "-r", _FASTEST, "-timeout", 60]
        done = subprocess.run(
            self._command(*limits, "-timeout_error"),
            capture_output=True,
            text=True,
            timeout=90,
            cwd=self.directory,
        )
        if done.returncode not in _USUAL:
            end = (done.stderr or done.stdout).strip()[-300:]
            raise NoResultError(f"SIPp exited with {done.returncode}: {end}")
        return read(done.stdout)

    def calling(self, rate: int) -> Process:
        """Begin so many calls a second until the process is ended."""
        log = self.directory / "pbx.log"
        return Process.start("SIPp", self._command("-r", rate), log)

    def _command(self, *limits: object) -> list[str]:
        names = self.directory / "host.csv"
        names.write_text(f"SEQUENTIAL\n{self.host}\n")
        here = (self.source, free_port(self.source))
        return [
            *_command(_CALLS, self.way, here, here),
            *("-inf", str(names), "-s", NUMBER, "-d", "0"),
            *map(str, limits),
            "{}:{}".format(*self.to),
        ]


def _command(scenario: Path, way: str, at: Address, known_as: Address) -> list[str]:
    return [
        *("sipp", "-nostdin", "-sf", str(scenario)),
        *("-t", "u1" if way == "udp" else "t1", "-i", at[0], "-p", str(at[1])),
        *("-key", "way", way.upper(), "-key", "here", "{}:{}".format(*known_as)),
    ]
