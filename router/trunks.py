"""The SIP listeners of the daemon: the proxy of each, composed with the policy."""

import asyncio
import binascii
import dataclasses
import functools
import os
import socket
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from protocols.net.admission import Refusal
from protocols.net.listen import BindError, Take, nothing
from protocols.net.tasks import Tasks
from protocols.net.tls import Certificates
from protocols.record import UnderWay
from protocols.sip import datagrams
from protocols.sip.bound import Bound, Held, Wanted, bind
from protocols.sip.endpoint import Endpoint
from protocols.sip.guard import Guard
from protocols.sip.peers import Side
from protocols.sip.terms import Terms
from protocols.target import Outcome, Probe, Result, Target, Transport, hostport
from router import events
from router.choice import Choice, by_link
from router.config import Loaded
from router.endpoint import Protocol
from router.endpoints import is_required, transport_to
from router.keyring import Keyring, Keys
from router.links import device_at
from router.listeners import Sip
from router.logs import Log
from router.relays import DRAIN, Ground, Refusals
from router.snapshot import Snapshot
from router.trunk import Belongs, PlaceNames, networks_of, place_of, settings_of

_NO_ALPN: tuple[str, ...] = ()  # SIP has no name there

_NOT_COMPOSED = Outcome(Result.TIMEOUT, detail="no listener for this target")

Bindings = Mapping[Wanted, Bound]
"The sockets of one listener, by what was asked for."


