"""Who sent what to whom on one interface: a capture by a packet socket of our own."""

import asyncio
import collections
import dataclasses
import ipaddress
import socket
import struct

_ALL = 0x0003
"ETH_P_ALL of linux/if_ether.h."
_SOL_PACKET, _STATISTICS = 263, 6
"SOL_PACKET of linux/socket.h, PACKET_STATISTICS of linux/if_packet.h."
_IPV4, _IPV6 = 0x0800, 0x86DD
_RST = 0x04
"Among the control bits of TCP (RFC 9293 section 3.1)."
_PORTS = (socket.IPPROTO_TCP, socket.IPPROTO_UDP)


@dataclasses.dataclass(frozen=True, slots=True)
class Packet:
    """What is kept of one packet."""

    source: str
    "Address that it came from."
    target: str
    "Address that it was for."
    protocol: int
    "Number of what is inside: 6 TCP, 17 UDP, 1 ICMP."
    port: int = 0
    "Port that it came from, if it has one."
    resets: bool = False
    "Whether it is a TCP segment that ends a connection by RST."


class Capture:
    """Counts all IP packets on an interface, both ways, in the namespace of its making.

    `packet(7)`: cooked packets, which begin with the header of IP.
    """

    def __init__(self, interface: str) -> None:
        """Raises OSError where nobody may capture."""
        self.packets: collections.Counter[Packet] = collections.Counter()
        "How many of each there were."
        self._lost = 0
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            self._socket.setblocking(False)
            self._socket.bind((interface, _ALL))
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket, self._readable)

    def seen(self) -> "collections.Counter[Packet]":
        """All packets up to now; none is missing."""
        self._readable()
        told = self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        self._lost += struct.unpack("II", told)[1]
        assert not self._lost, f"the kernel has dropped {self._lost} packets"
        return self.packets

    def close(self) -> None:
        """End it."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        while True:
            try:
                data, (_, kind, *_rest) = self._socket.recvfrom(128)
            except BlockingIOError:
                return
            packet = read(kind, data)
            if packet is not None:
                self.packets[packet] += 1


def read(kind: int, data: bytes) -> Packet | None:
    """The packet in a frame of this EtherType; None if it is none of IP."""
    if kind == _IPV4 and len(data) >= 20:
        source, target, protocol = data[12:16], data[16:20], data[9]
        inner = data[4 * (data[0] & 0x0F) :]
    elif kind == _IPV6 and len(data) >= 40:
        source, target, protocol = data[8:24], data[24:40], data[6]
        inner = data[40:]
    else:
        return None
    port = int.from_bytes(inner[:2], "big") if protocol in _PORTS else 0
    resets = protocol == socket.IPPROTO_TCP and bool(inner[13] & _RST)
    near, far = ipaddress.ip_address(source), ipaddress.ip_address(target)
    return Packet(str(near), str(far), protocol, port, resets)
