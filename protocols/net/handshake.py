"""The client's side of TLS: sessions to resume, names to verify, times to take.

Python's event loops ask a context for one thing only: `wrap_bio`. A `Handshake` stands
in for the context of a single dial, and there offers the session kept from an earlier
connection to the same place, checks a name other than the indicated one, and sees when
the far side first answers.
"""

import collections
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from protocols.net.names import bears
from protocols.net.tls import HTTP_1_1, Connection, client_context
from protocols.target import Target

SESSIONS = 512
"Sessions kept, one per place; the least recently used goes first."

_READS = 8
"Reads of a connection that may bring its ticket; later ones are not waited for."

Place = tuple[str, str, str, int]
"What must agree for a session to fit: server name, verified name, address, port."


class Contexts:
    """Trust in the far side, and the sessions that shorten the next handshake there."""

    def __init__(
        self, ca_file: Path | None = None, *, alpn: Sequence[str] = HTTP_1_1
    ) -> None:
        """Trust `ca_file`, or else the system. Raises TLSFileError."""
        self._ca_file = ca_file
        self._alpn = alpn
        self._checking: ssl.SSLContext
        self._trusting: ssl.SSLContext
        self._sessions: Sessions
        self.reload()

    def reload(self) -> None:
        """Read the authorities again. On TLSFileError the old ones stay trusted.

        Sessions are forgotten: resumed, they would ask nobody for a certificate.
        """
        checking = client_context(self._ca_file, alpn=self._alpn)
        checking.sslobject_class = _Connection
        # For targets whose certificate bears another name than the one indicated;
        # `_Connection` then checks that name itself, and as strictly.
        trusting = client_context(self._ca_file, alpn=self._alpn)
        trusting.check_hostname = False
        trusting.sslobject_class = _Connection
        self._checking, self._trusting = checking, trusting
        self._sessions = Sessions()

    def handshake(self, target: Target, *, resume: bool = True) -> "Handshake":
        """What to hand to the event loop for one dial to `target`."""
        if not target.verify_name:
            raise AssertionError(f"{target} has no name to verify")
        same = target.verify_name == target.server_name
        context = self._checking if same else self._trusting
        return Handshake(self._sessions, context, target, resume)


class Sessions:
    """TLS sessions of one context, to be resumed with it and no other."""

    def __init__(self) -> None:
        self._kept: collections.OrderedDict[Place, ssl.SSLSession] = (
            collections.OrderedDict()
        )

    def get(self, place: Place) -> ssl.SSLSession | None:
        """The session to offer, if one is kept."""
        # Departs from RFC 8446 appendix C.4, "Clients SHOULD NOT reuse a ticket for
        # multiple connections": that hides a client from observers, and all our
        # connections come from one address anyway.
        if place in self._kept:
            self._kept.move_to_end(place)
        return self._kept.get(place)

    def keep(self, place: Place, session: ssl.SSLSession) -> None:
        """Remember a session for the next handshake at `place`."""
        self._kept[place] = session
        self._kept.move_to_end(place)
        if len(self._kept) > SESSIONS:
            self._kept.popitem(last=False)


class Handshake:
    """One handshake: acts as the event loop's SSLContext, and keeps the times."""

    __slots__ = (
        "_context",
        "_outgoing",
        "_place",
        "_reads",
        "_resume",
        "_sessions",
        "_verify",
        "answered",
        "started",
    )

    def __init__(
        self,
        sessions: Sessions,
        context: ssl.SSLContext,
        target: Target,
        resume: bool,
    ) -> None:
        self._sessions = sessions
        self._context = context
        self._verify = "" if context.check_hostname else target.verify_name
        self._place = (
            target.server_name,
            target.verify_name,
            target.address,
            target.port,
        )
        self._resume = resume
        self._outgoing: ssl.MemoryBIO | None = None
        self._reads = _READS
        self.started: float | None = None
        "When the ClientHello was written, by `time.perf_counter`."
        self.answered: float | None = None
        "When the first bytes of the answer were here."

    @property
    def round_trip(self) -> float | None:
        """Seconds from the ClientHello to the far side's first flight.

        One network round trip in TLS 1.2 and 1.3 alike, with the far side's signature
        in it unless the session was resumed.
        """
        if self.started is None or self.answered is None:
            return None
        return self.answered - self.started

    def as_context(self) -> ssl.SSLContext:
        """Itself, under the type that the event loop's signature asks for."""
        return cast(ssl.SSLContext, self)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | None = None,
    ) -> ssl.SSLObject:
        """Called by the event loop to begin; the one method of a context it uses."""
        self._outgoing = outgoing
        connection = self._context.wrap_bio(
            incoming,
            outgoing,
            server_side=server_side,
            server_hostname=server_hostname,
            session=self._sessions.get(self._place) if self._resume else None,
        )
        cast(_Connection, connection).handshake = self
        return connection

    def stepped(self, connection: ssl.SSLObject) -> None:
        """Note the time of a step, before it is taken: sent first, then answered."""
        if self.started is None:
            self.started = time.perf_counter()
        elif self.answered is None:
            self.answered = time.perf_counter()

    def give_up(self) -> None:
        """Leave nothing to be sent.

        When a dial is cancelled in the turn in which its handshake ends, uvloop closes
        the connection, then tries to send what TLS has ready, and takes its own refusal
        for a fatal error.
        """
        if self._outgoing is not None:
            self._outgoing.read()

    def verify(self, connection: ssl.SSLObject) -> None:
        """Check the name that OpenSSL did not. Raises SSLCertVerificationError."""
        if self._verify and not bears(connection.getpeercert() or {}, self._verify):
            raise ssl.SSLCertVerificationError(
                1, f"certificate is not valid for '{self._verify}'"
            )

    def look_for_ticket(self, connection: ssl.SSLObject) -> bool:
        """Keep the session if it can be resumed; False while asking again may help."""
        self._reads -= 1
        session = connection.session
        if session is None or not session.has_ticket:
            return self._reads <= 0
        self._sessions.keep(self._place, session)
        return True


class _Connection(Connection):
    """An SSLObject that tells its handshake of each step."""

    handshake: Handshake | None = None

    def do_handshake(self) -> None:
        handshake = self.handshake
        if handshake is not None:
            handshake.stepped(self)
        super().do_handshake()
        if handshake is not None:
            handshake.verify(self)

    def read(  # type: ignore[override]  # typeshed has bytes | int by overloads
        self, len: int = 1024, buffer: bytearray | None = None
    ) -> bytes | int:
        read = self._sslobj.read  # type: ignore[attr-defined]
        data: bytes | int = read(len) if buffer is None else read(len, buffer)
        # TLS 1.3 sends its tickets after the handshake (RFC 8446 section 4.6.1), so
        # they are looked for once data has come.
        if self.handshake is not None and self.handshake.look_for_ticket(self):
            self.handshake = None
        return data
