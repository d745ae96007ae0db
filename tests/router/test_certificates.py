import datetime
import importlib.resources
import os
import re
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from router.catalogue import read_catalogue
from router.certificates import check_files
from router.config import Loaded
from router.document import parse
from router.settings import Config
from router.validation import build

BUNDLED = importlib.resources.files("router.catalogues")
TEXT = """\
version: 1
provider: {catalogue: twilio, ca_file: ca.pem}
listeners:
  api:
    protocol: https
    direction: to_provider
    product: api
    bind: 127.0.0.1:8443
    tls: {certificate: site.pem, key: site.key}
    allow: [10.0.0.0/8]
  proxy:
    protocol: https
    direction: to_provider
    mode: connect
    bind: 127.0.0.1:3128
    allow: [10.0.0.0/8]
  webhooks:
    protocol: https
    direction: from_provider
    bind: 127.0.0.1:8444
    tls: {certificate: site.pem, key: site.key}
    to: [https://10.0.0.20]
    ca_file: ca.pem
  hooks-of-others:
    protocol: https
    direction: from_provider
    bind: 127.0.0.1:8445
    tls: {certificate: site.pem, key: site.key}
    to: [http://10.0.0.20]
  trunk:
    protocol: sip
    product: pstn
    host: t.pstn.twilio.com
    site:
      bind: [tls://10.0.0.2:5061]
      to: [sips:10.0.0.9]
      allow: [10.0.0.9]
      tls: {certificate: site.pem, key: site.key}
      ca_file: ca.pem
    edge:
      bind: [tls://203.0.113.5:5061]
      tls: {certificate: site.pem, key: site.key}
    key_file: route.key
  plain-trunk:
    protocol: sip
    product: pstn
    host: t.pstn.twilio.com
    site: {bind: [udp://10.0.0.2:5062], to: [sip:10.0.0.9], allow: [10.0.0.9]}
    edge: {bind: [udp://203.0.113.5:5062], transport: udp}
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with all the files that TEXT names."""
    authority = trustme.CA()
    site = authority.issue_cert("site.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    site.cert_chain_pems[0].write_to_path(tmp_path / "site.pem")
    site.private_key_pem.write_to_path(tmp_path / "site.key")
    (tmp_path / "route.key").write_bytes(b"sixteen letters!")
    return tmp_path


def complaints(
    directory: Path, text: str = TEXT, *, elsewhere: bool = False
) -> list[str]:
    return [
        str(problem).replace(f"{directory}/", "").split(": ", 1)[1]
        for problem in check_files(loaded(directory, text), elsewhere=elsewhere)
    ]


def loaded(directory: Path, text: str = TEXT) -> Loaded:
    document = parse(text, "f")
    config, problems = build(Config, document, directory)
    assert config is not None
    assert problems == []
    twilio = (BUNDLED / "twilio.yaml").read_text("utf-8")
    return Loaded(config, read_catalogue(parse(twilio, "t")), (), document)


def test_files_that_fit_cause_no_complaint(directory: Path) -> None:
    assert complaints(directory) == []


def test_missing_files_are_complained_about_where_they_are_named(
    tmp_path: Path,
) -> None:
    found = [line.partition(":")[0] for line in complaints(tmp_path)]
    tls = (
        *("api.tls", "webhooks.tls", "hooks-of-others.tls"),
        *("trunk.site.tls", "trunk.edge.tls"),
    )
    assert found == [
        *(f"listeners.{path}.{key}" for path in tls for key in ("certificate", "key")),
        "provider.ca_file",
        "listeners.webhooks.ca_file",
        "listeners.trunk.site.ca_file",
        "listeners.trunk.key_file",
    ]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_missing_file_is_an_error_where_its_directory_is(
    directory: Path, elsewhere: bool
) -> None:
    (directory / "route.key").unlink()
    (found,) = complaints(directory, elsewhere=elsewhere)
    assert found.startswith("listeners.trunk.key_file: cannot read route.key: No such")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_missing_directory_is_a_warning_in_what_may_be_meant_for_elsewhere(
    directory: Path, elsewhere: bool
) -> None:
    text = TEXT.replace("route.key", "secrets/route.key")
    (found,) = complaints(directory, text, elsewhere=elsewhere)
    assert found.startswith("warning: ") is elsewhere
    assert "listeners.trunk.key_file: cannot read secrets/route.key: No such" in found
    assert found.endswith("; the daemon would not start here") is elsewhere


def test_file_in_place_of_the_directory_is_an_error_everywhere(
    directory: Path,
) -> None:
    text = TEXT.replace("route.key", "ca.pem/secrets/route.key")
    (found,) = complaints(directory, text, elsewhere=True)
    assert found.startswith("listeners.trunk.key_file: cannot read ")
    assert "Not a directory" in found


@pytest.mark.parametrize(
    ("begins", "ends", "reason"),
    [(-9, -1, "certificate has expired"), (1, 9, "certificate is not yet valid")],
)
def test_certificate_out_of_its_time_is_a_warning(
    directory: Path, begins: int, ends: int, reason: str
) -> None:
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    site = trustme.CA().issue_cert(
        "site.example", not_before=now + begins * day, not_after=now + ends * day
    )
    site.cert_chain_pems[0].write_to_path(directory / "site.pem")
    site.private_key_pem.write_to_path(directory / "site.key")
    found = complaints(directory)
    assert found[0] == (
        f"warning: listeners.api.tls.certificate: site.pem: {reason}; "
        "expected a certificate that clients accept today"
    )
    assert len(found) == 5


def test_configuration_without_authorities_needs_none(directory: Path) -> None:
    (directory / "ca.pem").unlink()
    text = re.sub(r", ca_file: ca.pem|\n +ca_file: ca.pem", "", TEXT)
    assert "ca.pem" not in text
    assert complaints(directory, text) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("short\n", "a key has less than 16 characters"),
        ("0123456789abcdef\n" * 9, "holds 9 keys; it needs 1 to 8"),
    ],
)
def test_key_file_without_good_keys_is_complained_about(
    directory: Path, text: str, reason: str
) -> None:
    (directory / "route.key").write_text(text)
    (found,) = complaints(directory)
    assert found.startswith("listeners.trunk.key_file: route.key")
    assert reason in found
    assert found.endswith("; expected one key a line")


