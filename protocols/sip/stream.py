"""Messages and keep-alives out of a byte stream.

On a stream the end of a message is found by its Content-Length alone (RFC 3261 section
18.3). So what is wrong with that, or with the head as a whole, ends the stream: nobody
could say where the next message begins.
"""

import re

from protocols.sip.message import Message, MessageError, content_length, parse_head

MESSAGE = 65_536
"Bytes of a whole message, unless a listener's limits say otherwise."
_LINE_ENDS = re.compile(rb"(?:\r\n)*")


class Stream:
    """Gathers the bytes of one direction of a connection until messages are whole.

    After each `feed`, look at `pings`, and at `error`: once it is set, nothing more is
    read, and the connection is to be closed, after an answer to `refused` if the error
    has a status.
    """

    __slots__ = (
        "_buffer",
        "_half",
        "_head",
        "_limit",
        "_missing",
        "_seen",
        "awaits_pong",
        "error",
        "pings",
        "refused",
    )

    def __init__(self, limit: int = MESSAGE) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._seen = 0  # bytes in which no end of a head is
        self._head: Message | None = None  # waits for its body
        self._missing = 0  # bytes of that body
        self._half = 0  # 1 when the last line end may be the first half of a ping
        self.pings = 0
        "Pings that the last `feed` saw: each is to be answered by one CR LF."
        self.awaits_pong = False
        "Set by who sends a ping; unset when the answer is there."
        self.error: MessageError | None = None
        "What ended the stream; its status is None if nothing is to be answered."
        self.refused: Message | None = None
        "The request to answer then; it has no body."

    def __len__(self) -> int:
        """Bytes that wait for the rest of their message, its read head not counted."""
        return len(self._buffer)

    @property
    def waiting(self) -> bool:
        """Whether a message has begun and is not whole; a peer may take too long."""
        return self._head is not None or bool(self._buffer)

    def feed(self, data: bytes) -> list[Message]:
        """Add what arrived; the messages that became whole by it, in their order."""
        self.pings = 0
        messages: list[Message] = []
        if self.error is not None:
            return messages
        self._buffer += data
        try:
            while (message := self._next()) is not None:
                messages.append(message)
        except MessageError as error:
            self.error = error
            self._head = None
            self._buffer.clear()
        return messages

    def _next(self) -> Message | None:
        """Cut out one message, if it is whole. Raises MessageError."""
        if self._head is None:
            self._head = self._next_head()
        message = self._head
        if message is None or len(self._buffer) < self._missing:
            return None
        message.body = bytes(self._buffer[: self._missing])
        del self._buffer[: self._missing]
        self._head = None
        return message

    def _next_head(self) -> Message | None:
        buffer = self._buffer
        self._skip_line_ends()
        end = buffer.find(b"\r\n\r\n", max(0, self._seen - 3)) + 4
        if (end if end >= 4 else len(buffer)) > self._limit:
            raise MessageError(None, "head too large")
        if end < 4:
            self._seen = len(buffer)
            return None
        message = parse_head(bytes(buffer[: end - 4]))
        self._missing = self._body_length(message, self._limit - end)
        del buffer[:end]
        self._seen = self._half = 0
        return message

    def _skip_line_ends(self) -> None:
        """Take off what stands before a start line, and tell what of it is a ping.

        RFC 3261 section 7.5: "Implementations processing SIP messages over
        stream-oriented transports MUST ignore any CRLF appearing before the
        start-line". RFC 5626 section 4.4.1: two of them are a ping, one answers it.
        """
        match = _LINE_ENDS.match(self._buffer)
        assert match is not None, "the pattern matches nothing, too"
        end = match.end()
        del match  # a bytearray that is looked at cannot shrink
        if not end:
            return
        del self._buffer[:end]
        self._seen = 0
        count = end // 2
        if self.awaits_pong:
            self.awaits_pong = False
            count -= 1
        pings, self._half = divmod(count + self._half, 2)
        self.pings += pings

    def _body_length(self, message: Message, most: int) -> int:
        """Bytes of the body; what cannot be framed is kept to be answered."""
        try:
            length = content_length(message)
            # RFC 3261 section 20.14: "If a stream-based protocol (such as TCP) is used
            # as transport, then the header field MUST be used."
            if length is None:
                raise MessageError(400, "no Content-Length on a stream")
            if length > most:
                raise MessageError(513, "message too large")
        except MessageError as error:
            if message.status:
                raise MessageError(None, error.reason) from None
            self.refused = message
            raise
        return length
