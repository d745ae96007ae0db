"""Processes of a measurement: started, waited for, looked at through /proc, ended."""

import dataclasses
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_READY = 15.0  # seconds for a process to begin to serve
_END = 5.0  # seconds for a process to end when asked


class NotReadyError(Exception):
    """A process did not begin to serve; the message holds the end of its log."""


@dataclasses.dataclass(slots=True)
class Process:
    """A process with its descendants, ended at the end of its `with` block."""

    name: str
    "What it is called in messages."
    log: Path
    "File that gets its standard output and error."
    _popen: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Start it in a session of its own, so that a Ctrl-C is ours to handle."""
        with log.open("ab") as file:
            popen = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=None if environ is None else {**os.environ, **environ},
                start_new_session=True,
            )
        return cls(name, log, popen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        """Ask it to end, and see to it that it does; thawed first, if frozen."""
        if self._popen.poll() is not None:
            return
        self._popen.send_signal(signal.SIGCONT)
        self._popen.terminate()
        try:
            self._popen.wait(_END)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def send(self, number: signal.Signals) -> None:
        """Send the process itself a signal; after SIGKILL, wait until it is gone."""
        self._popen.send_signal(number)
        if number is signal.SIGKILL:
            self._popen.wait()

    def wait_for(self, address: str, port: int) -> None:
        """Return once it answers a request with 200 there; raises NotReadyError."""
        self.wait_until(lambda: answers(address, port))

    def wait_until(self, serves: Callable[[], bool]) -> None:
        """Return once it serves, which is asked again and again; or NotReadyError."""
        deadline = time.monotonic() + _READY
        while not serves():
            if self._popen.poll() is not None or time.monotonic() > deadline:
                end = self.log.read_text(errors="replace")[-1000:].strip()
                raise NotReadyError(f"{self.name} does not serve: {end}")
            time.sleep(0.05)

    def cpu_seconds(self) -> float:
        """CPU time of the processes that run now, user and system together."""
        return sum(_cpu_ticks(pid) for pid in self._pids()) * _TICK

    def resident(self) -> int:
        """Bytes of memory that are theirs: resident, shared pages by their share."""
        return sum(_proportional_size(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        found = [self._popen.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            found += map(int, children.split())
        return found


def _cpu_ticks(pid: int) -> int:
    # proc_pid_stat(5): the name in parentheses may hold anything; utime and stime are
    # fields 14 and 15, the name being field 2.
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after_name[11]) + int(after_name[12])


def _proportional_size(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("smaps_rollup without Pss")


def unverified() -> ssl.SSLContext:
    """A client's context that takes any certificate: load is all that it is for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def answers(address: str, port: int) -> bool:
    """Whether a GET there is answered with 200 within a second."""
    try:
        with connected(address, port, unverified()) as connection:
            return get(connection).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def connected(address: str, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A blocking TLS connection; raises OSError."""
    plain = socket.create_connection((address, port), timeout=1.0)
    try:
        return context.wrap_socket(plain)
    except OSError:
        plain.close()
        raise


def get(connection: ssl.SSLSocket) -> bytes:
    """Send a small GET; its answer, of which nothing but the first part is read."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: edge-router.test\r\n\r\n")
    return connection.recv(65_536)


def free_port(*addresses: str) -> int:
    """A port that nobody listens on now, on any of these addresses."""
    while True:
        first, *others = addresses
        with socket.socket() as taken:
            taken.bind((first, 0))
            port: int = taken.getsockname()[1]
            if all(_free(address, port) for address in others):
                return port


def _free(address: str, port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind((address, port))
        except OSError:
            return False
    return True
