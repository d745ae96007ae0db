"""Keeps what a status needs beside the snapshot: the past, and what is configured."""

import asyncio
import datetime
import importlib.metadata
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from protocols.record import UnderWay
from router.assessment import assess
from router.changes import Change
from router.checker import Checker
from router.config import Loaded
from router.endpoints import products_of
from router.flows import count
from router.history import INTERVAL, History
from router.listeners import FromProvider, Sip
from router.listeners import Listener as Configured
from router.logs import Log
from router.status import About, LinkUse, Listener, Status
from router.summary import summarise


class Overview:
    """Makes the status whenever somebody asks."""

    def __init__(
        self,
        loaded: Loaded,
        path: Path,
        checker: Checker,
        log: Log,
        under_way: Callable[[], Iterator[UnderWay]],
        link_use: Callable[[], tuple[LinkUse, ...]],
    ) -> None:
        self._path = path
        self._checker = checker
        self._log = log
        self._under_way = under_way
        self._link_use = link_use
        self._loop = asyncio.get_running_loop()
        self._history = History()
        self._timer: asyncio.TimerHandle | None = None
        self._started = self.clock()[1]
        self.about = self._about(loaded)
        "What is configured."

    def start(self) -> None:
        """Sample the edges from now on."""
        self._timer = self._loop.call_later(INTERVAL, self.start)
        self._history.sample(self._checker.snapshot, self._loop.time())

    def close(self) -> None:
        """Sample no more."""
        if self._timer is not None:
            self._timer.cancel()

    def changed(self, changes: Iterable[Change]) -> None:
        """Remember what changed."""
        for change in changes:
            self._history.note(change, self._loop.time())

    def reloaded(self, loaded: Loaded) -> None:
        """Another configuration counts from now on."""
        self.about = self._about(loaded)

    def clock(self) -> tuple[float, float]:
        """The time in monotonic seconds, and the same in Unix seconds."""
        return self._loop.time(), time.time_ns() / 1e9

    def status(self) -> Status:
        """The status of this moment."""
        now, unix = self.clock()
        zone = datetime.datetime.now().astimezone().tzinfo
        return assess(
            self._checker.snapshot,
            self.about,
            count(self._under_way(), self._log.ended),
            self._history,
            self._link_use(),
            now=now,
            unix=unix,
            zone=zone or datetime.UTC,
        )

    def _about(self, loaded: Loaded) -> About:
        config = loaded.config
        binds = {one.name: one.binds for one in summarise(loaded)}
        return About(
            version=importlib.metadata.version("edge-router"),
            started=self._started,
            config=str(self._path),
            loaded=self.clock()[1],
            region=config.provider.region,
            default_edge=config.policy.default_edge,
            listeners=tuple(
                Listener(
                    name,
                    one.protocol.value,
                    _direction(one),
                    binds[name],
                    products_of(one, loaded.catalogue) or (name,),
                )
                for name, one in config.listeners.items()
            ),
        )


def _direction(listener: Configured) -> str:
    if isinstance(listener, Sip):
        return "both"
    return "from_provider" if isinstance(listener, FromProvider) else "to_provider"
