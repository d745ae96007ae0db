"""Sockets confined to interfaces, in a network of our own, by the kernel itself."""

import socket

import pytest

from protocols.net.devices import (
    confine,
    confine_or_silence,
    is_confined,
    side_by_side,
)
from tests.namespaces import Network

HERE, BESIDE = "198.51.100.2", "198.51.100.1"
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
KINDS = pytest.mark.parametrize("kind", [STREAM, DATAGRAM])


@pytest.fixture(scope="module")
def network(lasting_network: Network) -> Network:
    """An interface eth0, and link1, which comes and goes."""
    network = lasting_network
    network.join("eth0", network.neighbour(), f"{HERE}/24", f"{BESIDE}/24")
    return network


def bound(
    kind: int, device: str, port: int = 0, old: socket.socket | None = None
) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    try:
        confine_or_silence(sock, device)
        with side_by_side(old, sock):
            sock.bind(("0.0.0.0", port))
            if kind is STREAM:
                sock.listen()
    except OSError:
        sock.close()
        raise
    return sock


def test_confined_socket_sends_by_its_interface_or_not_at_all(network: Network) -> None:
    network.ip("link add link1 type veth peer name far1")
    network.ip("link set link1 up")

    def send(device: str) -> int:
        with socket.socket(socket.AF_INET, DATAGRAM) as sock:
            confine(sock, device)
            sock.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
            return sock.sendto(b"x", (BESIDE, 9))

    def sent_to_all() -> int:
        with socket.socket(socket.AF_INET, DATAGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            confine(sock, "link1")
            return sock.sendto(b"x", ("255.255.255.255", 9))

    try:
        assert network.inside(lambda: send("eth0")) == 1
        network.ip("link set link1 down")
        with pytest.raises(OSError, match="unreachable"):
            network.inside(sent_to_all)
        with pytest.raises(OSError, match="No such device"):
            network.inside(lambda: send("link9"))
    finally:
        network.ip("link delete link1")


@KINDS
def test_interface_made_anew_is_another_one_for_which_a_new_socket_is_bound(
    network: Network, kind: int
) -> None:
    def fits(sock: socket.socket, device: str | None) -> bool:
        return network.inside(lambda: is_confined(sock, device))

    first = network.inside(lambda: bound(kind, "link1"))
    port = first.getsockname()[1]
    assert fits(first, "link1"), "there is none: nothing leaves but by loopback"
    assert not fits(first, None)
    network.ip("link add link1 type veth peer name far1")
    assert not fits(first, "link1")
    second = network.inside(lambda: bound(kind, "link1", port, first))
    assert fits(second, "link1")
    network.ip("link delete link1")
    network.ip("link add link1 type veth peer name far1")
    assert not fits(second, "link1")
    third = network.inside(lambda: bound(kind, "link1", port, second))
    assert fits(third, "link1")
    with pytest.raises(OSError, match="already in use"):
        network.inside(lambda: bound(kind, "link1", port))
    network.ip("link delete link1")
    for sock in (first, second, third):
        sock.close()


def test_address_that_is_not_there_yet_can_be_bound(network: Network) -> None:
    def make(family: int, address: str) -> socket.socket:
        sock = socket.socket(family, DATAGRAM)
        confine_or_silence(sock, "link1")
        sock.bind((address, 0))
        return sock

    for family, address in (
        (socket.AF_INET, "203.0.113.9"),
        (socket.AF_INET6, "2001:db8::9"),
    ):
        with network.inside(lambda f=family, a=address: make(f, a)) as sock:  # type: ignore[misc]
            assert sock.getsockname()[0] == address


def test_old_socket_that_is_closed_meanwhile_is_no_obstacle() -> None:
    old, new = (socket.socket(socket.AF_INET, DATAGRAM) for _ in range(2))
    with new:
        with side_by_side(old, new):
            old.close()
        assert new.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
