"""Calls at a pace: one after the other, each hung up as soon as it is answered."""

import asyncio
import collections
import contextlib
import dataclasses
from collections.abc import AsyncIterator

from simulator.sip.call import Call
from simulator.sip.pbx import Pbx
from simulator.tasks import Tasks
from tests.scenarios.telephony import ANSWERS

PATIENCE = 15.0
"Seconds after which calls that are waited for will not come."


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """One call of the pace, at its end."""

    call: Call
    "The call."
    status: int
    "Final status of its INVITE."
    hung_up: int
    "Status of its BYE; 0 if there was none to send."


class Pace:
    """Calls of one PBX; `pacing` runs it."""

    def __init__(self, pbx: Pbx, rate: float) -> None:
        """Make `rate` calls a second."""
        self.made: list[Made] = []
        "Calls that are over, in the order in which they ended."
        self._pbx = pbx
        self._every = 1 / rate
        self._calls = Tasks()
        self._begins = asyncio.Lock()
        self._ended = asyncio.Event()
        self._stopped = asyncio.Event()

    def statuses(self) -> dict[tuple[int, int], int]:
        """How many calls ended how: by the statuses of INVITE and BYE."""
        return dict(collections.Counter((one.status, one.hung_up) for one in self.made))

    async def more(self, number: int) -> None:
        """Wait until so many more calls are over."""
        wanted = len(self.made) + number
        async with asyncio.timeout(PATIENCE + number * self._every):
            while len(self.made) < wanted:
                self._ended.clear()
                await self._ended.wait()

    @contextlib.asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """No call is on its way, and none begins."""
        async with self._begins:
            await self._calls.finish()
            yield

    async def run(self) -> None:
        """Make calls until `stop`, and wait for the end of all."""
        loop = asyncio.get_running_loop()
        while not self._stopped.is_set():
            next_one = loop.time() + self._every
            async with self._begins:
                self._calls.start(self._call())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_one):
                    await self._stopped.wait()
        await self._calls.finish()

    def stop(self) -> None:
        """Make no more calls."""
        self._stopped.set()

    async def _call(self) -> None:
        call = self._pbx.call(ANSWERS)
        status = await call.outcome
        hung_up = await self._pbx.asked(call, "BYE") if status == 200 else 0
        self.made.append(Made(call, status, hung_up))
        self._ended.set()


@contextlib.asynccontextmanager
async def pacing(pbx: Pbx, rate: float) -> AsyncIterator[Pace]:
    """Calls at a pace meanwhile; at the end all of them are over."""
    pace, running = Pace(pbx, rate), Tasks()
    running.start(pace.run())
    try:
        yield pace
    finally:
        pace.stop()
        await running.finish()
