"""What an operator may change while the daemon runs: drains, the pin, the log's level.

All of it is gone after a restart, and none of it is undone by a reload.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from protocols.net.tasks import Tasks
from protocols.target import Target
from router.checker import Checker
from router.control import CommandError
from router.events import Level
from router.health import State
from router.logs import Log
from router.order import electable
from router.problem import did_you_mean, one_of
from router.snapshot import Edge, Snapshot
from router.units import duration, seconds_in

ALL = "all"
"In place of an edge: every one."

LONGEST = "7d"
"For how long an edge may be pinned, and the level of the log be another, at most."

PINNED_FOR = "1h"
"For how long an edge is pinned if nobody says."

Request = Mapping[str, Any]

Leave = Callable[[str, Iterable[Target]], Coroutine[Any, Any, None]]
"Told that no new flows shall go to an edge, which has these targets."


class Steering:
    """Carries out what changes something; each says in words what it did."""

    def __init__(
        self,
        checker: Checker,
        log: Log,
        tasks: Tasks,
        *,
        leave: Leave,
    ) -> None:
        """`leave` ends in good order what would stay at an edge."""
        self._checker = checker
        self._log = log
        self._tasks = tasks
        self._leave = leave
        self._loop = asyncio.get_running_loop()
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._usual = log.level
        self._until: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Change nothing any more."""
        if self._until is not None:
            self._until.cancel()

    # ---- Drains ------------------------------------------------------------------

    def drain(self, request: Request) -> str:
        """No new flows to an edge, or to any."""
        snapshot = self._checker.snapshot
        if request.get("edge") == ALL:
            self._checker.refuse()
            for name in snapshot.edges:
                self._empty(name)
            return (
                "all edges are drained: new flows to the provider are refused; "
                "`edge-router undrain all` ends that"
            )
        edge = known_edge(snapshot, request.get("edge"))
        self._checker.drain(edge.name)
        self._empty(edge.name)
        return f"{edge.name} is drained: {self._now_go()}"

    def undrain(self, request: Request) -> str:
        """New flows to an edge again, or to all."""
        snapshot = self._checker.snapshot
        if request.get("edge") == ALL:
            names = list(snapshot.edges)
        else:
            names = [known_edge(snapshot, request.get("edge")).name]
        for name in names:
            leaving = self._leaving.pop(name, None)
            if leaving is not None:
                leaving.cancel()
            self._checker.undrain(name)
        drained = "no edge is" if request.get("edge") == ALL else f"{names[0]} is not"
        return f"{drained} drained any more: {self._now_go()}"

    def _empty(self, edge: str) -> None:
        """Have what stands on an edge go elsewhere by itself; nothing is cut."""
        if edge not in self._leaving or self._leaving[edge].done():
            targets = self._checker.snapshot.targets_at(edge)
            task = self._tasks.start(self._leave(edge, targets), name=f"leave {edge}")
            self._leaving[edge] = task

    def _now_go(self) -> str:
        """Where new flows go as things are."""
        snapshot = self._checker.snapshot
        firsts = [r.first[0].label for r in snapshot.routes.values() if r.first]
        used = [name for name in snapshot.edges if name in firsts]
        line = f"new flows go to {' and '.join(used) or 'no edge'}"
        if any(snapshot.edges[name].draining for name in used):
            return f"{line} all the same: nothing else is up"
        return line

    # ---- The pin -----------------------------------------------------------------

    def pin(self, request: Request) -> str:
        """An edge for home while it is healthy, for some time."""
        edge = known_edge(self._checker.snapshot, request.get("edge"))
        lasts = _seconds(request.get("for", PINNED_FOR))
        if edge.draining:
            raise CommandError(
                f"{edge.name} is drained: `edge-router undrain {edge.name}` first", 1
            )
        self._checker.pin(edge.name, lasts)
        snapshot = self._checker.snapshot
        said = f"{edge.name} is pinned for {duration(lasts)}"
        if snapshot.home.edge == edge.name:
            return f"{said}: it is home"
        if electable(snapshot.edges[edge.name]):
            return f"{said}: it will be home in a moment"
        return f"{said}, but is {_unfitness(edge)}: it will be home once it is fit"

    def unpin(self, request: Request) -> str:
        """Home by merit again."""
        pin = self._checker.snapshot.pin
        if pin is None:
            return "no edge was pinned"
        self._checker.unpin()
        return f"{pin.edge} is pinned no more: home goes by merit"

    # ---- The log -----------------------------------------------------------------

    def log_level(self, request: Request) -> str:
        """Another level for the log, for some time or from now on."""
        word, lasts = request.get("level"), request.get("for")
        names = [level.name.lower() for level in sorted(Level)]
        if word not in names:
            raise CommandError(f"level: expected {one_of(names)}")
        seconds = _seconds(lasts) if lasts is not None else None
        self.close()
        usual = self._usual
        self._log.level = Level[str(word).upper()]
        if seconds is None:
            self._usual = self._log.level
            return f"the log's level is {word} until the daemon ends"
        self._until = self._loop.call_later(seconds, self._restore)
        after = usual.name.lower()
        return f"the log's level is {word} for {duration(seconds)}, then {after}"

    def _restore(self) -> None:
        self._log.level = self._usual


def known_edge(snapshot: Snapshot, name: object) -> Edge:
    """The edge of that name. Raises CommandError with the names that there are."""
    edge = snapshot.edges.get(name) if isinstance(name, str) else None
    if edge is not None:
        return edge
    if name is None:
        raise CommandError(f"edge: expected {one_of(snapshot.edges)}")
    hint = did_you_mean(name, snapshot.edges) or f"there are {one_of(snapshot.edges)}"
    raise CommandError(f"no edge '{str(name)[:40]}' is configured; {hint}")


def _unfitness(edge: Edge) -> str:
    return "not measured" if edge.state is State.UP else edge.state.value


def _seconds(value: object) -> float:
    try:
        return seconds_in(value, "1s", LONGEST)
    except ValueError as error:
        raise CommandError(f"for: {error}") from None
