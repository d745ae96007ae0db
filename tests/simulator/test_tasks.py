import asyncio

import pytest

from simulator.tasks import Tasks


async def test_finish_waits_for_the_end_of_all() -> None:
    tasks = Tasks()
    ended: list[int] = []
    gate = asyncio.Event()

    async def work(number: int) -> None:
        await gate.wait()
        ended.append(number)

    for number in range(3):
        tasks.start(work(number))
    asyncio.get_running_loop().call_soon(gate.set)
    await tasks.finish()

    assert ended == [0, 1, 2]


async def test_finish_raises_what_a_task_failed_with() -> None:
    tasks = Tasks()

    async def work() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("broken")

    tasks.start(work())

    with pytest.raises(RuntimeError, match="broken"):
        await tasks.finish()
