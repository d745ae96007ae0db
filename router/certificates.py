"""Look whether the files that a configuration names are there and fit."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from router.config import Loaded, cause
from router.listeners import FromProvider, HttpsTerminate, Sip, Tls, WebsocketToProvider
from router.problem import KeyPath, Problem
from router.settings import Config

_NO_PASSPHRASE = "\n"  # an answer, so that OpenSSL does not ask the terminal


def check_files(loaded: Loaded) -> Iterator[Problem]:
    """Load every certificate, key, authority and secret; yield what is wrong."""
    document = loaded.document
    for path, tls in _pairs(loaded.config):
        broken = [
            document.problem((*path, key), found)
            for key, file in (("certificate", tls.certificate), ("key", tls.key))
            if (found := _unreadable(file))
        ]
        yield from broken
        if not broken and (found := _unfit(tls)):
            expected = "PEM files of a certificate and of its key without a passphrase"
            yield document.problem(path, found, expected)
    for path, file in _authorities(loaded.config):
        found = _unreadable(file) or _no_authorities(file)
        if found:
            yield document.problem(path, found, "a PEM file of certificates")
    for path, file in _secrets(loaded.config):
        found = _unreadable(file)
        if found:
            yield document.problem(path, found, "a file with the secret")


def _pairs(config: Config) -> Iterator[tuple[KeyPath, Tls]]:
    for name, listener in config.listeners.items():
        if isinstance(listener, HttpsTerminate | WebsocketToProvider | FromProvider):
            yield ("listeners", name, "tls"), listener.tls
        elif isinstance(listener, Sip) and listener.edge.tls is not None:
            yield ("listeners", name, "edge", "tls"), listener.edge.tls


def _authorities(config: Config) -> Iterator[tuple[KeyPath, Path]]:
    if config.provider.ca_file is not None:
        yield ("provider", "ca_file"), config.provider.ca_file
    for name, listener in config.listeners.items():
        if isinstance(listener, FromProvider) and listener.ca_file is not None:
            yield ("listeners", name, "ca_file"), listener.ca_file


def _secrets(config: Config) -> Iterator[tuple[KeyPath, Path]]:
    for name, listener in config.listeners.items():
        if isinstance(listener, Sip) and listener.key_file is not None:
            yield ("listeners", name, "key_file"), listener.key_file


def _unreadable(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return "" if opened.read(1) else f"{file} is empty"
    except OSError as error:
        return f"cannot read {file}: {cause(error)}"


def _unfit(tls: Tls) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate, tls.key, lambda: _NO_PASSPHRASE)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"the key {tls.key} is not that of {tls.certificate}"
        return _missing(tls) or _unusable(tls, error)
    return ""


def _missing(tls: Tls) -> str:
    """OpenSSL does not say in which file it missed what."""
    for file, label in ((tls.certificate, b"CERTIFICATE"), (tls.key, b"PRIVATE KEY")):
        if label + b"-----" not in file.read_bytes():
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
    return ""
