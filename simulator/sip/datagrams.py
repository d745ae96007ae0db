"""The UDP port of one edge address: delays, and misbehaves as ordered."""

import asyncio
import socket
from collections.abc import Callable

from simulator.faults import Fault
from simulator.front import Site

MOST = 10_000
"Datagrams that a frozen port holds back."

_NOWHERE = ("127.0.0.1", 9)
_UNREACHABLE = frozenset({Fault.REFUSE, Fault.KILL})
_DEAF = frozenset({Fault.BLACKHOLE, Fault.STALL, Fault.RESET})
_SILENT = _DEAF | _UNREACHABLE | {Fault.MUTE}

Deliver = Callable[[bytes, tuple[str, int], "Datagrams"], None]


class Datagrams:
    """One UDP socket, with the distance of its edge in both directions."""

    transport = "udp"

    def __init__(self, site: Site, address: str, port: int, deliver: Deliver) -> None:
        """Bind; raises OSError."""
        self.address = address
        self.port = port
        self.edge = site.edge
        self._site = site
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._fault: Fault | None = None
        self._held: list[tuple[bytes, tuple[str, int]]] = []
        self._reading = False
        self._stopped = False
        self._socket = self._bound(reuse=False)
        # Only from now on, so that a port in use was noticed.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def apply(self, fault: Fault | None) -> None:
        """Put a fault into effect, in place of the former one."""
        before, self._fault = self._fault, fault
        if (fault in _UNREACHABLE) != (before in _UNREACHABLE):
            self._replace(unreachable=fault in _UNREACHABLE)
        # The kernel keeps what comes to a process that stands still.
        self._read(fault is not Fault.FREEZE and fault not in _UNREACHABLE)
        if fault is not Fault.FREEZE:
            held, self._held = self._held, []
            for data, far in held:
                self._out(data, far)

    def send(self, data: bytes, far: tuple[str, int]) -> None:
        """Send a datagram, which arrives half the round trip later."""
        self._later(self._out, data, far)

    async def stop(self) -> None:
        """Close the port."""
        self._stopped = True
        self._read(False)
        self._socket.close()

    def _bound(self, *, reuse: bool) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            sock.bind((self.address, self.port))
        except OSError:
            sock.close()
            raise
        return sock

    def _replace(self, *, unreachable: bool) -> None:
        """Have the kernel answer with ICMP, or no more.

        A connected socket keeps the port and takes nothing from strangers, for whom
        the port is then unreachable.
        """
        self._read(False)
        before = self._socket
        self._socket = self._bound(reuse=True)
        if unreachable:
            self._socket.connect(_NOWHERE)
        before.close()

    def _read(self, wanted: bool) -> None:
        if wanted and not self._reading:
            self._loop.add_reader(self._socket, self._readable)
        elif self._reading and not wanted:
            self._loop.remove_reader(self._socket)
        self._reading = wanted

    def _readable(self) -> None:
        for _ in range(100):
            try:
                data, source = self._socket.recvfrom(65_536)
            except OSError:
                return
            if self._fault in _DEAF:
                continue
            if self._site.sources and source[0] not in self._site.sources:
                self._site.ledger.record(
                    "unannounced",
                    edge=self.edge,
                    address=self.address,
                    transport="udp",
                    source=f"{source[0]}:{source[1]}",
                )
                continue
            self._later(self._in, data, source)

    def _later(
        self,
        act: Callable[[bytes, tuple[str, int]], None],
        data: bytes,
        far: tuple[str, int],
    ) -> None:
        transit = self._site.line.transit()
        if transit:
            self._loop.call_later(transit, act, data, far)
        else:
            act(data, far)

    def _in(self, data: bytes, source: tuple[str, int]) -> None:
        if not self._stopped:
            self._deliver(data, source, self)

    def _out(self, data: bytes, far: tuple[str, int]) -> None:
        if self._stopped or self._fault in _SILENT:
            return
        if self._fault is Fault.FREEZE:
            if len(self._held) < MOST:
                self._held.append((data, far))
            return
        try:
            self._socket.sendto(data, far)
        except OSError:
            return  # lost, as datagrams may be