def test_empty_file_is_complained_about(directory: Path) -> None:
    (directory / "route.key").write_bytes(b"")
    assert complaints(directory) == [
        "listeners.trunk.key_file: route.key is empty; expected a file with the secret"
    ]


def test_files_that_vanish_while_they_are_looked_at_are_complained_about(
    directory: Path,
) -> None:
    (directory / "route.key").unlink()
    looking = check_files(loaded(directory))
    assert "route.key" in str(next(looking))
    for name in ("site.pem", "ca.pem"):  # the files are there, and not loaded yet
        (directory / name).unlink()
    found = [str(problem) for problem in looking]
    assert len(found) == 8
    assert all("No such file" in line for line in found)


def test_pipe_in_place_of_a_certificate_is_complained_about_at_once(
    directory: Path,
) -> None:
    (directory / "site.pem").unlink()
    os.mkfifo(directory / "site.pem")
    found = complaints(directory)
    assert len(found) == 5
    assert all("site.pem: no regular file" in line for line in found)


def test_key_of_another_certificate_is_complained_about(directory: Path) -> None:
    other = trustme.CA().issue_cert("other.example")
    other.private_key_pem.write_to_path(directory / "site.key")
    assert complaints(directory)[0] == (
        "listeners.api.tls: the key site.key is not that of site.pem; expected PEM "
        "files of a certificate and of its key without a passphrase"
    )


def test_certificate_and_authorities_that_are_no_pem_are_complained_about(
    directory: Path,
) -> None:
    (directory / "ca.pem").write_bytes(b"not a certificate")
    (directory / "site.pem").write_bytes(b"not a certificate")
    found = complaints(directory)
    assert found[0].startswith("listeners.api.tls: no certificate in site.pem; ")
    assert found[-1] == (
        "listeners.trunk.site.ca_file: no certificates in ca.pem; "
        "expected a PEM file of certificates"
    )


def test_certificate_and_key_in_each_others_place_are_complained_about(
    directory: Path,
) -> None:
    certificate, key = directory / "site.pem", directory / "site.key"
    pem = certificate.read_bytes()
    certificate.write_bytes(key.read_bytes())
    key.write_bytes(pem)
    assert complaints(directory)[0].startswith(
        "listeners.api.tls: no certificate in site.pem; "
    )


def test_file_without_a_key_or_with_a_damaged_one_is_complained_about(
    directory: Path,
) -> None:
    key = directory / "site.key"
    pem = key.read_bytes()
    key.write_bytes((directory / "site.pem").read_bytes())
    assert complaints(directory)[0].startswith(
        "listeners.api.tls: no private key in site.key; "
    )
    key.write_bytes(pem[:100] + pem[-60:])
    assert complaints(directory)[0].startswith(
        "listeners.api.tls: cannot use site.pem with site.key: "
    )


def test_key_with_a_passphrase_is_refused_without_asking_for_it(
    directory: Path,
) -> None:
    key = serialization.load_pem_private_key(
        (directory / "site.key").read_bytes(), None
    )
    secret = serialization.BestAvailableEncryption(b"passphrase")
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret
    )
    (directory / "site.key").write_bytes(pem)
    assert complaints(directory)[0].startswith("listeners.api.tls: cannot use site.pem")
