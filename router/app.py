"""The daemon, composed: listeners and relays around the one policy.

This is the one module that knows both halves: it gives each relay its `choose` and
`report`, and tells the relays when the ranking moves.
"""

import asyncio
import dataclasses
import functools
import importlib.metadata
import os
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from protocols.http import tunnel
from protocols.http.forward import Forward
from protocols.http.passthrough import Passthrough
from protocols.http.pool import Dial
from protocols.http.probe import https_probe
from protocols.http.relay import Relay
from protocols.http.shared import Deadlines, Pace
from protocols.http.tunnel import Tunnels
from protocols.net.admission import Admission, Limits, Refusal
from protocols.net.dial import dial
from protocols.net.handshake import Contexts
from protocols.net.listen import BindError, Listener, bind
from protocols.net.tasks import Tasks
from protocols.net.tls import Certificates, TLSFileError
from protocols.target import Choose, Target
from protocols.websocket.probe import websocket_probe
from router import events, service, state
from router.access import Place, Places
from router.changes import Change, Flip
from router.choice import Choice
from router.config import Loaded
from router.endpoint import Protocol
from router.endpoints import endpoints, products_of
from router.forwarding import forward
from router.handover import Handover, given, places
from router.headline import headline
from router.health import State
from router.hosts import host_names
from router.keys import KeyFileError
from router.knowledge import Knowledge
from router.listeners import (
    FromProvider,
    HttpsConnect,
    HttpsFromProvider,
    HttpsPassthrough,
    HttpsTerminate,
)
from router.logs import Log, open_log
from router.notify import Notifier
from router.problem import ConfigError
from router.service import Stop
from router.snapshot import Snapshot
from router.sockets import Listening, Sockets
from router.supervision import Supervision
from router.telling import tell_rejection
from router.trunks import Trunks

READY_AFTER = 3.0
"Seconds after which the daemon counts as started, measured or not."

_Relayed = HttpsTerminate | HttpsFromProvider
_Tunnelled = HttpsConnect | HttpsPassthrough
_Stream = _Relayed | _Tunnelled | Listening

Factory = Callable[[], asyncio.BaseProtocol]
"Makes the protocol of a new client connection."

UNPROBED = 10.0
"Seconds after which a prober that does nothing is held for dead."

SETTLE = 1.0
"Seconds that clients have for the handshake they are in when the daemon stops."

DRAIN = 10.0
"Seconds that flows have to end when the daemon stops."


def run(loaded: Loaded, path: Path) -> int:
    """Run the daemon until it is asked to stop; its exit code."""
    chosen = loaded.config.log
    level = events.Level[chosen.level.upper()]
    log = open_log(chosen.format, level, strict=False, places=_places(loaded))
    try:
        return service.run(lambda stop: _serve(loaded, path, log, stop))
    finally:
        log.close()


def _places(loaded: Loaded) -> Places:
    """What records say of the edges that served: nothing that changes while we run."""
    provider, edges = loaded.config.provider, loaded.catalogue.edges
    return {
        name: Place(provider.region, edges[name].kind.value) for name in provider.edges
    }


def reject(error: ConfigError, path: Path) -> None:
    """Log that the configuration is refused; which log it wanted nobody knows."""
    log = open_log(strict=False)
    tell_rejection(log, path, error)
    log.close()


async def _serve(loaded: Loaded, path: Path, log: Log, stop: Stop) -> int:
    return await Daemon(loaded, log).run(stop, path)


