import inspect
import os
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from protocols.net.tls import (
    Certificates,
    TLSFileError,
    client_context,
    server_context,
)

Pair = tuple[Path, Path]
Issue = Callable[..., Pair]


def shake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """Run a handshake in memory; gives the client's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return near


def test_contexts_agree_on_tls_1_3_and_http_1_1(pair: Pair, ca_file: Path) -> None:
    near = shake(client_context(ca_file), server_context(*pair), "edge.test")
    assert near.version() == "TLSv1.3"
    assert near.selected_alpn_protocol() == "http/1.1"
    assert near.compression() is None


def test_tls_1_2_has_forward_secrecy_and_authenticated_encryption(
    pair: Pair, ca_file: Path
) -> None:
    client, server = client_context(ca_file), server_context(*pair)
    for context in (client, server):
        names = {
            cipher["name"]
            for cipher in context.get_ciphers()
            if cipher["protocol"] == "TLSv1.2"
        }
        assert names
        assert all(
            name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name)
            for name in names
        )
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake(client, server, "edge.test").version() == "TLSv1.2"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_1_is_refused(pair: Pair, ca_file: Path) -> None:
    client = client_context(ca_file)
    client.minimum_version = ssl.TLSVersion.TLSv1_1
    client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        shake(client, server_context(*pair), "edge.test")


def test_contexts_without_alpn_agree_on_none(pair: Pair, ca_file: Path) -> None:
    near = shake(
        client_context(ca_file, alpn=()), server_context(*pair, alpn=()), "edge.test"
    )
    assert near.selected_alpn_protocol() is None


def test_client_without_ca_file_trusts_the_system_only(pair: Pair) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(client_context(), server_context(*pair), "edge.test")


def blame(*paths: Path) -> TLSFileError:
    with pytest.raises(TLSFileError) as caught:
        server_context(*paths)
    assert str(caught.value) == f"{caught.value.path}: {caught.value.reason}"
    return caught.value


def test_missing_certificate_is_named_with_what_to_do(pair: Pair) -> None:
    error = blame(Path("/nowhere/cert.pem"), pair[1])
    assert str(error) == (
        "/nowhere/cert.pem: cannot be read: No such file or directory; "
        "check the path and that this user may read it"
    )


def test_exchanged_files_are_blamed_one_by_one(pair: Pair) -> None:
    certificate, key = pair
    assert str(blame(key, certificate)) == f"{key}: holds no certificate in PEM form"
    assert str(blame(certificate, certificate)) == (
        f"{certificate}: holds no private key in PEM form"
    )


def test_key_of_another_certificate_is_blamed(pair: Pair, issue: Issue) -> None:
    _, key = issue("else.test")
    assert str(blame(pair[0], key)) == (
        f"{key}: is not the key of {pair[0]}; renew both together"
    )


def test_encrypted_key_is_blamed_and_no_passphrase_asked_for(
    pair: Pair, tmp_path: Path
) -> None:
    key = load_pem_private_key(pair[1].read_bytes(), None)
    path = tmp_path / "key.pem"
    path.write_bytes(
        key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
    )
    assert str(blame(pair[0], path)) == (
        f"{path}: is encrypted; store the key without a passphrase"
    )


def test_damaged_certificate_is_blamed(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    error = blame(path, pair[1])
    assert error.path == path
    assert "damaged" in error.reason
    with pytest.raises(TLSFileError, match="damaged"):
        client_context(path)


def test_missing_authority_is_blamed() -> None:
    with pytest.raises(TLSFileError, match=r"ca\.pem: cannot be read"):
        client_context(Path("/nowhere/ca.pem"))


def test_reload_serves_the_new_certificate(issue: Issue, ca_file: Path) -> None:
    certificates = Certificates(*issue("old.test"))
    issue("new.test")
    certificates.reload()
    shake(client_context(ca_file), certificates.context, "new.test")


def test_failed_reload_keeps_the_old_certificate(issue: Issue, ca_file: Path) -> None:
    certificate, key = issue("old.test")
    certificates = Certificates(certificate, key)
    key.write_text("")
    with pytest.raises(TLSFileError):
        certificates.reload()
    shake(client_context(ca_file), certificates.context, "old.test")


def test_connection_reads_and_writes_by_functions_of_openssl(
    pair: Pair, ca_file: Path
) -> None:
    """So that an event loop that looks them up once calls nothing in between."""
    for context in (client_context(ca_file), server_context(*pair)):
        serves = context.protocol is ssl.PROTOCOL_TLS_SERVER
        name = None if serves else "edge.test"
        bios = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = context.wrap_bio(*bios, serves, name)
        for method in (connection.read, connection.write, connection.pending):
            assert inspect.isbuiltin(method)


class Fleeting(type(Path())):  # type: ignore[misc]  # PosixPath, by its public name
    """A file that is gone when it is opened for the second time."""

    looks = 0

    def __fspath__(self) -> str:
        self.looks += 1
        if self.looks == 2:
            Path(str(self)).unlink()
        return str(self)


def test_file_that_vanishes_while_it_is_loaded_is_blamed(
    pair: Pair, ca_file: Path, tmp_path: Path
) -> None:
    certificate = shutil.copy(pair[0], tmp_path)
    error = blame(Fleeting(certificate), pair[1])
    assert "cannot be read: No such file" in error.reason
    authorities = shutil.copy(ca_file, tmp_path)
    with pytest.raises(TLSFileError, match="cannot be read: No such file"):
        client_context(Fleeting(authorities))


def test_pipe_in_place_of_a_certificate_is_blamed_at_once(
    pair: Pair, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in blame(tmp_path / "pipe", pair[1]).reason
