"""The access record: one value per flow, made at its end, for whoever asks why.

`ended` is two letters: who ended the flow, and in which phase it was.

| first letter | who |
|---|---|
| `-` | nobody: it ran to its end |
| `C` | the client |
| `F` | the far side: the edge, or the receiver at the site |
| `R` | the router: a refusal, a limit, a deadline, or no target left |

| second letter | phase |
|---|---|
| `-` | complete |
| `H` | reading the head of the request, or the TLS ClientHello |
| `C` | choosing and connecting |
| `B` | relaying the body of the request |
| `W` | waiting for the first byte of the answer |
| `D` | relaying the answer, or the data of a tunnel or WebSocket |
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from protocols.target import Result, Target


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """One target that a flow turned to, and how that went."""

    target: Target
    "Where to."
    result: Result | None
    "Why it was given up; None for the one that served, and if it was still under way."
    detail: str
    "The cause in words; empty where there is none, as with the one that served."
    seconds: float
    "From the attempt's start to that result."


@dataclasses.dataclass(slots=True)
class FlowRecord:
    """What became of one flow; no query or body, and no field value but one that was
    asked for: they hold secrets."""

    listener: str
    "Name of the listener in the configuration."
    protocol: str
    "What was spoken: https, connect, passthrough, websocket, sip."
    direction: str
    "to_provider or from_provider."
    client: str
    "Address of the peer that opened the flow."
    method: str = ""
    "Request method."
    host: str = ""
    "Host that the client asked for."
    path: str = ""
    "Path of the request, without its query."
    status: int = 0
    "Status given to the client; 0 for none."
    edge: str = ""
    "Edge or receiver that served."
    origin: str = ""
    "Edge that a flow from the provider came from, where its address tells."
    address: str = ""
    "Its address."
    reused: bool = False
    "Whether it was served on a connection that stood already, used before or not."
    resumed: bool = False
    "Whether a new TLS connection resumed a session."
    attempts: tuple[Attempt, ...] = ()
    "All targets turned to, in order; empty when the first one served at once."
    request_id: str = ""
    "What the far side calls the request, where a field of its answer is known to say."
    waited: float | None = None
    "Seconds from the request's arrival to a connection, where none was at hand."
    connect: float | None = None
    "Seconds for the transport connection, where one was made for this flow."
    tls: float | None = None
    "Seconds for the TLS handshake, where one was made for this flow."
    first_byte: float | None = None
    "Seconds from the request's arrival to the first byte of the answer."
    total: float = 0.0
    "Seconds from the request's arrival to the end of the flow."
    received: int = 0
    "Bytes of body taken from the client, or of tunnelled data or frames."
    sent: int = 0
    "Bytes of body given to the client, or of tunnelled data or frames."
    received_messages: int = 0
    "Whole WebSocket messages taken from the client."
    sent_messages: int = 0
    "Whole WebSocket messages given to the client."
    close_code: int = 0
    "Code of the first Close of a WebSocket, whoever said it; 0 for none."
    closed_by: str = ""
    "Who said that one: client, far_side or router; empty for nobody."
    ended: str = "--"
    "Who ended it and in which phase: see the module's tables."
    reason: str = ""
    "In words, why it did not run to its end; from our own text."


Record = Callable[[FlowRecord], None]
"Take the record of a flow that ended. Never raises, never waits."


class UnderWay(NamedTuple):
    """One flow that has not ended; made when somebody asks for it."""

    listener: str
    "Name of the listener."
    protocol: str
    "As in the record that it will give."
    client: str
    "Address of the peer that opened it."
    edge: str
    "Edge or receiver that serves it; empty as long as there is none."
    since: float
    "When it began, in monotonic seconds."
    received: int = 0
    "Bytes taken from the client so far, as the record will count them."
    sent: int = 0
    "Bytes given to the client so far."
