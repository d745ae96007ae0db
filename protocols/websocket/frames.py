"""Where the frames of a WebSocket stream begin and end (RFC 6455 section 5.2).

A relay passes the bytes on as they come. It still has to know where one frame ends and
the next begins: only there a Close of its own fits in. So a `FrameTracker` is shown
each chunk. It reads headers, keeps at most one that is not whole yet, and skips the
payload unread; only of a Close frame it reads the code.

It finds what breaks a stream for any endpoint, whatever the extensions in use: their
bits are not its business, and neither is text that is no UTF-8.
"""

import struct

CONTROL = 125
"Most bytes of payload in a control frame (RFC 6455 section 5.5)."
NO_CODE = 1005
"Stands for the code of a Close frame that has none (RFC 6455 section 7.4.1)."

_NEVER = 1 << 65  # farther than any frame reaches: no boundary will come
_CLOSE = 0x88

# What a frame is, by its first byte. The commonest is 0, as the quickest to test.
_MESSAGE, _FIRST, _MORE, _LAST, _PING_OR_PONG, _CLOSING, *_BREACHES = range(10)
_REASONS = dict(
    zip(
        _BREACHES,
        (
            "a reserved opcode",
            "a fragmented control frame",
            "a continuation of no message",
            "a new message within a fragmented one",
        ),
        strict=True,
    )
)
_RESERVED, _FRAGMENTED, _NOTHING_OPEN, _STILL_OPEN = _BREACHES


def _kind(first: int, *, within: bool) -> int:
    """What a frame with this first byte is, between messages or within one."""
    final, opcode = first & 0x80, first & 0x0F
    if opcode > 10 or 2 < opcode < 8:
        return _RESERVED
    if opcode >= 8:
        if not final:
            return _FRAGMENTED
        return _CLOSING if opcode == 8 else _PING_OR_PONG
    if opcode == 0:
        if not within:
            return _NOTHING_OPEN
        return _LAST if final else _MORE
    if within:
        return _STILL_OPEN
    return _MESSAGE if final else _FIRST


_BETWEEN = bytes(_kind(first, within=False) for first in range(256))
_WITHIN = bytes(_kind(first, within=True) for first in range(256))


