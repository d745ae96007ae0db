"""Who is next for one call, where links may be full."""

from collections.abc import Callable, Collection

from protocols.sip.records import CallRecord
from protocols.target import Choose, Target
from router.bandwidth import Bandwidth

FULL = "every private link is full"
"Why nobody is left for a call."


class Spilling:
    """A `Choose` that passes over edges whose link has no room for the call.

    So the call spills to who is next in the order of another `Choose`, private edges
    as a rule before public ones.
    """

    def __init__(
        self,
        choose: Choose,
        record: CallRecord,
        bandwidth: Bandwidth,
        *,
        link_of: Callable[[str], str | None],
        needed: Callable[[str], tuple[str, float]],
        now: float,
    ) -> None:
        """`link_of` has the links of edges; `needed` says of a link what the call is
        known by, and what it would take of it. The record is told what was full."""
        self._choose = choose
        self._record = record
        self._bandwidth = bandwidth
        self._link_of = link_of
        self._needed = needed
        self._now = now
        self._full: tuple[str, ...] = ()

    def __call__(self, tried: Collection[Target] = ()) -> Target | None:
        """The next target with room for a call that has tried these; None for none."""
        target = self._choose(tried)
        while target is not None and self._is_full(target.label):
            tried = (*tried, target)
            target = self._choose(tried)
        if target is None and self._full:
            self._record.reason = FULL
        return target

    def _is_full(self, edge: str) -> bool:
        link = self._link_of(edge)
        if link is None:
            return False
        call, rate = self._needed(link)
        if self._bandwidth.fits(link, rate, self._now, call=call):
            return False
        if link not in self._full:
            self._full += (link,)
            self._bandwidth.spill(link)
            self._record.spilled = ", ".join(self._full)
        return True
