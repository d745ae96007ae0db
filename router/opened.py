"""All listeners of a configuration, open: their sockets, and what serves them.

Another configuration is taken over in two steps. First everything new is bound and
composed, which may fail, and then nothing has changed. The second step only switches.
"""

import asyncio
import dataclasses
import functools
import socket
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from typing import Any

from protocols.net.listen import BindError, Listener, bind
from protocols.net.tasks import Tasks
from protocols.record import UnderWay
from protocols.sip.terms import Terms
from protocols.target import Target, hostport
from router import events
from router.changes import Change
from router.config import Loaded
from router.handover import Handover
from router.https import HttpsRelay, HttpsTunnels
from router.keyring import Keyring
from router.listeners import FromProvider
from router.logs import Log
from router.relays import KINDS, Ground, OverTcp, Relayed, Relaying, Sockets, Tunnelled
from router.snapshot import Snapshot
from router.sockets import SocketRelay
from router.trunks import Bindings, Trunks

SETTLE = 1.0
"Seconds that clients have for the handshake they are in when their listener ends."

REFIT = 10.0
"Seconds until a socket is tried again that could not be had for an interface."

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

    def __init__(
        self, log: Log, tasks: Tasks, keyring: Keyring, handover: Handover
    ) -> None:
        self._log = log
        self._tasks = tasks
        self._handover = handover
        self._loaded: Loaded | None = None
        self._doors: dict[Place, Listener] = {}
        self._relays: dict[str, Relaying] = {}
        self._retiring: dict[Relaying, str] = {}
        self._ending: dict[Relaying, asyncio.Task[int]] = {}
        self._refitting: asyncio.TimerHandle | None = None
        self.trunks = Trunks(log, tasks, keyring)
        "The SIP listeners."

    def bind(self, loaded: Loaded) -> Fresh:
        """Sockets for all that is not open yet, or BindError and none."""
        wanted = [
            place for place in _places(loaded).values() if place not in self._doors
        ]
        try:
            sockets = bind([place[1:] for place in wanted], self._handover.take)
        except BindError as error:
            raise self._explained(error) from None
        try:
            trunks = self.trunks.bind(loaded, self._handover.take)
        except BindError as error:
            _close(sockets)
            raise self._explained(error) from None
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
        except BaseException:
            for relay in relays.values():
                relay.close()
            _close(fresh.streams.values())
            self.trunks.release(fresh.trunks)
            raise
        return Plan(ground.loaded, fresh, relays, terms)

    def switch(self, ground: Ground, plan: Plan) -> None:
        """Serve by the plan from now on. What stands goes on; cannot fail."""
        before, places = self._places, _places(plan.loaded)
        for name in before.keys() - places.keys():
            self._remove(name, self._doors[before[name]])
        for name, relay in plan.relays.items():
            if name in self._relays:
                self._retire(name, self._doors[before[name]])
            self._relays[name] = relay
            relay.changed(ground.checker.snapshot, ())
            self._open(name, plan, places[name], relay)
        for place in self._doors.keys() - set(places.values()):
            self._doors.pop(place).close()
        self.trunks.switch(ground, plan.fresh.trunks, plan.terms)
        self._loaded = plan.loaded
        self.refit()

    def refit(self) -> None:
        """Have sockets fit the interfaces of links as they are now. Never raises.

        Where one cannot be had, it is tried again in a while.
        """
        if self._refitting is not None:
            self._refitting.cancel()
        if not self.trunks.refit():
            loop = asyncio.get_running_loop()
            self._refitting = loop.call_later(REFIT, self.refit)
        streams = (door.sock for door in self._doors.values())
        self._handover.hold([*streams, *self.trunks.sockets])

    def changed(self, snapshot: Snapshot, changes: Iterable[Change]) -> None:
        """The ranking or the health of something changed: tell whom it concerns."""
        for relay in self._every:
            relay.changed(snapshot, changes)
        self.trunks.changed(snapshot)

    def under_way(self) -> Iterator[UnderWay]:
        """All flows that have not ended; of calls, the requests without an answer."""
        for relay in self._every:
            yield from relay.under_way()
        yield from self.trunks.under_way()

    async def leave(self, edge: str, targets: Iterable[Target]) -> None:
        """New flows shall go elsewhere: end in good order what would stay there."""
        targets = tuple(targets)
        await asyncio.gather(*(relay.leave(edge, targets) for relay in self._every))

    @property
    def flows(self) -> dict[str, int]:
        """How many there are by kind; of SIP, the requests under way."""
        counts = {"SIP requests": self.trunks.flows, **dict.fromkeys(KINDS, 0)}
        for relay in self._every:
            counts[relay.kind] += relay.flows
        return counts

    async def drain(self, *, handed_on: bool = False) -> int:
        """Take no new flows, let those that run end; how many were cut.

        Where the sockets are `handed_on`, clients that connect from now on are the next
        process's, and wait for it. So flows that last end first, and nobody else
        notices yet.
        """
        if self._refitting is not None:
            self._refitting.cancel()
        ending = list(self._ending.values())
        cut = 0
        if handed_on:
            cut = sum(await asyncio.gather(*self._ends(lasting=True)))
        cut += sum(
            await asyncio.gather(
                *([] if handed_on else self._ends(lasting=True)),
                *self._ends(lasting=False),
                *ending,
                self.trunks.drain(handed_on=handed_on),
            )
        )
        return cut

    def _ends(self, *, lasting: bool) -> list[Coroutine[Any, Any, int]]:
        """What ends all relays whose flows last, or all others."""
        relays = {**{r: n for n, r in self._relays.items()}, **self._retiring}
        ending = {
            relay: self._doors[self._places[name]]
            for relay, name in relays.items()
            if relay.lasts is lasting
        }
        # Those that decline newcomers do so until the flows of all of them have ended.
        declining = [relay for relay in ending if relay.declines]
        together = asyncio.Barrier(max(1, len(declining)))
        at_once = asyncio.Barrier(1)
        return [
            relay.drain(
                functools.partial(
                    self._shut, door, together if relay.declines else at_once
                )
            )
            for relay, door in ending.items()
        ]

    async def _shut(self, door: Listener, others: asyncio.Barrier) -> None:
        """Accept no more, once others do so, too; whoever is accepted is let in."""
        await others.wait()
        door.close()
        await door.settle(SETTLE)

    async def settled(self) -> None:
        """Return when what was taken out of service has ended."""
        ending = [*self._ending.values(), *self.trunks.ending]
        if ending:
            await asyncio.wait(ending)

    @property
    def _every(self) -> list[Relaying]:
        """All relays that may have flows."""
        return [*self._relays.values(), *self._retiring, *self._ending]

    @property
    def _places(self) -> dict[str, Place]:
        """Where listeners are open, by name."""
        return {} if self._loaded is None else _places(self._loaded)

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

    def _retire(self, name: str, door: Listener) -> None:
        """Have connections that stand served as they are, by the relay that they have.

        So have those that were accepted, and are within their TLS handshake.
        """
        relay = self._relays.pop(name)

        async def retire() -> None:
            await door.settle(relay.serving.handshake_timeout)
            await relay.retire()

        self._retiring[relay] = name
        task = self._tasks.start(retire(), name=f"retire {name}")
        task.add_done_callback(lambda _: self._retiring.pop(relay, None))

    def _remove(self, name: str, door: Listener) -> None:
        """End a listener with all its flows, those of former settings included."""
        retiring = [relay for relay, its in self._retiring.items() if its == name]
        relays = [self._relays.pop(name), *retiring]
        flows = sum(relay.flows for relay in relays)
        self._log.say(events.LISTENER_CLOSED, listener=name, flows=flows)
        for relay in relays:
            self._retiring.pop(relay, None)
            self._end(name, relay, door)

    def _end(self, name: str, relay: Relaying, door: Listener) -> None:
        async def end() -> int:
            cut = await relay.drain(functools.partial(door.settle, SETTLE))
            # Whoever was within the TLS handshake comes into an empty house.
            await door.settle(relay.serving.handshake_timeout)
            relay.close()
            return cut

        task = self._ending[relay] = self._tasks.start(end(), name=f"end {name}")
        task.add_done_callback(lambda _: self._ending.pop(relay, None))

    def _explained(self, error: BindError) -> BindError:
        """The same, with what to do where the address is one of our own."""
        own = [place[1:] for place in self._doors] + self.trunks.open
        if not any(_overlap(error.address, error.port, *place) for place in own):
            return error
        return BindError(
            error.address,
            error.port,
            "this daemon still has it, for a listener of another name, kind or address,"
            " or for one removed within the last seconds; restart the daemon, or wait",
        )


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
        bool(config.provider.links),
        config.log.request_id,
        loaded.catalogue,
    )


def _close(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def _overlap(address: str, port: int, own: str, own_port: int) -> bool:
    """Whether nobody can listen on an address because of one of our own."""
    anywhere = {"0.0.0.0", "::"}
    same = address == own or not anywhere.isdisjoint((address, own))
    return port == own_port != 0 and same
