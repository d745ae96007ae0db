"""All listeners of a configuration, open: their sockets, and what serves them.

Another configuration is taken over in two steps. First everything new is bound and
composed, which may fail, and then nothing has changed. The second step only switches.
"""

import asyncio
import dataclasses
import socket
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from typing import Any

from protocols.net.listen import BindError, Listener, bind
from protocols.net.tasks import Tasks
from protocols.net.tls import TLSFileError
from protocols.record import UnderWay
from protocols.sip.terms import Terms
from protocols.target import Target, hostport
from router import events
from router.changes import Change
from router.config import Loaded
from router.https import HttpsRelay, HttpsTunnels
from router.keyring import Keyring
from router.keys import KeyFileError
from router.listeners import FromProvider
from router.logs import Log
from router.relays import Ground, OverTcp, Relayed, Relaying, Sockets, Tunnelled
from router.snapshot import Snapshot
from router.sockets import SocketRelay
from router.trunks import Bindings, Trunks

Unusable = (BindError, TLSFileError, KeyFileError)
"What keeps a configuration that reads well from being served."

Place = tuple[str, str, int]
"Address and port; where the system chooses the port, the listener comes first."


@dataclasses.dataclass(frozen=True, slots=True)
class Fresh:
    """Sockets that nobody serves yet."""

    streams: Mapping[Place, socket.socket]
    "Of listeners whose connections are flows."
    trunks: Mapping[str, Bindings]
    "All sockets of each SIP listener: those that it has, and new ones."


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is to be switched to."""

    loaded: Loaded
    "The configuration."
    fresh: Fresh
    "New sockets."
    relays: Mapping[str, Relaying]
    "New relays, by listener; what is not in it stays as it is."
    terms: Mapping[str, Terms]
    "What SIP listeners are to work by; what is not in it stays as it is."


class Opened:
    """What is open now."""

    def __init__(self, log: Log, tasks: Tasks, keyring: Keyring) -> None:
        self._log = log
        self._tasks = tasks
        self._loaded: Loaded | None = None
        self._doors: dict[Place, Listener] = {}
        self._relays: dict[str, Relaying] = {}
        self._leaving: set[Relaying] = set()
        self._closing: set[asyncio.Task[object]] = set()
        self.trunks = Trunks(log, tasks, keyring)
        "The SIP listeners."

    def bind(self, loaded: Loaded) -> Fresh:
        """Sockets for all that is not open yet, or BindError and none."""
        wanted = [
            place for place in _places(loaded).values() if place not in self._doors
        ]
        trunks = self.trunks.bind(loaded)
        try:
            sockets = bind([place[1:] for place in wanted])
        except BindError:
            self.trunks.release(trunks)
            raise
        return Fresh(dict(zip(wanted, sockets, strict=True)), trunks)

    def prepare(self, ground: Ground, fresh: Fresh) -> Plan:
        """Compose what is new or has changed; on an error `fresh` is released.

        Raises TLSFileError or KeyFileError.
        """
        relays: dict[str, Relaying] = {}
        try:
            for name, listener in _over_tcp(ground.loaded).items():
                if not self._is_same(name, ground.loaded):
                    relays[name] = _compose(ground, name, listener)
            terms = self.trunks.prepare(ground, fresh.trunks, self._loaded)
        except (TLSFileError, KeyFileError):
            for relay in relays.values():
                relay.close()
            for sock in fresh.streams.values():
                sock.close()
            self.trunks.release(fresh.trunks)
            raise
        return Plan(ground.loaded, fresh, relays, terms)

    def switch(self, ground: Ground, plan: Plan) -> None:
        """Serve by the plan from now on. What stands goes on; cannot fail."""
        places = _places(plan.loaded)
        for place in self._doors.keys() - set(places.values()):
            self._doors.pop(place).close()
        for name in self._relays.keys() - places.keys():
            relay = self._relays.pop(name)
            task = self._let_go(relay, relay.drain(), name)
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._log.say(events.LISTENER_CLOSED, listener=name, flows=relay.flows)
        for name, relay in plan.relays.items():
            if name in self._relays:
                old = self._relays[name]
                self._let_go(old, old.retire(), name)
            self._relays[name] = relay
            relay.changed(ground.checker.snapshot, ())
            self._open(name, plan, places[name], relay)
        self.trunks.switch(ground, plan.fresh.trunks, plan.terms)
        self._loaded = plan.loaded

    def changed(self, snapshot: Snapshot, changes: Iterable[Change]) -> None:
        """The ranking or the health of something changed: tell whom it concerns."""
        for relay in (*self._relays.values(), *self._leaving):
            relay.changed(snapshot, changes)
        self.trunks.changed(snapshot)

    def under_way(self) -> Iterator[UnderWay]:
        """All flows that have not ended; of calls, the requests without an answer."""
        for relay in (*self._relays.values(), *self._leaving):
            yield from relay.under_way()
        yield from self.trunks.under_way()

    async def leave(self, edge: str, targets: Iterable[Target]) -> None:
        """New flows shall go elsewhere: end in good order what would stay there."""
        relays = (*self._relays.values(), *self._leaving)
        targets = tuple(targets)
        await asyncio.gather(*(relay.leave(edge, targets) for relay in relays))

    @property
    def flows(self) -> int:
        """Connections of clients, tunnels, and SIP requests under way."""
        relays = (*self._relays.values(), *self._leaving)
        return sum(relay.flows for relay in relays) + self.trunks.flows

    async def drain(self) -> int:
        """Take no new flows, let those that run end; how many were cut."""
        places = {} if self._loaded is None else _places(self._loaded)
        for name, relay in self._relays.items():
            if not relay.answers_to_the_end:
                self._doors[places[name]].close()
        relays = (*self._relays.values(), *self._leaving)
        cut = await asyncio.gather(
            *(relay.drain() for relay in relays), self.trunks.drain()
        )
        for door in self._doors.values():
            door.close()
        return sum(cut)

    async def settled(self) -> None:
        """Return when what was taken out of service has ended."""
        await asyncio.gather(*self._closing, *self.trunks.closing)

    def _is_same(self, name: str, loaded: Loaded) -> bool:
        return self._loaded is not None and _basis(name, self._loaded) == _basis(
            name, loaded
        )

    def _open(self, name: str, plan: Plan, place: Place, relay: Relaying) -> None:
        """Have connections that come to a place served by a relay from now on."""
        door = self._doors.get(place)
        if door is not None:
            door.change(relay.serving)
            return
        sock = plan.fresh.streams[place]
        door = self._doors[place] = Listener(sock, relay.serving, self._tasks)
        door.start()
        listener = _over_tcp(plan.loaded)[name]
        mode = None if isinstance(listener, FromProvider | Sockets) else listener.mode
        self._log.say(
            events.LISTENER_BOUND,
            listener=name,
            address=hostport(*sock.getsockname()[:2]),
            protocol=listener.protocol.value,
            direction=listener.direction.value,
            mode=mode.value if mode is not None else None,
        )

    def _let_go(
        self, relay: Relaying, ending: Coroutine[Any, Any, object], name: str
    ) -> asyncio.Task[object]:
        task = self._tasks.start(ending, name=f"end {name}")
        self._leaving.add(relay)
        task.add_done_callback(lambda _: self._leaving.discard(relay))
        return task


def _compose(ground: Ground, name: str, listener: OverTcp) -> Relaying:
    """The relay of a listener. Raises TLSFileError."""
    if isinstance(listener, Relayed):
        return HttpsRelay(ground, name, listener)
    if isinstance(listener, Tunnelled):
        return HttpsTunnels(ground, name, listener)
    return SocketRelay(ground, name, listener)


def _over_tcp(loaded: Loaded) -> dict[str, OverTcp]:
    every = loaded.config.listeners.items()
    return {name: one for name, one in every if isinstance(one, OverTcp)}


def _places(loaded: Loaded) -> dict[str, Place]:
    return {
        name: ("" if one.bind.port else name, str(one.bind.address), one.bind.port)
        for name, one in _over_tcp(loaded).items()
    }


def _basis(name: str, loaded: Loaded) -> tuple[object, ...]:
    """All that the relay of a listener is made from: the same makes the same."""
    config = loaded.config
    return (
        config.listeners.get(name),
        config.provider.ca_file,
        config.provider.region,
        config.log.request_id,
        loaded.catalogue,
    )
