import asyncio
from collections.abc import Callable, Collection
from typing import Any

import pytest

from protocols.net.dial import DialError, Dialled
from protocols.net.hedge import NoTarget, hedge
from protocols.net.tasks import Tasks
from protocols.target import Choose, Outcome, Result, Target

Place = Callable[..., Target]


class Far(asyncio.Transport):
    """A transport that only knows whether it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = False

    def abort(self) -> None:
        self.cut = True


def connection(tls: float | None = 0.02) -> Dialled:
    return Dialled(Far(), asyncio.Protocol(), 0.01, tls, 0.01, False)


def cut(dialled: Dialled) -> bool:
    assert isinstance(dialled.transport, Far)
    return dialled.transport.cut


class Network:
    """Dials that end when and how a test says."""

    def __init__(self) -> None:
        self.dials: dict[Target, asyncio.Future[Dialled]] = {}
        self.started = asyncio.Event()
        self.reports: list[tuple[Target, Outcome]] = []

    async def connect(self, target: Target) -> Dialled:
        self.dials[target] = asyncio.get_running_loop().create_future()
        self.started.set()
        return await self.dials[target]

    async def until(self, target: Target) -> "asyncio.Future[Dialled]":
        while target not in self.dials:
            self.started.clear()
            await self.started.wait()
        return self.dials[target]

    def report(self, target: Target, outcome: Outcome) -> None:
        self.reports.append((target, outcome))

    @property
    def results(self) -> list[tuple[int, Result]]:
        return [(target.port, outcome.result) for target, outcome in self.reports]


@pytest.fixture
async def network() -> Network:
    return Network()


def in_order(*targets: Target) -> Choose:
    def choose(tried: Collection[Target]) -> Target | None:
        return next((one for one in targets if one not in tried), None)

    return choose


async def test_first_target_that_answers_in_time_is_the_only_one_tried(
    network: Network, tasks: Tasks, place: Place
) -> None:
    one, two = place(1), place(2)
    race = tasks.start(
        hedge(in_order(one, two), network.connect, report=network.report, tasks=tasks),
        name="race",
    )
    good = connection()
    (await network.until(one)).set_result(good)
    won = await race
    assert won.dialled is good
    assert won.target == one
    assert [(attempt.target, attempt.result) for attempt in won.attempts] == [
        (one, None)
    ]
    assert network.reports == [
        (one, Outcome(Result.ALIVE, round_trip=0.01, connect=0.01))
    ]
    assert two not in network.dials


async def test_failure_turns_to_the_next_target_and_is_reported(
    network: Network, tasks: Tasks, place: Place
) -> None:
    one, two = place(1, patience=60.0), place(2)
    race = tasks.start(
        hedge(in_order(one, two), network.connect, report=network.report, tasks=tasks),
        name="race",
    )
    refused = DialError(Result.REFUSED, "Connection refused", "connect")
    (await network.until(one)).set_exception(refused)
    (await network.until(two)).set_result(connection())
    won = await race
    assert [attempt.result for attempt in won.attempts] == [Result.REFUSED, None]
    assert won.attempts[0].detail == "Connection refused"
    assert network.results == [(1, Result.REFUSED), (2, Result.ALIVE)]


async def test_tcp_connection_alone_is_no_sign_of_life(
    network: Network, tasks: Tasks, place: Place
) -> None:
    one = place(1)
    race = tasks.start(
        hedge(in_order(one), network.connect, report=network.report, tasks=tasks),
        name="race",
    )
    (await network.until(one)).set_result(connection(tls=None))
    await race
    assert network.reports == []


async def test_silence_adds_the_next_target_and_the_loser_is_broken_off(
    network: Network, tasks: Tasks, place: Place
) -> None:
    one, two = place(1, patience=0.02), place(2)
    race = tasks.start(
        hedge(in_order(one, two), network.connect, report=network.report, tasks=tasks),
        name="race",
    )
    (await network.until(two)).set_result(connection())
    won = await race
    assert [attempt.result for attempt in won.attempts] == [Result.SILENT, None]
    assert network.results == [(1, Result.SILENT), (2, Result.ALIVE)]
    assert network.reports[0][1].detail == "silent for 0.02 s"
    with pytest.raises(asyncio.CancelledError):
        await network.dials[one]


async def test_silent_target_may_still_win(
    network: Network, tasks: Tasks, place: Place
) -> None:
    one, two = place(1, patience=0.02), place(2)
    race = tasks.start(
        hedge(in_order(one, two), network.connect, report=network.report, tasks=tasks),
        name="race",
    )
    await network.until(two)
    network.dials[one].set_result(connection())
    won = await race
    assert won.target == one
    assert [attempt.detail for attempt in won.attempts] == [
        "",
        "another target was sooner",
    ]


async def test_late_connection_is_given_to_whoever_keeps_spares(
    network: Network, tasks: Tasks, place: Place
) -> None:
    one, two, three = place(1, patience=0.01), place(2, patience=0.01), place(3)
    spares: list[tuple[Target, Dialled]] = []
    race = tasks.start(
        hedge(
            in_order(one, two, three),
            network.connect,
            report=network.report,
            tasks=tasks,
            spare=lambda target, dialled: spares.append((target, dialled)),
        ),
        name="race",
    )
    (await network.until(three)).set_result(connection())
    await race
    late = connection()
    network.dials[one].set_result(late)
    network.dials[two].set_exception(DialError(Result.TIMEOUT, "late", "connect"))
    while len(tasks):  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert spares == [(one, late)]
    assert not cut(late)
    assert network.results[-2:] == [(1, Result.ALIVE), (2, Result.TIMEOUT)]


async def test_two_connections_at_once_leave_one_and_cut_the_other(
    network: Network, tasks: Tasks, place: Place
) -> None:
    one, two = place(1, patience=0.01), place(2)
    race = tasks.start(
        hedge(in_order(one, two), network.connect, report=network.report, tasks=tasks),
        name="race",
    )
    await network.until(two)
    both = {one: connection(), two: connection()}
    for target, dialled in both.items():
        network.dials[target].set_result(dialled)
    won = await race
    (other,) = (dialled for target, dialled in both.items() if target != won.target)
    await asyncio.sleep(0)
    assert not cut(won.dialled)
    assert cut(other)


async def test_race_that_all_lost_tells_each_reason(
    network: Network, tasks: Tasks, place: Place
) -> None:
    one, two = place(1), place(2)
    race = tasks.start(
        hedge(in_order(one, two), network.connect, report=network.report, tasks=tasks),
        name="race",
    )
    for target in (one, two):
        error = DialError(Result.REFUSED, "Connection refused", "connect")
        (await network.until(target)).set_exception(error)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: None)
    with pytest.raises(NoTarget) as caught:
        await race
    assert [attempt.target for attempt in caught.value.attempts] == [one, two]
    assert str(caught.value) == ("edge 127.0.0.1:1: refused, edge 127.0.0.1:2: refused")


async def test_race_without_targets_is_lost_at_once(
    network: Network, tasks: Tasks
) -> None:
    with pytest.raises(NoTarget, match="no target to choose from"):
        await hedge(in_order(), network.connect, report=network.report, tasks=tasks)


async def test_flow_that_ends_breaks_off_all_dials(
    network: Network, tasks: Tasks, place: Place
) -> None:
    one, two = place(1, patience=0.01), place(2)
    spares: list[Any] = []
    race = tasks.start(
        hedge(
            in_order(one, two),
            network.connect,
            report=network.report,
            tasks=tasks,
            spare=lambda target, dialled: spares.append(target),
        ),
        name="race",
    )
    await network.until(two)
    race.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race
    for target in (one, two):
        with pytest.raises(asyncio.CancelledError):
            await network.dials[target]
    assert spares == []
