"""Listening sockets that outlive the process: handed over by systemd, and to it.

A socket goes by its kind and address, whatever its name: as long as anybody holds it,
nobody else can bind there. Its name in the descriptor store says the same.
"""

import contextlib
import dataclasses
import os
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping

from protocols.target import Transport
from router.config import Loaded
from router.listeners import Sip
from router.notify import Notifier

FIRST = 3
"The first descriptor that is handed over (SD_LISTEN_FDS_START, sd_listen_fds(3))."
MOST = 1_024
"Descriptors that are looked at; systemd's own limit is that of open files."

_KINDS = {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp"}


@dataclasses.dataclass(frozen=True, slots=True)
class Given:
    """A descriptor that came with the process."""

    name: str
    "Its name by $LISTEN_FDNAMES."
    place: str
    "What is bound, as a name for the store; empty if it is no listening socket."
    sock: socket.socket | None
    "The socket; None if it is none."


def given(environ: Mapping[str, str], pid: int, first: int = FIRST) -> list[Given]:
    """The descriptors that systemd passed to this process, and to nobody else."""
    if environ.get("LISTEN_PID") != str(pid):
        return []
    count = environ.get("LISTEN_FDS", "")
    number = min(int(count), MOST) if count.isascii() and count.isdigit() else 0
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    names += ["unknown"] * (number - len(names))
    return [_look(names[turn], first + turn) for turn in range(number)]


def place_of(kind: int, address: str, port: int) -> str:
    """The name of an address in the descriptor store.

    sd_pid_notify_with_fds(3): "may consist of arbitrary ASCII characters except control
    characters or ":"", 255 at most.
    """
    return f"{_KINDS[socket.SocketKind(kind)]}-{address.replace(':', '_')}-{port}"


def places(loaded: Loaded) -> frozenset[str]:
    """Where the listeners of a configuration listen."""
    found = set()
    for listener in loaded.config.listeners.values():
        if not isinstance(listener, Sip):
            bind = listener.bind
            found.add(place_of(socket.SOCK_STREAM, str(bind.address), bind.port))
            continue
        for one in (*listener.site.bind, *listener.edge.bind):
            is_udp = one.transport is Transport.UDP
            kind = socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM
            found.add(place_of(kind, str(one.address), one.port))
    return frozenset(found)


class Handover:
    """The listening sockets of the daemon, from the run before to the next one."""

    def __init__(self, notifier: Notifier, came: Collection[Given] = ()) -> None:
        self._notifier = notifier
        self._came = {one.place: one for one in came if one.place}
        self._odd = [one for one in came if self._came.get(one.place) is not one]
        self._held: dict[str, socket.socket] = {}

    def leave(self, wanted: Collection[str]) -> list[str]:
        """Close what came and is not among the places wanted; says what it was.

        When it returns, the store has let go of it, too, so that other sockets can be
        bound to what these were in the way of.
        """
        unneeded = [place for place in self._came if place not in wanted]
        unwanted = [self._came.pop(place) for place in unneeded] + self._odd
        self._odd = []
        for one in unwanted:
            if one.sock is not None:
                one.sock.close()
            self._notifier.forget(one.name)
        if unwanted:
            self._notifier.barrier()
        return [f"{one.name} ({one.place or 'not listening'})" for one in unwanted]

    def take(self, kind: int, address: str, port: int) -> socket.socket | None:
        """The socket that came for an address; None if there is none."""
        one = self._came.pop(place_of(kind, address, port), None)
        return None if one is None else one.sock

    def hold(self, sockets: Iterable[socket.socket]) -> None:
        """Have these listening sockets outlive the process, and no others any more."""
        held = {_bound(sock): sock for sock in sockets}
        for place in self._held.keys() - held.keys():
            self._notifier.forget(place)
        for place, sock in held.items():
            before = self._held.get(place)
            if before is not sock:
                if before is not None:
                    self._notifier.forget(place)
                self._notifier.store(place, sock.fileno())
        self._held = held

    def broken(self) -> Iterator[str]:
        """Which of the sockets that are held do not listen any more, by place."""
        for place, sock in self._held.items():
            if sock.fileno() >= 0 and not _is_bound(sock, place):
                yield place


def _look(name: str, descriptor: int) -> Given:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        _close(descriptor)
        return Given(name, "", None)
    sock.set_inheritable(False)
    return Given(name, _bound(sock), sock)


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.close(descriptor)


def _bound(sock: socket.socket) -> str:
    """The place that it listens on; empty if it does not. Raises OSError if closed."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type not in _KINDS:
        return ""
    is_stream = sock.type is socket.SOCK_STREAM
    if is_stream and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return ""
    address, port = sock.getsockname()[:2]
    # One that takes IPv4, too, is not what "::" stands for here.
    if address == "::" and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        return ""
    return place_of(sock.type, address, port)


def _is_bound(sock: socket.socket, place: str) -> bool:
    try:
        return _bound(sock) == place
    except OSError:
        return False
