"""The WebSocket relay of one listener, for either direction."""

import asyncio

from protocols.http.head import HEAD
from protocols.net.tasks import Tasks
from protocols.record import Record
from protocols.target import ALIVE, Choose, Report, Target
from protocols.websocket.near import Near
from protocols.websocket.shared import Deadlines, Dial, Drain, Refused, Shared

_LOOK = 1.0  # seconds between two looks at who was heard
_MARGIN = 0.2  # seconds for connections that were closed to be gone


class Relay:
    """Serves the connections of one listener through the targets that it is given.

    `connection` is the protocol factory for the listener. `forsake` follows the health
    of targets; `drain` and `close` end it.
    """

    def __init__(
        self,
        listener: str,
        *,
        to_provider: bool,
        choose: Choose,
        report: Report,
        record: Record,
        refused: Refused,
        dial: Dial,
        tasks: Tasks,
        loop: asyncio.AbstractEventLoop,
        head: int = HEAD,
        deadlines: Deadlines = Deadlines(),  # noqa: B008 - frozen
        draining: Drain = Drain(),  # noqa: B008 - frozen
    ) -> None:
        self._loop = loop
        self._nears: set[Near] = set()
        self._drain = draining
        self._closing = deadlines.closing
        self._shared = Shared(
            listener=listener,
            to_provider=to_provider,
            choose=choose,
            report=report,
            record=record,
            refused=refused,
            dial=dial,
            tasks=tasks,
            loop=loop,
            head=head,
            deadlines=deadlines,
        )
        self._timer = loop.call_later(_LOOK, self._tick)
        self._left = asyncio.Event()

    def connection(self) -> Near:
        """The protocol of a new client connection."""
        return Near(self._shared, self._nears.add, self._gone)

    def forsake(self, target: Target) -> None:
        """The target is held for dead: end what it does not serve any more."""
        for near in list(self._nears):
            near.forsake(target)

    async def drain(self) -> int:
        """Open no more, end those that are open; returns how many had to be cut.

        Clients are asked to come back (Close 1012), one after the other. Who comes
        meanwhile is answered 503, if the listener still accepts.
        """
        self._shared.draining = True
        try:
            await self._end_all()
            return sum(near.is_open() for near in self._nears)
        finally:
            self.close()

    async def _end_all(self) -> None:
        await self._ended_within(self._drain.wait)
        remaining = [near for near in self._nears if near.is_open()]
        for near in remaining:
            near.leave("the router stops")
            await self._ended_within(self._drain.spread / len(remaining))
        await self._ended_within(self._closing + _MARGIN)

    def look(self) -> None:
        """See who is heard; the relay calls it about every second itself."""
        heard = {near.target for near in list(self._nears) if near.look()}
        for target in heard:
            if target is not None:
                self._shared.report(target, ALIVE)

    @property
    def flows(self) -> int:
        """Client connections that stand."""
        return len(self._nears)

    def close(self) -> None:
        """End everything now."""
        self._timer.cancel()
        for near in list(self._nears):
            near.cut("the router stops")

    async def _ended_within(self, seconds: float) -> None:
        """Wait until none is open, or so long."""
        try:
            async with asyncio.timeout(seconds):
                while any(near.is_open() for near in self._nears):
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            pass

    def _gone(self, near: Near) -> None:
        self._nears.discard(near)
        self._left.set()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_LOOK, self._tick)
        self.look()
