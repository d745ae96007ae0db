"""A steady stream of requests, as the site and its provider make them."""

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

from protocols.net.tasks import Tasks
from router.demo.clients import Request
from router.demo.stage import Stage
from router.demo.tally import Sent

PACE = 0.1
"Seconds between two requests of the load: every other one is a POST."

MOST = 16
"Requests under way at most, should this machine be too busy for that pace."

SLOW = 4
"Requests that are waiting for home's answer when it dies."

PATIENCE = 60.0
"Seconds that home has to receive the slow requests."


class Load:
    """A steady stream of GETs and POSTs in turn, until the context ends."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._tasks = Tasks()
        self._running: set[asyncio.Task[Sent]] = set()
        self._on = asyncio.Event()
        self._on.set()

    async def __aenter__(self) -> "Load":
        self._source = self._tasks.start(self._send(), name="load")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._source.cancel()
        if kind is None:
            await self._ended()
        await self._tasks.close()

    def start(self, request: Request) -> None:
        """Send a request beside the stream."""
        self._run(self._stage.send(request))

    def _run(self, sending: Coroutine[Any, Any, Sent]) -> None:
        task = self._tasks.start(sending, name="request")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def have_waiting(self) -> list[Request]:
        """Pause with nothing under way but slow requests that home has received.

        Raises TimeoutError.
        """
        self._on.clear()
        async with asyncio.timeout(PATIENCE):
            while True:
                await self._ended()
                slow = [self._stage.slow_request() for _ in range(SLOW)]
                for request in slow:
                    self.start(request)
                await asyncio.gather(*map(self._stage.arrived, slow))
                if not any(one.marker in self._stage.edges() for one in slow):
                    return slow
                # So busy is this machine that they were answered meanwhile.

    def resume(self) -> None:
        """Go on, at once."""
        self._on.set()

    async def _ended(self) -> None:
        while self._running:
            await asyncio.wait(self._running)

    async def _send(self) -> None:
        for what in itertools.cycle((*("GET", "POST") * 5, "webhook")):
            await self._on.wait()
            if len(self._running) >= MOST:
                pass
            elif what == "webhook":
                self._run(self._stage.deliver())
            else:
                self.start(self._stage.request("terminate", what))
            await asyncio.sleep(PACE)
