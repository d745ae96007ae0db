"""A daemon with a direct link, in a network of its own: the link is lost and healed.

Public edge and private one are sockets in two other namespaces. Whatever becomes of the
link, what is for the private edge leaves by it, or not at all.
"""

import asyncio
import contextlib
import ipaddress
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.namespaces import Network
from tests.stage import Daemon, Settings, running

PUBLIC, PRIVATE, SOURCE = "198.51.100.1", "203.0.113.64", "192.0.2.10"
PORT = 8080
EVERYTHING = 0x0003  # ETH_P_ALL
CATALOGUE = f"""\
version: 1
name: two-ways
simulated: true
default_edge: far
edges: {{far: {{kind: public}}, far-ix: {{kind: private}}}}
products:
  api: {{protocol: https, transports: {{tcp: {PORT}}},
        hosts: {{far: {PUBLIC}, far-ix: {PRIVATE}}}, also: [api.example]}}
  vault: {{protocol: https, transports: {{tcp: {PORT}}},
          hosts: {{far: {PUBLIC}, far-ix: {PRIVATE}}}, also: [vault.example]}}
"""
REFUSED = "no private edge can be reached, and the listener demands privacy"


def settings_of(directory: Path) -> Settings:
    """Two proxies: one may use any edge, the other one direct links only."""
    catalogue = directory / "catalogue.yaml"
    catalogue.write_text(CATALOGUE, encoding="utf-8")
    proxy = {
        "protocol": "https",
        "direction": "to_provider",
        "mode": "connect",
    }
    return {
        "version": 1,
        "provider": {
            "catalogue": str(catalogue),
            "edges": ["far", "far-ix"],
            "links": {
                "ix": {
                    "exchange": "IX",
                    "edges": ["far-ix"],
                    "sources": [SOURCE],
                    "interface": "link1",
                    "prefixes": ["192.0.2.0/24"],
                    "bandwidth": "1Mbit/s",
                }
            },
        },
        "health": {
            "interval": "200ms",
            "fast_interval": "50ms",
            "timeout": "200ms",
            "recovery": "0s",
        },
        "listeners": {
            "open": {
                **proxy,
                "allow": ["127.0.0.1"],
                "bind": "127.0.0.1:8443",
                "products": ["api"],
            },
            "secret": {
                **proxy,
                "allow": ["127.0.0.1"],
                "bind": "127.0.0.1:8444",
                "products": ["vault"],
                "privacy": "required",
            },
        },
        "admin": {"socket": str(directory / "control.sock")},
        "log": {"format": "json"},
    }


class Ways:
    """The network, with what was seen to leave by its public interface."""

    def __init__(self, network: Network) -> None:
        self.network = network
        internet, exchange = network.neighbour(), network.neighbour()
        self.exchange = exchange
        network.join("eth0", internet, "198.51.100.2/24", f"{PUBLIC}/24")
        network.join("link1", exchange, "169.254.1.2/30", "169.254.1.1/30")
        network.ip(f"address add {SOURCE}/32 dev lo")
        network.ip(f"route add default via {PUBLIC}")
        self.lead()
        network.ip(f"address add {PRIVATE}/32 dev lo", within=exchange)
        network.ip(f"route add {SOURCE} via 169.254.1.2", within=exchange)
        self.edges = [
            network.inside(lambda: _listening(PUBLIC), within=internet),
            network.inside(lambda: _listening(PRIVATE), within=exchange),
        ]
        self._capture = network.inside(_capturing)

    def lead(self) -> None:
        """Have the route to the private edge as it should be."""
        self.network.ip("route replace 203.0.113.0/24 via 169.254.1.1")

    def seen(self) -> Iterator[str]:
        """Where packets went that left by the public interface."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data, place = self._capture.recvfrom(1 << 16)
                if place[1] == 0x0800:
                    yield str(ipaddress.ip_address(data[16:20]))

    def close(self) -> None:
        """Close what is open."""
        for sock in (*self.edges, self._capture):
            sock.close()

    async def connect(self, port: int, host: str) -> str:
        """What a proxy of the daemon says to a client in its namespace."""
        loop = asyncio.get_running_loop()
        place = ("127.0.0.1", port)
        with self.network.inside(lambda: socket.create_connection(place)) as sock:
            sock.setblocking(False)
            asks = f"CONNECT {host}:{PORT} HTTP/1.1\r\nHost: {host}:{PORT}\r\n\r\n"
            await loop.sock_sendall(sock, asks.encode())
            async with asyncio.timeout(10):
                return (await loop.sock_recv(sock, 4096)).decode()


def _listening(address: str) -> socket.socket:
    # Nobody accepts: the kernel connects whoever comes, which is all that is asked for.
    return socket.create_server((address, PORT), backlog=4096)


def _capturing() -> socket.socket:
    kind = socket.htons(EVERYTHING)
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, kind)
    sock.bind(("eth0", 0))
    sock.setblocking(False)
    return sock


@pytest.fixture
def ways(network: Network) -> Iterator[Ways]:
    ways = Ways(network)
    yield ways
    ways.close()


@pytest.fixture
async def daemon(ways: Ways, tmp_path: Path) -> AsyncIterator[Daemon]:
    before = ("ip", "netns", "exec", ways.network.name)
    async with running(settings_of(tmp_path), tmp_path, before=before) as daemon:
        yield daemon


async def status(tmp_path: Path) -> dict[str, Any]:
    """What `edge-router status` prints; its socket is no matter of namespaces."""
    words = (sys.executable, "-m", "router", "status", "--json")
    ran = await asyncio.create_subprocess_exec(
        *words,
        "--socket",
        str(tmp_path / "control.sock"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await ran.communicate()
    found: dict[str, Any] = json.loads(output)
    return found


async def test_private_edge_is_left_at_each_change_and_nothing_leaves_by_another_way(
    ways: Ways, daemon: Daemon, tmp_path: Path
) -> None:
    ip = ways.network.ip
    changes = [
        ("link set link1 down", "link1 is down", "link set link1 up"),
        ("route delete 203.0.113.0/24", "route leaves by eth0", ""),
        ("route replace blackhole 203.0.113.0/24", "route is a blackhole", ""),
    ]
    await daemon.wait("link.private", link="ix", interface="link1", edges="far-ix")
    await daemon.wait("edge.flipped", edge="far-ix", state="up")
    for change, reason, healing in changes:
        assert "200" in await ways.connect(8444, "vault.example")
        told, changed = len(daemon.records), time.monotonic()
        ip(change)
        await daemon.wait("link.exposed", after=told, link="ix", reason=reason)
        await daemon.wait("edge.flipped", after=told, state="down", reason=reason)
        assert time.monotonic() - changed < 1
        answer = await ways.connect(8444, "vault.example")
        assert "503" in answer
        assert REFUSED in answer
        assert "200" in await ways.connect(8443, "api.example")
        told = len(daemon.records)
        if healing:
            ip(healing)
        ways.lead()
        await daemon.wait("link.private", after=told, link="ix")
        await daemon.wait("edge.flipped", after=told, edge="far-ix", state="up")
    (link,) = (await status(tmp_path))["links"]
    assert (link["name"], link["privacy"], link["reason"]) == ("ix", "private", "")
    left = set(ways.seen())
    assert PUBLIC in left
    assert PRIVATE not in left
