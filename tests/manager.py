"""A service manager, as far as sd_notify(3) goes: it judges what it is told.

It keeps descriptors as systemd does, by the rules of sd_pid_notify_with_fds(3), and has
a command start with them.
"""

import array
import contextlib
import dataclasses
import os
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

STARTER = """
import os, sys
count = int(sys.argv[1])
given = [int(text) for text in sys.argv[2:2 + count]]
high = [os.dup2(fd, 1000 + turn) for turn, fd in enumerate(given)]
for turn, fd in enumerate(high):
    os.dup2(fd, 3 + turn)
    os.close(fd)
for fd in given:
    if fd >= 3 + count:
        os.close(fd)
os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""
"Puts descriptors where they are looked for, and becomes the command."

_CREDENTIALS = struct.Struct("3i")
_NUMBER = re.compile(r"[0-9]+")


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """One message."""

    at: float
    "When it was read, by the monotonic clock."
    pid: int
    "Who sent it."
    values: dict[str, str]
    "What it says."


class Manager:
    """Listens on a notification socket, and keeps what it is to keep."""

    def __init__(self, address: str) -> None:
        """`address` is a path, or begins with "@"."""
        self.address = address
        self.told: list[Told] = []
        "All that was read."
        self.kept: list[tuple[str, int]] = []
        "The descriptor store: names and descriptors, in the order they came."
        self._reading: threading.Thread | None = None
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(address.replace("@", "\0", 1))

    def serve(self) -> None:
        """Read all that comes, beside the test, until `close`."""
        self._reading = threading.Thread(target=self._read_all)
        self._reading.start()

    def _read_all(self) -> None:
        with contextlib.suppress(EOFError):
            while True:
                self.read()

    def close(self) -> None:
        """Let go of everything."""
        self.socket.shutdown(socket.SHUT_RD)
        if self._reading is not None:
            self._reading.join()
        for _, descriptor in self.kept:
            os.close(descriptor)
        self.socket.close()

    def read(self) -> Told:
        """Take the next message, and do what it asks. Waits for one if it may."""
        data, ancillary, flags, _ = self.socket.recvmsg(4096, 1024)
        if not data:
            raise EOFError
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        came, descriptors = time.monotonic(), array.array("i")
        pid = 0
        for level, kind, detail in ancillary:
            assert level == socket.SOL_SOCKET
            if kind == socket.SCM_RIGHTS:
                descriptors.frombytes(detail)
            else:
                pid = _CREDENTIALS.unpack(detail)[0]
        told = Told(came, pid, _parsed(data))
        self.told.append(told)
        self._do(told.values, list(descriptors))
        return told

    def _do(self, values: dict[str, str], descriptors: list[int]) -> None:
        if "BARRIER" in values:
            assert values == {"BARRIER": "1"}
            (pipe,) = descriptors
            os.close(pipe)
            return
        name = values.get("FDNAME", "stored")
        assert len(name) <= 255
        assert name.isascii()
        assert name.isprintable()
        assert ":" not in name
        assert bool(descriptors) == ("FDSTORE" in values)
        for descriptor in descriptors:
            # A UDP socket with an error in its queue would else be lost.
            assert values.get("FDPOLL") == "0"
            self._keep(name, descriptor)
        if "FDSTOREREMOVE" in values:
            for kept in [one for one in self.kept if one[0] == name]:
                self.kept.remove(kept)
                os.close(kept[1])

    def _keep(self, name: str, descriptor: int) -> None:
        if any(os.path.sameopenfile(descriptor, fd) for _, fd in self.kept):
            os.close(descriptor)  # systemd keeps each but once
        else:
            self.kept.append((name, descriptor))

    @property
    def names(self) -> list[str]:
        """The names in the store."""
        return [name for name, _ in self.kept]

    def environment(self, watchdog: float = 0.0) -> dict[str, str]:
        """What the service is started with."""
        given = {"NOTIFY_SOCKET": self.address}
        if self.kept:
            given["LISTEN_FDS"] = str(len(self.kept))
            given["LISTEN_FDNAMES"] = ":".join(self.names)
        if watchdog:
            given["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        return given

    @property
    def descriptors(self) -> list[int]:
        """The descriptors in the store."""
        return [descriptor for _, descriptor in self.kept]

    def command(self, *command: str | Path) -> Sequence[str]:
        """What starts a command with the store's descriptors, from 3 on."""
        numbers = [str(descriptor) for descriptor in self.descriptors]
        starter = (sys.executable, "-IS", "-c", STARTER)
        return [*starter, str(len(numbers)), *numbers, *map(str, command)]


def _parsed(data: bytes) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in data.decode().split("\n"):
        key, equals, value = line.partition("=")
        assert equals, line
        assert re.fullmatch(r"[A-Z_]+", key), line
        assert key not in values, line
        values[key] = value
    for key in ("READY", "RELOADING", "STOPPING", "WATCHDOG", "FDSTORE", "BARRIER"):
        assert values.get(key, "1") == "1"
    for key in ("MONOTONIC_USEC", "EXTEND_TIMEOUT_USEC"):
        assert key not in values or _NUMBER.fullmatch(values[key])
    # sd_notify(3): a reload without the time in the same message is none to systemd.
    assert ("RELOADING" in values) == ("MONOTONIC_USEC" in values)
    return values
