"""The daemon, composed: listeners and relays around the one policy.

It starts with all that its configuration asks for, or not at all, and takes another
configuration over while flows go on.
"""

import asyncio
import contextlib
import importlib.metadata
import os
import signal
from collections.abc import Collection
from pathlib import Path

from protocols.net.tasks import Tasks
from router import events, service, state
from router.access import Place
from router.asked import Asked
from router.changes import Change
from router.config import Loaded
from router.differences import Difference
from router.following import Following
from router.handover import Given, Handover, given, places
from router.headline import headline
from router.incoming import Incoming
from router.keyring import Keyring
from router.knowledge import Knowledge
from router.logs import Log, open_log
from router.notify import Notifier
from router.opened import Opened
from router.probes import probes
from router.problem import ConfigError
from router.relays import Ground
from router.reloads import Reloads, Unusable
from router.service import Stop
from router.snapshot import Snapshot
from router.summary import edge_places
from router.supervision import Supervision
from router.telling import tell_renewals
from router.usage import Usage

READY_AFTER = 3.0
"Seconds after which the daemon counts as started, measured or not."

UNPROBED = 10.0
"Seconds after which a prober that does nothing is held for dead."

RENEW_INTERVAL = 10.0
"Seconds between two looks at whether certificates and keys were written anew."


def run(loaded: Loaded, path: Path) -> int:
    """Run the daemon until it is asked to stop; its exit code."""
    # Before anything else is opened, whose descriptors they might be said to be.
    came = given(os.environ, os.getpid())
    level = events.Level[loaded.config.log.level.upper()]
    places = edge_places(loaded)
    log = open_log(loaded.config.log.format, level, strict=False, places=places)
    try:

        async def serve(stop: Stop) -> int:
            return await Daemon(loaded, path, log, places, came).run(stop)

        return service.run(serve)
    finally:
        log.close()


