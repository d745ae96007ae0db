import asyncio
import contextlib
import errno
import socket
import ssl
import struct
from pathlib import Path
from typing import cast

import pytest

from protocols.net.sockets import (
    device,
    family,
    harden,
    interface,
    peer_address,
    reset,
    words,
)


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


class Resets(asyncio.Protocol):
    """A server's end that breaks off amid its answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast("asyncio.Transport", transport)
        made.write(b"half an answer")
        reset(made)


async def shake_hands(sock: socket.socket, context: ssl.SSLContext) -> None:
    """A TLS handshake that leaves the socket itself to be read."""
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="edge.test")
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await loop.sock_sendall(sock, outgoing.read())
            incoming.write(await loop.sock_recv(sock, 65_536))
        else:
            await loop.sock_sendall(sock, outgoing.read())
            return


@pytest.mark.parametrize("tls", [False, True])
async def test_reset_is_seen_as_such_and_not_as_an_end(
    tls: bool, pair: tuple[Path, Path], ca_file: Path
) -> None:
    """Seen on the socket: OpenSSL's users are told of both alike, as a broken end."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ours = stack.enter_context(socket.create_connection(listener.getsockname()))
        ours.setblocking(False)
        theirs, _ = listener.accept()
        if tls:
            server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.load_cert_chain(*pair)
            client = ssl.create_default_context(cafile=str(ca_file))
            await asyncio.gather(
                loop.connect_accepted_socket(Resets, theirs, ssl=server),
                shake_hands(ours, client),
            )
        else:
            await loop.connect_accepted_socket(Resets, theirs)
        with pytest.raises(ConnectionResetError):
            await read_to_the_end(ours)


async def read_to_the_end(sock: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(sock, 65_536):
        pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(errno.ECONNRESET, "unused"), "Connection reset by peer"),
        (ConnectionError("in our own words"), "in our own words"),
        (ssl.SSLError(1, "no shared cipher"), "no shared cipher"),
    ],
)
def test_failure_is_told_without_numbers(error: Exception, expected: str) -> None:
    assert words(error) == expected


def test_accepted_connection_tells_the_interface_that_it_came_in_by() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as made,
        server.accept()[0] as accepted,
    ):
        assert interface(accepted) == "lo"
        assert interface(made) == "", "nobody came"


def test_interface_of_what_is_closed_or_of_another_kind_is_unknown() -> None:
    closed = socket.socket()
    closed.close()
    assert interface(closed) == ""
    with socket.socket(socket.AF_INET6) as other:
        assert interface(other) == ""


def test_socket_that_is_confined_tells_its_interface() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert device(sock) == ""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        assert device(sock) == "lo"
