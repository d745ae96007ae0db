"""What does a call cost through the daemon, and through Kamailio?

    python -m benchmarks.sip [--quick | --full] [--over udp|tcp|tls] [--python PATH]

Both are set up for the same work on loopback (benchmarks/trunks.py): SIPp is the PBX
that calls and the edge that answers. A call is INVITE, 100, 180, 200, ACK, BYE, 200.
docs/benchmarks.md tells the method in full. For UDP, TCP and TLS:

    speed     SIPp keeps 32 calls up, each hung up once answered. The proxies take
              turns; CPU time is that of the proxy's processes, from /proc. A ratio is
              formed within each round, and its median counts.
    latency   100 calls a second by SIPp, and beside them one call after the other whose
              time from INVITE to 200 is taken: through each proxy, and without one
    memory    growth per 1,000 calls that stand, taken as soon as the last is answered

Exits 0 whether or not the aims are met, and 1 if it could not measure.
"""

import argparse
import contextlib
import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import sipp, wrap
from benchmarks.caller import Caller
from benchmarks.contenders import issue
from benchmarks.figures import aim, percentile, ratios, spread
from benchmarks.machine import surroundings
from benchmarks.processes import NotReadyError, Process, free_port
from benchmarks.trunks import (
    EDGES,
    HOST,
    PBX,
    Start,
    Trunk,
    Work,
    edge_router,
    kamailio,
)
from benchmarks.wrap import Address

OURS = "edge-router"
RECORDS = "edge-router, records"
LINKED = "edge-router, a link"
"The same with calls counted on a direct link."
PEER = "Kamailio"
"The proxy that ratios refer to."
DIRECT = "no proxy"

WAYS = ("udp", "tcp", "tls")
CPU_RATIO = 0.6
"Aim: CPU time per call over UDP at most so many times the peer's."
BESIDE = 100
"Calls a second that SIPp makes while latency is taken."
FIRST = 100
"Calls that stand before the first look at memory."


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    rounds: int
    "Rounds for each transport."
    calls: int
    "Calls of one round of one contender."
    timed: int
    "Calls whose latency is taken."
    standing: int
    "Calls over which memory is taken."


