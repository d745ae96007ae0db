"""What links carry, of a daemon that runs: calls and other traffic, as long as there
are links; saved with the state, so that a restart forgets no call."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from protocols.record import FlowRecord, UnderWay
from router.bandwidth import Bandwidth, Capacity, Limits
from router.config import Loaded
from router.links import Link, behind
from router.sessions import Sessions
from router.status import LinkUse

INTERVAL = 2.0
"Seconds between two looks at what has passed, and at slots whose time is over."

Octets = dict[str, tuple[int, int]]
"By link, the bytes that came from clients and those that were given to them."


class Usage:
    """The one `Bandwidth` of the daemon, and what keeps it true."""

    def __init__(
        self,
        loaded: Loaded,
        under_way: Callable[[], Iterable[UnderWay]],
        origin: Callable[[str], str],
        clock: Callable[[], float],
    ) -> None:
        """`under_way` has the flows that are open; `origin` tells the edge that an
        address of the provider belongs to; `clock` gives monotonic seconds."""
        self._under_way = under_way
        self._origin = origin
        self._behind: Mapping[str, str] = {}
        self._bandwidth = Bandwidth({})
        self.meter = Sessions(self._bandwidth, {})
        "Counts what calls take."
        self._ended: Octets = {}
        self._before: Octets = {}
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._changed: Callable[[], None] = _nobody
        self.change(loaded)

    def change(self, loaded: Loaded) -> None:
        """Go by these links from now on; calls on links that stay keep their slots."""
        self._links = loaded.config.provider.links
        self._behind = behind(self._links)
        capacities = {name: _capacity(one) for name, one in self._links.items()}
        self._bandwidth.change(capacities)
        self.meter.change(self._behind)
        # What flows carried before they were on a link is none of its traffic.
        self._before = self._total()

    def start(self, changed: Callable[[], None]) -> None:
        """Look from now on; `changed` is told when there is something new to save."""
        self._changed = changed
        self._set_timer()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def flow(self, record: FlowRecord) -> None:
        """A flow has ended: what it carried stays counted."""
        link = self._behind.get(record.edge) or self._behind.get(record.origin)
        if link is not None:
            _add(self._ended, link, record.received, record.sent)

    @property
    def links(self) -> dict[str, LinkUse]:
        """What each link carries now."""
        now = self._clock()
        return {name: self._use(name, link, now) for name, link in self._links.items()}

    def look(self, now: float) -> None:
        """End slots whose time is over, and count what has passed; by itself every few
        seconds."""
        before = len(self._bandwidth)
        self.meter.expire(now)
        self._count(now)
        if before:
            self._changed()

    def saved(self) -> dict[str, Any]:
        """The calls that are counted, as data that JSON can hold."""
        return self._bandwidth.saved(self._clock())

    def restore(self, data: object, age: float) -> int:
        """Take up calls that were saved `age` seconds ago; how many there are now.

        Raises ValueError for what is not sound.
        """
        self._bandwidth.restore(data, self._clock(), age=age)
        return len(self._bandwidth)

    def _look(self) -> None:
        self._set_timer()
        if self._links:
            self.look(self._clock())

    def _set_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(INTERVAL, self._look)

    def _count(self, now: float) -> None:
        """Tell what other traffic has passed since the last time."""
        total = self._total()
        for link in self._links:
            came, went = total.get(link, (0, 0))
            had, gave = self._before.get(link, (0, 0))
            self._bandwidth.carried(link, max(0, came - had, went - gave), now)
        self._before = total

    def _total(self) -> Octets:
        """What flows have carried so far: those that have ended, and those open."""
        total = dict(self._ended)
        for one in self._under_way():
            link = self._behind.get(one.edge) or self._behind.get(
                self._origin(one.client)
            )
            if link is not None:
                _add(total, link, one.received, one.sent)
        return total

    def _use(self, name: str, link: Link, now: float) -> LinkUse:
        use = self._bandwidth.use(name, now)
        return LinkUse(
            bandwidth=8.0 * link.bandwidth,
            reserve=8.0 * link.bandwidth * link.reserve,
            calls=use.calls,
            taken=use.taken,
            other=use.other,
            room=use.room,
            spilled=use.spilled,
        )


def _capacity(link: Link) -> Capacity:
    rate = 8.0 * link.bandwidth
    limits = Limits(session=link.session_limit, silence=link.session_audit or math.inf)
    return Capacity(rate, rate * link.reserve, limits=limits)


def _add(octets: Octets, link: str, received: int, sent: int) -> None:
    had, gave = octets.get(link, (0, 0))
    octets[link] = had + received, gave + sent


def _nobody() -> None:
    """Nothing is saved."""
