"""TLS contexts: what the router accepts, offers and trusts.

TLS 1.2 and 1.3 only; in 1.2 only key exchange with forward secrecy and authenticated
encryption (RFC 9325 section 4.2). No compression, no renegotiation.
"""

import ssl
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

from protocols.net.reading import read_file

HTTP_1_1 = ("http/1.1",)
"The one protocol offered and accepted by ALPN (RFC 7301)."

_CIPHERS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Connection(ssl.SSLObject):
    """An SSLObject whose reading and writing are OpenSSL's functions themselves.

    Python's class wraps each in a method that does nothing else, and an event loop
    calls four of them for every chunk. See docs/decisions/0062.
    """

    # SSLObject has kept what is OpenSSL's under this name since Python 3.5.
    read = property(attrgetter("_sslobj.read"))
    write = property(attrgetter("_sslobj.write"))
    pending = property(attrgetter("_sslobj.pending"))


class TLSFileError(Exception):
    """A certificate or key file cannot be used; says which, and what to do."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        "The file at fault."
        self.reason = reason
        "What is wrong with it and what would mend it."


def server_context(
    certificate: Path, key: Path, *, alpn: Sequence[str] = HTTP_1_1
) -> ssl.SSLContext:
    """A context that presents `certificate`, a PEM file with its chain after it.

    Raises TLSFileError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context, alpn)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _require(certificate, "CERTIFICATE-----", "certificate")
    _require(key, "PRIVATE KEY-----", "private key")

    def password() -> str:
        # Without this callback OpenSSL would ask on the terminal, and wait.
        raise TLSFileError(key, "is encrypted; store the key without a passphrase")

    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TLSFileError(
                key, f"is not the key of {certificate}; renew both together"
            ) from None
        raise TLSFileError(
            certificate,
            f"or {key} is damaged ({error.reason or error.strerror}); "
            "both must be whole PEM files",
        ) from None
    except OSError as error:  # gone since it was looked at
        raise _unreadable(certificate, error) from None
    return context


def client_context(
    ca_file: Path | None = None, *, alpn: Sequence[str] = HTTP_1_1
) -> ssl.SSLContext:
    """A context that trusts `ca_file`, or else the system's authorities.

    Raises TLSFileError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context, alpn)
    if ca_file is None:
        context.load_default_certs()
        return context
    _require(ca_file, "CERTIFICATE-----", "certificate")
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError as error:
        raise TLSFileError(
            ca_file, f"is damaged ({error.reason or error.strerror})"
        ) from None
    except OSError as error:  # gone since it was looked at
        raise _unreadable(ca_file, error) from None
    return context


class Certificates:
    """The certificate that new connections are shown; mutable by `reload` alone."""

    def __init__(
        self, certificate: Path, key: Path, *, alpn: Sequence[str] = HTTP_1_1
    ) -> None:
        """Load both files. Raises TLSFileError."""
        self._certificate = certificate
        self._key = key
        self._alpn = alpn
        self.context = server_context(certificate, key, alpn=alpn)
        "The context for the next handshake; running connections keep their own."

    def reload(self) -> None:
        """Read both files again. On TLSFileError the old pair stays in use."""
        self.context = server_context(self._certificate, self._key, alpn=self._alpn)


def _restrict(context: ssl.SSLContext, alpn: Sequence[str]) -> None:
    context.sslobject_class = Connection
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS_1_2)
    context.options |= ssl.OP_NO_COMPRESSION
    if alpn:
        context.set_alpn_protocols(list(alpn))


def _require(path: Path, mark: str, what: str) -> None:
    """Blame the right file: OpenSSL's own errors name none."""
    try:
        data = read_file(path)
    except OSError as error:
        raise _unreadable(path, error) from None
    if mark.encode() not in data:
        raise TLSFileError(path, f"holds no {what} in PEM form")


def _unreadable(path: Path, error: OSError) -> TLSFileError:
    return TLSFileError(
        path,
        f"cannot be read: {error.strerror}; "
        "check the path and that this user may read it",
    )
