"""WebSocket listeners composed: relays around the one policy."""

import asyncio
import functools
from collections.abc import Iterable, Iterator

from protocols.net.dial import dial
from protocols.net.listen import AcceptNoMore
from protocols.record import UnderWay
from protocols.target import Result, Target
from protocols.websocket.relay import Relay
from protocols.websocket.shared import Deadlines, Dial, Drain
from router.changes import Change, Flip
from router.health import State
from router.listeners import WebsocketToProvider
from router.relays import Ground, Refusals, Sockets, chooser, nobody, serving
from router.snapshot import Snapshot

SILENCE = frozenset({Result.TIMEOUT, Result.SILENT})
"""Findings after which open WebSockets may hang for long. After any other their far end
is there: it ends them itself, or still serves them."""

STREAMS = 60.0
"Seconds that WebSockets from the provider have to end by themselves, by default."


class SocketRelay:
    """The WebSockets of one listener."""

    kind = "sockets"
    lasts = True
    declines = True

    def __init__(self, ground: Ground, name: str, listener: Sockets) -> None:
        """Raises TLSFileError."""
        chosen = listener.deadlines
        if isinstance(listener, WebsocketToProvider):
            route, to_provider, patience = listener.product, True, 0.0
            ca_file = ground.loaded.config.provider.ca_file
        else:
            route, to_provider, patience = name, False, STREAMS
            ca_file = listener.ca_file
        wait = listener.drain.wait
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
            choose=chooser(ground, route, listener),
            report=ground.checker.report,
            record=ground.log.log_flow,
            refused=Refusals(ground.log, name).request,
            dial=connect,
            tasks=ground.tasks,
            loop=asyncio.get_running_loop(),
            head=listener.limits.header_size,
            deadlines=Deadlines(
                head=chosen.header,
                answer=chosen.first_byte,
                idle=chosen.silence,
                closing=chosen.closing,
            ),
            draining=Drain(
                wait=patience if wait is None else wait, spread=listener.drain.spread
            ),
            nobody=nobody(listener),
        )

    @property
    def flows(self) -> int:
        """Client connections that stand."""
        return self._relay.flows

    def changed(self, snapshot: Snapshot, changes: Iterable[Change]) -> None:
        """End WebSockets through addresses that fell silent."""
        for change in changes:
            if (
                isinstance(change, Flip)
                and change.to is State.DOWN
                and change.result in SILENCE
            ):
                for target in change.targets:
                    self._relay.forsake(target)

    async def retire(self) -> None:
        """Let WebSockets end by themselves."""
        await self._relay.retire()

    def under_way(self) -> Iterator[UnderWay]:
        """WebSockets that are open or being opened."""
        return self._relay.under_way()

    async def leave(self, edge: str, targets: Iterable[Target]) -> None:
        """End WebSockets through an edge in good order."""
        await self._relay.leave(edge)

    async def drain(self, accept_no_more: AcceptNoMore) -> int:
        """End all WebSockets, as configured; how many had to be cut.

        Until they have ended, who opens another one is told to come back.
        """
        return await self._relay.drain(accept_no_more)

    def close(self) -> None:
        """End everything now."""
        self._relay.close()
