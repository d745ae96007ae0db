"""WebSocket endpoints for scenarios: at the edges of a provider, and at the site."""

import asyncio
import contextlib
import functools
import http
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import trustme
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from simulator.provider import Provider
from tests.stage import HERE, NAME, Settings, Site, free_port

PROBE = "/probe"
"Path of the router's own opening handshakes, which are always welcome."
Kind = TypeVar("Kind", bound="Endpoint")
SUBPROTOCOL = Subprotocol("signal.v2")


class Endpoint:
    """Echoes every message; `status` has it refuse.

    `flood` makes it send without end, `hold` stop reading until it is `released`.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.status = 0
        "What handshakes are refused with, if not 0."
        self.asked: list[Request] = []
        self.probes = 0
        self.connections: set[ServerConnection] = set()
        self.closed: list[int] = []
        self.flooded = 0
        self.released = asyncio.Event()
        self.held: asyncio.Queue[int] = asyncio.Queue()
        "Bytes that each of those connections had for it then."
        self.port = 0
        self._server: Server

    async def open(
        self, hosts: Sequence[str], port: int, context: ssl.SSLContext | None
    ) -> None:
        """Listen on one port of all these addresses."""
        self._server = await serve(
            self._serve,
            list(hosts),  # type: ignore[arg-type]  # as asyncio's own servers take
            port,
            ssl=context,
            process_request=self._judge,
            select_subprotocol=lambda _, offered: next(iter(offered), None),
            ping_interval=None,
            max_size=None,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    def kill(self) -> None:
        """Be gone at once: nothing listens, and what was open breaks."""
        self._server.close(close_connections=False)
        for connection in list(self.connections):
            connection.transport.abort()

    async def close(self) -> None:
        """End."""
        self.kill()
        await self._server.wait_closed()

    def _judge(self, _: ServerConnection, request: Request) -> Response | None:
        if request.path == PROBE:
            self.probes += 1
            return None
        self.asked.append(request)
        if not self.status:
            return None
        body = f"{self.label} says no\n".encode()
        headers = Headers({"Content-Length": str(len(body)), "X-From": self.label})
        return Response(self.status, http.HTTPStatus(self.status).phrase, headers, body)

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                if message == "who":
                    await connection.send(self.label)
                elif message == "flood":
                    await self._flood(connection)
                elif message == "hold":
                    await self._hold(connection)
                else:
                    await self.answer(connection, message)
        self.connections.discard(connection)
        if connection.request is not None and connection.request.path != PROBE:
            self.closed.append(connection.close_code or 0)

    async def answer(self, connection: ServerConnection, message: str | bytes) -> None:
        """What comes of any other message."""
        await connection.send(message)

    async def _hold(self, connection: ServerConnection) -> None:
        await self.released.wait()
        held = [len(message) async for message in connection]
        self.held.put_nowait(sum(held))

    async def _flood(self, connection: ServerConnection) -> None:
        while True:
            await connection.send(bytes(65_536))
            self.flooded += 65_536


@contextlib.asynccontextmanager
async def signalling(
    provider: Provider, directory: Path, kind: Callable[[str], Kind]
) -> AsyncIterator[tuple[Mapping[str, Kind], Settings]]:
    """An endpoint at each edge, and the `provider` section that leads there."""
    authority = trustme.CA()
    domain = provider.zone.domain
    port = free_port(provider.edges["ashburn"].addresses[0].address)
    async with contextlib.AsyncExitStack() as stack:
        endpoints = {}
        for name, edge in provider.edges.items():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            far = functools.partial(_far_away, edge.plan.round_trip)
            context.sni_callback = far
            authority.issue_cert(f"voice-js.{name}.{domain}").configure_cert(context)
            endpoints[name] = endpoint = kind(name)
            await endpoint.open([a.address for a in edge.addresses], port, context)
            stack.push_async_callback(endpoint.close)
        catalogue = yaml.safe_load(provider.catalogue())
        catalogue["products"]["voice-js"]["transports"] = {"tls": port}
        catalogue["products"]["voice-js"]["probe_path"] = PROBE
        path = directory / "sockets.yaml"
        path.write_text(yaml.safe_dump(catalogue), encoding="utf-8")
        trusted = directory / "sockets-ca.pem"
        trusted.write_bytes(provider.ca_file.read_bytes() + authority.cert_pem.bytes())
        yield (
            endpoints,
            {"catalogue": str(path), "region": "us1", "ca_file": str(trusted)},
        )


def _far_away(round_trip: float, *_: object) -> None:
    """Make a TLS handshake last as long as the way there and back."""
    time.sleep(round_trip)


def voice(place: Site, **keys: object) -> Settings:
    """A listener for client SDKs."""
    return {
        "protocol": "websocket",
        "direction": "to_provider",
        "product": "voice-js",
        "bind": f"{HERE}:{free_port()}",
        "tls": place.tls,
        "allow": ["127.0.0.0/8"],
        **keys,
    }


def media(place: Site, *receivers: str, **keys: object) -> Settings:
    """A listener for media streams."""
    return {
        "protocol": "websocket",
        "direction": "from_provider",
        "bind": f"{HERE}:{free_port()}",
        "tls": place.tls,
        "to": list(receivers),
        **keys,
    }


async def dial(
    port: int, place: Site, path: str = "/", **options: object
) -> ClientConnection:
    """An open WebSocket through the daemon, by an independent client."""
    given = {"max_size": None, "ping_interval": None, **options}
    async with asyncio.timeout(10):
        return await connect(
            f"wss://{NAME}{path}",
            host=HERE,
            port=port,
            ssl=place.trust(),
            server_hostname=NAME,
            proxy=None,
            **given,  # type: ignore[arg-type]
        )
