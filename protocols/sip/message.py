"""SIP messages that keep their bytes (RFC 3261 section 7).

A proxy owns a few lines of what it forwards. All others, the body, and every escape,
case, fold and space in them go on as they came: `bytes(parse(data)) == data`. So a
message is its lines. Values are read when a rule asks, and an edit touches whole lines.

`parse` refuses what cannot be answered, whatever is wrong with it: no end of the head,
a line that is no field, a start line of another protocol. All that has those parts is a
message, and `protocols.sip.validity` says what is wrong with it.
"""

import functools
import re

from protocols.sip.names import KNOWN, learn, spelled

VALUE = re.compile(rb'(?:[^",<]++|"(?:[^"\\]++|\\.)*"|<[^>]*+>)*', re.DOTALL)
"""Matches one value of a comma list, up to its comma or the end.

Commas within quotes and angle brackets belong to the value. A match that ends before
anything else ends at a quote or bracket that nobody closes.
"""

SHORT = 64
"Bytes of a line of Content-Length that is remembered once read: few lengths are met."
REMEMBERED = 1_024
"How many such lines are remembered."
_TOKEN = re.compile(rb"[A-Za-z0-9.!%*_+`'~-]+")
_VERSION = re.compile(rb"[Ss][Ii][Pp]/[0-9]{1,9}\.[0-9]{1,9}")
_METHODS = frozenset(
    b"ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER "
    b"SUBSCRIBE UPDATE".split()
)
"Methods that need no look at their letters."
_STATUS = re.compile(rb"[Ss][Ii][Pp]/2\.0 ([1-6][0-9][0-9])(?: .*)?", re.DOTALL)
_FOLD = re.compile(rb"\r\n[ \t]+")


