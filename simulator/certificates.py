"""The provider's own certificate authority, sound certificates and flawed ones."""

import datetime
import ssl
from collections.abc import Sequence
from pathlib import Path

import trustme

from simulator.faults import Fault

ELSEWHERE = "*.elsewhere.example"
"The name in a certificate for another name."


class NamedTLS(ssl.SSLObject):
    """The server's side of one TLS session, which remembers the name asked for."""

    server_name: str = ""
    "Name that the client indicated (RFC 6066 section 3); empty without one."


class Authority:
    """Signs for one provider; keys are on disk only while they are loaded."""

    def __init__(self, directory: Path) -> None:
        """Write the authority's certificate to `ca.pem` in the directory."""
        self._directory = directory
        self._ca = trustme.CA()
        self.file = directory / "ca.pem"
        self.file.write_bytes(self._ca.cert_pem.bytes())

    def context(
        self, names: Sequence[str], flaw: Fault | None = None
    ) -> ssl.SSLContext:
        """A server's context for the names, with the flaw of a certificate fault."""
        leaf = self._leaf(names, flaw)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.sslobject_class = NamedTLS
        context.sni_callback = _remember
        with leaf.private_key_and_cert_chain_pem.tempfile(str(self._directory)) as file:
            context.load_cert_chain(file)
        return context

    def client(self) -> ssl.SSLContext:
        """A client's context that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.file))

    def _leaf(self, names: Sequence[str], flaw: Fault | None) -> trustme.LeafCert:
        if flaw is Fault.UNKNOWN_CA:
            return trustme.CA().issue_cert(*names)
        if flaw is Fault.WRONG_NAME:
            return self._ca.issue_cert(ELSEWHERE)
        if flaw is Fault.EXPIRED:
            now = datetime.datetime.now(datetime.UTC)
            day = datetime.timedelta(days=1)
            return self._ca.issue_cert(
                *names, not_before=now - 90 * day, not_after=now - day
            )
        return self._ca.issue_cert(*names)


def _remember(
    session: ssl.SSLObject, server_name: str | None, context: ssl.SSLContext
) -> None:
    assert isinstance(session, NamedTLS), "contexts are made by Authority.context"
    session.server_name = server_name or ""
