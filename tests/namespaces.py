"""Networks of our own: namespaces of the kernel, with links between them.

Only root may make them, and not everywhere. A test that needs them takes the fixture
`network`, and is skipped by name where the kernel refuses.
"""

import ctypes
import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_CLONE_NEWNET = 0x40000000
_NUMBERS = itertools.count()

T = TypeVar("T")


class Network:
    """A namespace, and others that are its neighbours."""

    def __init__(self) -> None:
        """Raises OSError where there can be none."""
        if not shutil.which("ip"):
            raise OSError("needs the program ip")
        self.names: list[str] = []
        "All of them; ours is the first."
        self.name = self.neighbour()

    def neighbour(self) -> str:
        """Make another namespace; its name."""
        name = f"edge-router-{os.getpid()}-{next(_NUMBERS)}"
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

    def join(self, interface: str, other: str, address: str, far: str) -> None:
        """Join our interface to one of the same name in another namespace.

        Both are up, with their addresses, which bear the length of their prefix.
        """
        self.ip(f"link add {interface} type veth peer name {interface} netns {other}")
        for within, own in ((self.name, address), (other, far)):
            self.ip(f"address add {own} dev {interface} nodad", within=within)
            self.ip(f"link set {interface} up", within=within)

    def inside(self, make: Callable[[], T], *, within: str = "") -> T:
        """Call this in our namespace, or another. The sockets it makes stay there."""
        made: list[T] = []
        failed: list[BaseException] = []

        def enter() -> None:
            try:
                _enter(within or self.name)
                made.append(make())
            except BaseException as error:
                failed.append(error)

        # A namespace belongs to a thread: this one ends, and nothing else has moved.
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]

    def close(self) -> None:
        """Remove all of it."""
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def _enter(name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/run/netns/{name}").open(encoding="ascii") as namespace:
        if libc.setns(namespace.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _run(*words: str) -> None:
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise OSError(f"{' '.join(words)}: {ran.stderr.strip()}")
