"""A telephone that makes one call at a time and times each until it is answered.

SIPp reads a clock that ticks every 4 ms; this one counts microseconds.
"""

import dataclasses
import io
import itertools
import re
import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Self

from benchmarks.processes import unverified

NUMBER = "+15551234567"
"What is called."
_PATIENCE = 5.0  # seconds without an answer
_LENGTH = re.compile(rb"^(?:Content-Length|l)\s*:\s*(\d+)", re.I | re.M)
_STATUS = re.compile(rb"SIP/2\.0 ([1-6]\d\d) ")
_DESCRIPTION = """v=0\r
o=caller 1 1 IN IP4 127.0.0.1\r
s=-\r
c=IN IP4 127.0.0.1\r
t=0 0\r
m=audio 40000 RTP/AVP 0 101\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:101 telephone-event/8000\r
a=ptime:20\r
"""


class CallError(OSError):
    """A call was not answered with 200."""


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A call that stands."""

    call_id: str
    "Its Call-ID."
    far: str
    "Value of the To field, with the tag of the far side."
    contact: str
    "Where the far side wants to be reached."
    routes: tuple[str, ...]
    "The way there."
    seconds: float
    "From the INVITE to its 200."


class Caller:
    """Calls by one socket to one proxy, or to the far side itself."""

    def __init__(self, way: str, to: tuple[str, int], host: str, source: str) -> None:
        """Connect, by `udp`, `tcp` or `tls`, from an address; raises OSError."""
        kind = socket.SOCK_DGRAM if way == "udp" else socket.SOCK_STREAM
        plain = socket.socket(socket.AF_INET, kind)
        try:
            plain.settimeout(_PATIENCE)
            plain.bind((source, 0))
            plain.connect(to)
            secure = way == "tls"
            self._socket = unverified().wrap_socket(plain) if secure else plain
        except OSError:
            plain.close()
            raise
        self._way = way
        self._host = host
        self._here = "{}:{}".format(*self._socket.getsockname()[:2])
        self._numbers = itertools.count(1)
        self._tag = secrets.token_hex(4)
        self._messages = _datagrams(self._socket) if way == "udp" else self._stream()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def call(self) -> Call:
        """Call, and take the call up; raises CallError, or OSError."""
        call_id = f"{self._tag}-{next(self._numbers)}@{self._here}"
        uri = f"sip:{NUMBER}@{self._host}"
        began = time.perf_counter()
        self._send("INVITE", uri, f"<{uri}>", call_id, 1, body=_DESCRIPTION)
        answer = self._final(call_id)
        seconds = time.perf_counter() - began
        contact = _values(answer, "Contact")[0].partition("<")[2].partition(">")[0]
        # RFC 3261 section 12.1.2: the route set of the caller is in reverse order.
        routes = tuple(reversed(_values(answer, "Record-Route")))
        made = Call(call_id, _values(answer, "To")[0], contact, routes, seconds)
        self._send("ACK", contact, made.far, call_id, 1, routes)
        return made

    def hang_up(self, call: Call) -> None:
        """End a call; raises CallError, or OSError."""
        self._send("BYE", call.contact, call.far, call.call_id, 2, call.routes)
        self._final(call.call_id)

    def _final(self, call_id: str) -> str:
        for message in self._messages:
            found = _STATUS.match(message)
            text = message.decode("latin-1")
            if found is None or call_id not in text or found[1] < b"200":
                continue
            if found[1] != b"200":
                raise CallError(text.partition("\r\n")[0])
            return text
        raise CallError("the connection was closed")

    def _send(
        self,
        method: str,
        uri: str,
        to: str,
        call_id: str,
        number: int,
        routes: tuple[str, ...] = (),
        body: str = "",
    ) -> None:
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self._way.upper()} {self._here};branch={branch};rport",
            *(f"Route: {route}" for route in routes),
            "Max-Forwards: 70",
            f"From: <sip:caller@{self._here}>;tag={self._tag}",
            f"To: {to}",
            f"Call-ID: {call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:caller@{self._here};transport={self._way}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def _stream(self) -> Iterator[bytes]:
        reader = self._socket.makefile("rb")
        while head := _head(reader):
            found = _LENGTH.search(head)
            yield head + reader.read(int(found[1]) if found else 0)


def _datagrams(sock: socket.socket | ssl.SSLSocket) -> Iterator[bytes]:
    while True:
        yield sock.recv(65_536)


def _head(reader: io.BufferedReader) -> bytes:
    head = b""
    while line := reader.readline():
        head += line
        if head.endswith(b"\r\n\r\n"):
            return head
    return b""


def _values(message: str, name: str) -> list[str]:
    """Values of a header field, those of a list apart; there are no quoted commas."""
    start = f"{name.lower()}:"
    lines = message.partition("\r\n\r\n")[0].split("\r\n")
    found = [line[len(start) :] for line in lines if line.lower().startswith(start)]
    return [value.strip() for line in found for value in line.split(",")]
