"""What scenes with TLS need."""

import ssl
from pathlib import Path

import pytest

from protocols.net.handshake import Contexts
from protocols.net.tls import server_context
from tests.protocols.websocket.stage import Tls


@pytest.fixture(scope="session")
def tls(pair: tuple[Path, Path], ca_file: Path) -> Tls:
    """TLS on both sides of the relay."""
    return Tls(
        server_context(*pair),
        ssl.create_default_context(cafile=str(ca_file)),
        Contexts(ca_file),
    )
