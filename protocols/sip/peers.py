"""Where messages come from and go to, and what the proxy has its shell do.

The core returns actions; the shell carries them out, in their order. They are tuples,
since several are made per message.
"""

import dataclasses
import enum
from typing import NamedTuple

from protocols.sip.records import CallRecord
from protocols.target import Outcome, Target, Transport


class Side(enum.IntEnum):
    """The two sides of the router."""

    SITE = 0
    EDGE = 1

    @property
    def other(self) -> "Side":
        """The side across."""
        return Side.EDGE if self is Side.SITE else Side.SITE


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """Where a message came from, and so where its answer goes."""

    side: Side
    "On which side of the router."
    transport: Transport
    "What carried it."
    address: str
    "IP address, as a literal."
    port: int
    "Port; of an answer over a lost connection, the one to connect to."
    connection: int = 0
    "Number of the connection that it came on; 0 for a datagram."


class Send(NamedTuple):
    """Send this message."""

    side: Side
    "The side to send it on."
    to: Peer | Target
    "A peer for an answer, a target for a request."
    data: bytes
    "The message."
    attempt: int = 0
    "Number to name in `Proxy.failed` if it cannot be sent; 0 where nobody cares."


class Observed(NamedTuple):
    """Report what became of a target."""

    target: Target
    "The target."
    outcome: Outcome
    "What became of it."


class Ended(NamedTuple):
    """Write down a call."""

    record: CallRecord
    "What became of it."


class Dropped(NamedTuple):
    """Count a message that is neither forwarded nor answered."""

    reason: str
    "Why, in a few words of our own, always the same ones."


class TurnedDown(NamedTuple):
    """Tell that a request was answered with a refusal of our own, and why."""

    status: int
    "The status answered."
    reason: str
    "Why."


Action = Send | Observed | Ended | Dropped | TurnedDown
"One thing for the shell to do."
