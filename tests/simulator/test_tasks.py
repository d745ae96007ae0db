import asyncio

import pytest

from simulator.tasks import Tasks


async def test_stop_cancels_what_runs_and_waits_for_its_end() -> None:
    tasks = Tasks()
    steps: list[str] = []

    async def work() -> None:
        steps.append("started")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            steps.append("ended")

    tasks.start(work())
    await asyncio.sleep(0)
    await tasks.stop()

    assert steps == ["started", "ended"]


async def test_stop_raises_what_a_task_failed_with_meanwhile() -> None:
    tasks = Tasks()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            raise RuntimeError("broken")

    tasks.start(work())
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="broken"):
        await tasks.stop()
