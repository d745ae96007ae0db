"""Whom a SIP socket listens to: known networks, at a bearable pace, and no scanners.

A pure core. What it turns away is dropped without a word: an answer would tell a
scanner that somebody is here, and would go to whoever an address was forged for.
"""

import dataclasses
import enum
import ipaddress
import re
from collections.abc import Sequence

from protocols.sip.headers import tag_in
from protocols.sip.message import Message, MessageError
from protocols.sip.settings import Network

SOURCES = 4_096
"Addresses whose pace is remembered."

_ENDING = (b"SIP/2.0 ", b"ACK ", b"BYE ", b"CANCEL ")
_SCANNERS = re.compile(
    rb"friendly-(?:scanner|request)|sip(?:vicious|cli\b|scan)|sip-scan|sundayddr"
    rb"|vaxsipuseragent|pplsip|iwar\b|smap\b|svwar|svmap",
    re.IGNORECASE,
)


class Drop(enum.StrEnum):
    """Why a message was dropped before anybody looked at what it asks."""

    NOT_ALLOWED = "not_allowed"
    "Its address is in none of the networks that may send."
    FLOOD = "flood"
    "Its address sends more than one may."
    ASTRAY = "astray"
    "It begins something, and did not come by the way by which its address is reached."
    SCANNER = "scanner"
    "It says of itself that it looks for victims."


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """How much one address may send."""

    rate: float = 5_000.0
    "Messages per second, for as long as it likes."
    burst: float = 10_000.0
    "Messages at once; half of it is kept for what ends or goes on."


class Guard:
    """Decides about each message of one side; mutable by its own methods alone."""

    def __init__(
        self,
        networks: Sequence[Network],
        pace: Pace = Pace(),
        sources: int = SOURCES,
    ) -> None:
        self.networks = networks
        "Those that may send."
        self._pace = pace
        self._most = sources
        self._sources: dict[str, _Source] = {}

    def look(self, address: str, data: bytes, now: float) -> Drop | None:
        """Why to drop what came from an address; `now` in seconds. None to take it.

        Answers, and requests that end something or acknowledge it, are dropped last:
        a flood of new calls should not cut those that stand.
        """
        source = self._sources.get(address)
        if source is None:
            if not self.allows(address):
                return Drop.NOT_ALLOWED
            source = self._remember(address, now)
        pace = self._pace
        left = source.left + (now - source.when) * pace.rate
        source.when = now
        source.left = left = min(left, pace.burst)
        if left < 1.0 or (left < pace.burst / 2 and not data.startswith(_ENDING)):
            return Drop.FLOOD
        source.left = left - 1.0
        return None

    def allows(self, address: str) -> bool:
        """Whether an address, as a literal, may send at all."""
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self.networks)

    def __len__(self) -> int:
        """Addresses remembered."""
        return len(self._sources)

    def _remember(self, address: str, now: float) -> "_Source":
        if len(self._sources) >= self._most:
            # It starts afresh when it comes again, which gives it more, not less.
            del self._sources[next(iter(self._sources))]
        source = self._sources[address] = _Source(self._pace.burst, now)
        return source


@dataclasses.dataclass(slots=True)
class _Source:
    """The pace of one address."""

    left: float
    "Messages that it may send at once."
    when: float
    "When that was so."


def begins(request: Message) -> bool:
    """Whether a request is of no dialog: those that stand go on, come what may."""
    try:
        return request.method != b"ACK" and not tag_in(request.line(b"to"))
    except MessageError:
        return True


def is_scanner(request: Message) -> bool:
    """Whether a request gives the name of a tool that looks for open doors."""
    agent = request.first(b"user-agent")
    return agent is not None and _SCANNERS.search(agent) is not None
