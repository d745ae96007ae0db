"""Stock clients of the site: curl, or Python's own where there is no curl."""

import asyncio
import dataclasses
import http.client
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

API = "api.twilio.com"
"The name that unmodified clients ask for."

PATIENCE = 20.0
"Seconds after which a client gives up."

WAYS = ("terminate", "connect", "passthrough")
"The ways into the daemon; demo.yaml has a listener of that name for each."


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One request of the site to the provider's API."""

    way: str
    "Name of the listener that it goes through."
    method: str
    "GET or POST."
    path: str
    "Path, with the query."
    marker: str
    "Its Idempotency-Key: by this the provider's ledger knows it."
    body: str = ""
    "Form to post."


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """What the client saw."""

    status: int
    "HTTP status; 0 for no answer."
    seconds: float
    "From the connection's first packet to the answer's last byte."


class Client(Protocol):
    """Whatever sends requests."""

    name: str

    async def send(self, request: Request) -> Reply:
        """Make one request on a connection of its own. Never raises."""


@dataclasses.dataclass(frozen=True, slots=True)
class Doors:
    """How clients get in, and whom they trust."""

    ports: dict[str, int]
    "Port on 127.0.0.1 of each listener for HTTPS."
    trunk: int
    "Port at which the provider reaches the trunk."
    site_ca: Path
    "Authority of the site's own certificate."
    provider_ca: Path
    "Authority of the provider's certificates."
    user: str
    "Account SID."
    password: str
    "Its token."

    def ca(self, way: str) -> Path:
        """Whom a client that goes this way has to trust."""
        return self.site_ca if way == "terminate" else self.provider_ca


class Curl:
    """One curl process per request."""

    name = "curl"

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    def shown(self, way: str) -> str:
        """The command of a way in, without what every client has to say."""
        url, words = self._way(way)
        return " ".join(["curl", *words, f"{url}/..."])

    def _way(self, way: str) -> tuple[str, list[str]]:
        """The beginning of the URL, and the options, that lead this way."""
        port = self._doors.ports[way]
        match way:
            case "connect":
                return f"https://{API}", ["--proxy", f"http://127.0.0.1:{port}"]
            case "passthrough":
                to = f"{API}:443:127.0.0.1:{port}"
                return f"https://{API}", ["--connect-to", to]
            case _:
                return f"https://127.0.0.1:{port}", []

    async def send(self, request: Request) -> Reply:
        """Make one request on a connection of its own. Never raises."""
        doors = self._doors
        url, words = self._way(request.way)
        if request.way != "connect":
            words += ["--noproxy", "*"]
        if request.body:
            words += ["--data", request.body]
        process = await asyncio.create_subprocess_exec(
            *("curl", "--disable", "--silent", "--max-time", f"{PATIENCE:g}"),
            *("--output", "/dev/null", "--write-out", "%{http_code} %{time_total}"),
            *("--cacert", str(doors.ca(request.way))),
            *("--user", f"{doors.user}:{doors.password}"),
            *("--header", f"Idempotency-Key: {request.marker}"),
            *words,
            f"{url}{request.path}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        said, _ = await process.communicate()
        status, seconds = said.decode().split()
        # An answer that broke off has a status, too, but is no answer.
        return Reply(0 if process.returncode else int(status), float(seconds))


class Python:
    """The standard library's HTTP client, in a thread per request."""

    name = "Python's http.client"

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._trust = {
            way: ssl.create_default_context(cafile=str(doors.ca(way))) for way in WAYS
        }

    async def send(self, request: Request) -> Reply:
        """Make one request on a connection of its own. Never raises."""
        return await asyncio.to_thread(self._send, request)

    def _send(self, request: Request) -> Reply:
        doors = self._doors
        credentials = f"{doors.user}:{doors.password}".encode()
        headers = {
            "Authorization": f"Basic {b64encode(credentials).decode()}",
            "Idempotency-Key": request.marker,
        }
        if request.body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        status = 0
        began = time.perf_counter()
        connect = _CONNECT[request.way]
        try:
            connection = connect(doors.ports[request.way], self._trust[request.way])
        except OSError:
            return Reply(0, time.perf_counter() - began)
        try:
            connection.request(
                request.method, request.path, request.body or None, headers
            )
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        return Reply(status, time.perf_counter() - began)


def _terminate(port: int, trust: ssl.SSLContext) -> http.client.HTTPConnection:
    return http.client.HTTPSConnection(
        "127.0.0.1", port, context=trust, timeout=PATIENCE
    )


def _connect(port: int, trust: ssl.SSLContext) -> http.client.HTTPConnection:
    connection = _terminate(port, trust)
    connection.set_tunnel(API, 443)
    return connection


def _passthrough(port: int, trust: ssl.SSLContext) -> http.client.HTTPConnection:
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    connection = http.client.HTTPConnection(API, timeout=PATIENCE)
    connection.sock = trust.wrap_socket(sock, server_hostname=API)
    return connection


_CONNECT: Mapping[str, Callable[[int, ssl.SSLContext], http.client.HTTPConnection]] = {
    "terminate": _terminate,
    "connect": _connect,
    "passthrough": _passthrough,
}
