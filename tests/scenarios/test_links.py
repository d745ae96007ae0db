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
from typing import Any, cast

import pytest
import yaml
from click.testing import CliRunner

from router.cli import main
from tests.namespaces import Network
from tests.stage import Daemon, Settings, running

PUBLIC, PRIVATE, SOURCE = "198.51.100.1", "203.0.113.64", "192.0.2.10"
PORT, PBX = 8080, ("127.0.0.1", 5070)
EVERYTHING = 0x0003  # ETH_P_ALL
CATALOGUE = f"""\
version: 1
name: two-ways
simulated: true
default_edge: far
edges:
  far: {{kind: public, legacy_id: "1"}}
  far-ix: {{kind: private, legacy_id: "64", networks: {{sip_signalling: [{PRIVATE}]}}}}
products:
  api: {{protocol: https, transports: {{tcp: {PORT}}},
        hosts: {{far: {PUBLIC}, far-ix: {PRIVATE}}}, also: [api.example]}}
  vault: {{protocol: https, transports: {{tcp: {PORT}}},
          hosts: {{far: {PUBLIC}, far-ix: {PRIVATE}}}, also: [vault.example]}}
  pstn: {{protocol: sip, transports: {{udp: 5060}}, host: "{{tenant}}.example",
         next_hop: "203.0.113.{{legacy_id}}"}}
"""
LATE = "response to nothing"
"Answer to a probe that was given up: a busy machine takes longer than 200 ms."
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
            "sip_options_interval": "200ms",
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
            "trunk": {
                "protocol": "sip",
                "product": "pstn",
                "host": "trunk.example",
                "site": {
                    "bind": ["udp://127.0.0.1:5060"],
                    "to": ["sip:127.0.0.1:5070"],
                    "allow": ["127.0.0.1/32"],
                },
                "edge": {"bind": [f"udp://{SOURCE}:5060"], "transport": "udp"},
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
        self.phones = [
            network.inside(lambda: _bound((PRIVATE, 5060)), within=exchange),
            network.inside(lambda: _bound(PBX)),
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
        for sock in (*self.edges, *self.phones, self._capture):
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


def _bound(place: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(place)
    sock.setblocking(False)
    return sock


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


def written(tmp_path: Path, settings: Settings) -> Path:
    """The file of the daemon, with another configuration."""
    (config,) = tmp_path.glob("edge-router-*.yaml")
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return config


async def reload(tmp_path: Path, settings: Settings) -> None:
    """Have the daemon take another configuration over."""
    words = ["reload", "--config", str(written(tmp_path, settings))]
    done = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert done.exit_code == 0, done.output


async def test_reload_demands_privacy_and_takes_links_away_and_back(
    ways: Ways, daemon: Daemon, tmp_path: Path
) -> None:
    demanding, forgiving = settings_of(tmp_path), settings_of(tmp_path)
    del forgiving["listeners"]["secret"]["privacy"]
    without = settings_of(tmp_path)
    del without["provider"]["links"]
    for name in ("secret", "trunk"):
        del without["listeners"][name]["privacy"]
    await daemon.wait("edge.flipped", edge="far-ix", state="up")
    ways.network.ip("route delete 203.0.113.0/24")
    await daemon.wait("edge.flipped", edge="far-ix", state="down")
    assert "503" in await ways.connect(8444, "vault.example")
    await reload(tmp_path, forgiving)
    assert "200" in await ways.connect(8444, "vault.example")
    await reload(tmp_path, demanding)
    assert REFUSED in await ways.connect(8444, "vault.example")
    assert PRIVATE not in set(ways.seen())
    await reload(tmp_path, without)
    assert "200" in await ways.connect(8444, "vault.example")
    assert (await status(tmp_path))["links"] == []
    ways.lead()
    told = len(daemon.records)
    await reload(tmp_path, demanding)
    await daemon.wait("edge.flipped", after=told, edge="far-ix", state="up")
    assert "200" in await ways.connect(8444, "vault.example")
    (link,) = (await status(tmp_path))["links"]
    assert link["privacy"] == "private"


class Switchboard(asyncio.DatagramProtocol):
    """A private edge that answers 200 to whatever it is asked."""

    def __init__(self) -> None:
        self.answers = 0
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not data.startswith(b"ACK"):
            self.answers += 1
            copied = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
            lines = [one for one in data.split(b"\r\n") if one.startswith(copied)]
            told = [b"SIP/2.0 200 OK", *lines, b"Content-Length: 0", b"", b""]
            self.transport.sendto(b"\r\n".join(told), addr)


async def call(pbx: socket.socket, number: int) -> str:
    """The final answer to a call of the PBX."""
    loop = asyncio.get_running_loop()
    lines = (
        "INVITE sip:+15551234567@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK{number}",
        "From: <sip:100@127.0.0.1>;tag=f1",
        "To: <sip:+15551234567@127.0.0.1>",
        f"Call-ID: {number}",
        "CSeq: 1 INVITE",
        "Contact: <sip:100@127.0.0.1:5070>",
        "Max-Forwards: 70",
        "Content-Length: 0",
    )
    text = "\r\n".join((*lines, "", ""))
    pbx.sendto(text.encode(), ("127.0.0.1", 5060))
    async with asyncio.timeout(10):
        while True:
            answer = (await loop.sock_recv(pbx, 4096)).decode()
            if f"z9hG4bK{number}" in answer and " 100 " not in answer:
                return answer


async def test_private_trunk_calls_by_an_interface_that_was_made_anew(
    ways: Ways, daemon: Daemon
) -> None:
    edge, pbx = ways.phones
    loop, ip = asyncio.get_running_loop(), ways.network.ip
    transport, _ = await loop.create_datagram_endpoint(Switchboard, sock=edge)
    try:
        up: dict[str, Any] = {"product": "pstn", "edge": "far-ix", "state": "up"}
        assert (await call(pbx, 1)).startswith("SIP/2.0 200 ")
        told = len(daemon.records)
        ip("link delete link1")
        await daemon.wait("link.exposed", after=told, reason="no interface link1")
        refusal = await call(pbx, 2)
        assert refusal.startswith("SIP/2.0 503 ")
        assert f'Warning: 399 edge-router "{REFUSED}"' in refusal
        told = len(daemon.records)
        ways.network.join("link1", ways.exchange, "169.254.1.2/30", "169.254.1.1/30")
        ip(f"route add {SOURCE} via 169.254.1.2", within=ways.exchange)
        ways.lead()
        await daemon.wait("link.private", after=told)
        await daemon.wait("product.flipped", after=told, **up)
        assert (await call(pbx, 3)).startswith("SIP/2.0 200 ")
        assert not daemon.events("socket.unfit")
        assert not daemon.events("flow.strayed")
        dropped = {one["reason"] for one in daemon.events("message.dropped")}
        assert dropped <= {LATE}
        assert PRIVATE not in set(ways.seen())
    finally:
        transport.close()
