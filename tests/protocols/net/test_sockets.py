import asyncio
import socket
import struct

import pytest

from protocols.net.sockets import family, harden, peer_address


def test_hardened_socket_notices_a_silent_peer_within_a_minute() -> None:
    with socket.socket() as sock:
        harden(sock)
        tcp = {
            name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in (
                "TCP_NODELAY",
                "TCP_KEEPIDLE",
                "TCP_KEEPINTVL",
                "TCP_KEEPCNT",
                "TCP_USER_TIMEOUT",
            )
        }
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert list(tcp.values()) == [1, 30, 10, 3, 30_000]


@pytest.mark.parametrize(
    ("address", "expected"),
    [("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6)],
)
def test_literal_tells_its_family(address: str, expected: socket.AddressFamily) -> None:
    assert family(address) is expected


async def test_peer_has_an_address_until_it_is_gone() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for linger, expected in [(0, "127.0.0.1"), (1, "")]:
            peer = socket.create_connection(listener.getsockname())
            if linger:  # so that closing resets the connection
                packed = struct.pack("ii", 1, 0)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, packed)
                peer.close()
            accepted, _ = listener.accept()
            transport, _ = await loop.connect_accepted_socket(
                asyncio.Protocol, accepted
            )
            assert peer_address(transport) == expected
            transport.abort()
            peer.close()
