"""What the service manager is told, by the protocol of sd_notify(3)."""

import array
import contextlib
import os
import select
import socket
import time
from collections.abc import Mapping, Sequence

PATIENCE = 2.0
"Seconds that what is told but once may wait for a service manager that is busy."


class Notifier:
    """Tells systemd how the service fares; without systemd, nobody.

    Never raises, and never waits while the service serves, for it does not depend on
    who watches it. What belongs to the start waits for PATIENCE at most: it must not
    get lost because systemd has much to read. Each message is one datagram.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # unix(7): an abstract address begins with a zero byte, which $NOTIFY_SOCKET
        # shows as "@".
        if address.startswith("@"):
            address = "\0" + address[1:]
        self._address = address if address.startswith(("/", "\0")) else ""

    @property
    def is_heard(self) -> bool:
        """Whether there is somebody to tell."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """The service serves, or serves again; `systemctl status` shows `status`."""
        self._tell("READY=1", _status(status), patience=PATIENCE)

    def status(self, status: str) -> None:
        """What `systemctl status` shows from now on."""
        self._tell(_status(status))

    def reloading(self) -> None:
        """The configuration is being reloaded, until `ready` is told.

        sd_notify(3) wants the time "formatted as decimal string of the CLOCK_MONOTONIC
        timestamp in microseconds" in the same message.
        """
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str) -> None:
        """The service begins to end."""
        self._tell("STOPPING=1", _status(status))

    def extend(self, seconds: float) -> None:
        """The stop takes so much longer, from now on. To be said again before then."""
        self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def alive(self) -> None:
        """The service works (WATCHDOG=1)."""
        self._tell("WATCHDOG=1")

    def store(self, name: str, descriptor: int) -> None:
        """Have a descriptor kept over a restart; it comes back under this name.

        FDPOLL=0, since systemd would else give up a UDP socket as soon as an ICMP error
        waits in its error queue, which makes it poll as EPOLLERR.
        """
        message = ("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0")
        self._tell(*message, descriptors=[descriptor], patience=PATIENCE)

    def forget(self, name: str) -> None:
        """Have the descriptors of this name kept no longer."""
        self._tell("FDSTOREREMOVE=1", f"FDNAME={name}", patience=PATIENCE)

    def barrier(self, seconds: float = PATIENCE) -> bool:
        """Wait until all that was told is done, but not longer; whether it is.

        sd_notify_barrier(3): the service manager closes the pipe that it is sent.
        """
        reader, writer = os.pipe()
        try:
            sent = self._tell("BARRIER=1", descriptors=[writer], patience=seconds)
        finally:
            os.close(writer)
        try:
            closed, _, _ = select.select([reader], [], [], seconds if sent else 0)
        finally:
            os.close(reader)
        return sent and bool(closed)

    def _tell(
        self,
        *assignments: str,
        descriptors: Sequence[int] = (),
        patience: float = 0.0,
    ) -> bool:
        if not self._address:
            return False
        message = "\n".join(assignments).encode(errors="replace")
        rights = array.array("i", descriptors)
        attached = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        with contextlib.suppress(OSError):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(patience)
                sender.sendmsg([message], attached, 0, self._address)
            return True
        return False


def _status(text: str) -> str:
    # Assignments are separated by line ends.
    return f"STATUS={' '.join(text.split())}"
