"""The demo's directory: the configuration, and all that it refers to."""

import contextlib
import importlib.resources
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

import trustme


def configure(
    directory: Path, site: str, catalogue: str, found: Mapping[str, str]
) -> Path:
    """Write a configuration, and return where it is.

    It is demo.yaml with the addresses written there replaced by those that were found;
    `site` is the name in the certificate of its listeners.
    """
    place = directory / "catalogues" / "simulated.yaml"
    place.parent.mkdir(exist_ok=True)
    place.write_text(catalogue, encoding="utf-8")
    _certify(directory / "tls", site)
    key = directory / "secrets" / "trunk.key"
    key.parent.mkdir(exist_ok=True)
    key.write_text(f"{secrets.token_urlsafe(32)}\n", encoding="utf-8")
    text = importlib.resources.files("router.demo").joinpath("demo.yaml").read_text()
    for written, free in found.items():
        assert text.count(written) == 1, f"demo.yaml should have {written} once"
        text = text.replace(written, free)
    config = directory / "demo.yaml"
    config.write_text(text, encoding="utf-8")
    return config


def free_port(*addresses: str) -> int:
    """A port for UDP that is free at all of these addresses."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            port = 0
            for address in addresses:
                sock = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
                sock.bind((address, port))
                port = int(sock.getsockname()[1])
            return port


def _certify(tls: Path, name: str) -> None:
    """Write a certificate, and that of the authority which vouches for it."""
    tls.mkdir(exist_ok=True)
    authority = trustme.CA()
    site = authority.issue_cert(name, "127.0.0.1")
    authority.cert_pem.write_to_path(str(tls / "site-ca.pem"))
    site.private_key_pem.write_to_path(str(tls / "site.key"))
    for number, pem in enumerate(site.cert_chain_pems):
        pem.write_to_path(str(tls / "site.pem"), append=number > 0)
