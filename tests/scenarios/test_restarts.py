"""Restarts under load, the listening sockets being kept by a service manager: nobody is
refused, no call is lost, requests in flight end.

EDGE_ROUTER_RESTARTS=20 on a machine that does nothing else makes it the whole
requirement: so many restarts with 50 calls and 200 requests a second.
"""

import asyncio
import collections
import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from protocols.net.tasks import Tasks
from tests import stage
from tests.manager import Manager
from tests.scenarios.phones import ring
from tests.scenarios.sockets import voice
from tests.scenarios.telephony import ANSWERS, PLAN, Set, asked, set_up
from tests.stage import HERE, Daemon, Settings
from tests.wire import BrokenError, Caller

LOG = logging.getLogger(__name__)
MEASURED = "EDGE_ROUTER_RESTARTS" in os.environ
RESTARTS = int(os.environ.get("EDGE_ROUTER_RESTARTS", "2"))
CALLS, REQUESTS, CONNECTS = (50, 200, 50) if MEASURED else (10, 20, 10)
"A second."
PHONES = 20 if MEASURED else 2
"WebSockets that are open."
CALLERS = 20 if MEASURED else 4
"Clients with a connection each."
SLOW = "/simulator/slow?first=0&every=0.05&parts=10"
BACK = 0.1
"Seconds after which a voice client that was sent away comes back."
pytestmark = pytest.mark.timeout(60 + 25 * RESTARTS)


class Service:
    """The daemon under a service manager."""

    def __init__(self, settings: Settings, directory: Path, manager: Manager) -> None:
        self.daemon: Daemon
        self._settings = settings
        self._directory = directory
        self._manager = manager

    async def start(self) -> None:
        """Start the daemon with what the manager keeps."""
        self.daemon = await stage.launch(
            self._settings, self._directory, manager=self._manager
        )
        await self.daemon.wait("daemon.ready")

    async def stop(self) -> None:
        """Stop it, in order."""
        self.daemon.terminate()
        assert await self.daemon.end() == 0
        self.daemon.transport.close()
        self.daemon.assert_clean([])


@contextlib.asynccontextmanager
async def served(settings: Settings, directory: Path) -> AsyncIterator[Service]:
    manager = Manager(str(directory / "notify"))
    manager.serve()
    service = Service(settings, directory, manager)
    await service.start()
    try:
        yield service
        await service.stop()
    finally:
        if not service.daemon.code.done():
            service.daemon.transport.kill()
            await service.daemon.code
        manager.close()


