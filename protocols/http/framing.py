"""Message bodies: where they end, and the same bytes framed for the next hop.

A reader takes what arrives and gives back body bytes; `done` says that the body has
ended and `rest` holds what came behind it. A chunked body is read to its data and
framed anew, so that chunk extensions and sizes written in odd ways end here.
"""

import enum
import re

from protocols.http.head import Body, Head, HeadError

_SIZE_LINE = 256  # bytes; a size is at most 16 of them, the rest is extensions
_TRAILERS = 8_192  # bytes of all trailer lines
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_PLAIN_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")
_TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t\x20-\x7e\x80-\xff]*")
# RFC 9110 section 6.5.1: fields that describe framing, routing, authentication, request
# modifiers or the content's format have no place behind the content. Some receivers
# take trailers for fields of the head all the same, so whoever sends these means harm.
_FORBIDDEN_TRAILERS = frozenset(
    b"authorization connection content-encoding content-length content-range "
    b"content-type cookie expect forwarded host http2-settings keep-alive "
    b"proxy-authenticate proxy-authorization proxy-connection set-cookie te trailer "
    b"transfer-encoding upgrade via x-forwarded-for x-forwarded-host x-forwarded-port "
    b"x-forwarded-proto x-real-ip x-twilio-signature".split()
)
_NO_NAMES: frozenset[bytes] = frozenset()


class Sized:
    """Reads a body of known length; also, with length 0, no body at all."""

    __slots__ = ("done", "remaining", "rest")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.done = not length
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The part of `data` that is body."""
        self.remaining -= len(data)
        if self.remaining > 0:
            return data
        self.done = True
        if self.remaining == 0:
            return data
        end = len(data) + self.remaining
        self.rest = data[end:]
        self.remaining = 0
        return data[:end]


class UntilClose:
    """Reads a body that ends with the connection; never `done` by itself."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """All of `data`: it is body."""
        return data


class _Part(enum.Enum):
    """What a chunked body is expected to go on with."""

    SIZE = enum.auto()
    DATA = enum.auto()
    DATA_END = enum.auto()
    TRAILERS = enum.auto()


class Chunked:
    """Reads a chunked body (RFC 9112 section 7.1) to its data."""

    __slots__ = (
        "_buffer",
        "_nominated",
        "_part",
        "_remaining",
        "_status",
        "done",
        "rest",
        "trailers",
    )

    def __init__(self, status: int, nominated: frozenset[bytes] = _NO_NAMES) -> None:
        self.done = False
        self.rest = b""
        self.trailers = b""
        "Trailer lines, each with its CR LF; complete when `done`."
        self._buffer = b""
        self._part = _Part.SIZE
        self._remaining = 0
        self._status = status
        self._nominated = nominated

    def feed(self, data: bytes) -> bytes:
        """The chunk data within `data`, joined.

        Raises HeadError, with the status given to the constructor, where the framing
        is not plainly that of the RFC.
        """
        data = self._buffer + data
        position = 0
        pieces: list[bytes] = []
        while not self.done:
            if self._part is _Part.SIZE:
                position = self._whole_chunks(data, position, pieces)
            elif self._part is _Part.DATA:
                piece = data[position : position + self._remaining]
                pieces.append(piece)
                position += len(piece)
                self._remaining -= len(piece)
                if self._remaining:
                    break
                self._part = _Part.DATA_END
            end = self._line_end(data, position)
            if not end:
                break
            self._line(data[position : end - 2])
            position = end
        self._buffer = data[position:]
        if self.done:
            self._buffer, self.rest = b"", self._buffer
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @staticmethod
    def _whole_chunks(data: bytes, position: int, pieces: list[bytes]) -> int:
        """Take the plain chunks that are here whole; where the first other one begins.

        The rest of this class reads the same, if at a fifth of the speed: a peer that
        sends tiny chunks must not cost much more than one that does not.
        """
        while size := _PLAIN_SIZE.match(data, position):
            start = size.end()
            end = start + int(size[1], 16)
            if start == end or data[end : end + 2] != b"\r\n":
                break
            pieces.append(data[start:end])
            position = end + 2
        return position

    def _line_end(self, data: bytes, start: int) -> int:
        """Where the line that begins at `start` is over; 0 while that is unknown."""
        limit = _SIZE_LINE
        if self._part is _Part.DATA_END:
            limit = 0
        elif self._part is _Part.TRAILERS:
            limit = self._remaining
        end = data.find(b"\n", start) + 1
        # Without the CR LF; while that is not here, the last byte may be its CR.
        length = (end - 2 if end else len(data) - 1) - start
        if length > limit or (end and (length < 0 or data[end - 2] != 13)):
            raise HeadError(self._status, "malformed chunk")
        return end

    def _line(self, line: bytes) -> None:
        if self._part is _Part.DATA_END:
            self._part = _Part.SIZE
        elif self._part is _Part.SIZE:
            size = _SIZE.fullmatch(line)
            if size is None:
                raise HeadError(self._status, "malformed chunk size")
            self._remaining = int(size[1], 16)
            self._part = _Part.DATA
            if not self._remaining:
                self._part = _Part.TRAILERS
                self._remaining = _TRAILERS
        elif line:
            self._trailer(line)
        else:
            self.done = True

    def _trailer(self, line: bytes) -> None:
        trailer = _TRAILER.fullmatch(line)
        if trailer is None:
            raise HeadError(self._status, "malformed trailer")
        self._remaining -= len(line)
        key = trailer[1].lower()
        if key.replace(b"_", b"-") in _FORBIDDEN_TRAILERS:
            raise HeadError(self._status, "forbidden trailer")
        # RFC 9110 section 7.6.1: for each connection-option, "remove any header or
        # trailer field(s) from the message with the same name".
        if key not in self._nominated:
            self.trailers += line + b"\r\n"


Reader = Sized | UntilClose | Chunked


def reader(head: Head, status: int) -> Reader:
    """The reader for the body that follows `head`.

    `status` is the code of the HeadError that it raises: 400 for a request, 502 for a
    response.
    """
    if head.body is Body.CHUNKED:
        return Chunked(status, head.nominated)
    if head.body is Body.CLOSE:
        return UntilClose()
    return Sized(head.length)


def chunk(data: bytes) -> bytes:
    """One chunk; `data` must not be empty, since an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: bytes) -> bytes:
    """The end of a chunked body, with the trailer lines of its reader."""
    return b"0\r\n%b\r\n" % trailers