class FrameTracker:
    """Follows one direction of a WebSocket; show it every chunk by `feed`."""

    __slots__ = (
        "_head",
        "_kinds",
        "_masked",
        "_short",
        "breach",
        "code",
        "left",
        "messages",
    )

    def __init__(self, *, masked: bool) -> None:
        """`masked`: from the end that opened it (RFC 6455 section 5.1)."""
        self._masked = 0x80 if masked else 0
        self._short = 6 if masked else 2  # bytes of a header without a long length
        self._kinds = _BETWEEN
        self._head = b""
        self.left = 0
        """Bytes until the frame under way ends, or of its header that are sure to come
        while that is not whole. After a Close frame or a breach more than ever come."""
        self.messages = 0
        "Messages whose last frame has begun."
        self.code: int | None = None
        "Code of the Close frame, once it came."
        self.breach = ""
        "What broke the stream, in words; empty while nothing did."

    def at_boundary(self) -> bool:
        """Whether a frame of another's fits in here."""
        return not self.left

    def ended(self) -> bool:
        """Whether a Close frame or a breach came: no boundary follows."""
        return self.code is not None or bool(self.breach)

    def feed(self, data: bytes | bytearray) -> bool:
        """Follow what came; false once, at a Close frame or a breach."""
        size = len(data)
        if not self.left and size > 1 and not self._kinds[data[0]]:
            # As a rule it is one message in one frame, and whole. Then its length, of
            # 7 or 16 bits, is what came behind its header, and nothing else changes.
            length = size - self._short
            if length < 126:
                whole = data[1] ^ self._masked == length
            else:
                long = data[1] ^ self._masked == 126
                whole = long and data[2] << 8 | data[3] == length - 2
            if whole:
                self.messages += 1
                return True
        return self._follow(data)

    def to_boundary(self, data: bytes | bytearray) -> int:
        """Follow `data` to the next boundary and no further.

        Returns how many bytes that took; -1 if no boundary is within.
        """
        taken = 0
        while self.left:
            if taken >= len(data):
                return -1
            step = self.left
            self._follow(data[taken : taken + step])
            taken += step
        return taken

    def _follow(self, data: bytes | bytearray) -> bool:
        """Follow frames, and parts of them."""
        position = self.left
        if self._head:
            data, position = self._head + data, 0
            self._head = b""
        size = len(data)
        while position < size:
            position = self._header(data, position)
        self.left = position - size
        return position != _NEVER

    def _header(self, data: bytes | bytearray, start: int) -> int:
        """Read one header; where its frame ends. What is not whole yet is kept."""
        kind = self._kinds[data[start]]
        if kind in _REASONS:
            return self._broken(_REASONS[kind])
        if start + 2 > len(data):
            return self._keep(data, start, 2)
        length = data[start + 1] ^ self._masked
        if length > 127:
            wrong = "no mask" if self._masked else "a mask"
            return self._broken(f"{wrong} on a frame")
        if length > CONTROL:
            if kind in (_CLOSING, _PING_OR_PONG):
                return self._broken(f"a control frame of more than {CONTROL} bytes")
            return self._long(data, start, kind, length)
        if kind == _CLOSING:
            return self._closing(data, start, length)
        self._begin(kind)
        return start + self._short + length

    def _long(self, data: bytes | bytearray, start: int, kind: int, length: int) -> int:
        """Read a length of 16 or 64 bits."""
        more = 2 if length == 126 else 8
        if start + 2 + more > len(data):
            return self._keep(data, start, 2 + more)
        # RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the
        # length". One that was not leaves no doubt about boundaries, so it passes.
        length = int.from_bytes(data[start + 2 : start + 2 + more])
        if length >> 63:
            return self._broken("a length of more than 63 bits")
        self._begin(kind)
        return start + self._short + more + length

    def _closing(self, data: bytes | bytearray, start: int, length: int) -> int:
        """Read a Close frame as far as its code: the last of the stream."""
        # RFC 6455 section 5.5.1: "If there is a body, the first two bytes of the body
        # MUST be a 2-byte unsigned integer".
        if length < 2:
            self.code = NO_CODE
            return _NEVER
        end = start + self._short + 2
        if end > len(data):
            return self._keep(data, start, end - start)
        code = int.from_bytes(data[end - 2 : end])
        if self._masked:
            code ^= int.from_bytes(data[start + 2 : start + 4])
        self.code = code
        return _NEVER

    def _keep(self, data: bytes | bytearray, start: int, size: int) -> int:
        """Keep a header of which `size` bytes are needed; where they end."""
        self._head = bytes(data[start:])
        return start + size

    def _begin(self, kind: int) -> None:
        """Note what a frame means for its message."""
        if kind == _FIRST:
            self._kinds = _WITHIN
        elif kind == _LAST:
            self._kinds = _BETWEEN
            self.messages += 1
        elif kind == _MESSAGE:
            self.messages += 1

    def _broken(self, reason: str) -> int:
        self.breach = reason
        return _NEVER


def close(code: int, reason: str, *, mask: bytes = b"") -> bytes:
    """A Close frame (RFC 6455 section 5.5.1).

    `mask` is the masking key of four unpredictable bytes where the frame goes to the
    end that did not open the WebSocket; else it is empty.
    """
    payload = struct.pack("!H", code) + reason.encode()
    if len(payload) > CONTROL:
        raise AssertionError("reason too long for a Close frame")
    if not mask:
        return bytes((_CLOSE, len(payload))) + payload
    key = mask * (len(payload) // 4 + 1)
    hidden = bytes(byte ^ k for byte, k in zip(payload, key, strict=False))
    return bytes((_CLOSE, 0x80 | len(payload))) + mask + hidden
