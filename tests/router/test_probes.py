"""How targets are asked: each protocol by its own probe, each site by its own trust."""

import dataclasses
from pathlib import Path

import pytest
import trustme

from protocols.net.tls import TLSFileError
from protocols.target import ALIVE, Outcome, Target
from router.config import Loaded
from router.endpoint import Protocol
from router.files import read
from router.keyring import Keyring
from router.probes import paths, probes

CONFIG = """\
version: 1
provider: {catalogue: twilio}
listeners:
  sockets: {protocol: websocket, direction: to_provider, product: voice-js,
            bind: "127.0.0.1:0", tls: {certificate: site.pem, key: site.pem},
            allow: [127.0.0.0/8]}
  hooks: {protocol: https, direction: from_provider, bind: "127.0.0.1:0",
          tls: {certificate: site.pem, key: site.pem},
          to: ["https://127.0.0.1:9"], ca_file: ca.pem}
"""


async def ask(target: Target, timeout: float) -> Outcome:
    """The probe of SIP, which is not asked here."""
    return ALIVE


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    file = tmp_path / "edge-router.yaml"
    file.write_text(CONFIG)
    return read(file, verify=False)


def test_each_protocol_has_its_probe(loaded: Loaded, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made = probes(loaded, Keyring(), ask)
    assert set(made) == set(Protocol)
    assert made[Protocol.SIP] is ask


def test_authorities_of_a_receiver_that_cannot_be_read_are_named(
    loaded: Loaded,
) -> None:
    with pytest.raises(TLSFileError, match=r"ca\.pem"):
        probes(loaded, Keyring(), ask)


def test_websockets_are_opened_where_the_catalogue_names_a_path(
    loaded: Loaded,
) -> None:
    assert paths(loaded) == {}
    products = dict(loaded.catalogue.products)
    products["voice-js"] = products["voice-js"].model_copy(
        update={"probe_path": "/signal"}
    )
    catalogue = loaded.catalogue.model_copy(update={"products": products})
    found = paths(dataclasses.replace(loaded, catalogue=catalogue))
    assert set(found.values()) == {"/signal"}
    assert len(found) == len(loaded.config.provider.edges)
