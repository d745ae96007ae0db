"""What does a WebSocket cost through the daemon, through HAProxy and through nginx?

    python -m benchmarks.websocket [--quick | --full] [--python PATH]

TLS on both legs, one process and thread each, the proxies by turns.

    messages    20 connections whose messages of 160 and of 4,000 bytes are echoed, one
                at a time: CPU time of the proxy for each message that it relays
    handshakes  connections opened, eight at a time, and closed: CPU time, and how many
                a second
    idle        growth of memory per open WebSocket on which nothing has passed

Exits 0 whether or not the aims are met, and 1 if it could not measure.
"""

import argparse
import asyncio
import dataclasses
import functools
import resource
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import uvloop

from benchmarks import upgraded
from benchmarks.contenders import HOME, Certificate, Contender, Work, installed, issue
from benchmarks.figures import Spread, aim, ratios, spread
from benchmarks.https import MEMORY_RATIO, OURS, PEER
from benchmarks.idle import FIRST
from benchmarks.machine import surroundings
from benchmarks.processes import NotReadyError, free_port, unverified
from benchmarks.upgraded import Client, Echo, Opened

PROGRAMS = ["haproxy", "-v"], ["nginx", "-v"]
"The others, and how they tell their versions."
CONNECTIONS = 20
"WebSockets that are busy at a time."
SIZES = (160, 4_000)
"Bytes of a message."
CPU_RATIO = 1.0
"Aim: CPU time per relayed message at most so many times the peer's."
_READY = 15.0  # seconds for a contender to relay


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    rounds: int
    "Rounds of each kind."
    seconds: float
    "Seconds of one round of one contender."
    idle: int
    "WebSockets over which memory is taken."


USUAL = Extent(6, 2.0, 1_000)
QUICK = Extent(1, 0.5, 100)
FULL = Extent(16, 3.0, 1_500)


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """One contender in one round."""

    cpu: float
    "Microseconds of the proxy's CPU time for each."
    rate: float
    "How many a second."


Measure = Callable[[Contender], Awaitable[Round]]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if that was not possible."""
    parser = argparse.ArgumentParser(prog="benchmarks.websocket", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="runs the daemon")
    extent = parser.add_mutually_exclusive_group()
    for name, chosen in (("quick", QUICK), ("full", FULL)):
        extent.add_argument(
            f"--{name}", action="store_const", dest="extent", const=chosen
        )
    parser.set_defaults(extent=USUAL)
    options = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(surroundings(options.python, *PROGRAMS), flush=True)
    with tempfile.TemporaryDirectory(prefix="edge-router-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # nginx, started by root, works as another user
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(measure(options.extent, options.python, directory))
        except (NotReadyError, OSError) as error:
            print(f"could not measure: {error}", file=sys.stderr)
            return 1
    return 0


async def measure(extent: Extent, python: str, directory: Path) -> None:
    """All parts, each printed as soon as it is there."""
    certificate = issue(directory)
    trust = unverified()
    async with origin(certificate, Echo) as port:
        work = Work(certificate, port, websocket=True, python=python)
        async with serving(work, directory / "speed", trust) as contenders:
            for size in SIZES:
                message = functools.partial(
                    messages, trust=trust, size=size, seconds=extent.seconds
                )
                found = await rounds(contenders, message, extent.rounds)
                title = f"{size:,} bytes: CPU us/message"
                show(title, "messages/s", found)
                compare(found, f"CPU per message of {size:,} bytes")
            opening = functools.partial(handshakes, trust=trust, seconds=extent.seconds)
            found = await rounds(contenders, opening, extent.rounds)
            show("CPU us/handshake", "handshakes/s", found)
        async with serving(work, directory / "idle", trust) as contenders:
            sizes = {
                name: await growth(contender, extent.idle, trust)
                for name, contender in contenders.items()
            }
            show_idle(sizes, extent.idle)


@asynccontextmanager
async def origin(
    certificate: Certificate, end: Callable[[], Opened]
) -> AsyncIterator[int]:
    """An origin in this process, with such ends; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    loop, port = asyncio.get_running_loop(), free_port(HOME)
    server = await loop.create_server(end, HOME, port, ssl=context, backlog=1_024)
    try:
        yield port
    finally:
        server.close()


@asynccontextmanager
async def serving(
    work: Work, directory: Path, trust: ssl.SSLContext
) -> AsyncIterator[dict[str, Contender]]:
    """All contenders, ready to relay; raises NotReadyError."""
    async with AsyncExitStack() as stack:
        contenders = {}
        for number, (name, start) in enumerate(installed().items()):
            place = directory / f"proxy-{number}"
            place.mkdir(parents=True)
            contenders[name] = contender = start(work, place)
            stack.enter_context(contender.process)
        for contender in contenders.values():
            await wait_for(contender, trust)
        yield contenders


