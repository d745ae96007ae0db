"""The running daemon as commands see it: composed once everything else is."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from protocols.net.tasks import Tasks
from protocols.record import UnderWay
from router import events
from router.changes import Change
from router.checker import Checker
from router.commanding import Commands, Reload, Served
from router.config import Loaded
from router.control import Caller, Control, ControlError
from router.logs import Log
from router.overview import Overview
from router.settings import SOCKET, Admin
from router.sockets import Sockets
from router.steering import Steering


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
        retire: Callable[[str], None],
        sockets: Sockets,
        reload: Reload,
    ) -> None:
        """`path` is the configuration file; `retire` closes idle connections to an
        edge."""
        self._log = log
        self.overview = Overview(loaded, path, checker, log, under_way)
        "Makes the status."
        self._steering = Steering(
            checker, log, tasks, retire=retire, leave=sockets.leave
        )
        commands = Commands(
            Served(
                checker=checker,
                log=log,
                status=self.overview.status,
                under_way=under_way,
                clock=self.overview.clock,
                reload=reload,
            ),
            self._steering,
        )
        self._control: Control | None = None
        place = control_path(loaded.config.admin, environ)
        if place is not None:
            self._control = Control(place, commands, refused=self._refused, tasks=tasks)
        self._place = place

    async def start(self) -> None:
        """Take commands from now on. A socket that cannot be opened is told of; no flow
        hangs on it."""
        self.overview.start()
        if self._control is None:
            return
        try:
            await self._control.start()
        except ControlError as error:
            self._log.say(
                events.CONTROL_FAILED, path=str(self._place), error=str(error)
            )
        else:
            self._log.say(events.CONTROL_OPENED, path=str(self._place))

    def changed(self, changes: Iterable[Change]) -> None:
        """Remember what changed."""
        self.overview.changed(changes)

    def close(self) -> None:
        """Take no more commands."""
        self.overview.close()
        self._steering.close()
        if self._control is not None:
            self._control.close()

    def _refused(self, caller: Caller, reason: str) -> None:
        self._log.say(
            events.CONTROL_REFUSED, pid=caller.pid, uid=caller.uid, reason=reason
        )


def control_path(admin: Admin, environ: Mapping[str, str]) -> Path | None:
    """Where the control socket is to be; None for none.

    Where the configuration says nothing, in the directory that systemd has made
    (RuntimeDirectory= in systemd.exec(5)): a user's own daemon has one, too.
    """
    directory = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if directory and "socket" not in admin.model_fields_set:
        return Path(directory) / SOCKET.name
    return admin.socket
