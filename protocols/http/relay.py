"""The HTTPS relay of one listener, for either direction."""

import asyncio
from collections.abc import Collection, Iterator

from protocols.http import fields
from protocols.http.head import HEAD
from protocols.http.near import Near
from protocols.http.pool import Dial, Keeping, Pool
from protocols.http.shared import Deadlines, Pace, Refused, Shared, Watch
from protocols.net.tasks import Tasks
from protocols.record import Record, UnderWay
from protocols.target import NOBODY, Choose, Report, Target

_LOOK = 1.0  # seconds between two looks at deadlines


class Relay:
    """Serves the connections of one listener through the targets that it is given.

    `connection` is the protocol factory for the listener. `keep_warm` and `forsake`
    follow the ranking; `drain` and `close` end it.
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
        retry: bool = True,
        deadlines: Deadlines = Deadlines(),  # noqa: B008 - frozen
        pace: Pace = Pace(),  # noqa: B008 - frozen
        keeping: Keeping = Keeping(),  # noqa: B008 - frozen
        request_id: str = "",
        nobody: str = NOBODY,
    ) -> None:
        """`request_id` names the field of answers whose value identifies the request;
        with it empty nobody looks. `nobody` says why a client is taken nowhere."""
        self._loop = loop
        self._nears: set[Near] = set()
        self._pool = Pool(dial, report, tasks, loop.time, keeping)
        self._shared = Shared(
            listener=listener,
            to_provider=to_provider,
            choose=choose,
            report=report,
            record=record,
            refused=refused,
            pool=self._pool,
            watch=Watch(loop),
            loop=loop,
            head=head,
            retry=retry,
            deadlines=deadlines,
            pace=pace,
            nobody=nobody,
            request_id=fields.request_id_pattern(request_id) if request_id else None,
        )
        self._timer = loop.call_later(_LOOK, self._tick)
        self._empty = asyncio.Event()

    def connection(self) -> Near:
        """The protocol of a new client connection."""
        return Near(self._shared, self._nears.add, self._gone)

    def keep_warm(self, targets: Collection[Target]) -> None:
        """Have a connection ready to each of these from now on."""
        self._pool.keep_warm(targets)

    def forsake(self, target: Target) -> None:
        """The target fell ill: leave it, with all that can be moved."""
        self._pool.forsake(target)
        self._shared.watch.forsake(target)

    async def retire(self) -> None:
        """Answer one more request of each client that is there; return when all left.

        Nobody is hung up on between requests: who is idle learns with the answer to the
        next one that the connection ends (RFC 9112 section 9.6).
        """
        self._shared.leaving = True
        self._pool.keep_warm(())
        if self._nears:
            await self._empty.wait()
        self.close()

    def vacate(self, target: Target) -> None:
        """Keep no connection to the target; what is under way there goes on."""
        self._pool.forsake(target)

    def under_way(self) -> Iterator[UnderWay]:
        """The requests that are served now."""
        found = (near.under_way() for near in self._nears)
        return (one for one in found if one is not None)

    async def drain(self, seconds: float) -> int:
        """Take no further requests, end those under way; returns how many were cut."""
        self._shared.leaving = self._shared.draining = True
        for near in list(self._nears):
            near.drain()
        if self._nears:
            try:
                async with asyncio.timeout(seconds):
                    await self._empty.wait()
            except TimeoutError:
                pass
        cut = len(self._nears)
        self.close()
        return cut

    def look(self, now: float) -> None:
        """End what takes too long by `now`; the relay calls it every second itself."""
        for near in list(self._nears):
            near.look(now)
        self._pool.sweep(now)

    @property
    def flows(self) -> int:
        """Client connections that stand."""
        return len(self._nears)

    def close(self) -> None:
        """End everything now."""
        self._timer.cancel()
        self._pool.close()
        for near in list(self._nears):
            near.transport.abort()

    def _gone(self, near: Near) -> None:
        self._nears.discard(near)
        if self._shared.leaving and not self._nears:
            self._empty.set()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_LOOK, self._tick)
        self.look(self._loop.time())
