"""Calls by SIPp: a PBX that keeps many of them up, and the edge that answers them."""

import dataclasses
import re
import subprocess
from pathlib import Path

from benchmarks.caller import NUMBER
from benchmarks.contenders import Certificate
from benchmarks.processes import Process, free_port

AT_A_TIME = 32
"Calls that stand at a time, unless told otherwise."
_SCENARIOS = Path(__file__).with_name("sipp")
_WAYS = {"udp": "u1", "tcp": "t1", "tls": "l1"}
_FASTEST = 10_000  # calls that SIPp would begin per second, if it might
_RATE = re.compile(r"Call Rate\s*\|[^|]*\|\s*([\d.]+) cps")
_COUNT = re.compile(r"(Successful|Failed) call\s*\|[^|]*\|\s*(\d+)")


class NoResultError(Exception):
    """SIPp did not run, or a call failed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What SIPp saw."""

    calls: int
    "Calls set up and hung up."
    rate: float
    "Of them, per second."


def read(text: str) -> Load:
    """Read the last statistics that SIPp printed.

    Raises NoResultError if a call failed: a proxy that sheds load is not faster.
    """
    rates, counts = _RATE.findall(text), dict(_COUNT.findall(text))
    if not rates or len(counts) != 2:
        raise NoResultError(f"SIPp printed no figures: {text.strip()[-300:]!r}")
    if int(counts["Failed"]) or not int(counts["Successful"]):
        raise NoResultError(f"{counts['Failed']} calls failed")
    return Load(int(counts["Successful"]), float(rates[-1]))


def edge(way: str, at: tuple[str, int], certificate: Certificate, log: Path) -> Process:
    """An edge of the provider, which answers every call at once."""
    command = _command("uas.xml", way, *at, certificate)
    return Process.start("SIPp", command, log)


@dataclasses.dataclass(frozen=True, slots=True)
class Pbx:
    """A PBX that calls, over and over."""

    way: str
    "Transport: udp, tcp or tls."
    to: tuple[str, int]
    "The proxy."
    host: str
    "What the provider is called in the Request-URI."
    source: str
    "Where it calls from."
    certificate: Certificate
    "What it shows over TLS."
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
        if done.returncode:
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
        port = free_port(self.source)
        return [
            *_command("uac.xml", self.way, self.source, port, self.certificate),
            *("-inf", str(names), "-s", NUMBER, "-d", "0"),
            *map(str, limits),
            "{}:{}".format(*self.to),
        ]


def _command(
    scenario: str, way: str, address: str, port: int, certificate: Certificate
) -> list[str]:
    tls = ["-tls_cert", certificate.chain, "-tls_key", certificate.key]
    return [
        *("sipp", "-nostdin", "-sf", str(_SCENARIOS / scenario)),
        *("-t", _WAYS[way], "-i", address, "-p", str(port)),
        *(map(str, tls) if way == "tls" else ()),
    ]