USUAL = Extent(rounds=5, calls=1_500, timed=300, standing=1_000)
QUICK = Extent(rounds=1, calls=300, timed=50, standing=100)
FULL = Extent(rounds=15, calls=3_000, timed=1_000, standing=2_000)


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """One contender in one round."""

    rate: float
    "Calls per second."
    cpu: float
    "Microseconds of the proxy's CPU time per call."
    failed: int
    "Calls that failed."


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if that was not possible."""
    parser = argparse.ArgumentParser(prog="benchmarks.sip", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="runs the daemon")
    parser.add_argument("--over", choices=WAYS, action="append", help="these alone")
    extent = parser.add_mutually_exclusive_group()
    for name, chosen in (("quick", QUICK), ("full", FULL)):
        extent.add_argument(
            f"--{name}", action="store_const", dest="extent", const=chosen
        )
    parser.set_defaults(extent=USUAL)
    options = parser.parse_args(arguments)
    if not shutil.which("sipp"):
        print("needs sipp: as the PBX, and as the edge")
        return 1
    print(surroundings(options.python, ["sipp", "-v"], ["kamailio", "-v"]), flush=True)
    with tempfile.TemporaryDirectory(prefix="edge-router-bench-") as name:
        try:
            for way in options.over or WAYS:
                measure(way, options.extent, options.python, Path(name) / way)
        except (NotReadyError, sipp.NoResultError, OSError) as error:
            print(f"could not measure: {error}", file=sys.stderr)
            return 1
    return 0


def contenders() -> dict[str, tuple[Start, dict[str, bool]]]:
    """What is compared: how it is started, and what it does beside."""
    found: dict[str, tuple[Start, dict[str, bool]]] = {
        OURS: (edge_router, {}),
        RECORDS: (edge_router, {"records": True}),
        LINKED: (edge_router, {"linked": True}),
    }
    if shutil.which("kamailio"):
        found[PEER] = (kamailio, {})
    else:
        print(f"{PEER} is not installed: left out")
    return found


def measure(way: str, extent: Extent, python: str, directory: Path) -> None:
    """All parts over one transport, each printed as soon as it is there."""
    with serving(way, python, directory) as stage:
        show_speed(way, extent, rounds(stage, extent))
        show_latency(way, latencies(stage, extent.timed))
    # Fresh ones: memory that loads have made a process grow by is used again.
    with serving(way, python, directory / "fresh") as stage:
        standing = {n: growth(t, extent.standing) for n, t in stage.trunks.items()}
        show_memory(way, standing, extent.standing)


# ---- What is measured ----------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """A PBX, proxies and edges."""

    way: str
    "Transport of all of them."
    directory: Path
    "Where files are."
    trunks: dict[str, Trunk]
    "The proxies, ready for calls."
    ways: dict[str, Address]
    "Where calls go that are to go through each proxy, or through none."
    entries: dict[str, Address]
    "The same for SIPp, which knows no TLS."

    def pbx(self, name: str) -> sipp.Pbx:
        """A PBX that calls through a proxy, or through none."""
        return sipp.Pbx(self.way, self.entries[name], HOST, PBX, self.directory)


@contextlib.contextmanager
def serving(way: str, python: str, directory: Path) -> Iterator[Stage]:
    """All contenders, ready for calls."""
    directory.mkdir()
    certificate = issue(directory)
    port = free_port(*EDGES)
    inner = free_port(*EDGES) if way == "tls" else port
    with contextlib.ExitStack() as stack:
        for edge in EDGES:
            log = directory / f"{edge}.log"
            answering = sipp.edge(way, (edge, inner), log, (edge, port))
            stack.enter_context(answering)
        trunks = {}
        for number, (name, (start, beside)) in enumerate(contenders().items()):
            place = directory / f"proxy-{number}"
            place.mkdir()
            work = Work(way, certificate, port, python=python, **beside)
            trunks[name] = trunk = start(work, place)
            stack.enter_context(trunk.process)
        ways = {DIRECT: (EDGES[0], port)}
        ways |= {name: trunk.at for name, trunk in trunks.items()}
        entries = ways
        if way == "tls":
            entries = {name: (PBX, free_port(PBX)) for name in ways}
            wrapped = {entries[name]: at for name, at in ways.items()}
            unwrapped = {(edge, port): (edge, inner) for edge in EDGES}
            stack.enter_context(wrap.start(wrapped, unwrapped, certificate, directory))
        for trunk in trunks.values():
            trunk.process.wait_until(trunk.serves)
        yield Stage(way, directory, trunks, ways, entries)


def rounds(stage: Stage, extent: Extent) -> dict[str, list[Round]]:
    """Load them by turns, as benchmarks.speed does; the first round does not count."""
    found: dict[str, list[Round]] = {name: [] for name in stage.trunks}
    names = list(stage.trunks)
    for number in range(extent.rounds + 1):
        for name in names:
            trunk = stage.trunks[name]
            one = _round(trunk.process, stage.pbx(name), extent.calls)
            if number:
                found[name].append(one)
        names.reverse()
    return found


def _round(process: Process, pbx: sipp.Pbx, calls: int) -> Round:
    before = process.cpu_seconds()
    try:
        load = pbx.run(calls=calls)
    except sipp.NoResultError as error:
        raise sipp.NoResultError(f"{process.name}: {error}") from None
    spent = process.cpu_seconds() - before
    return Round(load.rate, 1e6 * spent / load.calls, load.failed)


def latencies(stage: Stage, count: int) -> dict[str, list[float]]:
    """Seconds until calls were answered, without a proxy and through each.

    They are taken one call after the other, while SIPp calls on the same way.
    """
    found = {}
    for name, to in stage.ways.items():
        with (
            stage.pbx(name).calling(BESIDE),
            Caller(stage.way, to, HOST, PBX) as caller,
        ):
            found[name] = [_answered(caller) for _ in range(count)]
    return found


def _answered(caller: Caller) -> float:
    call = caller.call()
    caller.hang_up(call)
    return call.seconds


def growth(trunk: Trunk, count: int) -> float:
    """Bytes by which 1,000 further calls that stand make the processes larger."""
    with trunk.caller() as caller:
        standing = [caller.call() for _ in range(FIRST)]
        before = trunk.process.resident()
        standing += [caller.call() for _ in range(count)]
        grown = trunk.process.resident() - before
        for call in standing:
            caller.hang_up(call)
    return 1_000 * grown / count


# ---- What is printed -----------------------------------------------------------------


def show_speed(way: str, extent: Extent, found: Mapping[str, list[Round]]) -> None:
    """The table of one transport, and whether its aim is met."""
    print(
        f"\n{way}, {sipp.AT_A_TIME} calls at a time, {extent.rounds} rounds of "
        f"{extent.calls} calls: medians (and quartiles)"
    )
    print(f"{'':22}{'CPU us/call':>26}{'x ' + PEER:>20}{'calls/s':>10}{'failed':>8}")
    for name, done in found.items():
        against = ""
        if PEER in found and name != PEER:
            against = str(spread(_ratios(found, name)))
        rate = spread([one.rate for one in done]).median
        cpu = spread([one.cpu for one in done])
        failed = sum(one.failed for one in done)
        print(f"{name:22}{cpu!s:>26}{against:>20}{rate:10,.0f}{failed:8}", flush=True)
    if PEER in found and way == "udp":
        ratio = spread(_ratios(found, OURS)).median
        aim("CPU per call over UDP", ratio, CPU_RATIO, f"x {PEER}'s")


def _ratios(found: Mapping[str, list[Round]], name: str) -> list[float]:
    return ratios(*([one.cpu for one in found[each]] for each in (name, PEER)))


def show_latency(way: str, found: Mapping[str, list[float]]) -> None:
    """How long calls took to be answered, and what of it is the proxy's."""
    count = len(found[DIRECT])
    print(f"\n{way}, INVITE to 200 beside {BESIDE} calls/s, {count} calls: ms")
    print(f"{'':22}{'p50':>8}{'p99':>8}{'added p50':>12}{'added p99':>12}")
    least = [percentile(found[DIRECT], share) for share in (0.5, 0.99)]
    for name, times in found.items():
        taken = [percentile(times, share) for share in (0.5, 0.99)]
        shown = "".join(f"{1e3 * one:8.2f}" for one in taken)
        if name != DIRECT:
            added = zip(taken, least, strict=True)
            shown += "".join(f"{1e3 * (one - less):12.2f}" for one, less in added)
        print(f"{name:22}{shown}", flush=True)


def show_memory(way: str, found: Mapping[str, float], count: int) -> None:
    """Memory of calls that stand."""
    print(f"\n{way}, memory per 1,000 calls that stand, {count} of them")
    for name, size in found.items():
        print(f"{name:22}{size / (1 << 20):8.1f} MiB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