class Daemon:
    """Everything that runs, from the first socket to the last record."""

    def __init__(self, loaded: Loaded, log: Log) -> None:
        """Must be called within the event loop that `run` will use."""
        self._loaded = loaded
        self._log = log
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(log.crashed)
        self._started = self._loop.time()
        self._notifier = Notifier()
        self._handover = Handover(self._notifier, given(os.environ, os.getpid()))
        self._supervision = Supervision(
            self._notifier, log, headline=self._headline, ailment=self._ailment
        )
        self._relays: dict[str, Relay] = {}
        self._routes: dict[str, str] = {}
        self._tunnels: dict[str, Tunnels] = {}
        self._sockets = Sockets(log.log_flow, self._tasks)
        self._listeners: dict[str, Listener] = {}
        self._trunks: Trunks
        self._measured = asyncio.Event()
        self._knowledge: Knowledge

    async def run(self, stop: Stop, path: Path) -> int:
        """Serve until `stop`; 0, or 1 if an address or file is not to be had."""
        self._log.capture_libraries()
        try:
            self._build()
        except (BindError, TLSFileError, KeyFileError) as error:
            self._log.say(events.LISTENER_FAILED, error=str(error))
            return 1
        self._knowledge.start()
        self._supervision.start()
        self._log.say(
            events.DAEMON_STARTED,
            version=importlib.metadata.version("edge-router"),
            config=str(path),
            listeners=len(self._loaded.config.listeners),
            edges=", ".join(self._loaded.config.provider.edges),
        )
        self._tasks.start(self._become_ready(), name="become ready")
        await stop.wait()
        await self._end(stop.reason)
        return 0

    # ---- The beginning -----------------------------------------------------------

    def _build(self) -> None:
        """Bind every listener, then compose; on an error nothing is left behind."""
        chosen = self._loaded.config.listeners
        streams = {n: one for n, one in chosen.items() if isinstance(one, _Stream)}
        wanted = [(str(s.bind.address), s.bind.port) for s in streams.values()]
        for unused in self._handover.leave(places(self._loaded)):
            self._log.say(events.SOCKET_UNUSED, socket=unused)
        take = self._handover.take
        self._trunks = Trunks(self._loaded, self._log, self._tasks, take)
        try:
            sockets = dict(zip(streams, bind(wanted, take), strict=True))
        except BindError:
            self._trunks.close()
            raise
        try:
            self._compose(streams, sockets)
        except (TLSFileError, KeyFileError):
            self._trunks.close()
            for sock in sockets.values():
                sock.close()
            raise
        for sock in (*sockets.values(), *self._trunks.sockets):
            self._handover.keep(sock)

    def _compose(
        self,
        streams: Mapping[str, _Stream],
        sockets: dict[str, socket.socket],
    ) -> None:
        config = self._loaded.config
        contexts = Contexts(config.provider.ca_file)
        inward = {n: one for n, one in streams.items() if isinstance(one, FromProvider)}
        theirs = {name: Contexts(stream.ca_file) for name, stream in inward.items()}
        receivers = {
            str(to): theirs[name]
            for name, stream in inward.items()
            for to in stream.to
            if to.tls
        }
        probe = https_probe(contexts, receivers)
        directory = state.directory(config.state_directory, os.environ)
        self._knowledge = Knowledge(
            self._loaded,
            {
                Protocol.HTTPS: probe,
                Protocol.WEBSOCKET: websocket_probe(probe, contexts, self._paths()),
                Protocol.SIP: self._trunks.probe,
            },
            self._changed,
            log=self._log,
            tasks=self._tasks,
            directory=directory,
            now=self._loop.time(),
        )
        for name, stream in streams.items():
            trust = theirs.get(name, contexts)
            factory: Factory
            if isinstance(stream, HttpsConnect | HttpsPassthrough):
                factory = self._tunnel(name, stream)
            elif isinstance(stream, Listening):
                refused = functools.partial(self._request_refused, name)
                checker = self._knowledge.checker
                factory = self._sockets.compose(name, stream, checker, trust, refused)
            else:
                factory = self._relay(name, stream, trust)
            self._listeners[name] = self._listener(name, stream, sockets[name], factory)
        self._trunks.compose(self._knowledge.checker)
        for name, stream in streams.items():
            self._listen(name, stream, sockets[name].getsockname()[1])
        self._trunks.start()

    def _paths(self) -> dict[str, str]:
        """Where WebSockets are opened to probe, by host; others are greeted only."""
        products = self._loaded.catalogue.products
        used = endpoints(self._loaded.catalogue, self._loaded.config)
        asked = ((one.host, products[one.product].probe_path) for one in used)
        return {host: path for host, path in asked if path is not None}

    def _relay(self, name: str, stream: _Relayed, contexts: Contexts) -> Factory:
        checker = self._knowledge.checker
        deadlines = stream.deadlines
        if isinstance(stream, HttpsTerminate):
            product, to_provider = stream.product, True
        else:
            product, to_provider = name, False
        connect: Dial = functools.partial(
            dial,
            contexts=contexts,
            connect_timeout=deadlines.connect,
            tls_timeout=deadlines.tls,
        )
        self._routes[name] = product
        relay = self._relays[name] = Relay(
            name,
            to_provider=to_provider,
            choose=Choice(checker, product),
            report=checker.report,
            record=self._log.log_flow,
            refused=functools.partial(self._request_refused, name),
            dial=connect,
            tasks=self._tasks,
            loop=self._loop,
            head=stream.limits.header_size,
            retry=stream.retry,
            deadlines=Deadlines(
                head=deadlines.header,
                idle=deadlines.idle,
                first_byte=deadlines.first_byte,
            ),
            request_id=(to_provider and self._loaded.config.log.request_id) or "",
            pace=Pace(
                window=deadlines.body_grace,
                bytes=int(deadlines.body_grace * stream.limits.body_rate),
            ),
        )
        return relay.connection

    def _tunnel(self, name: str, stream: _Tunnelled) -> Factory:
        deadlines = stream.deadlines
        catalogue, region = self._loaded.catalogue, self._loaded.config.provider.region
        products = products_of(stream, catalogue)
        checker = self._knowledge.checker
        route = forward(
            host_names(catalogue, products),
            region,
            {product: Choice(checker, product) for product in products},
        )
        tunnels = self._tunnels[name] = Tunnels(
            listener=name,
            direction=stream.direction.value,
            report=checker.report,
            record=self._log.log_flow,
            tasks=self._tasks,
            deadlines=tunnel.Deadlines(
                hello=deadlines.header,
                connect=deadlines.connect,
                answer=deadlines.tls,
            ),
        )
        if isinstance(stream, HttpsConnect):
            return functools.partial(
                Forward,
                tunnels,
                route,
                functools.partial(self._request_refused, name),
                head=stream.limits.header_size,
                deadline=deadlines.header,
            )

        def by_name(host: str) -> Choose | None:
            found = route(host, 443)
            return None if isinstance(found, str) else found

        return lambda: Passthrough(tunnels, by_name)

    def _listener(
        self,
        name: str,
        stream: _Stream,
        sock: socket.socket,
        factory: Factory,
    ) -> Listener:
        tls = None if isinstance(stream, _Tunnelled) else stream.tls
        return Listener(
            sock,
            factory,
            admission=Admission(
                stream.allow,
                Limits(
                    total=stream.limits.connections,
                    per_client=stream.limits.connections_per_client,
                ),
            ),
            refused=functools.partial(self._client_refused, name),
            tasks=self._tasks,
            certificates=Certificates(tls.certificate, tls.key) if tls else None,
            handshake_timeout=stream.deadlines.tls,
        )

    def _listen(self, name: str, stream: _Stream, port: int) -> None:
        self._listeners[name].start()
        bound = dataclasses.replace(stream.bind, port=port)
        mode = None if isinstance(stream, FromProvider | Listening) else stream.mode
        self._log.say(
            events.LISTENER_BOUND,
            listener=name,
            address=str(bound),
            protocol=stream.protocol.value,
            direction=stream.direction.value,
            mode=mode.value if mode is not None else None,
        )

    async def _become_ready(self) -> None:
        """Tell systemd, as soon as home is known by measurement, or a little later."""
        try:
            async with asyncio.timeout(READY_AFTER):
                await self._measured.wait()
        except TimeoutError:
            pass
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
        for name, relay in self._relays.items():
            relay.keep_warm(snapshot.warm(self._routes[name]))
        for change in changes:
            if isinstance(change, Flip) and change.to is not State.UP:
                self._forsake(change.targets)
        self._sockets.changed(changes)
        if all(edge.score is not None for edge in snapshot.edges.values()):
            self._measured.set()

    def _headline(self) -> str:
        policy = self._loaded.config.policy
        snapshot = self._knowledge.checker.snapshot
        return headline(snapshot, policy.default_edge or "", self._flows())

    def _flows(self) -> dict[str, int]:
        """How much goes on, by kind."""
        return {
            "SIP requests": self._trunks.flows,
            "connections": sum(relay.flows for relay in self._relays.values()),
            "tunnels": sum(len(tunnels.open) for tunnels in self._tunnels.values()),
            "sockets": self._sockets.flows,
        }

    def _ailment(self) -> str:
        """What does not work as it should; empty if all does."""
        for place in self._handover.broken():
            return f"{place} does not listen any more"
        unprobed = self._loop.time() - self._knowledge.checker.looked
        return f"no probe for {unprobed:.0f} s" if unprobed > UNPROBED else ""

    def _forsake(self, targets: Iterable[Target]) -> None:
        for target in targets:
            for relay in self._relays.values():
                relay.forsake(target)

    def _client_refused(
        self, listener: str, client: str, reason: Refusal, detail: str
    ) -> None:
        if reason is Refusal.HANDSHAKE_FAILED:
            self._log.say(
                events.TLS_FAILED, listener=listener, client=client, error=detail
            )
        else:
            text = f"{reason}: {detail}" if detail else reason.value
            self._log.say(
                events.CLIENT_REFUSED, listener=listener, client=client, reason=text
            )

    def _request_refused(
        self, listener: str, client: str, status: int, reason: str
    ) -> None:
        self._log.say(
            events.REQUEST_REFUSED,
            listener=listener,
            client=client,
            status=status,
            reason=reason,
        )

    # ---- The end -----------------------------------------------------------------

    async def _end(self, reason: str) -> None:
        """Take no new flows, let those that run end, save what was learnt."""
        flows = sum(self._flows().values())
        self._supervision.stopping(f"{flows} flows to end")
        self._log.say(events.DAEMON_STOPPING, reason=reason, flows=flows)
        if self._notifier.is_heard:
            # Clients that connect from now on are the next process's, and wait for it.
            # So flows that may last end first, while nobody else notices.
            cut = await asyncio.gather(*self._lasting())
            cut += await asyncio.gather(*self._brief(handed_on=True))
        else:
            cut = await asyncio.gather(*self._lasting(), *self._brief(handed_on=False))
        await self._knowledge.close()
        self._supervision.close()
        await self._tasks.close()
        ran = round(self._loop.time() - self._started, 1)
        self._log.say(events.DAEMON_STOPPED, flows=sum(cut), ran_s=ran)

    def _lasting(self) -> list[Coroutine[Any, Any, int]]:
        """End WebSockets and tunnels. Who opens a WebSocket is told to come back."""
        tunnels = (self._drain(*one) for one in self._tunnels.items())
        return [*tunnels, self._sockets.drain(self._close)]

    def _brief(self, *, handed_on: bool) -> list[Coroutine[Any, Any, int]]:
        """End requests, and the setting up of calls."""
        relays = (self._drain(*one) for one in self._relays.items())
        return [*relays, self._trunks.drain(DRAIN, handed_on=handed_on)]

    async def _drain(self, name: str, served: Relay | Tunnels) -> int:
        await self._close([name])
        return await served.drain(DRAIN)

    async def _close(self, names: Iterable[str]) -> None:
        """Accept no more there; whoever is accepted is let in."""
        closed = [self._listeners[name] for name in names]
        for listener in closed:
            listener.close()
        await asyncio.gather(*(listener.settle(SETTLE) for listener in closed))