class Daemon:
    """Everything that runs, from the first socket to the last record."""

    def __init__(
        self,
        loaded: Loaded,
        path: Path,
        log: Log,
        places: dict[str, Place],
        came: Collection[Given] = (),
        *,
        renew_interval: float = RENEW_INTERVAL,
    ) -> None:
        """Must be called within the event loop that `run` will use.

        `places` is what the log says of edges; further ones may be added. `came` is
        what systemd passed to the process.
        """
        self._loaded = loaded
        self._path = path
        self._log = log
        self._places = places
        self._renew_interval = renew_interval
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(log.crashed)
        self._started = self._loop.time()
        self._notifier = Notifier()
        self._keyring = Keyring()
        self._handover = Handover(self._notifier, came)
        self._supervision = Supervision(
            self._notifier, log, headline=self._headline, ailment=self._ailment
        )
        self._opened = Opened(log, self._tasks, self._keyring, self._handover)
        self._incoming = Incoming(loaded, log)
        self._usage = Usage(
            loaded, self._opened.under_way, self._incoming.edge_of, self._loop.time
        )
        log.follows = Following(self._incoming, self._usage, self._loop.time)
        self._reloads = Reloads(loaded, path, log, self._take_over)
        self._measured = asyncio.Event()
        self._knowledge: Knowledge
        self._asked: Asked | None = None

    async def run(self, stop: Stop) -> int:
        """Serve until `stop`; 0, or 1 if an address or file is not to be had."""
        self._log.capture_libraries()
        try:
            self._build()
        except Unusable as error:
            self._log.say(events.LISTENER_FAILED, error=str(error))
            return 1
        self._knowledge.start()
        self._usage.start(self._knowledge.save)
        self._supervision.start()
        self._asked = Asked(
            self._loaded,
            self._path,
            checker=self._knowledge.checker,
            log=self._log,
            tasks=self._tasks,
            environ=os.environ,
            under_way=self._opened.under_way,
            links=self._knowledge.links,
            leave=self._opened.leave,
            reload=self.reload,
            settled=self._opened.settled,
        )
        await self._asked.start()
        self._loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        self._log.say(
            events.DAEMON_STARTED,
            version=importlib.metadata.version("edge-router"),
            config=str(self._path),
            listeners=len(self._loaded.config.listeners),
            edges=", ".join(self._loaded.config.provider.edges),
        )
        self._tasks.start(self._become_ready(), name="become ready")
        self._tasks.start(self._renew(), name="renew certificates")
        await stop.wait()
        try:
            await self._end(stop.reason)
        finally:
            # Not before: without a handler SIGHUP would end the daemon at once.
            self._loop.remove_signal_handler(signal.SIGHUP)
        return 0

    # ---- The beginning -----------------------------------------------------------

    def _build(self) -> None:
        """Bind every listener, then compose; on an error nothing is left behind."""
        for unused in self._handover.leave(places(self._loaded)):
            self._log.say(events.SOCKET_UNUSED, socket=unused)
        asks = probes(self._loaded, self._keyring, self._opened.trunks.probe)
        fresh = self._opened.bind(self._loaded)
        self._knowledge = Knowledge(
            self._loaded,
            asks,
            self._changed,
            log=self._log,
            tasks=self._tasks,
            directory=state.directory(self._loaded.config.state_directory, os.environ),
            now=self._loop.time(),
            refit=self._opened.refit,
            usage=self._usage,
        )
        ground = self._ground(self._loaded)
        self._opened.switch(ground, self._opened.prepare(ground, fresh))

    def _ground(self, loaded: Loaded) -> Ground:
        return Ground(
            loaded,
            self._knowledge.checker,
            self._keyring,
            self._log,
            self._tasks,
            self._incoming,
            self._usage,
        )

    async def _become_ready(self) -> None:
        """Tell systemd, as soon as home is known by measurement, or a little later."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_AFTER):
                await self._measured.wait()
        snapshot = self._knowledge.checker.snapshot
        home = snapshot.home.edge or self._loaded.config.policy.default_edge
        measured = sum(edge.score is not None for edge in snapshot.edges.values())
        waited = round(self._loop.time() - self._started, 2)
        self._supervision.ready()
        self._log.say(
            events.DAEMON_READY, home=home, measured=measured, waited_s=waited
        )

    # ---- Between -----------------------------------------------------------------

    def _changed(self, snapshot: Snapshot, changes: tuple[Change, ...]) -> None:
        """The ranking or the health of something changed: tell whom it concerns."""
        if self._asked is not None:
            self._asked.changed(changes)
        self._opened.changed(snapshot, changes)
        self._incoming.ranked(snapshot, self._loop.time())
        edges = snapshot.edges.values()
        if all(edge.score or edge.barred or not edge.used for edge in edges):
            self._measured.set()

    def _headline(self) -> str:
        policy, snapshot = self._loaded.config.policy, self._knowledge.checker.snapshot
        return headline(snapshot, policy.default_edge or "", self._opened.flows)

    def _ailment(self) -> str:
        """What does not work as it should; empty if all does."""
        for place in self._handover.broken():
            return f"{place} does not listen any more"
        unprobed = self._loop.time() - self._knowledge.checker.looked
        return f"no probe for {unprobed:.0f} s" if unprobed > UNPROBED else ""

    async def reload(self) -> tuple[Difference, ...]:
        """Read the configuration again and take it over; returns what differs.

        Flows go on. Raises ConfigError, or one of Unusable, and then nothing has
        changed.
        """
        self._supervision.reloading()
        try:
            return await self._reloads.reload()
        except (ConfigError, *Unusable):
            if self._asked is not None:
                self._asked.rejected()
            raise
        finally:
            self._supervision.reloaded()

    def _take_over(self, loaded: Loaded) -> set[Path]:
        asks = probes(loaded, self._keyring, self._opened.trunks.probe)
        ground = self._ground(loaded)
        plan = self._opened.prepare(ground, self._opened.bind(loaded))
        # From here on nothing fails, and nobody else has a turn before the end.
        self._places.update(edge_places(loaded))
        self._incoming.change(loaded)
        self._usage.change(loaded)
        self._knowledge.change(loaded, asks)
        self._opened.switch(ground, plan)
        self._incoming.ranked(ground.checker.snapshot, self._loop.time())
        before, self._loaded = self._loaded, loaded
        if before.config.log.level is not loaded.config.log.level:
            self._log.level = events.Level[loaded.config.log.level.upper()]
        if self._asked is not None:
            self._asked.reloaded(loaded)
        return self._read_anew()

    def _hung_up(self) -> None:
        # One that waits already reads what is there by then.
        if not self._reloads.waiting:
            self._reloads.waiting = True
            self._tasks.start(self._reload_quietly(), name="reload")

    async def _reload_quietly(self) -> None:
        """Reload for somebody who only reads the log."""
        with contextlib.suppress(ConfigError, *Unusable):  # the log says so
            await self.reload()

    async def _renew(self) -> None:
        """Look again and again whether certificates and keys were written anew."""
        while True:
            await asyncio.sleep(self._renew_interval)
            self._read_anew()

    def _read_anew(self) -> set[Path]:
        """Take over what was written anew in certificates and keys; which files."""
        renewals = self._keyring.renew()
        tell_renewals(self._log, renewals)
        taken = {file for one in renewals if not one.error for file in one.files}
        self._opened.trunks.renewed(self._loaded, taken)
        return taken

    # ---- The end -----------------------------------------------------------------

    async def _end(self, reason: str) -> None:
        """Take no new flows, let those that run end, save what was learnt."""
        self._reloads.close()
        flows = sum(self._opened.flows.values())
        self._supervision.stopping(f"{flows} flows to end")
        self._log.say(events.DAEMON_STOPPING, reason=reason, flows=flows)
        cut = await self._opened.drain(handed_on=self._notifier.is_heard)
        if self._asked is not None:
            await self._asked.close()
        self._usage.close()
        await self._knowledge.close()
        self._supervision.close()
        await self._tasks.close()
        ran = round(self._loop.time() - self._started, 1)
        self._log.say(events.DAEMON_STOPPED, flows=cut, ran_s=ran)
