"""What is said on BIRD's control socket: two questions, and their answers.

Lines of an answer begin with a code of four digits and a hyphen, or with a space if the
code is that of the line before; the last one has a space behind its code (BIRD 2.0,
client/client.c and doc/reply_codes in its source). Read leniently: this is evidence to
show, and nothing is decided by it.
"""

import dataclasses
import re
from collections.abc import Mapping

MAX_REPLY = 1 << 16
"Bytes of one answer at most; that to one question of ours has some hundreds."
RESTRICT = b"restrict\n"
"Allows nothing on this connection any more but to ask."

_LINE = re.compile(r"([0-9]{4})([ -])(.*)")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]{2,45}")
_ROUTE = re.compile(r"\s*(\S*/[0-9]+)?\s+\w+ \[(\S+) [^\]]*\] (\*?)")
_HOP = re.compile(r"\s+(?:via \S+ on|dev) (\S+)")
_SUMMARY, _DETAILS, _ROUTES, _NO_ROUTE = 1002, 1006, 1007, 8001


class BirdError(Exception):
    """BIRD says no, or something that is no answer; our own text and its words."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer."""

    lines: tuple[tuple[int, str], ...]
    "Its lines, each with its code; the last one ends it."

    @property
    def code(self) -> int:
        """Code of the last line: 0 if it went well, from 8000 on if not."""
        return self.lines[-1][0]


@dataclasses.dataclass(frozen=True, slots=True)
class BgpSession:
    """One BGP session."""

    name: str
    "Name of the protocol in BIRD's configuration."
    state: str
    "State in the words of BGP: Established, Active, Idle; empty if it is down."
    since: str
    "Since when, as BIRD writes times."
    error: str = ""
    "The last error, if BIRD tells one."

    @property
    def established(self) -> bool:
        """Whether routes are exchanged."""
        return self.state == "Established"


@dataclasses.dataclass(frozen=True, slots=True)
class BgpRoute:
    """The best route to an address, as BIRD has it."""

    prefix: str
    "The prefix that holds the address."
    protocol: str
    "Name of the protocol that it came by."
    interfaces: tuple[str, ...]
    "Interfaces of its next hops."


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """What BIRD says."""

    sessions: Mapping[str, BgpSession | None] = dataclasses.field(default_factory=dict)
    "The sessions asked for; None for one that BIRD does not have."
    routes: Mapping[str, BgpRoute | None] = dataclasses.field(default_factory=dict)
    "The best routes to the addresses asked for; None for one without."
    trouble: str = ""
    "Why nothing is known; empty if something is."


def ask_session(name: str) -> bytes:
    """Ask for a session. Raises ValueError for what cannot be the name of one."""
    if not _NAME.fullmatch(name):
        raise ValueError("no name of a BGP session")
    return f'show protocols all "{name}"\n'.encode()


def ask_route(address: str) -> bytes:
    """Ask for the best route to an address. Raises ValueError for no IP address."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError("no IP address")
    return f"show route for {address} primary\n".encode()


class Replies:
    """Puts answers together from the bytes that come."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[tuple[int, str]] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Reply]:
        """Take bytes; the answers that they end. Raises BirdError for nonsense."""
        self._size += len(data)
        if self._size > MAX_REPLY:
            raise BirdError(f"an answer of more than {MAX_REPLY} bytes")
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = []
        for line in lines:
            # What it says is shown on terminals: no control characters.
            text = _CONTROL.sub("?", line.decode("utf-8", "replace"))
            if self._take(text):
                found.append(Reply(tuple(self._lines)))
                self._lines = []
                self._size = 0
        return found

    def _take(self, line: str) -> bool:
        """Take a line; whether it ends the answer."""
        match = _LINE.fullmatch(line)
        if match is not None:
            self._lines.append((int(match[1]), match[3]))
            return match[2] == " "
        if not line.startswith((" ", "+")) or not (self._lines or line[0] == "+"):
            raise BirdError("a line that is none of BIRD's")
        if line[0] == " ":  # "+" is before what BIRD says by itself
            self._lines.append((self._lines[-1][0], line[1:]))
        return False


def session(reply: Reply) -> BgpSession | None:
    """The session that an answer tells of; None if there is no such session.

    Raises BirdError if BIRD has not answered.
    """
    if reply.code >= 9000:
        raise BirdError(reply.lines[-1][1])
    words = [text.split() for code, text in reply.lines if code == _SUMMARY]
    if not words or len(words[0]) < 5:
        return None
    details = [text.strip() for code, text in reply.lines if code == _DETAILS]
    told = dict(map(_pair, details))
    name, _, _, _, since, *info = words[0]
    # The time is two words where the configuration says so.
    if info and info[0][:1].isdigit():
        since = f"{since} {info[0]}"
    return BgpSession(
        name, told.get("BGP state", ""), since, told.get("Last error", "")
    )


def route(reply: Reply) -> BgpRoute | None:
    """The best route that an answer tells of; None if there is none.

    Raises BirdError if BIRD has not answered.
    """
    if reply.code == _NO_ROUTE:
        return None
    if reply.code >= 8000:
        raise BirdError(reply.lines[-1][1])
    prefix = protocol = ""
    interfaces: list[str] = []
    for code, text in reply.lines:
        if code == _ROUTES and (match := _ROUTE.match(text)):
            if protocol:
                break  # of another table
            prefix, protocol = match[1] or prefix, match[2]
        elif code == _ROUTES and protocol and (match := _HOP.match(text)):
            interfaces.append(match[1])
    return BgpRoute(prefix, protocol, tuple(interfaces)) if protocol else None


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()
