"""Reads the ClientHello that opens a TLS connection (RFC 8446 sections 4.1.2 and 5.1).

A pure core: a passed-through connection is routed by the name in it, and its bytes go
on unchanged.
"""

import dataclasses
import re

LONGEST = 16 * 1024
"Bytes of ClientHello read at most; those of browsers have 0.5 to 2 KiB."

_MOST_RECORDS = 64
_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_ALPN = 16
_EARLY_DATA = 42
_HOST_NAME = 0

_DNS_NAME = re.compile(rb"(?=.{1,253}\Z)(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}")


class HelloError(Exception):
    """The client does not begin with a proper ClientHello."""


@dataclasses.dataclass(frozen=True, slots=True)
class Hello:
    """What a ClientHello tells about the connection it opens."""

    server_name: str | None = None
    "Host asked for, in lower case (RFC 6066 section 3)."
    protocols: tuple[bytes, ...] = ()
    "Protocols offered, in order of preference (RFC 7301)."
    early_data: bool = False
    "Whether application data follows at once (RFC 8446 section 4.2.10)."


class HelloReader:
    """Takes bytes as they come, until the ClientHello is complete."""

    def __init__(self) -> None:
        self.received = bytearray()
        "All bytes taken so far, to be passed on."
        self.end = 0
        "Where in them the ClientHello ends, once it is complete."
        self._records = 0
        self._message = bytearray()

    def feed(self, data: bytes) -> Hello | None:
        """The ClientHello once it is complete, None before. Raises HelloError."""
        self.received += data
        while (fragment := self._next_record()) is not None:
            self._message += fragment
            hello = self._complete()
            if hello is not None:
                return hello
        return None

    def _next_record(self) -> bytes | None:
        head = bytes(self.received[self.end : self.end + 5])
        # Said as soon as it is sure: a client that speaks no TLS may wait for us.
        if head[:1] not in (b"", b"\x16") or head[1:2] not in (b"", b"\x03"):
            raise HelloError("not a TLS handshake")
        if len(head) < 5:
            return None
        length = int.from_bytes(head[3:5])
        # RFC 8446 section 5.1: "Implementations MUST NOT send zero-length fragments of
        # Handshake types"; "The length MUST NOT exceed 2^14 bytes".
        if not 0 < length <= 2**14:
            raise HelloError("a TLS record of wrong length")
        start = self.end + 5
        if len(self.received) < start + length:
            return None
        self.end = start + length
        self._records += 1
        if self._records > _MOST_RECORDS:
            raise HelloError("a ClientHello in too many pieces")
        return bytes(self.received[start : start + length])

    def _complete(self) -> Hello | None:
        message = self._message
        if message[0] != _CLIENT_HELLO:
            raise HelloError("the first message is no ClientHello")
        if len(message) < 4:
            return None
        length = int.from_bytes(message[1:4])
        if length > LONGEST:
            raise HelloError("a ClientHello that is too long")
        if len(message) < 4 + length:
            return None
        if len(message) > 4 + length:
            raise HelloError("a record with more than the ClientHello")
        return _parse(bytes(message[4:]))


class _Field:
    """A part of the message, taken from the left; running out of it is an error."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        if self._at > len(self._data):
            raise HelloError("a ClientHello that is cut short")
        return self._data[start : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        """A length of `size` bytes, and that many bytes."""
        return self.take(self.number(size))

    def end(self) -> None:
        if self:
            raise HelloError("a ClientHello with bytes left over")


def _parse(body: bytes) -> Hello:
    field = _Field(body)
    field.take(2 + 32)  # legacy_version, random
    field.vector(1)  # legacy_session_id
    field.vector(2)  # cipher_suites
    field.vector(1)  # legacy_compression_methods
    if not field:  # TLS 1.2 allows a ClientHello without extensions
        return Hello()
    extensions = _extensions(field.vector(2))
    field.end()
    name = extensions.get(_SERVER_NAME)
    alpn = extensions.get(_ALPN)
    return Hello(
        server_name=None if name is None else _server_name(name),
        protocols=() if alpn is None else _protocols(alpn),
        early_data=_EARLY_DATA in extensions,
    )


def _extensions(data: bytes) -> dict[int, bytes]:
    field = _Field(data)
    extensions: dict[int, bytes] = {}
    while field:
        kind = field.number(2)
        # RFC 8446 section 4.2: "There MUST NOT be more than one extension of the same
        # type in a given extension block."
        if kind in extensions:
            raise HelloError("a ClientHello with an extension twice")
        extensions[kind] = field.vector(2)
    return extensions


def _server_name(data: bytes) -> str:
    outer = _Field(data)
    names = _Field(outer.vector(2))
    outer.end()
    # RFC 6066 section 3: "The ServerNameList MUST NOT contain more than one name of the
    # same name_type"; no other type was ever defined.
    if names.number(1) != _HOST_NAME:
        raise HelloError("a server name of unknown type")
    name = names.vector(2)
    names.end()
    if not _DNS_NAME.fullmatch(name):
        raise HelloError("a server name that is no host name")
    return name.decode("ascii").lower()


def _protocols(data: bytes) -> tuple[bytes, ...]:
    outer = _Field(data)
    names = _Field(outer.vector(2))
    outer.end()
    protocols: list[bytes] = []
    while names:
        protocols.append(names.vector(1))
    return tuple(protocols)
