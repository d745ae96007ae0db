"""The WebSocket relay of one listener, for either direction."""

import asyncio
from collections.abc import Callable, Iterator

from protocols.http.head import HEAD
from protocols.net.listen import AcceptNoMore
from protocols.net.tasks import Tasks
from protocols.record import Record, UnderWay
from protocols.target import ALIVE, NOBODY, Choose, Report, Target
from protocols.websocket.near import Near
from protocols.websocket.shared import Deadlines, Dial, Drain, Refused, Shared

FIRST = 1.0
"Seconds that a new client has for its handshake when the daemon stops."

_LOOK = 1.0  # seconds between two looks at who was heard
_MARGIN = 0.2  # seconds for connections that were closed to be gone


async def _already() -> None:
    """Where the listener takes no clients any more."""


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
        nobody: str = NOBODY,
    ) -> None:
        """`nobody` says why a client is taken nowhere."""
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
            nobody=nobody,
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

    async def retire(self) -> None:
        """Serve those who are there until all left by themselves."""
        while self._nears:
            self._left.clear()
            await self._left.wait()
        self.close()

    async def drain(self, accept_no_more: AcceptNoMore = _already) -> int:
        """Open no more, end those that are open; returns how many had to be cut.

        Clients are asked to come back (Close 1012), one after the other. Who comes
        meanwhile is answered 503, if the listener still accepts; in the end it is told
        to `accept_no_more`.
        """
        self._shared.draining = True
        try:
            await self._end_all()
            await accept_no_more()
            # Who has connected by now gets a 503.
            await self._while(lambda: bool(self._nears), FIRST)
            return len(list(self.under_way()))
        finally:
            self.close()

    async def leave(self, place: str) -> None:
        """End those that lead to a place in good order, one after the other."""
        await self._end_in_order(
            lambda near: near.target is not None and near.target.label == place,
            f"{place} is drained",
        )

    def under_way(self) -> Iterator[UnderWay]:
        """The WebSockets that are open or being opened."""
        found = (near.under_way() for near in self._nears)
        return (one for one in found if one is not None)

    async def _end_all(self) -> None:
        await self._end_in_order(lambda _: True, "the router stops")
        await self._ended_within(self._closing + _MARGIN)

    async def _end_in_order(self, concerns: Callable[[Near], bool], why: str) -> None:
        await self._ended_within(self._drain.wait)
        remaining = [n for n in self._nears if n.is_open() and concerns(n)]
        for near in remaining:
            near.leave(why)
            await self._ended_within(self._drain.spread / len(remaining))

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
        await self._while(lambda: any(near.is_open() for near in self._nears), seconds)

    async def _while(self, lasts: Callable[[], bool], seconds: float) -> None:
        """Wait while something lasts that connections end, but not longer."""
        try:
            async with asyncio.timeout(seconds):
                while lasts():
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
