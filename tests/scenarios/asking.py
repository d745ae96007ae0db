"""Clients that ask at a pace, in a process of their own, so that they cost the test's
event loop nothing: `python -m tests.scenarios.asking PORT CA_FILE RATE CALLERS`.

They ask until their standard input ends; then it is told how often, and what failed.
"""

import asyncio
import itertools
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.stage import DEADLINE, ROOT, Site
from tests.wire import BrokenError, Caller


class Asking:
    """The process, as its test sees it."""

    def __init__(self) -> None:
        self.asked = 0
        "How many requests were answered with success, once it has ended."
        self.failures: list[str] = []
        "What became of the others."


@asynccontextmanager
async def asking(
    port: int, place: Site, rate: float, callers: int
) -> AsyncIterator[Asking]:
    """Have so many clients ask so many times a second, all together."""
    told = Asking()
    words = (str(port), str(place.ca_file), str(rate), str(callers))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.scenarios.asking", *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield told
        output, _ = await process.communicate(b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    told.asked, told.failures = json.loads(output)


async def _ask(
    caller: Caller, period: float, over: asyncio.Event, failures: list[str]
) -> int:
    """Ask again and again; how often it went well."""
    loop = asyncio.get_running_loop()
    began, well = loop.time(), 0
    for number in itertools.count(1):
        if over.is_set():
            break
        try:
            async with asyncio.timeout(DEADLINE):
                answer = await caller.ask("POST", "/")
            assert answer.status == 200, answer.status
            well += 1
        except (AssertionError, BrokenError, OSError) as error:
            failures.append(repr(error))
        await asyncio.sleep(began + number * period - loop.time())
    caller.close()
    return well


async def _run(port: int, ca_file: str, rate: float, callers: int) -> None:
    trust = ssl.create_default_context(cafile=ca_file)
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, over.set)
    failures: list[str] = []
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    well = await asyncio.gather(
        *(
            _ask(Caller(port, trust), callers / rate, over, failures)
            for _ in range(callers)
        )
    )
    sys.stdout.write(json.dumps([sum(well), failures]))


if __name__ == "__main__":
    asyncio.run(
        _run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
    )
