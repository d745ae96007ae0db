"""Do media streams arrive whole and in time, with thousands of WebSockets beside them?

    python -m benchmarks.streams [--seconds 60] [--python PATH]

2,000 idle WebSockets and 200 streams stand through the daemon, TLS on both legs. Each
stream sends 50 messages a second of 160 bytes, all distinct, which come back. Digests
at both ends tell whether one was lost, altered or passed out of order. How long they
take is measured without the daemon first, for comparison: client and origin are in one
process, and their own time is in both figures.

Exits 1 if anything was lost or altered, or if it could not measure.
"""

import argparse
import asyncio
import dataclasses
import hashlib
import random
import resource
import ssl
import struct
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from benchmarks import upgraded
from benchmarks.contenders import HOME, Work, edge_router, issue
from benchmarks.figures import percentile
from benchmarks.machine import surroundings
from benchmarks.processes import NotReadyError, unverified
from benchmarks.upgraded import Client, dial
from benchmarks.websocket import origin, wait_for

IDLE = 2_000
"WebSockets on which nothing passes."
STREAMS = 200
"WebSockets that are busy."
INTERVAL = 0.020
"Seconds from one message of a stream to its next."
SIZE = 160
"Bytes of a message."
DIRECT = 10.0
"Seconds of the comparison without the daemon."

_GROUPS = 20  # sent one after the other within an interval
_SETTLE = 1.0  # seconds for what is under way
_STAMP = struct.Struct("!QQ")


class Receiver(upgraded.Opened):
    """The origin's end: gives back what it gets, and notes it."""

    def __init__(self, ends: dict[int, "Receiver"]) -> None:
        """It enters itself among the `ends` by the number that its client asks for."""
        super().__init__()
        self._ends = ends
        self._rest = b""
        self.got = hashlib.sha256()
        self.count = 0
        self.late: list[float] = []

    def opened(self, head: bytes) -> None:
        """Accept."""
        self._ends[int(head.split()[1].lstrip(b"/"))] = self
        self.transport.write(upgraded.accepted(head))

    def took(self, data: bytes) -> None:
        """Echo; the mask of our clients is zero."""
        data, now = self._rest + data, time.monotonic_ns()
        each = SIZE + 8
        end = len(data) - len(data) % each
        self._rest = data[end:]
        for place in range(0, end, each):
            payload = data[place + 8 : place + each]
            self.got.update(payload)
            self.count += 1
            self.late.append((now - _STAMP.unpack_from(payload)[0]) / 1e9)
            self.transport.write(upgraded.frame(payload))


class Sender(upgraded.Client):
    """The client's end of a stream."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._chance = random.Random(number)
        self._rest = b""
        self.sent, self.got = hashlib.sha256(), hashlib.sha256()
        self.count = 0
        self.late: list[float] = []

    def say(self) -> None:
        """Send the next message."""
        stamp = _STAMP.pack(time.monotonic_ns(), self.count)
        payload = stamp + self._chance.randbytes(SIZE - len(stamp))
        self.sent.update(payload)
        self.count += 1
        self.transport.write(upgraded.frame(payload, mask=bytes(4)))

    def took(self, data: bytes) -> None:
        """Note what came back."""
        data, now = self._rest + data, time.monotonic_ns()
        each = SIZE + 4
        end = len(data) - len(data) % each
        self._rest = data[end:]
        for place in range(0, end, each):
            payload = data[place + 4 : place + each]
            self.got.update(payload)
            self.answered += 1
            self.late.append((now - _STAMP.unpack_from(payload)[0]) / 1e9)


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What became of the streams; times in seconds, one way and both."""

    messages: int
    "Sent, and come back."
    wrong: int
    "Streams of which anything was lost, altered or out of order, at either end."
    there: list[float]
    "From the client to the origin, of each message."
    back: list[float]
    "There and back."


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if something was lost, or could not be measured."""
    parser = argparse.ArgumentParser(prog="benchmarks.streams", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="runs the daemon")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the streams")
    options = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(surroundings(options.python), flush=True)
    with tempfile.TemporaryDirectory(prefix="edge-router-bench-") as name:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                wrong = runner.run(measure(options.seconds, options.python, Path(name)))
        except (NotReadyError, OSError) as error:
            print(f"could not measure: {error}", file=sys.stderr)
            return 1
    return 1 if wrong else 0


async def measure(seconds: float, python: str, directory: Path) -> int:
    """Directly, then through the daemon; how many connections came to harm."""
    certificate = issue(directory)
    trust = unverified()
    ends: dict[int, Receiver] = {}
    async with origin(certificate, lambda: Receiver(ends)) as port:
        direct = await stream(port, trust, ends, DIRECT)
        show("direct", direct)
        work = Work(certificate, port, websocket=True, python=python)
        daemon = edge_router(work, directory)
        with daemon.process:
            await wait_for(daemon, trust)
            idle = [
                await dial(HOME, daemon.port, trust, Client(STREAMS + number))
                for number in range(IDLE)
            ]
            before = daemon.process.cpu_seconds()
            found = await stream(daemon.port, trust, ends, seconds)
            spent = daemon.process.cpu_seconds() - before
            lost = sum(client.ended.done() for client in idle)
            resident = daemon.process.resident()
            for client in idle:
                client.transport.abort()
        show("edge-router", found)
    added = percentile(found.there, 0.99) - percentile(direct.there, 0.99)
    print(f"added to the p99 of one way: {1e3 * added:.2f} ms")
    print(f"the daemon: {spent / seconds:.0%} of a core, {resident / 2**20:.0f} MiB")
    print(f"idle WebSockets: {lost} of {IDLE:,} lost")
    return found.wrong + lost


async def stream(
    port: int, trust: ssl.SSLContext, ends: dict[int, Receiver], seconds: float
) -> Found:
    """Open the streams, keep them busy, and close them."""
    loop = asyncio.get_running_loop()
    senders = [
        await dial(HOME, port, trust, Sender(number)) for number in range(STREAMS)
    ]
    start = loop.time()
    for tick in range(int(seconds / INTERVAL) * _GROUPS):
        await asyncio.sleep(start + tick * INTERVAL / _GROUPS - loop.time())
        for sender in senders[tick % _GROUPS :: _GROUPS]:
            sender.say()
    await asyncio.sleep(_SETTLE)
    for sender in senders:
        sender.transport.abort()
    pairs = [(sender, ends[number]) for number, sender in enumerate(senders)]
    return Found(
        messages=sum(sender.answered for sender in senders),
        wrong=sum(not _whole(*pair) for pair in pairs),
        there=[late for _, receiver in pairs for late in receiver.late],
        back=[late for sender in senders for late in sender.late],
    )


def _whole(sender: Sender, receiver: Receiver) -> bool:
    """Whether all was given and given back, in order."""
    sent = sender.sent.digest()
    return sender.count > 0 and sent == receiver.got.digest() == sender.got.digest()


def show(name: str, found: Found) -> None:
    """What became of it, in a few lines."""
    print(
        f"\n{name}: {STREAMS} streams, {found.messages:,} messages there and back, "
        f"{found.wrong} streams not whole"
    )
    for way, times in (("one way", found.there), ("there and back", found.back)):
        p50, p99, most = (1e3 * percentile(times, share) for share in (0.5, 0.99, 1.0))
        print(f"  {way:16} p50 {p50:6.2f} ms, p99 {p99:6.2f} ms, max {most:6.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