async def wait_for(contender: Contender, trust: ssl.SSLContext) -> None:
    """Return once it relays; raises NotReadyError."""
    try:
        async with asyncio.timeout(_READY):
            while True:
                try:
                    client = await upgraded.dial(HOME, contender.port, trust, Client(0))
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    client.transport.abort()
                    return
    except TimeoutError:
        end = contender.process.log.read_text(errors="replace")[-1000:].strip()
        raise NotReadyError(f"{contender.name} does not relay: {end}") from None


# ---- What is measured ----------------------------------------------------------------


async def rounds(
    contenders: Mapping[str, Contender], measured: Measure, count: int
) -> dict[str, list[Round]]:
    """Measure them by turns; a first round, to warm up, does not count."""
    found: dict[str, list[Round]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(count + 1):
        for name in names:
            one = await measured(contenders[name])
            if number:
                found[name].append(one)
        names.reverse()
    return found


async def messages(
    contender: Contender, *, trust: ssl.SSLContext, size: int, seconds: float
) -> Round:
    """Echo messages; both ways count, each as one."""
    clients = [
        await upgraded.dial(HOME, contender.port, trust, Client(size))
        for _ in range(CONNECTIONS)
    ]
    before = contender.process.cpu_seconds()
    for client in clients:
        client.go()
    await asyncio.sleep(seconds)
    for client in clients:
        client.going = False
    await asyncio.sleep(0.1)  # what is under way still counts
    spent = contender.process.cpu_seconds() - before
    relayed = 2 * sum(client.answered for client in clients)
    for client in clients:
        if client.ended.done():
            raise ConnectionError(f"{contender.name} lost a WebSocket")
        client.transport.abort()
    return Round(1e6 * spent / relayed, relayed / seconds)


async def handshakes(
    contender: Contender, *, trust: ssl.SSLContext, seconds: float
) -> Round:
    """Open WebSockets, full TLS handshakes included, and abort them."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    opened = 0

    async def one_after_the_other() -> None:
        nonlocal opened
        while loop.time() < end:
            client = await upgraded.dial(HOME, contender.port, trust, Client(0))
            client.transport.abort()
            opened += 1

    before = contender.process.cpu_seconds()
    await asyncio.gather(*(one_after_the_other() for _ in range(8)))
    spent = contender.process.cpu_seconds() - before
    return Round(1e6 * spent / opened, opened / seconds)


async def growth(contender: Contender, count: int, trust: ssl.SSLContext) -> float:
    """Bytes by which each of `count` further WebSockets makes the process larger."""
    dial = functools.partial(upgraded.dial, HOME, contender.port, trust)
    clients = [await dial(Client(0)) for _ in range(FIRST)]
    before = contender.process.resident()
    clients += [await dial(Client(0)) for _ in range(count)]
    grown = contender.process.resident() - before
    for client in clients:
        client.transport.abort()
    return grown / count


# ---- What is printed -----------------------------------------------------------------


def show(what: str, rate: str, found: Mapping[str, list[Round]]) -> None:
    """A table."""
    print(f"\n{'':14}{what:>30}{'x ' + PEER:>20}{rate:>14}")
    for name, done in found.items():
        cpu = spread([one.cpu for one in done])
        against = _against(found, name) or ""
        each = spread([one.rate for one in done]).median
        print(f"{name:14}{cpu!s:>30}{against!s:>20}{each:14,.0f}", flush=True)


def _against(found: Mapping[str, list[Round]], name: str) -> Spread | None:
    if PEER not in found or name == PEER:
        return None
    pair = ([one.cpu for one in found[each]] for each in (name, PEER))
    return spread(ratios(*pair))


def compare(found: Mapping[str, list[Round]], what: str) -> None:
    """Whether the aim is met."""
    against = _against(found, OURS)
    if against is not None:
        aim(what, against.median, CPU_RATIO, f"x {PEER}'s")


def show_idle(found: Mapping[str, float], count: int) -> None:
    """Memory, and whether its aim is met."""
    print(f"\nmemory per idle WebSocket, {count} of them")
    for name, size in found.items():
        print(f"{name:14}{size / 1024:8.1f} KiB", flush=True)
    if PEER in found:
        ratio = found[OURS] / found[PEER]
        aim("memory per idle WebSocket", ratio, MEMORY_RATIO, f"x {PEER}'s")


if __name__ == "__main__":
    sys.exit(main())
