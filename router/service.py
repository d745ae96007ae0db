"""The daemon as a process: its event loop, its memory and its signals."""

import asyncio
import ctypes
import faulthandler
import gc
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

Main = Callable[["Stop"], Coroutine[Any, Any, int]]
"The daemon: runs until it is asked to stop, and returns its exit code."


_M_MMAP_THRESHOLD = -3
_COLLECT_AFTER = 10_000  # objects made and not freed, before young ones are looked at


class Stop:
    """The wish that the daemon ends."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.reason = ""
        "Who asked, in words; empty until somebody does."

    @property
    def asked(self) -> bool:
        """Whether somebody asked already."""
        return self._asked.is_set()

    def ask(self, reason: str) -> None:
        """Ask the daemon to end."""
        self.reason = self.reason or reason
        self._asked.set()

    async def wait(self) -> None:
        """Wait until somebody asks."""
        await self._asked.wait()


def run(main: Main) -> int:
    """Run the daemon on uvloop; the exit code.

    SIGTERM and SIGINT ask it to stop. The second of them cancels it, and the exit code
    is then 128 plus the signal's number, as shells have it.
    """
    faulthandler.enable()  # a watchdog's SIGABRT then says where the loop was stuck
    map_large_blocks()
    collect_rarely()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_with_signals(main))


def map_large_blocks() -> bool:
    """Have malloc map blocks of 128 KiB and more for ever; whether it can be told so.

    uvloop gives every TLS connection a read buffer of 256 KiB, of which it ever touches
    a few. Mapped, only those pages cost memory; but as soon as one is freed, glibc
    would take the next ones from its heap, where they lie on pages used before
    (mallopt(3), M_MMAP_THRESHOLD). That doubles what an idle connection costs.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, 128 * 1024) == 1


def collect_rarely() -> None:
    """Spare the collector of cycles what lives as long as the process, and all calls.

    Calls under way are no garbage, however often they are looked through: with
    Python's thresholds, that was a twelfth of the time spent on a call.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 10)


async def _with_signals(main: Main) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    stop = Stop()
    killer = 0

    def on_signal(number: signal.Signals) -> None:
        nonlocal killer
        if stop.asked:
            killer = number
            task.cancel()
        stop.ask(number.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await main(stop)
    except asyncio.CancelledError:
        if not killer:
            raise
        return 128 + killer
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
