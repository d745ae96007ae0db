"""Networks of our own: namespaces of the kernel, with links between them.

Only root may make them, and not everywhere. A test that needs them takes the fixture
`network`, and is skipped by name where the kernel refuses.
"""

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

_CLONE_NEWNET = 0x40000000
_NUMBERS = itertools.count()
_PREFIX = "edge-router-"

T = TypeVar("T")


class Network:
    """A namespace, and others that are its neighbours."""

    def __init__(self) -> None:
        """Raises OSError where there can be none."""
        if not shutil.which("ip"):
            raise OSError("needs the program ip")
        _sweep()
        self.names: list[str] = []
        "All of them; ours is the first."
        self.name = self.neighbour()

    def neighbour(self) -> str:
        """Make another namespace; its name."""
        name = f"{_PREFIX}{os.getpid()}-{next(_NUMBERS)}"
        _run("ip", "netns", "add", name)
        self.names.append(name)
        _run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def ip(self, words: str, *, within: str = "") -> None:
        """Run `ip` with these words, in our own namespace unless another is named."""
        _run("ip", "-n", within or self.name, *words.split())

    def ip_batch(self, lines: list[str]) -> None:
        """Run many such commands in one go."""
        words = ["ip", "-n", self.name, "-batch", "-"]
        text = "\n".join(lines)
        subprocess.run(words, input=text, capture_output=True, text=True, check=True)

    def join(
        self, interface: str, other: str, address: str, far: str, *, within: str = ""
    ) -> None:
        """Join an interface of ours to one of the same name in another namespace.

        Ours, unless another one is named. Both are up, with their addresses, which bear
        the length of their prefix.
        """
        near = within or self.name
        peer = f"type veth peer name {interface} netns {other}"
        self.ip(f"link add {interface} {peer}", within=near)
        for end, own in ((near, address), (other, far)):
            self.ip(f"address add {own} dev {interface} nodad", within=end)
            self.ip(f"link set {interface} up", within=end)

    def forward(self, within: str) -> None:
        """Have a namespace pass on packets that are for others."""
        with self.entered(within):
            switch = Path("/proc/sys/net/ipv4/ip_forward")
            switch.write_text("1", encoding="ascii")

    def inside(self, make: Callable[[], T], *, within: str = "") -> T:
        """Call this in our namespace, or in another one: its sockets stay there."""
        with self.entered(within):
            return make()

    @contextlib.contextmanager
    def entered(self, within: str = "") -> Iterator[None]:
        """Have this thread in our namespace for a while, or in another one.

        Sockets that it opens meanwhile stay there, whatever opens them.
        """
        with (
            Path("/proc/thread-self/ns/net").open("rb") as before,
            Path(f"/run/netns/{within or self.name}").open("rb") as wanted,
        ):
            _enter(wanted.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def command(self, *words: str, within: str = "") -> tuple[str, ...]:
        """Words that run a program in our namespace, or in another one.

        It is killed with the thread that started it: nothing outlives a killed run.
        """
        name = within or self.name
        dies = ("setpriv", "--pdeathsig", "KILL")
        return ("ip", "netns", "exec", name, *dies, *words)

    def close(self) -> None:
        """Remove all of it."""
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def _sweep() -> None:
    """Remove what runs have left that were killed."""
    for left in Path("/run/netns").glob(f"{_PREFIX}[0-9]*-*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            subprocess.run(["ip", "netns", "del", left.name], check=False)


def _enter(namespace: int) -> None:
    """Move this thread: a namespace belongs to a thread, not to the process."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _run(*words: str) -> None:
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise OSError(f"{' '.join(words)}: {ran.stderr.strip()}")
