"""What does a request cost through the daemon, through HAProxy and through nginx?

    python -m benchmarks.https [--quick | --full] [--python PATH]

All three are set up for the same work on loopback, one process and thread each: TLS
from the client, TLS to the origin, the same certificate, connections kept on both
legs. docs/benchmarks.md tells the method in full. In short:

    speed     wrk keeps 32 connections busy. The proxies take turns; CPU time is that
              of the proxy, from /proc. A ratio is formed within each round, and its
              median counts. With a record per request into a file, and without.
    alone     one connection, so that nothing queues: the time that a proxy adds
    idle      growth of memory per connection that stays open after one request
    failover  100 requests a second, half of them POST; the origin in use is killed, or
              frozen, and healed after 15 s

Exits 0 whether or not the aims are met, and 1 if it could not measure.
"""

import argparse
import dataclasses
import functools
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import failover, idle, speed, wrk
from benchmarks.contenders import Contender, Start, Work, installed, issue
from benchmarks.failover import Fault, Timetable, Verdict
from benchmarks.figures import aim, ratios, spread
from benchmarks.machine import surroundings
from benchmarks.processes import NotReadyError
from benchmarks.speed import DISTINCT, IDENTICAL, Round, Shape

OURS = "edge-router"
PEER = "HAProxy"
"The proxy that ratios refer to."
BARE = ", no records"
"Ending of the name of a contender that writes no line per request."

CPU_RATIO = 1.3
"Aim: CPU time per request at most so many times the peer's."
MEMORY_RATIO = 2.0
"Aim: memory per idle connection at most so many times the peer's."
KILLED_P99 = 0.020
"Aim in seconds, with no failure, when the origin in use is killed."
FROZEN_P99 = 0.3
"Aim in seconds, with no failure but POSTs already sent, when it is frozen."


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    rounds: int
    "Rounds for each shape of requests."
    seconds: int
    "Seconds of one round of one contender."
    idle: int
    "Connections over which memory is taken."
    timetable: Timetable
    "When the origin in use dies, and is healed."


