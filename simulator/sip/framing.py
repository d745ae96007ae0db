"""Messages out of a byte stream (RFC 3261 section 18.3, RFC 5626 section 3.5.1)."""

import re

PING = b"\r\n\r\n"
"Keep-alive that asks for an answer."
PONG = b"\r\n"
"Its answer."
LARGEST = 65_536
"Bytes of one message."

_LENGTH = re.compile(
    rb"^(?:content-length|l)[ \t]*:[ \t]*(\d{1,9})[ \t]*$", re.I | re.M
)


class Framer:
    """Cuts one direction of one connection into messages and keep-alives."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """What is complete now: messages, and `PING` for each that came between them.

        Raises ValueError for what can never become a message.
        """
        self._rest += data
        found: list[bytes] = []
        while (one := self._next()) is not None:
            found.append(one)
        return found

    def _next(self) -> bytes | None:
        rest = self._rest
        if rest.startswith(PING):
            del rest[:4]
            return PING
        if rest.startswith(PONG) and len(rest) > 2 and rest[2:3] != b"\r":
            del rest[:2]  # a pong, or the end of a line before a message
        end = rest.find(b"\r\n\r\n")
        if end < 0:
            if len(rest) > LARGEST:
                raise ValueError("no end of the header")
            return None
        lengths = _LENGTH.findall(rest[:end].replace(b"\r\n", b"\n"))
        if len(lengths) != 1:
            raise ValueError("a message on a stream needs one Content-Length")
        size = end + 4 + int(lengths[0])
        if size > LARGEST:
            raise ValueError("too long a message")
        if len(rest) < size:
            return None
        message = bytes(rest[:size])
        del rest[:size]
        return message
