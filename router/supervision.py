"""Under a service manager: how the daemon fares is told to it again and again."""

import asyncio
import os
from collections.abc import Callable, Mapping

from router import events
from router.logs import Log
from router.notify import Notifier

BEAT = 5.0
"Seconds between two looks at least; what has not changed is not told again."

LATE = 1.0
"Seconds that the event loop may be late for a look."

BEATS = 4
"""Looks in the time that the watchdog allows. sd_watchdog_enabled(3) recommends two;
but then a single bad one would be the end."""

_EXTENDED = 4.0  # beats that a stop may go on without a further word


class Supervision:
    """Tells the status, feeds the watchdog, and asks for time while the daemon ends.

    All of it from the event loop: one that is stuck tells nothing, and systemd ends a
    service that its watchdog has not heard.
    """

    def __init__(
        self,
        notifier: Notifier,
        log: Log,
        *,
        headline: Callable[[], str],
        ailment: Callable[[], str],
        environ: Mapping[str, str] = os.environ,
        pid: int | None = None,
        late: float = LATE,
    ) -> None:
        """`headline` is the status; `ailment` says what does not work, or nothing.

        A loop that is more than `late` seconds late does not feed the watchdog.
        """
        self._notifier = notifier
        self._log = log
        self._headline = headline
        self._ailment = ailment
        self._loop = asyncio.get_running_loop()
        self._allowed = allowed(environ, os.getpid() if pid is None else pid)
        self._late = late
        self._period = min(BEAT, self._allowed / BEATS) if self._allowed else BEAT
        self._told = ""
        self._phase = "starting"
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Look after things from now on."""
        self._arm()

    def ready(self) -> None:
        """The daemon serves. Once it is stopping: nothing."""
        if self._phase == "stopping":
            return
        self._phase = "serving"
        self._told = self._headline()
        self._notifier.ready(self._told)

    def reloading(self) -> None:
        """Another configuration is read, until `reloaded`."""
        if self._phase == "serving":
            self._phase = "reloading"
            self._notifier.reloading()

    def reloaded(self) -> None:
        """That is over, whatever came of it."""
        if self._phase == "reloading":
            self.ready()

    def stopping(self, status: str) -> None:
        """The daemon ends; from now on time is asked for."""
        self._phase = "stopping"
        self._notifier.stopping(status)
        self._notifier.extend(_EXTENDED * self._period)

    def close(self) -> None:
        """Tell nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        self._due = self._loop.time() + self._period
        self._timer = self._loop.call_at(self._due, self._beat)

    def _beat(self) -> None:
        late = self._loop.time() - self._due
        self._arm()
        if self._phase == "serving":
            self._tell_status()
        elif self._phase == "stopping":
            self._notifier.extend(_EXTENDED * self._period)
        if self._allowed:
            self._feed(late)

    def _tell_status(self) -> None:
        status = self._headline()
        if status != self._told:
            self._told = status
            self._notifier.status(status)

    def _feed(self, late: float) -> None:
        trouble = f"the event loop was {late:.1f} s late" if late > self._late else ""
        trouble = trouble or self._ailment()
        if trouble:
            self._log.say(events.WATCHDOG_WITHHELD, reason=trouble)
        else:
            self._notifier.alive()


def allowed(environ: Mapping[str, str], pid: int) -> float:
    """Seconds within which the watchdog has to hear of us; 0 without one.

    sd_watchdog_enabled(3): $WATCHDOG_USEC, unless $WATCHDOG_PID is of somebody else.
    """
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isascii() and text.isdigit() else 0.0
