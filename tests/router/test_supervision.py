"""What a service manager hears of the daemon over time."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from router.logs import Log, open_log
from router.notify import Notifier
from router.supervision import BEAT, BEATS, Supervision, allowed
from tests.manager import Manager, Told

PID = 4711
WATCHDOG = 0.4
"Seconds that the watchdog allows here."
LATE = 0.15
"Seconds that the loop may be late here."


class Daemon:
    """What is looked after."""

    def __init__(self) -> None:
        self.headline = "home ashburn"
        self.ailment = ""


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[Manager]:
    running = Manager(str(tmp_path / "notify"))
    running.socket.setblocking(False)
    yield running
    running.close()


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return open_log("json")


@pytest.fixture
async def supervision(
    manager: Manager, daemon: Daemon, log: Log
) -> AsyncIterator[Supervision]:
    made = Supervision(
        Notifier({"NOTIFY_SOCKET": manager.address}),
        log,
        headline=lambda: daemon.headline,
        ailment=lambda: daemon.ailment,
        environ={"WATCHDOG_USEC": str(int(WATCHDOG * 1e6)), "WATCHDOG_PID": str(PID)},
        pid=PID,
        late=LATE,
    )
    made.start()
    yield made
    made.close()
    log.close()


async def heard(manager: Manager, fits: Callable[[Told], bool]) -> Told:
    """Read until a message fits."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(manager.socket.fileno(), readable.set)
    try:
        async with asyncio.timeout(5):
            while True:
                await readable.wait()
                if fits(told := manager.read()):
                    return told
                readable.clear()
    finally:
        loop.remove_reader(manager.socket.fileno())


def says(key: str) -> Callable[[Told], bool]:
    return lambda told: key in told.values


def unread(manager: Manager) -> list[Told]:
    """All that was told up to now."""
    before = len(manager.told)
    try:
        while True:
            manager.read()
    except BlockingIOError:
        return manager.told[before:]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "4711"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_watchdog_is_the_one_of_this_process(
    environ: dict[str, str], seconds: float
) -> None:
    assert allowed(environ, PID) == seconds


async def test_watchdog_is_fed_in_time_from_the_start(
    manager: Manager, supervision: Supervision
) -> None:
    first = await heard(manager, says("WATCHDOG"))
    second = await heard(manager, says("WATCHDOG"))
    assert second.at - first.at < WATCHDOG
    assert first.values == {"WATCHDOG": "1"}


async def test_watchdog_is_not_fed_while_something_does_not_work(
    manager: Manager, supervision: Supervision, daemon: Daemon, log: Log
) -> None:
    await heard(manager, says("WATCHDOG"))
    daemon.ailment = "tcp-10.0.0.2-443 does not listen any more"
    unread(manager)
    supervision.ready()
    before = len(manager.told)
    for home in ("home dublin", "home umatilla"):  # two looks
        daemon.headline = home
        await heard(manager, lambda told: "READY" not in told.values)
    assert not [one for one in manager.told[before:] if "WATCHDOG" in one.values]
    daemon.ailment = ""
    await heard(manager, says("WATCHDOG"))


async def test_loop_that_is_stuck_feeds_no_watchdog(
    manager: Manager, supervision: Supervision
) -> None:
    await heard(manager, says("WATCHDOG"))
    unread(manager)
    stuck = WATCHDOG / BEATS + LATE + 0.05
    time.sleep(stuck)  # noqa: ASYNC251 - that is what is tested
    assert unread(manager) == []
    went_on = time.monotonic()
    # The first look after it is late, and does not count.
    told = await heard(manager, says("WATCHDOG"))
    assert told.at - went_on > WATCHDOG / BEATS / 2


async def test_status_is_told_again_when_it_has_changed(
    manager: Manager, supervision: Supervision, daemon: Daemon
) -> None:
    supervision.ready()
    told = await heard(manager, says("READY"))
    assert told.values["STATUS"] == "home ashburn"
    for _ in range(2):
        await heard(manager, says("WATCHDOG"))
    assert not [one for one in manager.told if one.values.keys() == {"STATUS"}]
    daemon.headline = "home dublin"
    told = await heard(manager, says("STATUS"))
    assert told.values == {"STATUS": "home dublin"}


async def test_nothing_but_the_reload_is_told_while_it_lasts(
    manager: Manager, supervision: Supervision, daemon: Daemon
) -> None:
    supervision.ready()
    supervision.reloading()
    daemon.headline = "home dublin"
    await heard(manager, says("RELOADING"))
    for _ in range(2):
        assert not says("STATUS")(await heard(manager, lambda _: True))
    supervision.reloaded()
    told = await heard(manager, says("READY"))
    assert told.values["STATUS"] == "home dublin"


async def test_reload_before_the_daemon_is_ready_does_not_make_it_so(
    manager: Manager, supervision: Supervision
) -> None:
    supervision.reloading()
    supervision.reloaded()
    assert [told for told in unread(manager) if "WATCHDOG" not in told.values] == []


async def test_reload_that_the_stop_comes_upon_does_not_make_it_ready(
    manager: Manager, supervision: Supervision
) -> None:
    supervision.ready()
    supervision.reloading()
    supervision.stopping("2 flows to end")
    supervision.reloaded()
    told = [key for one in unread(manager) for key in one.values]
    assert told.count("READY") == 1


async def test_stop_asks_for_time_until_it_is_over(
    manager: Manager, supervision: Supervision
) -> None:
    supervision.stopping("3 flows to end")
    told = await heard(manager, says("STOPPING"))
    assert told.values["STATUS"] == "3 flows to end"
    asked = [await heard(manager, says("EXTEND_TIMEOUT_USEC")) for _ in range(3)]
    for one, following in itertools.pairwise(asked):
        assert following.at - one.at < int(one.values["EXTEND_TIMEOUT_USEC"]) / 1e6
    supervision.ready()  # which came too late
    supervision.close()
    assert not [one for one in unread(manager) if "READY" in one.values]
    await asyncio.sleep(WATCHDOG / BEATS * 2)
    assert unread(manager) == []


def test_looks_are_often_enough_for_the_usual_watchdog() -> None:
    assert BEAT <= 20.0 / BEATS
