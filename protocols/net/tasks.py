"""Tasks with an owner: none is lost, none outlives its owner."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """The running tasks of one owner, which closes them all."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, coro: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run a coroutine until it ends, or until `close`."""
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def close(self) -> None:
        """Cancel what runs and wait for its end."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
