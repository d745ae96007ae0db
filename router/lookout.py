"""Keeps the verdict on every way to a private edge true, from change to change.

A change of a link, an address, a route or a rule is followed by a new look at once, and
then by a short rest: a routing daemon that loads a whole table costs ten looks a second
and no more. Without netlink all is unknown; that is told once, and tried again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from router.egress import Verdict, Way, judge, unknown
from router.kernel import Kernel
from router.rtnetlink import NetlinkError

REST = 0.1
"Seconds between two looks because of changes."
INTERVAL = 10.0
"Seconds after which is looked in any case, and netlink tried again if it failed."

OnChange = Callable[[Mapping[Way, Verdict]], None]
"Is told the verdicts that have changed."


class Lookout:
    """Asks the kernel about the ways that it was given."""

    def __init__(
        self,
        on_change: OnChange,
        on_trouble: Callable[[str], None],
        *,
        kernel: Callable[[], Kernel] = Kernel,
        rest: float = REST,
        interval: float = INTERVAL,
    ) -> None:
        """`on_trouble` is told why the kernel cannot be asked; empty once it can."""
        self._on_change = on_change
        self._on_trouble = on_trouble
        self._open = kernel
        self._rest = rest
        self._interval = interval
        self._kernel: Kernel | None = None
        self._trouble = ""
        self._timer: asyncio.TimerHandle | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._verdicts: dict[Way, Verdict] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def verdicts(self) -> Mapping[Way, Verdict]:
        """The verdict on each way."""
        return self._verdicts

    def watch(self, ways: Iterable[Way]) -> None:
        """Look after these ways from now on, and look at once.

        Those that are new are told of by `on_change` before this returns.
        """
        known = self._verdicts
        asked = unknown("not yet asked")
        self._verdicts = {way: known.get(way, asked) for way in ways}
        self._look()

    def close(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()
        self._drop()

    def _look(self) -> None:
        """Ask about all ways, and tell what has changed."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._interval, self._look)
        try:
            found = self._found()
        except (OSError, NetlinkError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._drop()
            found = dict.fromkeys(self._verdicts, unknown(f"no netlink: {reason}"))
            self._tell(reason)
        else:
            self._tell("")
        changed = {way: v for way, v in found.items() if v != self._verdicts[way]}
        self._verdicts.update(changed)
        if changed:
            self._on_change(changed)

    def _found(self) -> dict[Way, Verdict]:
        if self._kernel is None:
            self._kernel = self._open()
            self._listen()
        kernel = self._kernel
        # First the notices, then the look: what changes in between is noticed again.
        kernel.forget()
        return {way: judge(way, kernel.find(way)) for way in self._verdicts}

    def _tell(self, trouble: str) -> None:
        """Say each trouble once, and once that it is over."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._on_trouble(trouble)

    def _changed(self) -> None:
        """Take that the kernel has notices, and hear no more of them for a while."""
        assert self._kernel is not None, "its descriptor was readable"
        self._loop.remove_reader(self._kernel.fileno())
        self._resting = self._loop.call_later(self._rest, self._listen)
        self._look()

    def _listen(self) -> None:
        if self._kernel is not None:
            self._loop.add_reader(self._kernel.fileno(), self._changed)

    def _drop(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
        if self._kernel is not None:
            self._loop.remove_reader(self._kernel.fileno())
            self._kernel.close()
            self._kernel = None