class Load:
    """All kinds of clients, and what became of them."""

    def __init__(self, made: Set) -> None:
        self._made = made
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._happened = asyncio.Event()
        self._open = 0
        self.counts: collections.Counter[str] = collections.Counter()
        "What happened, and how often."
        self.failures: list[str] = []
        "What should not have."
        self.longest: dict[str, float] = {}
        "The longest that each kind of flow took, in seconds."

    def start(self) -> None:
        """Begin."""
        self._paced(CALLS, self._call)
        for number in range(CALLERS):
            asking = self._ask(number % 2 == 0)
            self._tasks.start(asking, name="caller")
        for name in ("api", "voice"):
            self._paced(CONNECTS, functools.partial(self._connect, self._port(name)))
        for _ in range(PHONES):
            self._tasks.start(self._talk(), name="phone")

    async def stop(self) -> None:
        """Let all that is under way end."""
        self._over.set()
        while len(self._tasks):  # noqa: ASYNC110 - they end by themselves
            await asyncio.sleep(0.01)

    async def go_on(self) -> None:
        """Wait until some more of everything has happened, and all phones are heard."""
        wanted = self.counts + collections.Counter(calls=CALLS, requests=CALLERS)
        wanted["sockets"] = self.counts["sockets"] - self._open + PHONES
        while not self.counts >= wanted:
            self._happened.clear()
            await self._happened.wait()

    def _count(self, name: str) -> None:
        self.counts[name] += 1
        self._happened.set()

    def _port(self, name: str) -> int:
        bind = str(self._made.settings["listeners"][name]["bind"])
        return int(bind.rpartition(":")[2])

    def _paced(self, rate: float, flow: Callable[[], Awaitable[None]]) -> None:
        async def begin() -> None:
            began, number = self._loop.time(), 0
            while not self._over.is_set():
                self._tasks.start(self._timed(flow), name="flow")
                number += 1
                await asyncio.sleep(began + number / rate - self._loop.time())

        self._tasks.start(begin(), name="load")

    async def _timed(self, flow: Callable[[], Awaitable[None]]) -> None:
        began = self._loop.time()
        await flow()
        name = getattr(flow, "__name__", "_connect")
        took = self._loop.time() - began
        self.longest[name] = max(took, self.longest.get(name, 0.0))

    async def _call(self) -> None:
        """A call, and its end."""
        pbx = self._made.pbx
        call = pbx.call(ANSWERS)
        status = await call.outcome
        if status != 200:
            self.failures.append(f"INVITE {status}")
            return
        status = await asked(pbx, call, "BYE")
        self._count("calls")
        if status != 200:
            self.failures.append(f"BYE {status}")

    async def _connect(self, port: int) -> None:
        """A connection that is closed at once."""
        try:
            _, writer = await asyncio.open_connection(HERE, port)
        except OSError as error:
            self.failures.append(f"connect: {error}")
            return
        self._count("connects")
        writer.transport.abort()

    async def _ask(self, is_slow: bool) -> None:
        """Requests one after the other; the slow ones are under way at any moment."""
        target = SLOW if is_slow else "/"
        pause = 0.0 if is_slow else CALLERS / 2 / REQUESTS
        caller = Caller(self._port("api"), self._made.place.trust())
        while not self._over.is_set():
            await self._timed(functools.partial(self._request, caller, target))
            await asyncio.sleep(pause)
            if not is_slow and self.counts["requests"] % 10 == 0:
                caller.close()
        caller.close()

    async def _request(self, caller: Caller, target: str) -> None:
        reused = caller.is_open
        try:
            answer = await caller.ask("GET", target)
        except (BrokenError, OSError) as error:
            # RFC 9112 section 9.3.1: a client retries by itself what met the end of an
            # idle connection.
            if not reused:
                self.failures.append(f"{target}: {error!r}")
                return
            self._count("requests repeated")
            await self._request(caller, target)
            return
        self._count("requests")
        if answer.status != 200 or ("slow" in target and b"part 9" not in answer.body):
            self.failures.append(f"{target}: {answer.status}")

    async def _talk(self) -> None:
        """A voice client: it comes back when it is asked to."""
        port, place = self._port("voice"), self._made.place
        while not self._over.is_set():
            try:
                phone = await ring(port, place)
            except InvalidStatus as refused:
                if refused.response.status_code != 503:
                    self.failures.append(f"socket: {refused}")
                self._count("sockets told to wait")
                await asyncio.sleep(BACK)
                continue
            except ConnectionClosed as closed:
                self._judge(closed.rcvd.code if closed.rcvd else None)
                continue
            except TimeoutError:
                self._count("sockets that waited too long")
                continue
            except (OSError, InvalidMessage) as error:
                self.failures.append(f"socket: {error!r}")
                continue
            self._count("sockets")
            self._open += 1
            over = self._tasks.start(self._over.wait(), name="over")
            ended = self._tasks.start(phone.end(), name="end")
            await asyncio.wait((over, ended), return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            self._open -= 1
            if ended.done():
                self._judge(ended.result())
            await phone.connection.close()
            await ended

    def _judge(self, code: int | None) -> None:
        """Look at how a socket ended that its client would have kept."""
        if code == 1012:
            self._count("sockets asked to come back")
        else:
            self.failures.append(f"socket ended with {code}")


async def test_restarts_under_load_refuse_nobody_and_lose_no_call(
    tmp_path: Path,
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("a key of these tests, long enough", encoding="ascii")
    # Nothing fails here: a busy machine is to be no reason to change edges.
    trunk = {"key_file": str(keys)}
    plan = dataclasses.replace(PLAN, t1=0.5)
    health = {"interval": "5s", "timeout": "3s", "fall": 10}
    patient = {"connect": "10s", "tls": "10s"}
    async with set_up(tmp_path, "udp", plan=plan, trunk=trunk, health=health) as made:
        drain = {} if MEASURED else {"spread": "100ms"}
        made.settings["listeners"]["api"] = stage.terminate(
            made.place, deadlines=patient
        )
        made.settings["listeners"]["voice"] = voice(
            made.place, deadlines={**patient}, drain=drain
        )
        async with served(made.settings, tmp_path) as service:
            load = Load(made)
            load.start()
            first = service.daemon.pid
            for _ in range(RESTARTS):
                await load.go_on()
                await service.stop()
                await service.start()
            assert service.daemon.pid != first
            await load.go_on()
            await load.stop()
    LOG.info("%s; longest %s; %s", load.counts, load.longest, load.failures[:20])
    assert load.failures == []
    if MEASURED:  # a busy machine takes many seconds to start a daemon
        assert not load.counts["sockets that waited too long"]
    assert load.counts["sockets asked to come back"] >= PHONES * RESTARTS
