"""HTTPS listeners composed: relays and tunnels around the one policy."""

import asyncio
import functools
from collections.abc import Iterable, Iterator

from protocols.http import tunnel
from protocols.http.forward import Forward
from protocols.http.passthrough import Passthrough
from protocols.http.pool import Dial
from protocols.http.relay import Relay
from protocols.http.shared import Deadlines, Pace
from protocols.http.tunnel import Tunnels
from protocols.net.dial import dial
from protocols.net.listen import AcceptNoMore, Factory
from protocols.record import UnderWay
from protocols.target import Choose, Target
from router.changes import Change, Flip
from router.choice import by_link
from router.endpoints import is_required, products_of
from router.forwarding import forward
from router.health import State
from router.hosts import host_names
from router.listeners import HttpsConnect, HttpsTerminate
from router.relays import (
    DRAIN,
    Ground,
    Refusals,
    Relayed,
    Tunnelled,
    chooser,
    nobody,
    serving,
)
from router.snapshot import Snapshot


class HttpsRelay:
    """The requests of one listener."""

    kind = "connections"
    lasts = False
    declines = False

    def __init__(self, ground: Ground, name: str, listener: Relayed) -> None:
        """Raises TLSFileError."""
        self._leaving = False
        self._required = is_required(listener)
        config = ground.loaded.config
        chosen = listener.deadlines
        if isinstance(listener, HttpsTerminate):
            self._route, to_provider = listener.product, True
            ca_file, request_id = config.provider.ca_file, config.log.request_id
        else:
            self._route, to_provider = name, False
            ca_file, request_id = listener.ca_file, None
        connect: Dial = functools.partial(
            dial,
            contexts=ground.keyring.trust(ca_file),
            connect_timeout=chosen.connect,
            tls_timeout=chosen.tls,
        )
        self.serving = serving(ground, name, listener, lambda: self._relay.connection())
        self._relay = Relay(
            name,
            to_provider=to_provider,
            choose=chooser(ground, self._route, listener),
            report=ground.checker.report,
            record=ground.log.log_flow,
            refused=Refusals(ground.log, name).request,
            dial=connect,
            tasks=ground.tasks,
            loop=asyncio.get_running_loop(),
            head=listener.limits.header_size,
            retry=listener.retry,
            deadlines=Deadlines(
                head=chosen.header,
                idle=chosen.idle,
                first_byte=chosen.first_byte,
            ),
            request_id=request_id or "",
            pace=Pace(
                window=chosen.body_grace,
                bytes=int(chosen.body_grace * listener.limits.body_rate),
            ),
            nobody=nobody(listener),
        )

    @property
    def flows(self) -> int:
        """Client connections that stand."""
        return self._relay.flows

    def changed(self, snapshot: Snapshot, changes: Iterable[Change]) -> None:
        """Keep connections warm where they will be needed; leave what fell ill."""
        if not self._leaving:
            warm = snapshot.warm(self._route)
            if self._required:
                warm = tuple(filter(by_link, warm))
            self._relay.keep_warm(warm)
        for change in changes:
            if isinstance(change, Flip) and change.to is not State.UP:
                for target in change.targets:
                    self._relay.forsake(target)

    def under_way(self) -> Iterator[UnderWay]:
        """Requests that are served now."""
        return self._relay.under_way()

    async def leave(self, edge: str, targets: Iterable[Target]) -> None:
        """Keep no idle connection to an edge; requests under way there go on."""
        for target in targets:
            self._relay.vacate(target)

    async def retire(self) -> None:
        """Let clients go with the answer to their next request."""
        self._leaving = True
        await self._relay.retire()

    async def drain(self, accept_no_more: AcceptNoMore) -> int:
        """Answer the requests under way; how many had to be cut."""
        await accept_no_more()
        self._leaving = True
        return await self._relay.drain(DRAIN)

    def close(self) -> None:
        """End everything now."""
        self._relay.close()


class HttpsTunnels:
    """The tunnels of one listener."""

    kind = "tunnels"
    lasts = True
    declines = False

    def __init__(self, ground: Ground, name: str, listener: Tunnelled) -> None:
        chosen = listener.deadlines
        self._tunnels = Tunnels(
            listener=name,
            direction=listener.direction.value,
            report=ground.checker.report,
            record=ground.log.log_flow,
            tasks=ground.tasks,
            deadlines=tunnel.Deadlines(
                hello=chosen.header, connect=chosen.connect, answer=chosen.tls
            ),
            nobody=nobody(listener),
        )
        self.serving = serving(
            ground, name, listener, self._factory(ground, name, listener)
        )

    @property
    def flows(self) -> int:
        """Tunnels that are open."""
        return len(self._tunnels.open)

    def changed(self, snapshot: Snapshot, changes: Iterable[Change]) -> None:
        """A tunnel stays where it is, whatever becomes of others there."""

    def under_way(self) -> Iterator[UnderWay]:
        """Tunnels that are open or being opened."""
        return self._tunnels.under_way()

    async def leave(self, edge: str, targets: Iterable[Target]) -> None:
        """Nobody can ask a tunnel to go elsewhere: it ends by itself."""

    async def retire(self) -> None:
        """Let tunnels end by themselves."""
        await self._tunnels.retire()

    async def drain(self, accept_no_more: AcceptNoMore) -> int:
        """Let tunnels end by themselves for a while; how many had to be cut."""
        await accept_no_more()
        return await self._tunnels.drain(DRAIN)

    def close(self) -> None:
        """End everything now."""
        self._tunnels.close()

    def _factory(self, ground: Ground, name: str, listener: Tunnelled) -> Factory:
        catalogue = ground.loaded.catalogue
        products = products_of(listener, catalogue)
        route = forward(
            host_names(catalogue, products),
            ground.loaded.config.provider.region,
            {product: chooser(ground, product, listener) for product in products},
        )
        if isinstance(listener, HttpsConnect):
            return functools.partial(
                Forward,
                self._tunnels,
                route,
                Refusals(ground.log, name).request,
                head=listener.limits.header_size,
                deadline=listener.deadlines.header,
            )

        def by_name(host: str) -> Choose | None:
            found = route(host, 443)
            return None if isinstance(found, str) else found

        return lambda: Passthrough(self._tunnels, by_name)
