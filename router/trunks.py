"""The SIP listeners of the daemon: the proxy of each, composed with the policy."""

import asyncio
import binascii
import functools
import os
import socket
from collections.abc import Iterator, Mapping, Sequence

from protocols.net.admission import Refusal
from protocols.net.handshake import Contexts
from protocols.net.listen import Take, nothing
from protocols.net.tasks import Tasks
from protocols.net.tls import Certificates
from protocols.sip import datagrams
from protocols.sip.bound import Bound, Wanted, bind
from protocols.sip.endpoint import Endpoint
from protocols.sip.guard import Guard
from protocols.sip.peers import Side
from protocols.target import Outcome, Probe, Result, Target, Transport, hostport
from router import events
from router.checker import Checker
from router.choice import Choice
from router.config import Loaded
from router.endpoint import Protocol
from router.endpoints import transport_to
from router.keys import read_keys
from router.listeners import Sip
from router.logs import Log
from router.trunk import Belongs, PlaceNames, place_of, settings_of

_NOT_COMPOSED = Outcome(Result.TIMEOUT, detail="no listener for this target")


class Trunks:
    """All SIP listeners of a configuration, from their sockets on."""

    def __init__(
        self, loaded: Loaded, log: Log, tasks: Tasks, take: Take = nothing
    ) -> None:
        """Bind all of them, or raise BindError and leave none."""
        self._loaded = loaded
        self._log = log
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        every = loaded.config.listeners.items()
        self._listeners = {n: one for n, one in every if isinstance(one, Sip)}
        self._bound: dict[str, Sequence[Bound]] = {}
        wanted = [w for one in self._listeners.values() for w in _of(one)]
        sockets = iter(bind(wanted, take))
        for name, listener in self._listeners.items():
            count = len(listener.site.bind) + len(listener.edge.bind)
            self._bound[name] = [next(sockets) for _ in range(count)]
        self._endpoints: dict[str, Endpoint] = {}
        self._probes: dict[tuple[str, Transport], Probe] = {}

    def compose(self, checker: Checker) -> None:
        """Make the proxies. Raises TLSFileError or KeyFileError."""
        # SIP has no name in ALPN.
        trusting = functools.cache(functools.partial(Contexts, alpn=()))
        edge = trusting(self._loaded.config.provider.ca_file)
        for name, listener in self._listeners.items():
            contexts = {Side.SITE: trusting(listener.site.ca_file), Side.EDGE: edge}
            endpoint = self._compose(name, listener, checker, contexts)
            self._endpoints[name] = endpoint
            self._ask_by(endpoint, Side.EDGE, listener.host, listener.edge.transport)
            for to in listener.site.to:
                self._ask_by(endpoint, Side.SITE, str(to), transport_to(listener, to))

    def start(self) -> None:
        """Take messages from now on."""
        for name, endpoint in self._endpoints.items():
            endpoint.start()
            for one in self._bound[name]:
                self._announce(name, one)
                if one.transport is Transport.UDP:
                    self._warn(name, one)

    @property
    def sockets(self) -> list[socket.socket]:
        """All that are listened on."""
        return [one.sock for bound in self._bound.values() for one in bound]

    async def probe(self, target: Target, timeout: float) -> Outcome:
        """Ask a target by way of the listener whose far side it is."""
        probe = self._probes.get((target.host, target.transport))
        return _NOT_COMPOSED if probe is None else await probe(target, timeout)

    @property
    def flows(self) -> int:
        """Requests under way."""
        return sum(endpoint.pending for endpoint in self._endpoints.values())

    async def drain(self, seconds: float, *, handed_on: bool = False) -> int:
        """Take no new calls, end requests under way; how many were cut off.

        Calls that stand need nothing of this process, and go on after a restart. Where
        the sockets are `handed_on`, so do new ones over UDP.
        """
        endpoints = self._endpoints.values()
        ends = (one.drain(seconds, handed_on=handed_on) for one in endpoints)
        return sum(await asyncio.gather(*ends))

    def close(self) -> None:
        """Give up the sockets of listeners that were not composed."""
        for bound in self._bound.values():
            for one in bound:
                one.sock.close()

    def _ask_by(
        self, endpoint: Endpoint, side: Side, host: str, transport: Transport
    ) -> None:
        """Have targets asked through a listener: the first one, where several share
        them, for their health is known but once."""
        probe = functools.partial(endpoint.probe, side)
        self._probes.setdefault((host, transport), probe)

    def _compose(
        self,
        name: str,
        listener: Sip,
        checker: Checker,
        contexts: Mapping[Side, Contexts],
    ) -> Endpoint:
        catalogue = self._loaded.catalogue
        own = self._loaded.config.provider.source_addresses.values()
        sources = frozenset(map(str, own))
        keys = read_keys(listener.key_file)
        networks = catalogue.source_networks(Protocol.SIP)
        places = tuple(
            place_of(listener, one.side, one.transport, one.sock.getsockname(), sources)
            for one in self._bound[name]
        )
        return Endpoint(
            self._bound[name],
            settings_of(listener, catalogue, places, keys, sources),
            choose_edge=Choice(checker, listener.product, only=Belongs(listener)),
            choose_site=Choice(checker, name),
            names=PlaceNames(name, listener, catalogue, checker),
            token=_token,
            guards={
                Side.SITE: Guard(listener.site.allow),
                Side.EDGE: Guard(networks),
            },
            contexts=contexts,
            certificates=_certificates(listener),
            report=checker.report,
            record=functools.partial(self._log.log_call, name),
            refused=functools.partial(self._refused, name),
            turned_down=functools.partial(self._turned_down, name),
            tasks=self._tasks,
            loop=self._loop,
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

    def _turned_down(
        self, listener: str, client: str, status: int, reason: str
    ) -> None:
        self._log.say(
            events.REQUEST_REFUSED,
            listener=listener,
            client=client,
            status=status,
            reason=reason,
        )

    def _refused(self, listener: str, address: str, reason: str, detail: str) -> None:
        if reason == Refusal.HANDSHAKE_FAILED:
            self._log.say(
                events.TLS_FAILED, listener=listener, client=address, error=detail
            )
        else:
            self._log.say(
                events.MESSAGE_DROPPED, listener=listener, client=address, reason=reason
            )


def _of(listener: Sip) -> Iterator[Wanted]:
    for side, binds in (
        (Side.SITE, listener.site.bind),
        (Side.EDGE, listener.edge.bind),
    ):
        for one in binds:
            yield Wanted(side, one.transport, str(one.address), one.port)


def _certificates(listener: Sip) -> dict[Side, Certificates]:
    edge = listener.edge.tls
    shown = {Side.SITE: listener.site.tls or edge, Side.EDGE: edge}
    return {
        side: Certificates(tls.certificate, tls.key, alpn=())
        for side, tls in shown.items()
        if tls is not None
    }


def _token() -> bytes:
    return binascii.hexlify(os.urandom(8))
