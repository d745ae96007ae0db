"""Half of the requests are POSTs, and the origin in use dies: what do clients notice?

Requests leave on a timetable, whether or not earlier ones were answered, so that a
proxy that stalls cannot slow down the load. The client never repeats a request.
"""

import asyncio
import collections
import contextlib
import dataclasses
import enum
import signal
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvloop

from benchmarks.contenders import HOME, OTHER, Certificate, Contender, Start, Work
from benchmarks.figures import percentile
from benchmarks.processes import Process, free_port, unverified

RATE = 100
"Requests per second; every other one is a POST."
_GIVE_UP = 10.0  # seconds that the client waits for an answer
_REUSE = 5.0  # seconds for which the client reuses an idle connection


class Fault(enum.StrEnum):
    """What befalls the origin in use."""

    KILLED = "killed"
    "The process ends: connections break, new ones are refused."
    FROZEN = "frozen"
    "The process stops: the system accepts in its stead, and nothing is answered."


@dataclasses.dataclass(frozen=True, slots=True)
class Timetable:
    """When things happen, in seconds from the first request."""

    fault: float
    "The origin in use dies."
    heal: float
    "It is back."
    end: float
    "The last request leaves."


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """One request; times in seconds from the first one."""

    identifier: str
    "What makes it distinct."
    method: str
    "GET or POST."
    began: float
    "When it left."
    took: float
    "How long its answer took, or its failure."
    failure: str
    "What went wrong: a status, or an error's name; empty if nothing."


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What clients noticed; times in seconds."""

    requests: int
    "Requests sent in all."
    failed: dict[str, int]
    "Failures of the whole run by method and kind."
    p50: float
    "Median time of the requests that left during the outage."
    p99: float
    "Time within which 99 of 100 of them ended."
    longest: float
    "The longest of them."
    twice: int
    "POSTs that were received more than once."


def judge(
    asked: Sequence[Asked], received: Sequence[str], timetable: Timetable
) -> Verdict:
    """Sum up one run; `received` are the POSTs that any origin got."""
    failed = collections.Counter(
        f"{one.method} {one.failure}" for one in asked if one.failure
    )
    during = [
        one.took for one in asked if timetable.fault <= one.began < timetable.heal
    ]
    times = collections.Counter(received)
    return Verdict(
        requests=len(asked),
        failed=dict(failed),
        p50=percentile(during, 0.50),
        p99=percentile(during, 0.99),
        longest=max(during),
        twice=sum(count > 1 for count in times.values()),
    )


class Origins:
    """The two origins of one contender."""

    def __init__(self, certificate: Certificate, directory: Path) -> None:
        self.port = free_port(HOME, OTHER)
        "Where both listen."
        self.certificate = certificate
        "What they show."
        self._ledgers = [directory / "home.ledger", directory / "other.ledger"]
        self._log = directory / "origins.log"
        self._processes = [self._start(0), self._start(1)]
        self._struck = 0

    def _start(self, index: int) -> Process:
        address = (HOME, OTHER)[index]
        command = [sys.executable, "-m", "benchmarks.origin", address, str(self.port)]
        made = self.certificate
        files = [made.chain, made.key, self._ledgers[index]]
        root = str(Path(__file__).resolve().parents[1])
        return Process.start(
            "origin", [*command, *files], self._log, {"PYTHONPATH": root}
        )

    def wait(self) -> None:
        """Return once both serve."""
        for process, address in zip(self._processes, (HOME, OTHER), strict=True):
            process.wait_for(address, self.port)

    def received(self) -> list[str]:
        """Identifiers of the POSTs that either got."""
        return [line for ledger in self._ledgers for line in _lines(ledger)]

    def strike(self, fault: Fault) -> None:
        """Let the fault befall the origin that was used last, by its ledger."""
        used = [len(_lines(ledger)) for ledger in self._ledgers]
        self._struck = used.index(max(used))
        process = self._processes[self._struck]
        process.send(signal.SIGKILL if fault is Fault.KILLED else signal.SIGSTOP)

    def heal(self, fault: Fault) -> None:
        """Bring it back."""
        if fault is Fault.KILLED:
            self._processes[self._struck] = self._start(self._struck)
        else:
            self._processes[self._struck].send(signal.SIGCONT)

    def end(self) -> None:
        """End both."""
        for process in self._processes:
            process.end()


def _lines(ledger: Path) -> list[str]:
    return ledger.read_text().splitlines() if ledger.exists() else []


class _Client:
    """Sends each request on an idle connection, or on a new one."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port = port
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.asked: list[Asked] = []

    async def ask(self, identifier: str, method: str, leaves: float) -> None:
        """Send one request, and note what became of it."""
        began = time.perf_counter()  # uvloop's clock shows whole milliseconds
        failure = ""
        try:
            async with asyncio.timeout(_GIVE_UP):
                status = await self._exchange(identifier, method)
            if status != "200":
                failure = status
        except TimeoutError:
            failure = "no answer"
        except (OSError, asyncio.IncompleteReadError) as error:
            failure = type(error).__name__
        took = time.perf_counter() - began
        self.asked.append(Asked(identifier, method, leaves, took, failure))

    async def _exchange(self, identifier: str, method: str) -> str:
        reader, writer = await self._connection()
        try:
            body = "To=%2B15558675310&Body=Hello" if method == "POST" else ""
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            writer.write(
                f"{method} /{identifier} HTTP/1.1\r\nHost: edge-router.test\r\n"
                f"X-Request-Id: {identifier}\r\n{length}\r\n{body}".encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(_length(head))
        except BaseException:
            writer.transport.abort()
            raise
        if "connection: close" in head:
            writer.close()
        else:
            self._idle.append((self._loop.time(), reader, writer))
        return head.split(" ", 2)[1]

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            since, reader, writer = self._idle.pop()
            if not reader.at_eof() and self._loop.time() - since < _REUSE:
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection(HOME, self._port, ssl=self._context)

    def close(self) -> None:
        """Close what is idle."""
        for _, _, writer in self._idle:
            writer.transport.abort()


def _length(head: str) -> int:
    for line in head.split("\r\n"):
        if line.startswith("content-length:"):
            return int(line.partition(":")[2])
    return 0


async def _drill(
    contender: Contender, origins: Origins, fault: Fault, timetable: Timetable
) -> Verdict:
    loop = asyncio.get_running_loop()
    client = _Client(contender.port, unverified())
    start = loop.time()
    loop.call_at(start + timetable.fault, origins.strike, fault)
    loop.call_at(start + timetable.heal, origins.heal, fault)
    async with asyncio.TaskGroup() as group:
        for number in range(int(timetable.end * RATE)):
            leaves = number / RATE
            await asyncio.sleep(start + leaves - loop.time())
            method = "POST" if number % 2 else "GET"
            group.create_task(client.ask(f"{number:08d}", method, leaves))
    client.close()
    return judge(client.asked, origins.received(), timetable)


@contextlib.contextmanager
def _prepared(
    name: str, start: Start, work: Work, directory: Path
) -> Iterator[tuple[Contender, Origins]]:
    place = directory / name
    place.mkdir(parents=True)
    origins = Origins(work.certificate, place)
    try:
        origins.wait()
        work = dataclasses.replace(work, origin_port=origins.port, two_origins=True)
        contender = start(work, place)
        with contender.process:
            contender.process.wait_for(HOME, contender.port)
            yield contender, origins
    finally:
        origins.end()


async def _drills(
    prepared: dict[str, tuple[Contender, Origins]], fault: Fault, timetable: Timetable
) -> dict[str, Verdict]:
    async with asyncio.TaskGroup() as group:
        drills = {
            name: group.create_task(_drill(*pair, fault, timetable))
            for name, pair in prepared.items()
        }
    return {name: drill.result() for name, drill in drills.items()}


def run(
    starts: dict[str, Start],
    work: Work,
    fault: Fault,
    timetable: Timetable,
    directory: Path,
) -> dict[str, Verdict]:
    """All contenders at once, each with a client and two origins of its own.

    At once, so that what disturbs one disturbs all: the load is far from filling the
    machine.
    """
    with contextlib.ExitStack() as stack:
        prepared = {
            name: stack.enter_context(_prepared(name, start, work, directory))
            for name, start in starts.items()
        }
        return uvloop.run(_drills(prepared, fault, timetable))
