"""The pool against a real server; time is passed in."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from protocols.http.far import Far
from protocols.http.pool import Keeping, Pool
from protocols.net.dial import DialError, Dialled, dial
from protocols.net.tasks import Tasks
from protocols.target import Outcome, Result, Target, Transport


class Waiting:
    """An exchange that waits, and keeps what it is told."""

    def __init__(self, *, wanting: bool = True) -> None:
        self.wanting = wanting
        self.far: asyncio.Future[Far] = asyncio.get_running_loop().create_future()

    def wants(self, target: Target) -> bool:
        return self.wanting

    def connected(self, far: Far) -> None:
        self.far.set_result(far)

    def dial_failed(self, target: Target, error: DialError) -> None:
        self.far.set_exception(error)


class Scene:
    """A pool, a server that counts its connections, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tasks = Tasks()
        self.dials = 0
        self.cut = False
        "Whether connections end as soon as they stand."
        self.reports: list[Result] = []
        self.told = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.pool: Pool
        self.target: Target
        self._server: asyncio.Server

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._visit, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.target = Target("127.0.0.1", port, Transport.TCP, "o.test")
        self.pool = Pool(
            self._dial,
            self._report,
            self.tasks,
            lambda: self.now,
            Keeping(most_idle=2, most_dials=3),
        )

    async def _visit(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.writers.append(writer)
        self.told.set()

    async def _dial(
        self, target: Target, factory: Callable[[], asyncio.BaseProtocol]
    ) -> Dialled:
        self.dials += 1
        dialled = await dial(
            target, factory, contexts=None, connect_timeout=1.0, tls_timeout=1.0
        )
        if self.cut:
            dialled.transport.abort()
        return dialled

    def _report(self, target: Target, outcome: Outcome) -> None:
        self.reports.append(outcome.result)
        self.told.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.told.clear()
            await self.told.wait()

    async def connection(self) -> Far:
        waiting = Waiting()
        self.pool.wait(self.target, waiting)
        return await waiting.far

    async def connections(self, count: int) -> list[Far]:
        return [await self.connection() for _ in range(count)]

    async def refuse(self) -> None:
        self._server.close()

    async def close(self) -> None:
        self.pool.close()
        await self.tasks.close()
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.open()
    yield scene
    await scene.close()


async def test_pool_without_a_connection_has_none_to_give(scene: Scene) -> None:
    assert scene.pool.take(scene.target) is None


async def test_connection_given_back_last_is_taken_first(scene: Scene) -> None:
    first, second = await scene.connections(2)
    scene.pool.give(first)
    scene.pool.give(second)
    assert scene.pool.idle_count(scene.target) == 2
    assert scene.pool.take(scene.target) is second
    assert scene.pool.take(scene.target) is first
    assert scene.pool.take(scene.target) is None


async def test_connection_that_is_closing_is_passed_over(scene: Scene) -> None:
    first, second = await scene.connections(2)
    scene.pool.give(first)
    scene.pool.give(second)
    second.transport.close()
    assert scene.pool.take(scene.target) is first


async def test_connection_whose_end_nobody_has_read_yet_is_not_surely_taken(
    scene: Scene,
) -> None:
    first, second = await scene.connections(2)
    await scene.until(lambda: len(scene.writers) == 2)
    scene.pool.give(first)
    scene.pool.give(second)
    for writer in scene.writers:
        if writer.get_extra_info("peername") == second.transport.get_extra_info(
            "sockname"
        ):
            with socket.socket(
                fileno=os.dup(writer.get_extra_info("socket").fileno())
            ) as far_end:
                far_end.shutdown(socket.SHUT_WR)
    # The loop has had no turn since.
    assert scene.pool.take(scene.target, surely=True) is first
    assert second.transport.is_closing()


async def test_more_idle_connections_than_allowed_are_closed(scene: Scene) -> None:
    fars = await scene.connections(3)
    for far in fars:
        scene.pool.give(far)
    assert [far.transport.is_closing() for far in fars] == [False, False, True]


async def test_connection_given_back_goes_to_who_waits(scene: Scene) -> None:
    far = await scene.connection()
    await scene.refuse()
    gone, waiting = Waiting(wanting=False), Waiting()
    scene.pool.wait(scene.target, gone)
    scene.pool.wait(scene.target, waiting)
    scene.pool.give(far)
    assert await waiting.far is far
    assert not gone.far.done()


async def test_failed_dial_is_told_to_all_that_wait_and_reported(scene: Scene) -> None:
    await scene.refuse()
    waiting = [Waiting(), Waiting()]
    for one in waiting:
        scene.pool.wait(scene.target, one)
    for one in waiting:
        with pytest.raises(DialError):
            await one.far
    assert {*scene.reports} == {Result.REFUSED}


async def test_dials_are_as_many_as_wait_but_bounded(scene: Scene) -> None:
    stale = [Waiting(wanting=False) for _ in range(5)]
    for one in stale:
        scene.pool.wait(scene.target, one)
    waiting = [Waiting() for _ in range(5)]
    for one in waiting:
        scene.pool.wait(scene.target, one)
    assert len(scene.tasks) <= 3
    first = await waiting[0].far
    scene.pool.give(first)
    fars = {await one.far for one in waiting[1:2]}
    assert fars


async def test_idle_connection_is_retired_by_age(scene: Scene) -> None:
    far = await scene.connection()
    scene.pool.give(far)
    scene.pool.sweep(44.0)
    assert not far.transport.is_closing()
    scene.pool.sweep(46.0)
    assert far.transport.is_closing()
    scene.pool.sweep(47.0)
    assert scene.pool.idle_count(scene.target) == 0


async def test_warm_target_has_a_connection_again_after_one_is_taken(
    scene: Scene,
) -> None:
    scene.pool.keep_warm([scene.target])
    await scene.until(lambda: scene.reports == [Result.ALIVE])
    assert scene.pool.take(scene.target) is not None
    await scene.until(lambda: len(scene.reports) == 2)
    assert scene.pool.idle_count(scene.target) == 1


async def test_warm_target_that_refuses_is_dialled_ever_more_rarely(
    scene: Scene,
) -> None:
    await scene.refuse()
    scene.pool.keep_warm([scene.target])
    await scene.until(lambda: len(scene.reports) == 1)
    for now, dials in ((0.9, 1), (1.0, 2), (2.9, 2), (3.0, 3), (6.9, 3), (7.0, 4)):
        scene.now = now
        scene.pool.sweep(now)
        await scene.until(lambda dials=dials: len(scene.reports) == dials)  # type: ignore[misc]
        assert scene.dials == dials


async def test_target_no_longer_warm_is_not_dialled(scene: Scene) -> None:
    await scene.refuse()
    scene.pool.keep_warm([scene.target])
    await scene.until(lambda: len(scene.reports) == 1)
    scene.pool.keep_warm([])
    scene.now = 100.0
    scene.pool.sweep(100.0)
    assert scene.dials == 1


async def test_forsaken_target_loses_its_idle_connections(scene: Scene) -> None:
    far = await scene.connection()
    scene.pool.give(far)
    scene.pool.forsake(scene.target)
    assert far.transport.is_closing()
    assert scene.pool.take(scene.target) is None


async def test_idle_connection_that_speaks_is_dropped(scene: Scene) -> None:
    far = await scene.connection()
    scene.pool.give(far)
    await scene.until(lambda: len(scene.writers) == 1)
    scene.pool.keep_warm([scene.target])
    scene.writers[0].write(b"HTTP/1.1 200 OK\r\n\r\n")
    await scene.until(lambda: scene.dials == 2 and len(scene.reports) == 2)
    assert far.transport.is_closing()


async def test_closed_pool_takes_nothing_back(scene: Scene) -> None:
    idle, busy = await scene.connections(2)
    scene.pool.give(idle)
    scene.pool.close()
    scene.pool.give(busy)
    assert idle.transport.is_closing()
    assert busy.transport.is_closing()


async def test_waiters_beyond_the_most_dials_get_connections_of_their_own(
    scene: Scene,
) -> None:
    waiters = [Waiting() for _ in range(8)]
    for waiter in waiters:
        scene.pool.wait(scene.target, waiter)
    async with asyncio.timeout(5):
        fars = await asyncio.gather(*(waiter.far for waiter in waiters))
    assert len(set(fars)) == 8
    assert scene.dials == 8


async def test_connection_that_ends_as_it_begins_is_a_failure(scene: Scene) -> None:
    scene.cut = True
    waiting = Waiting()
    scene.pool.wait(scene.target, waiting)
    async with asyncio.timeout(5):
        with pytest.raises(DialError) as caught:
            await waiting.far
    assert caught.value.result is Result.RESET
    assert scene.reports == [Result.RESET]
