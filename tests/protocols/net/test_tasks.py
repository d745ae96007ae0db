import asyncio
import gc

import pytest

from protocols.net.tasks import Tasks


async def test_task_runs_and_is_forgotten_when_it_ends(tasks: Tasks) -> None:
    async def answer() -> int:
        return 42

    task = tasks.start(answer(), name="answer")
    assert len(tasks) == 1
    assert task.get_name() == "answer"
    assert await task == 42
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_task_that_nobody_holds_survives_a_collection(tasks: Tasks) -> None:
    done = asyncio.Event()
    go = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await go
        done.set()

    tasks.start(wait(), name="wait")
    await asyncio.sleep(0)
    gc.collect()
    go.set_result(None)
    await done.wait()


async def test_failure_of_a_task_reaches_the_loops_handler_once(tasks: Tasks) -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: told.append(context)
    )

    async def fail() -> None:
        raise ValueError("no")

    task = tasks.start(fail(), name="fail")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    del task
    gc.collect()
    assert [str(one["exception"]) for one in told] == ["no"]
    assert told[0]["message"] == "task fail failed"


async def test_closing_cancels_all_tasks_and_waits_for_their_cleanup() -> None:
    tasks = Tasks()
    cleaned = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)
            tasks.start(asyncio.Event().wait(), name="started while closing")

    tasks.start(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    await tasks.close()
    assert cleaned == [True]
    assert len(tasks) == 0


async def test_task_may_close_its_own_owner() -> None:
    tasks = Tasks()
    other = tasks.start(asyncio.Event().wait(), name="other")
    task = tasks.start(tasks.close(), name="close")
    await asyncio.wait_for(task, 5)
    assert other.cancelled()


@pytest.mark.parametrize("count", [0, 3])
async def test_closing_twice_does_no_harm(count: int) -> None:
    tasks = Tasks()
    for _ in range(count):
        tasks.start(asyncio.Event().wait(), name="wait")
    await tasks.close()
    await tasks.close()
