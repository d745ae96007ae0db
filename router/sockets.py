"""The WebSocket listeners of the daemon: each with its relay around the one policy."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable

from protocols.net.dial import dial
from protocols.net.handshake import Contexts
from protocols.net.tasks import Tasks
from protocols.record import Record
from protocols.target import Result
from protocols.websocket.near import Near
from protocols.websocket.relay import Relay
from protocols.websocket.shared import Deadlines, Dial, Drain, Refused
from router.changes import Change, Flip
from router.checker import Checker
from router.choice import Choice
from router.health import State
from router.listeners import WebsocketFromProvider, WebsocketToProvider

Listening = WebsocketToProvider | WebsocketFromProvider
"A listener for WebSockets."

SILENCE = frozenset({Result.TIMEOUT, Result.SILENT})
"""Findings after which open WebSockets may hang for long. After any other their far end
is there: it ends them itself, or still serves them."""


STREAMS = 60.0
"Seconds that WebSockets from the provider have to end by themselves, by default."


class Sockets:
    """All WebSocket relays of the daemon."""

    def __init__(self, record: Record, tasks: Tasks) -> None:
        self._record = record
        self._tasks = tasks
        self._relays: dict[str, Relay] = {}

    def compose(
        self,
        name: str,
        listener: Listening,
        checker: Checker,
        contexts: Contexts,
        refused: Refused,
    ) -> Callable[[], Near]:
        """Make the relay of a listener; gives its factory of protocols."""
        chosen = listener.deadlines
        to_provider = isinstance(listener, WebsocketToProvider)
        wait = listener.drain.wait
        if wait is None:
            wait = 0.0 if to_provider else STREAMS
        connect: Dial = functools.partial(
            dial,
            contexts=contexts,
            connect_timeout=chosen.connect,
            tls_timeout=chosen.tls,
        )
        relay = self._relays[name] = Relay(
            name,
            to_provider=to_provider,
            choose=Choice(
                checker,
                listener.product if isinstance(listener, WebsocketToProvider) else name,
            ),
            report=checker.report,
            record=self._record,
            refused=refused,
            dial=connect,
            tasks=self._tasks,
            loop=asyncio.get_running_loop(),
            head=listener.limits.header_size,
            deadlines=Deadlines(
                head=chosen.header,
                answer=chosen.first_byte,
                idle=chosen.silence,
                closing=chosen.closing,
            ),
            draining=Drain(wait=wait, spread=listener.drain.spread),
        )
        return relay.connection

    def changed(self, changes: Iterable[Change]) -> None:
        """End WebSockets through addresses that fell silent."""
        for change in changes:
            if (
                isinstance(change, Flip)
                and change.to is State.DOWN
                and change.result in SILENCE
            ):
                for target in change.targets:
                    for relay in self._relays.values():
                        relay.forsake(target)

    @property
    def flows(self) -> int:
        """Client connections that stand."""
        return sum(relay.flows for relay in self._relays.values())

    async def drain(self, close: Callable[[list[str]], Awaitable[None]]) -> int:
        """End all WebSockets, as configured; returns how many had to be cut.

        Each listener is closed, by its name, once its WebSockets have ended.
        """
        ends = (
            relay.drain(functools.partial(close, [name]))
            for name, relay in self._relays.items()
        )
        return sum(await asyncio.gather(*ends))
