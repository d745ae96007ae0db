"""What all WebSockets of one listener share: the seam, and how long things may take."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from protocols.http.head import HEAD
from protocols.net.dial import Dialled
from protocols.net.tasks import Tasks
from protocols.record import Record
from protocols.target import NOBODY, Choose, Report, Target

Dial = Callable[[Target, Callable[[], asyncio.BaseProtocol]], Awaitable[Dialled]]
"Connect to a target; raises DialError."

Refused = Callable[[str, int, str], None]
"Tell that a client's bytes were no handshake: its address, the status, the reason."


@dataclasses.dataclass(frozen=True, slots=True)
class Deadlines:
    """How long things may take, in seconds."""

    head: float = 10.0
    "From the connection to the end of the opening handshake's head."
    answer: float = 30.0
    "From the handshake sent to a target, to its answer."
    stall: float = 60.0
    "Without a byte while an answer that is no WebSocket is relayed."
    idle: float = 3_600.0
    "Without a byte either way."
    closing: float = 5.0
    "From a Close to the end of the connection."
    linger: float = 2.0
    "For a refused client to read why, before the connection is cut."


@dataclasses.dataclass(frozen=True, slots=True)
class Drain:
    """How WebSockets are ended when the listener ends, in seconds."""

    wait: float = 0.0
    "Time that they have to end by themselves."
    spread: float = 5.0
    "Time over which the others are closed, so that not all come back at once."


@dataclasses.dataclass(slots=True)
class Shared:
    """Built once per listener."""

    listener: str
    "Name of the listener, for records."
    to_provider: bool
    "The direction in which WebSockets open."
    choose: Choose
    "Where the next one goes."
    report: Report
    "Whom to tell what became of it."
    record: Record
    "Whom to give the access record."
    refused: Refused
    "Whom to tell of what was no handshake."
    dial: Dial
    "Connects to a target."
    tasks: Tasks
    "Owner of the tasks that open WebSockets."
    loop: asyncio.AbstractEventLoop
    "The loop that all of it runs on."
    head: int = HEAD
    "Bytes that the head of a handshake may have."
    deadlines: Deadlines = Deadlines()
    "How long things may take."
    nobody: str = NOBODY
    "What to tell a client that can be taken nowhere."
    draining: bool = False
    "No further WebSocket is opened."

    @property
    def direction(self) -> str:
        """The direction, as records have it."""
        return "to_provider" if self.to_provider else "from_provider"