class MessageError(Exception):
    """The peer sent something that is no sound SIP message.

    `status` is the code to answer a request with, None where nothing is answered:
    the message is dropped. `reason` is our own text and never holds bytes of the peer.
    """

    def __init__(self, status: int | None, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Message:
    """One request or response. Its methods alone change it.

    Names of fields are given and compared in lower case and in their long form; fields
    that came in another case or in the compact form are found all the same.
    """

    __slots__ = ("body", "lines", "method", "names", "start", "status", "uri")

    start: bytes
    "The start line as it came, without its CR LF."
    lines: list[bytes]
    "One per header field, as it came, folds included, without its last CR LF."
    names: list[bytes]
    "The name of each line: lower case, long form."
    body: bytes
    "What came behind the empty line, as long as Content-Length says."
    method: bytes
    "Method of a request, in its own case; empty for a response."
    uri: bytes
    "Request-URI as it came; empty for a response."
    status: int
    "Status code of a response; 0 for a request."

    def __bytes__(self) -> bytes:
        return b"\r\n".join((self.start, *self.lines, b"", self.body))

    def __len__(self) -> int:
        """Bytes of the whole message, nearly: line ends are not counted."""
        return len(self.start) + sum(map(len, self.lines)) + len(self.body)

    def copy(self) -> "Message":
        """A message to edit while this one stays; they share their bytes."""
        twin = Message()
        twin.start = self.start
        twin.lines = self.lines.copy()
        twin.names = self.names.copy()
        twin.body = self.body
        twin.method = self.method
        twin.uri = self.uri
        twin.status = self.status
        return twin

    def first(self, name: bytes) -> bytes | None:
        """Value of the first field of that name, on one line, stripped; None if none.

        What may be a comma list comes whole.
        """
        names = self.names
        return value_of(self.lines[names.index(name)]) if name in names else None

    def line(self, name: bytes) -> bytes:
        """The first line of that name as it came; empty if there is none."""
        names = self.names
        return self.lines[names.index(name)] if name in names else b""

    def all(self, name: bytes) -> list[bytes]:
        """Values of all fields of that name, like `first`, in their order."""
        return [value_of(line) for line in self.lines_of(name)]

    def lines_of(self, name: bytes) -> list[bytes]:
        """All lines of that name as they came, for an answer to repeat."""
        count = self.names.count(name)
        if count < 2:
            return [self.lines[self.names.index(name)]] if count else []
        both = zip(self.names, self.lines, strict=True)
        return [line for other, line in both if other == name]

    def push_first(self, name: bytes, value: bytes) -> None:
        """Put a new line above the first of that name, or above all lines."""
        at = self.names.index(name) if name in self.names else 0
        self.lines.insert(at, _line(name, value))
        self.names.insert(at, name)

    def pop_first_value(self, name: bytes) -> bytes | None:
        """Take out the first value of a comma list, with its line if it was the last.

        None if there is no such field. Raises MessageError with status 400 where the
        value does not end.
        """
        if name not in self.names:
            return None
        at = self.names.index(name)
        value, rest = _parted(self.lines[at])
        if rest:
            self.lines[at] = _line(name, rest)
        else:
            del self.lines[at], self.names[at]
        return value

    def replace_line(self, name: bytes, line: bytes) -> None:
        """Put a whole line in place of the first of that name, which must be there."""
        self.lines[self.names.index(name)] = line

    def pop_line(self, name: bytes) -> bytes:
        """Take out the first line of that name, which must be there, as it came."""
        at = self.names.index(name)
        del self.names[at]
        return self.lines.pop(at)

    def replace_first_value(self, name: bytes, value: bytes) -> None:
        """Put a value in place of the first one of a comma list, which must be there.

        Raises MessageError with status 400 where the old value does not end.
        """
        at = self.names.index(name)
        rest = _parted(self.lines[at])[1]
        self.lines[at] = _line(name, value + b", " + rest if rest else value)

    def set(self, name: bytes, value: bytes) -> None:
        """Make this the one field of that name: in place of the first, or as last."""
        found = self.names.count(name)
        if not found:
            self.lines.append(_line(name, value))
            self.names.append(name)
            return
        at = self.names.index(name)
        if found > 1:
            self.remove(name)
            self.names.insert(at, name)
            self.lines.insert(at, b"")
        self.lines[at] = _line(name, value)

    def ensure_length(self) -> None:
        """Say how long the body is, unless it was said.

        RFC 3261 section 18.3: on a stream "the Content-Length header field indicates
        the size of the body", and must be there; in a datagram it may be left out.
        """
        if b"content-length" not in self.names:
            self.set(b"content-length", b"%d" % len(self.body))

    def remove(self, name: bytes) -> None:
        """Take out all fields of that name."""
        self.lines = [
            line
            for other, line in zip(self.names, self.lines, strict=True)
            if other != name
        ]
        self.names = [other for other in self.names if other != name]

    def retarget(self, uri: bytes) -> None:
        """Give a request another Request-URI."""
        self.uri = uri
        self.start = self.method + b" " + uri + b" SIP/2.0"


def parse(data: bytes) -> Message:
    """Read a datagram.

    Raises MessageError with status None for what is to be dropped without an answer.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        raise MessageError(None, "no end of the head")
    message = parse_head(head)
    message.body = body
    _trim(message)
    return message


def parse_head(head: bytes) -> Message:
    """Read what stands before the empty line; the message has no body yet.

    Raises MessageError with status None for what is to be dropped without an answer.
    """
    lines = head.splitlines() or [b""]
    # What others take for the end of a line must not be part of one.
    if b"\r\n".join(lines) != head:
        raise MessageError(None, "line end that is not CR LF")
    start = lines.pop(0)
    try:
        names = _names(lines)
    except MessageError:
        # Folding is rare: it is looked for when something is no field otherwise.
        lines = _unfolded(lines)
        names = _names(lines)
    message = Message()
    message.start = start
    message.lines = lines
    message.names = names
    message.body = b""
    _read_start(message)
    return message


def value_of(line: bytes) -> bytes:
    """What a line says behind its colon, on one line, stripped."""
    value = line.partition(b":")[2]
    if b"\n" in value:
        value = _FOLD.sub(b" ", value)
    return value.strip(b" \t")


def content_length(message: Message) -> int | None:
    """What Content-Length says, in bytes; None if it is not there.

    Raises MessageError with status 400 if it says nothing, or two things.
    """
    found = message.names.count(b"content-length")
    if not found:
        return None
    if found > 1 and len({*message.all(b"content-length")}) > 1:
        raise MessageError(400, "two values of Content-Length")
    line = message.lines[message.names.index(b"content-length")]
    return (_length if len(line) <= SHORT else _length.__wrapped__)(line)


@functools.lru_cache(maxsize=REMEMBERED)
def _length(line: bytes) -> int:
    value = value_of(line)
    if not value.isdigit() or len(value) > 20:
        raise MessageError(400, "invalid Content-Length")
    return int(value)


def _read_start(message: Message) -> None:
    """Tell requests from responses, and other protocols from both.

    Requests are told generously: one that is wrong in a detail can still be answered.
    """
    start = message.start
    message.status = 0
    message.method, _, rest = start.partition(b" ")
    if message.method in _METHODS and rest.endswith(b" SIP/2.0"):
        message.uri = rest[:-8]
        return
    status = _STATUS.fullmatch(start)
    if status is not None:
        message.method = message.uri = b""
        message.status = int(status[1])
        return
    message.uri, _, version = rest.rpartition(b" ")
    if version != b"SIP/2.0":
        message.uri, _, version = rest.rstrip(b" \t").rpartition(b" ")
    # RFC 4475 section 3.1.2.19: a response that makes no sense is dropped.
    if not _TOKEN.fullmatch(message.method) or not _VERSION.fullmatch(version):
        raise MessageError(None, "neither a request nor a response of SIP")


def _trim(message: Message) -> None:
    """Cut off what does not belong to the body.

    RFC 3261 section 18.3: "If there are additional bytes in the transport packet beyond
    the end of the body, they MUST be discarded." What is wrong with a request is left
    for `validity.check`, so that it can be answered.
    """
    try:
        length = content_length(message)
    except MessageError as error:
        if message.status:
            raise MessageError(None, error.reason) from None
        return
    body = message.body
    if length is None or len(body) == length:
        return
    # The same: "If the transport packet ends before the end of the message body, this
    # is considered an error. If the message is a response, it MUST be discarded."
    if message.status and len(body) < length:
        raise MessageError(None, "body shorter than Content-Length")
    message.body = body[:length]


def _unfolded(lines: list[bytes]) -> list[bytes]:
    """The lines of a head with continuations joined to what they continue."""
    whole: list[list[bytes]] = []
    for line in lines:
        if line[:1] not in (b" ", b"\t"):
            whole.append([line])
        elif whole:
            whole[-1].append(line)
        else:
            raise MessageError(None, "folded start line")
    return [b"\r\n".join(pieces) for pieces in whole]


def _names(lines: list[bytes]) -> list[bytes]:
    """The canonical name of each field."""
    names = []
    known = KNOWN.get
    for line in lines:
        field, colon, _ = line.partition(b":")
        name = known(field)
        if name is None or not colon:
            name = learn(field) if colon else b""
            if not name:
                raise MessageError(None, "line that is no header field")
        names.append(name)
    return names


def _line(name: bytes, value: bytes) -> bytes:
    return spelled(name) + b": " + value


def _parted(line: bytes) -> tuple[bytes, bytes]:
    """The first value of a comma list on one line, and the rest as it came."""
    if b"," not in line and b'"' not in line and b"<" not in line:
        return value_of(line), b""
    start = line.find(b":") + 1
    match = VALUE.match(line, start)
    assert match is not None, "the pattern matches nothing, too"
    end = match.end()
    if line[end : end + 1] not in (b",", b""):
        raise MessageError(400, "quote or bracket without its end")
    value = _FOLD.sub(b" ", line[start:end]).strip(b" \t")
    return value, line[end + 1 :].lstrip(b" \t\r\n")
