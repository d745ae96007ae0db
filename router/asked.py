"""The running daemon as commands see it: composed once everything else is."""

import dataclasses
import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path

from protocols.net.listen import BindError, bind
from protocols.net.tasks import Tasks
from protocols.record import UnderWay
from protocols.target import hostport
from router import events, settings
from router.admin import Admin
from router.changes import Change
from router.checker import Checker
from router.commanding import Commands, Served
from router.config import Loaded
from router.control import Caller, CommandError, Control, ControlError
from router.differences import Difference
from router.logs import Log
from router.metrics import Counts, Lines, Metrics
from router.overview import Overview
from router.problem import EX_CONFIG, ConfigError
from router.relays import Refusals
from router.reloads import Unusable
from router.settings import SOCKET
from router.status import LinkUse
from router.steering import Leave, Steering

Reload = Callable[[], Awaitable[tuple[Difference, ...]]]
"Takes the configuration over again. Raises ConfigError, or one of Unusable."


Settled = Callable[[], Awaitable[None]]
"Returns when what was taken out of service has ended."


class Asked:
    """The overview, the commands and their socket, as long as the daemon runs."""

    def __init__(
        self,
        loaded: Loaded,
        path: Path,
        *,
        checker: Checker,
        log: Log,
        tasks: Tasks,
        environ: Mapping[str, str],
        under_way: Callable[[], Iterator[UnderWay]],
        link_use: Callable[[], tuple[LinkUse, ...]],
        leave: Leave,
        reload: Reload,
        settled: Settled,
    ) -> None:
        """`path` is the configuration file."""
        self._log = log
        self.overview = Overview(loaded, path, checker, log, under_way, link_use)
        "Makes the status."
        self._steering = Steering(checker, log, tasks, leave=leave)
        commands = Commands(
            Served(
                checker=checker,
                log=log,
                status=self.overview.status,
                under_way=under_way,
                clock=self.overview.clock,
                reload=functools.partial(_reloaded, reload, settled, path),
            ),
            self._steering,
        )
        self._control: Control | None = None
        place = control_path(loaded.config.admin, environ)
        if place is not None:
            self._control = Control(place, commands, refused=self._refused, tasks=tasks)
        self._place = place
        self._counts = Counts(reloaded=self.overview.about.loaded)
        metrics = Metrics(
            self.overview.status,
            self._counts,
            lambda: Lines(log.taken, log.dropped),
            lambda: checker.lag,
        )
        self._http = loaded.config.admin.http
        refusals = Refusals(log, "admin.http")
        self._admin = Admin(self.overview.status, metrics, refusals.client, tasks)

    async def start(self) -> None:
        """Take commands and show the status from now on. A socket that cannot be opened
        is told of; no flow hangs on it."""
        self.overview.start()
        if self._control is not None:
            try:
                await self._control.start()
            except ControlError as error:
                self._log.say(
                    events.CONTROL_FAILED, path=str(self._place), error=str(error)
                )
            else:
                self._log.say(events.CONTROL_OPENED, path=str(self._place))
        if self._http is not None:
            try:
                (sock,) = bind([(str(self._http.address), self._http.port)])
            except BindError as error:
                self._log.say(events.ADMIN_FAILED, error=str(error))
            else:
                self._admin.start(sock)
                where = hostport(*sock.getsockname()[:2])
                self._log.say(events.ADMIN_BOUND, address=where)

    def changed(self, changes: Iterable[Change]) -> None:
        """Remember what changed."""
        self.overview.changed(changes)
        self._counts.note(changes)

    def reloaded(self, loaded: Loaded) -> None:
        """Another configuration counts from now on."""
        self.overview.reloaded(loaded)
        self._counts.reloaded = self.overview.about.loaded
        self._counts.reload_failed = False

    def rejected(self) -> None:
        """Another configuration was refused."""
        self._counts.reload_failed = True

    async def close(self) -> None:
        """Take no more commands, and show nothing any more."""
        await self._admin.close()
        self.overview.close()
        self._steering.close()
        if self._control is not None:
            self._control.close()

    def _refused(self, caller: Caller, reason: str) -> None:
        self._log.say(
            events.CONTROL_REFUSED, pid=caller.pid, uid=caller.uid, reason=reason
        )


async def _reloaded(
    reload: Reload, settled: Settled, path: Path, *, wait: bool
) -> dict[str, object]:
    """What to answer to who asked for a reload. Raises CommandError if it failed."""
    try:
        changed = await reload()
    except ConfigError as error:
        raise CommandError(
            "the configuration is refused; nothing has changed",
            EX_CONFIG,
            problems=[dataclasses.asdict(problem) for problem in error.problems],
        ) from None
    except Unusable as error:
        raise CommandError(f"{error}; nothing has changed", 1) from None
    if wait:
        await settled()
    later = [".".join(one.path) for one in changed if one.restart]
    said = f"{path} is taken over" if changed else f"{path} says what it said before"
    if later:
        said += f"; {', '.join(later)} will be only after a restart"
    return {"said": said, "changed": list(map(str, changed))}


def control_path(admin: settings.Admin, environ: Mapping[str, str]) -> Path | None:
    """Where the control socket is to be; None for none.

    Where the configuration says nothing, in the directory that systemd has made
    (RuntimeDirectory= in systemd.exec(5)): a user's own daemon has one, too.
    """
    directory = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if directory and "socket" not in admin.model_fields_set:
        return Path(directory) / SOCKET.name
    return admin.socket
