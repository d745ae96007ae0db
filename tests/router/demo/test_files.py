"""What the demo puts into its directory."""

import socket
import ssl
from pathlib import Path

import pytest

from router.demo.files import configure, free_port
from router.keys import read_keys


def test_configuration_has_the_addresses_found_and_all_that_it_refers_to(
    tmp_path: Path,
) -> None:
    config = configure(tmp_path, "a.test", "name: x", {"127.30.0.10:5060": "[::1]:9"})
    text = config.read_text()
    assert "sip:[::1]:9" in text
    assert "127.30.0.10" not in text
    assert (tmp_path / "catalogues/simulated.yaml").read_text() == "name: x"
    assert len(read_keys(tmp_path / "secrets/trunk.key")) == 1
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls/site.pem", tmp_path / "tls/site.key")
    ssl.create_default_context(cafile=str(tmp_path / "tls/site-ca.pem"))


def test_address_that_is_not_in_the_configuration_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"should have 192\.0\.2\.1:9 once"):
        configure(tmp_path, "a.test", "", {"192.0.2.1:9": "127.0.0.1:1"})


def test_free_port_is_free_at_all_addresses() -> None:
    addresses = ("127.30.0.2", "127.0.0.9")
    port = free_port(*addresses)
    for address in addresses:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind((address, port))
