"""What was read from files is shared, and read again when they were written anew."""

import gc
from pathlib import Path

import pytest
import trustme

from protocols.net.tls import TLSFileError
from router.keyring import Keyring, Keys, Renewal, stamp
from router.keys import KeyFileError
from router.listeners import Tls

OLD, NEW = "an old key, long enough\n", "the new key, long enough\n"


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    write(tmp_path)
    return Tls.model_validate(
        {"certificate": str(tmp_path / "c.pem"), "key": str(tmp_path / "k.pem")}
    )


def write(directory: Path) -> None:
    """A new certificate with its key, as tools write them: complete, by renaming."""
    issued = trustme.CA().issue_cert("site.test")
    for name, blob in (
        ("c.pem", issued.cert_chain_pems[0]),
        ("k.pem", issued.private_key_pem),
    ):
        blob.write_to_path(str(directory / "fresh"))
        (directory / "fresh").replace(directory / name)


def test_same_files_are_read_once(tls: Tls, tmp_path: Path) -> None:
    keyring = Keyring()
    one = keyring.certificates(tls)
    assert keyring.certificates(tls) is one
    assert keyring.certificates(tls, alpn=()) is not one
    trust = keyring.trust(tmp_path / "c.pem")
    assert keyring.trust(tmp_path / "c.pem") is trust
    assert keyring.trust(None) is not trust
    assert keyring.renew() == ()


def test_certificate_written_anew_serves_from_then_on(tls: Tls, tmp_path: Path) -> None:
    keyring = Keyring()
    held = keyring.certificates(tls)
    before = held.context
    write(tmp_path)
    assert held.context is before
    assert keyring.renew() == (Renewal((tls.certificate, tls.key)),)
    assert held.context is not before
    assert keyring.renew() == ()


def test_file_that_cannot_be_used_is_told_once_and_the_old_one_stays(
    tls: Tls, tmp_path: Path
) -> None:
    keyring = Keyring()
    held = keyring.certificates(tls)
    before = held.context
    whole = tls.key.read_bytes()
    tls.key.unlink()
    (told,) = keyring.renew()
    assert "k.pem" in told.error
    assert held.context is before
    assert keyring.renew() == ()
    tls.key.write_bytes(whole)
    assert keyring.renew() == (Renewal((tls.certificate, tls.key)),)


def test_certificate_without_its_key_waits_for_it(tls: Tls, tmp_path: Path) -> None:
    """Two files are not written at once."""
    keyring = Keyring()
    held = keyring.certificates(tls)
    before = held.context
    old_key = tls.key.read_bytes()
    write(tmp_path)
    new_key = tls.key.read_bytes()
    tls.key.write_bytes(old_key)
    (told,) = keyring.renew()
    assert "is not the key of" in told.error
    assert held.context is before
    tls.key.write_bytes(new_key + b"\n")
    (told,) = keyring.renew()
    assert told.error == ""
    assert held.context is not before


def test_keys_written_anew_are_read(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(OLD)
    keyring = Keyring()
    keys = keyring.keys(file)
    before = keys.values
    assert before == (OLD.strip().encode(),)
    file.write_text(NEW + OLD)
    assert keyring.renew() == (Renewal((file,)),)
    assert keys.values[1:] == before
    assert keys.values[0] == NEW.strip().encode()
    file.write_text("short\n")
    (told,) = keyring.renew()
    assert str(file) in told.error
    assert len(keys.values) == 2


def test_what_nobody_uses_is_not_looked_at_any_more(tls: Tls, tmp_path: Path) -> None:
    keyring = Keyring()
    held = keyring.certificates(tls)
    del held
    gc.collect()
    tls.key.unlink()
    assert keyring.renew() == ()
    with pytest.raises(TLSFileError):
        keyring.certificates(tls)


def test_keys_without_a_file_are_new_ones_each_time() -> None:
    one = Keys(None)
    before = one.values
    assert Keys(None).values != before
    one.reload()
    assert one.values != before


def test_file_that_is_not_there_raises_and_is_not_kept(tmp_path: Path) -> None:
    keyring, file = Keyring(), tmp_path / "keys"
    with pytest.raises(KeyFileError):
        keyring.keys(file)
    file.write_text(OLD)
    assert keyring.keys(file).values


def test_stamp_tells_a_file_from_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "x"
    assert stamp(file) is None
    file.write_text("a")
    first = stamp(file)
    assert first == stamp(file)
    (tmp_path / "y").write_text("b")
    (tmp_path / "y").replace(file)
    assert stamp(file) != first
