"""Look whether the files that a configuration names are there and fit."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from protocols.net.reading import read_file
from router.config import Loaded, cause
from router.keys import KeyFileError, read_keys
from router.listeners import FromProvider, HttpsTerminate, Sip, Tls, WebsocketToProvider
from router.problem import KeyPath, Problem, Severity
from router.settings import Config

_AUTHORITIES = "a PEM file of certificates"
_NOT_HERE = "the daemon would not start here"
_DATES = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_NO_PASSPHRASE = "\n"  # an answer, so that OpenSSL does not ask the terminal


def check_files(loaded: Loaded, *, elsewhere: bool = False) -> Iterator[Problem]:
    """Load every certificate, key, authority and secret; yield what is wrong.

    With `elsewhere`, the configuration may be meant for another machine: a file is a
    warning if not even its directory is there.
    """
    document, config = loaded.document, loaded.config
    unreadable = set()
    for path, file, expected in _files(config):
        if found := _unreadable(file):
            unreadable.add(file)
            yield (
                document.problem(
                    path, found, expected, _NOT_HERE, severity=Severity.WARNING
                )
                if elsewhere and _nowhere(file)
                else document.problem(path, found, expected)
            )
    for path, tls in _pairs(config):
        if not unreadable.isdisjoint((tls.certificate, tls.key)):
            continue
        if found := _unfit(tls):
            expected = "PEM files of a certificate and of its key without a passphrase"
            yield document.problem(path, found, expected)
        elif found := _outdated(tls):
            # Only a warning: the other listeners need not suffer from it.
            yield document.problem(
                (*path, "certificate"),
                f"{tls.certificate}: {found}",
                "a certificate that clients accept today",
                severity=Severity.WARNING,
            )
    readers = (
        (_authorities(config), _no_authorities, _AUTHORITIES),
        (_secrets(config), _no_keys, "one key a line"),
    )
    for files, read, expected in readers:
        for path, file in files:
            if file not in unreadable and (found := read(file)):
                yield document.problem(path, found, expected)


def _files(config: Config) -> Iterator[tuple[KeyPath, Path, str]]:
    """Every file, where it is named, and what should be in it."""
    for path, tls in _pairs(config):
        yield (*path, "certificate"), tls.certificate, "a PEM file of the certificate"
        yield (*path, "key"), tls.key, "a PEM file of the certificate's key"
    for path, file in _authorities(config):
        yield path, file, _AUTHORITIES
    for path, file in _secrets(config):
        yield path, file, "a file with the secret"


def _pairs(config: Config) -> Iterator[tuple[KeyPath, Tls]]:
    for name, listener in config.listeners.items():
        if isinstance(listener, HttpsTerminate | WebsocketToProvider | FromProvider):
            yield ("listeners", name, "tls"), listener.tls
        elif isinstance(listener, Sip):
            for side, tls in ("site", listener.site.tls), ("edge", listener.edge.tls):
                if tls is not None:
                    yield ("listeners", name, side, "tls"), tls


def _authorities(config: Config) -> Iterator[tuple[KeyPath, Path]]:
    if config.provider.ca_file is not None:
        yield ("provider", "ca_file"), config.provider.ca_file
    for name, listener in config.listeners.items():
        if isinstance(listener, FromProvider) and listener.ca_file is not None:
            yield ("listeners", name, "ca_file"), listener.ca_file
        if isinstance(listener, Sip) and listener.site.ca_file is not None:
            yield ("listeners", name, "site", "ca_file"), listener.site.ca_file


def _secrets(config: Config) -> Iterator[tuple[KeyPath, Path]]:
    for name, listener in config.listeners.items():
        if isinstance(listener, Sip) and listener.key_file is not None:
            yield ("listeners", name, "key_file"), listener.key_file


def _no_keys(file: Path) -> str:
    try:
        read_keys(file)
    except KeyFileError as error:
        return str(error)
    return ""


def _unreadable(file: Path) -> str:
    try:
        return "" if read_file(file) else f"{file} is empty"
    except OSError as error:
        return f"cannot read {file}: {cause(error)}"


def _nowhere(file: Path) -> bool:
    """Whether not even the directory of the file is there."""
    try:
        file.parent.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _unfit(tls: Tls) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate, tls.key, lambda: _NO_PASSPHRASE)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"the key {tls.key} is not that of {tls.certificate}"
        return _missing(tls) or _unusable(tls, error)
    except OSError as error:  # gone since it was looked at
        return f"cannot read {tls.certificate} or {tls.key}: {cause(error)}"
    return ""


def _outdated(tls: Tls) -> str:
    """Why a client would object to the dates of a certificate; empty if it would not.

    OpenSSL tells only those who shake hands, so that we do it with ourselves.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # whoever issued it
    try:
        server.load_cert_chain(tls.certificate, tls.key)
        client.load_verify_locations(tls.certificate)
    except OSError:  # written anew this very moment: whoever loads it next will tell
        return ""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    for end in ends * 2:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError as error:
            return error.verify_message if error.verify_code in _DATES else ""
        except ssl.SSLError:
            return ""
    return ""


def _missing(tls: Tls) -> str:
    """OpenSSL does not say in which file it missed what."""
    for file, label in ((tls.certificate, b"CERTIFICATE"), (tls.key, b"PRIVATE KEY")):
        try:
            data = read_file(file)
        except OSError as error:
            return f"cannot read {file}: {cause(error)}"
        if label + b"-----" not in data:
            return f"no {label.decode().lower()} in {file}"
    return ""


def _unusable(tls: Tls, error: ssl.SSLError) -> str:
    reason = (error.reason or "PEM_LIB").lower().replace("_", " ")
    reason = reason.replace("pem lib", "damaged, or with a passphrase")
    return f"cannot use {tls.certificate} with {tls.key}: {reason}"


def _no_authorities(file: Path) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        return f"no certificates in {file}"
    except OSError as error:  # gone since it was looked at
        return f"cannot read {file}: {cause(error)}"
    return ""
