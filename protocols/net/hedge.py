"""The shell of a race: runs the dials that it asks for, keeps the first to stand."""

import asyncio
import dataclasses
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from protocols.net.dial import DialError, Dialled, alive
from protocols.net.race import Race
from protocols.net.tasks import Tasks
from protocols.record import Attempt
from protocols.target import Choose, Outcome, Report, Result, Target

Dialling = Callable[[Target], Coroutine[Any, Any, Dialled]]
"One attempt; raises DialError and nothing else."

Spare = Callable[[Target, Dialled], None]
"Takes a connection that came too late for its flow."


@dataclasses.dataclass(frozen=True, slots=True)
class Won:
    """The connection a flow shall use."""

    dialled: Dialled
    "The connection."
    target: Target
    "Where it leads."
    attempts: tuple[Attempt, ...]
    "All that was tried, this one included."


class NoTarget(Exception):
    """Nothing could be reached."""

    def __init__(self, attempts: tuple[Attempt, ...]) -> None:
        super().__init__(
            ", ".join(f"{one.target}: {one.result}" for one in attempts)
            or "no target to choose from"
        )
        self.attempts = attempts
        "All that was tried; empty when there was nothing to choose from."


async def hedge(
    choose: Choose,
    connect: Dialling,
    *,
    report: Report,
    tasks: Tasks,
    spare: Spare | None = None,
) -> Won:
    """Race `connect` over the targets of `choose`; the first connection wins.

    Failures and silence are reported at once; success only if TLS came about, since
    a middlebox can fake a TCP connection. Attempts still under way then go on if
    `spare` takes what they bring, and are broken off otherwise. Raises NoTarget.
    """
    running: _Running = {}
    try:
        won = await _run(choose, connect, report, tasks, running)
    except BaseException:
        spare = None
        raise
    finally:
        for task, target in running.items():
            if spare is None:
                task.cancel()
            task.add_done_callback(functools.partial(_late, target, spare, report))
    return won


_Running = dict[asyncio.Task[Dialled | DialError], Target]


async def _run(
    choose: Choose,
    connect: Dialling,
    report: Report,
    tasks: Tasks,
    running: _Running,
) -> Won:
    """Leaves in `running` what was still under way."""
    loop = asyncio.get_running_loop()
    race = Race(choose)
    while True:
        now = loop.time()
        if (late := race.overdue(now)) is not None:
            silence = f"silent for {late.patience:g} s"
            report(late, Outcome(Result.SILENT, detail=silence))
        while (target := race.next(now)) is not None:
            task = tasks.start(_attempt(connect, target), name=f"dial {target}")
            running[task] = target
        if race.lost(now):
            raise NoTarget(race.attempts(now))
        wait = None if race.wake is None else race.wake - now
        done, _ = await asyncio.wait(running, timeout=wait, return_when=_FIRST)
        now = loop.time()
        for task in done:
            target = running.pop(task)
            match task.result():
                case DialError() as error:
                    race.failed(target, error.result, error.detail, now)
                    report(target, Outcome(error.result, detail=error.detail))
                case Dialled() as dialled:
                    race.won(target, now)
                    _report_life(target, dialled, report)
                    return Won(dialled, target, race.attempts(now))


_FIRST = asyncio.FIRST_COMPLETED


async def _attempt(connect: Dialling, target: Target) -> Dialled | DialError:
    try:
        return await connect(target)
    except DialError as error:
        return error


def _late(
    target: Target,
    spare: Spare | None,
    report: Report,
    task: asyncio.Task[Dialled | DialError],
) -> None:
    """What comes after the race is decided."""
    if task.cancelled() or task.exception() is not None:
        return
    match task.result():
        case DialError() as error:
            report(target, Outcome(error.result, detail=error.detail))
        case Dialled() as dialled:
            _report_life(target, dialled, report)
            if spare is None:
                dialled.transport.abort()
            else:
                spare(target, dialled)


def _report_life(target: Target, dialled: Dialled, report: Report) -> None:
    if dialled.tls_seconds is not None:
        report(target, alive(dialled))