USUAL = Extent(6, 2, 1000, Timetable(fault=6, heal=21, end=24))
QUICK = Extent(1, 1, 100, Timetable(fault=1, heal=3, end=3.5))
FULL = Extent(16, 3, 2000, Timetable(fault=10, heal=25, end=40))


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if that was not possible."""
    parser = argparse.ArgumentParser(prog="benchmarks.https", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="runs the daemon")
    extent = parser.add_mutually_exclusive_group()
    for name, chosen in (("quick", QUICK), ("full", FULL)):
        extent.add_argument(
            f"--{name}", action="store_const", dest="extent", const=chosen
        )
    parser.set_defaults(extent=USUAL)
    options = parser.parse_args(arguments)
    missing = [tool for tool in ("wrk", "nginx") if not shutil.which(tool)]
    if missing:
        print(f"needs {' and '.join(missing)}: for the load, and as the origin")
        return 1
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="edge-router-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # nginx, started by root, works as another user
        try:
            measure(options.extent, options.python, directory)
        except (NotReadyError, wrk.NoResultError, OSError) as error:
            print(f"could not measure: {error}", file=sys.stderr)
            return 1
    return 0


def measure(extent: Extent, python: str, directory: Path) -> None:
    """All parts, each printed as soon as it is there."""
    starts = installed()
    tools = (["haproxy", "-v"], ["nginx", "-v"], ["wrk", "-v"])
    print(surroundings(python, *tools), flush=True)
    certificate = issue(directory)
    with speed.origin(certificate, directory / "origin") as port:
        work = Work(certificate, port, python=python)
        with speed.serving(_with_and_without(starts), work, directory) as contenders:
            for shape in (IDENTICAL, DISTINCT):
                found = speed.rounds(
                    contenders, shape, count=extent.rounds, seconds=extent.seconds
                )
                show_speed(shape, extent, found)
            named = {name: contenders[name] for name in starts}
            alone = speed.rounds(
                named, DISTINCT, count=extent.rounds, seconds=1, connections=1
            )
            show_alone(alone)
        with speed.serving(starts, work, directory / "idle") as contenders:
            show_idle(
                {
                    name: idle.growth(contender, extent.idle)
                    for name, contender in contenders.items()
                },
                extent.idle,
            )
    for fault in Fault:
        place = directory / fault.value
        show_failover(fault, failover.run(starts, work, fault, extent.timetable, place))


def _with_and_without(starts: Mapping[str, Start]) -> dict[str, Start]:
    """Each contender with a record per request and, under another name, without."""

    def bare(start: Start, work: Work, directory: Path) -> Contender:
        return start(dataclasses.replace(work, records=False), directory)

    without = {name + BARE: functools.partial(bare, s) for name, s in starts.items()}
    return {**starts, **without}


# ---- What is printed -----------------------------------------------------------------


def show_speed(shape: Shape, extent: Extent, found: Mapping[str, list[Round]]) -> None:
    """The table of one shape of requests, and whether its aim is met."""
    print(
        f"\n{shape.name}, {speed.CONNECTIONS} connections, {extent.rounds} rounds of "
        f"{extent.seconds} s: medians (and quartiles)"
    )
    print(
        f"{'':24}{'CPU us/request':>22}{'x ' + PEER:>22}{'requests/s':>12}"
        f"{'p50 ms':>8}{'p99 ms':>8}"
    )
    for name, done in found.items():
        peer = PEER + BARE if name.endswith(BARE) else PEER
        rate, p50, p99 = (
            _median(done, look)
            for look in (_rate, lambda r: r.load.p50, lambda r: r.load.p99)
        )
        print(
            f"{name:24}{spread([r.cpu for r in done])!s:>22}"
            f"{_against(found, name, peer):>22}{rate:12,.0f}"
            f"{1e3 * p50:8.2f}{1e3 * p99:8.2f}"
        )
    for ending in ("", BARE):
        if PEER + ending in found:
            ratio = _ratio(found, OURS + ending, PEER + ending)
            aim(f"CPU per request{ending}", ratio, CPU_RATIO, f"x {PEER}'s")


def _rate(one: Round) -> float:
    return one.load.rate


def _median(done: list[Round], look: Callable[[Round], float]) -> float:
    return spread([look(one) for one in done]).median


def _ratio(found: Mapping[str, list[Round]], ours: str, theirs: str) -> float:
    pair = ([one.cpu for one in found[name]] for name in (ours, theirs))
    return spread(ratios(*pair)).median


def _against(found: Mapping[str, list[Round]], name: str, peer: str) -> str:
    if peer not in found or name == peer:
        return ""
    pair = ([one.cpu for one in found[each]] for each in (name, peer))
    return str(spread(ratios(*pair)))


def show_alone(found: Mapping[str, list[Round]]) -> None:
    """Latency where nothing queues."""
    print(f"\n{DISTINCT.name}, one connection: latency, medians of the rounds")
    print(f"{'':24}{'p50 ms':>8}{'p99 ms':>8}")
    for name, done in found.items():
        p50 = _median(done, lambda one: one.load.p50)
        p99 = _median(done, lambda one: one.load.p99)
        print(f"{name:24}{1e3 * p50:8.2f}{1e3 * p99:8.2f}", flush=True)


def show_idle(found: Mapping[str, float], count: int) -> None:
    """Memory, and whether its aim is met."""
    print(f"\nmemory per idle connection after one request, {count} of them")
    for name, size in found.items():
        print(f"{name:24}{size / 1024:8.1f} KiB", flush=True)
    if PEER in found:
        ratio = found[OURS] / found[PEER]
        aim("memory per idle connection", ratio, MEMORY_RATIO, f"x {PEER}'s")


def show_failover(fault: Fault, found: Mapping[str, Verdict]) -> None:
    """What clients noticed, and whether the aim is met."""
    print(
        f"\norigin in use {fault.value}, {failover.RATE} requests/s, half POST; "
        "times of requests during the outage"
    )
    print(f"{'':24}{'failed':>8}{'twice':>7}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for name, verdict in found.items():
        failed = ", ".join(f"{n} {kind}" for kind, n in verdict.failed.items())
        print(
            f"{name:24}{sum(verdict.failed.values()):8}{verdict.twice:7}"
            f"{1e3 * verdict.p50:9.1f}{1e3 * verdict.p99:9.1f}"
            f"{1e3 * verdict.longest:9.1f}  {failed}",
            flush=True,
        )
    ours = found[OURS]
    tolerated = "POST" if fault is Fault.FROZEN else ""
    fatal = sum(
        count
        for kind, count in ours.failed.items()
        if not tolerated or not kind.startswith(tolerated)
    )
    aim("failures", fatal, 0, "but POSTs already sent" if tolerated else "")
    limit = KILLED_P99 if fault is Fault.KILLED else FROZEN_P99
    aim("p99", 1e3 * ours.p99, 1e3 * limit, "ms")


if __name__ == "__main__":
    sys.exit(main())
