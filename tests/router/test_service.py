"""The process side against real signals."""

import asyncio
import gc
import os
import platform
import signal

import pytest
import uvloop

from router import service
from router.service import Stop, collect_rarely, map_large_blocks


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_asks_to_stop_and_main_ends_in_order(
    number: signal.Signals,
) -> None:
    async def main(stop: Stop) -> int:
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        assert not stop.asked
        os.kill(os.getpid(), number)
        await stop.wait()
        return 7 if stop.reason == number.name else 0

    assert service.run(main) == 7


def test_second_signal_ends_main_at_once() -> None:
    async def main(stop: Stop) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
        return 0

    assert service.run(main) == 128 + signal.SIGINT


def test_cancellation_of_another_cause_is_not_hidden() -> None:
    async def main(stop: Stop) -> int:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        service.run(main)


def test_signals_are_as_before_once_the_daemon_ended() -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def main(stop: Stop) -> int:
        return 0

    assert service.run(main) == 0
    assert signal.getsignal(signal.SIGTERM) == before


def test_malloc_can_be_told_to_map_large_blocks() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip(reason="only glibc knows mallopt")
    assert map_large_blocks()


def test_collector_leaves_what_was_there_before_alone() -> None:
    before = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    try:
        collect_rarely()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] > 700
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
