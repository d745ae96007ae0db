"""Tasks with an owner, who waits for them."""

import asyncio
from collections.abc import Coroutine


class Tasks:
    """The running tasks of one owner.

    They are never cancelled: uvloop forgets to tell a protocol of the connection that
    a cancelled `create_connection` or its like had made already.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run something that ends on its own, or when its sockets are closed."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for the end of all; raises what one of them failed with."""
        await asyncio.gather(*self._tasks)
