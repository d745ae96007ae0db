"""Real peers on loopback: an authority, TLS servers, and servers that misbehave."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
import uvloop

from protocols.net.handshake import Contexts
from protocols.net.tasks import Tasks
from protocols.target import Target, Transport


class Loop(uvloop.Loop):
    """The loop of production; refuses to close over a connection that stayed open."""

    def close(self) -> None:
        if not self.is_closed():
            # The far ends of connections just closed see that a turn or two later.
            for _ in range(10):
                self.run_until_complete(asyncio.sleep(0))
        super().close()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], uvloop.Loop]]:
    return {"uvloop": Loop}


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="session")
def pair(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Certificate and key files for edge.test and *.edges.test."""
    folder = tmp_path_factory.mktemp("pair")
    return _write_pair(authority, folder, "edge.test", "*.edges.test", "127.0.0.1")


@pytest.fixture
def issue(authority: trustme.CA, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write a certificate and its key for some names; a second call replaces them."""

    def write(*names: str, **fields: object) -> tuple[Path, Path]:
        return _write_pair(authority, tmp_path, *names, **fields)

    return write


def _write_pair(
    authority: trustme.CA, folder: Path, *names: str, **fields: Any
) -> tuple[Path, Path]:
    issued = authority.issue_cert(*names, **fields)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return certificate, key


@pytest.fixture
def contexts(ca_file: Path) -> Contexts:
    return Contexts(ca_file)


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    owner = Tasks()
    yield owner
    await owner.close()


class Answer(asyncio.Protocol):
    """Answers whatever comes by a word."""

    word = b"answer"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.word)


@pytest.fixture
def serve() -> Callable[..., contextlib.AbstractAsyncContextManager[int]]:
    """Run a server that answers, or does what the given factory makes."""
    return _serving


@contextlib.asynccontextmanager
async def _serving(
    context: ssl.SSLContext | None = None,
    factory: Callable[[], asyncio.BaseProtocol] = Answer,
) -> AsyncIterator[int]:
    """A server on loopback; gives its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
def client() -> type["Client"]:
    """The class of a client that keeps what it hears."""
    return Client


class Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.heard = b""
        self.arrived = asyncio.Event()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.fixture
def place() -> Callable[..., Target]:
    """Make a TLS target on loopback that is edge.test, unless told otherwise."""
    return _place


def _place(port: int, **fields: object) -> Target:
    values: dict[str, object] = {
        "address": "127.0.0.1",
        "port": port,
        "transport": Transport.TLS,
        "host": "edge.test",
        "server_name": "edge.test",
        "verify_name": "edge.test",
        "label": "edge",
    }
    return Target(**{**values, **fields})  # type: ignore[arg-type]