class Trunks:
    """All SIP listeners of a configuration, from their sockets on."""

    def __init__(self, log: Log, tasks: Tasks, keyring: Keyring) -> None:
        self._log = log
        self._tasks = tasks
        self._keyring = keyring
        self._keys: dict[Path | None, Keys] = {None: Keys(None)}
        self._bound: dict[str, Bindings] = {}
        self._terms: dict[str, Terms] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._ending: dict[Endpoint, asyncio.Task[int]] = {}
        self._probes: dict[tuple[str, Transport, bool], Probe] = {}

    def bind(self, loaded: Loaded, take: Take = nothing) -> dict[str, Bindings]:
        """Sockets for all listeners: those that there are, and new ones.

        New ones come from `take`, if it has them. Raises BindError, and leaves no new
        ones then.
        """
        bound: dict[str, Bindings] = {}
        try:
            for name, listener in _sip(loaded).items():
                have = self._bound.get(name, {})
                wanted = list(_of(listener, loaded))
                missing = [one for one in wanted if one not in have]
                beside = bind(missing, take, self._held(name))
                fresh = dict(zip(missing, beside, strict=True))
                bound[name] = {one: have.get(one) or fresh[one] for one in wanted}
        except BindError:
            self.release(bound)
            raise
        return bound

    def release(self, bound: Mapping[str, Bindings]) -> None:
        """Give up those sockets that no listener took."""
        for name, bindings in bound.items():
            for wanted, one in bindings.items():
                if wanted not in self._bound.get(name, {}):
                    one.sock.close()

    def prepare(
        self, ground: Ground, bound: Mapping[str, Bindings], before: Loaded | None
    ) -> dict[str, Terms]:
        """What new listeners, and those that changed, are to work by.

        Raises TLSFileError or KeyFileError, and then nothing has changed.
        """
        return {
            name: self._terms_for(ground, name, listener, bound[name])
            for name, listener in _sip(ground.loaded).items()
            if before is None or _basis(name, before) != _basis(name, ground.loaded)
        }

    def switch(
        self,
        ground: Ground,
        bound: Mapping[str, Bindings],
        terms: Mapping[str, Terms],
    ) -> None:
        """Work by these from now on; calls that stand, and requests, go on.

        Cannot fail.
        """
        for name in self._endpoints.keys() - bound.keys():
            self._remove(name)
        for name, theirs in terms.items():
            self._serve(ground, name, theirs)
            for wanted, one in bound[name].items():
                if wanted not in self._bound.get(name, {}):
                    self._announce(name, one)
                    if one.transport is Transport.UDP:
                        self._warn(name, one)
        self._bound = dict(bound)
        self.changed(ground.checker.snapshot)
        listeners = _sip(ground.loaded)
        in_use = {None, *(listener.key_file for listener in listeners.values())}
        self._keys = {path: keys for path, keys in self._keys.items() if path in in_use}
        self._probes.clear()
        for name, listener in listeners.items():
            endpoint = self._endpoints[name]
            edges, transport = listener.host, listener.edge.transport
            self._ask_by(endpoint, Side.EDGE, edges, transport, linked=True)
            if not is_required(listener):
                self._ask_by(endpoint, Side.EDGE, edges, transport)
            for to in listener.site.to:
                self._ask_by(endpoint, Side.SITE, str(to), transport_to(listener, to))

    def renewed(self, loaded: Loaded, files: Collection[Path]) -> None:
        """Sign with what is in these files by now. Never raises."""
        for name, listener in _sip(loaded).items():
            if listener.key_file in files:
                settings = dataclasses.replace(
                    self._terms[name].settings,
                    keys=self._keys[listener.key_file].values,
                )
                terms = dataclasses.replace(self._terms[name], settings=settings)
                self._terms[name] = terms
                self._endpoints[name].change(terms)

    def refit(self) -> bool:
        """Have sockets confined to interfaces as they are now; whether all are.

        One that was taken away and made again is another one to the kernel. A socket
        that cannot be had in place of the old one leaves that: it sends nothing.
        """
        fit = True
        for name, bindings in self._bound.items():
            stale = [
                wanted
                for wanted, one in bindings.items()
                if wanted.device and one.sock.fileno() >= 0 and not one.is_true
            ]
            if not stale:
                continue
            try:
                fresh = dict(
                    zip(stale, bind(stale, held=self._held(name)), strict=True)
                )
            except BindError as error:
                self._log.say(events.SOCKET_UNFIT, listener=name, error=str(error))
                fit = False
                continue
            self._bound[name] = {**bindings, **fresh}
            terms = dataclasses.replace(
                self._terms[name], bound=tuple(self._bound[name].values())
            )
            self._terms[name] = terms
            self._endpoints[name].change(terms)
        return fit

    def _held(self, name: str) -> Held:
        """The sockets of a listener, by where they are bound."""
        return {
            (wanted.transport, wanted.address, wanted.port): one.sock
            for wanted, one in self._bound.get(name, {}).items()
        }

    async def probe(self, target: Target, timeout: float) -> Outcome:
        """Ask a target by way of the listener whose far side it is."""
        place = target.host, target.transport, by_link(target)
        probe = self._probes.get(place)
        return _NOT_COMPOSED if probe is None else await probe(target, timeout)

    @property
    def flows(self) -> int:
        """Requests under way."""
        every = (*self._endpoints.values(), *self._ending)
        return sum(endpoint.pending for endpoint in every)

    def changed(self, snapshot: Snapshot) -> None:
        """Refuse new calls of the site while an operator wants none at any edge."""
        for endpoint in self._endpoints.values():
            endpoint.lead(not snapshot.refusing)

    def under_way(self) -> Iterator[UnderWay]:
        """Requests that wait for their final answer: calls that stand are not here."""
        for name, endpoint in self._endpoints.items():
            yield from endpoint.under_way(name)

    @property
    def open(self) -> list[tuple[str, int]]:
        """Addresses and ports that are bound, for a removed listener as well."""
        endpoints = (*self._endpoints.values(), *self._ending)
        return [place for endpoint in endpoints for place in endpoint.open]

    @property
    def sockets(self) -> list[socket.socket]:
        """All that listeners of the configuration listen on."""
        return [one.sock for bound in self._bound.values() for one in bound.values()]

    @property
    def ending(self) -> Collection[asyncio.Task[int]]:
        """What ends listeners that were taken out of service."""
        return self._ending.values()

    async def drain(self, *, handed_on: bool = False) -> int:
        """Take no new calls, end requests under way; how many were cut off.

        Calls that stand need nothing of this process, and go on after a restart. Where
        the sockets are `handed_on`, so do new ones over UDP.
        """
        endpoints = self._endpoints.values()
        cut = await asyncio.gather(
            *(one.drain(DRAIN, handed_on=handed_on) for one in endpoints),
            *self._ending.values(),
        )
        return sum(cut)

    def _serve(self, ground: Ground, name: str, terms: Terms) -> None:
        self._terms[name] = terms
        if name in self._endpoints:
            self._endpoints[name].change(terms)
        else:
            self._endpoints[name] = self._endpoint(ground, name, terms)
            self._endpoints[name].start()

    def _remove(self, name: str) -> None:
        endpoint = self._endpoints.pop(name)
        del self._terms[name]
        self._log.say(events.LISTENER_CLOSED, listener=name, flows=endpoint.pending)
        task = self._tasks.start(endpoint.drain(DRAIN), name=f"end {name}")
        self._ending[endpoint] = task
        task.add_done_callback(lambda _: self._ending.pop(endpoint, None))

    def _ask_by(
        self,
        endpoint: Endpoint,
        side: Side,
        host: str,
        transport: Transport,
        *,
        linked: bool = False,
    ) -> None:
        """Have targets asked through a listener: the first one, where several share
        them, for their health is known but once. Those that are `linked` apart: who
        demands privacy has no socket for others."""
        probe = functools.partial(endpoint.probe, side)
        self._probes.setdefault((host, transport, linked), probe)

    def _terms_for(
        self, ground: Ground, name: str, listener: Sip, bound: Bindings
    ) -> Terms:
        catalogue, provider = ground.loaded.catalogue, ground.loaded.config.provider
        sources = frozenset(map(str, provider.source_addresses.values()))
        keys = self._keys_in(listener.key_file)
        networks = networks_of(listener, ground.loaded)
        places = tuple(
            place_of(listener, one.side, one.transport, one.sock.getsockname(), sources)
            for one in bound.values()
        )
        trust = functools.partial(self._keyring.trust, alpn=_NO_ALPN)
        return Terms(
            tuple(bound.values()),
            settings_of(listener, networks, places, keys.values, sources),
            choose_edge=Choice(
                ground.checker, listener.product, only=Belongs(listener)
            ),
            choose_site=Choice(ground.checker, name),
            names=PlaceNames(name, listener, catalogue, ground.checker),
            guards={
                Side.SITE: Guard(listener.site.allow),
                Side.EDGE: Guard(networks),
            },
            contexts={
                Side.SITE: trust(listener.site.ca_file),
                Side.EDGE: trust(provider.ca_file),
            },
            certificates=self._certificates(listener),
            meter=ground.meter,
            strays=ground.strays,
        )

    def _certificates(self, listener: Sip) -> dict[Side, Certificates]:
        edge = listener.edge.tls
        shown = {Side.SITE: listener.site.tls or edge, Side.EDGE: edge}
        return {
            side: self._keyring.certificates(tls, alpn=_NO_ALPN)
            for side, tls in shown.items()
            if tls is not None
        }

    def _keys_in(self, path: Path | None) -> Keys:
        """The keys of a file; without one they are the same until the daemon ends."""
        if path is not None:
            self._keys[path] = self._keyring.keys(path)
        return self._keys[path]

    def _endpoint(self, ground: Ground, name: str, terms: Terms) -> Endpoint:
        refusals = Refusals(self._log, name, ground.incoming.edge_of)
        return Endpoint(
            terms,
            token=_token,
            report=ground.checker.report,
            record=functools.partial(self._log.log_call, name),
            refused=functools.partial(self._refused, refusals),
            turned_down=refusals.request,
            tasks=self._tasks,
            loop=asyncio.get_running_loop(),
        )

    def _announce(self, name: str, one: Bound) -> None:
        self._log.say(
            events.LISTENER_BOUND,
            listener=name,
            address=hostport(*one.sock.getsockname()[:2]),
            protocol=f"{Protocol.SIP} over {one.transport}",
            direction="to_provider" if one.side is Side.SITE else "from_provider",
        )

    def _warn(self, name: str, one: Bound) -> None:
        room = datagrams.room(one.sock)
        if room < datagrams.RECEIVE_BUFFER:
            self._log.say(
                events.LISTENER_CRAMPED,
                listener=name,
                address=hostport(*one.sock.getsockname()[:2]),
                room_bytes=room,
                needed_bytes=datagrams.RECEIVE_BUFFER,
            )

    def _refused(
        self, refusals: Refusals, address: str, reason: str, detail: str
    ) -> None:
        if reason in (Refusal.HANDSHAKE_FAILED, Refusal.ASTRAY):
            refusals.client(address, Refusal(reason), detail)
        else:
            self._log.say(
                events.MESSAGE_DROPPED,
                listener=refusals.listener,
                client=address,
                reason=reason,
            )


def _of(listener: Sip, loaded: Loaded) -> Iterator[Wanted]:
    for one in listener.site.bind:
        yield Wanted(Side.SITE, one.transport, str(one.address), one.port)
    links = loaded.config.provider.links
    for one in listener.edge.bind:
        device = device_at(links, one.address)
        yield Wanted(Side.EDGE, one.transport, str(one.address), one.port, device)


def _sip(loaded: Loaded) -> dict[str, Sip]:
    every = loaded.config.listeners.items()
    return {name: one for name, one in every if isinstance(one, Sip)}


def _basis(name: str, loaded: Loaded) -> tuple[object, ...]:
    """All that the terms of a listener are made from: the same makes the same."""
    provider = loaded.config.provider
    return (
        loaded.config.listeners.get(name),
        provider.ca_file,
        provider.source_addresses,
        provider.links,
        loaded.catalogue,
    )


def _token() -> bytes:
    return binascii.hexlify(os.urandom(8))
