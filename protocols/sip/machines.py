"""The four transactions of RFC 3261 section 17, as tables.

RFC 6026 is in them: a transaction that saw a 2xx to an INVITE stays, as ACCEPTED, to
absorb the INVITE and to pass what else the 2xx brings. RFC 4320 concerns what is
answered rather than when, and is kept where answers are made.

What may happen to a transaction is an `Event`; the table of its machine says which
state it enters then, and what is to be done. What a table does not name is nothing.
"""

import dataclasses
import enum
import math
from collections.abc import Mapping

T1 = 0.5
"Seconds of a round trip, until the first repetition (RFC 3261 section 17.1.1.1)."
T2 = 4.0
"Longest time in seconds between repetitions of what is no INVITE (17.1.2.1)."
T4 = 5.0
"Seconds for which the network may keep a message (section 17.1.2.2)."
LIFE = 64 * T1
"Seconds until a transaction gives up: timers B, F, H, and J, L, M of its aftermath."
ABSORB = 32.0
"Timer D: at least 32 seconds (section 17.1.1.2)."


class State(enum.IntEnum):
    """Where a transaction stands."""

    CALLING = 1
    TRYING = 2
    PROCEEDING = 3
    ACCEPTED = 4
    COMPLETED = 5
    CONFIRMED = 6
    TERMINATED = 7


class Event(enum.IntEnum):
    """What happens to a transaction.

    A server transaction is told of requests that come, and of the answers that it is to
    give; a client transaction of the answers that come.
    """

    AGAIN = 1
    "The request came once more."
    ACKED = 2
    "An ACK came."
    PROVISIONAL = 3
    "An answer of 100 to 199."
    SUCCESS = 4
    "An answer of 200 to 299."
    FAILURE = 5
    "An answer of 300 to 699."
    BROKEN = 6
    "The transport failed."
    REPEAT = 7
    "Timer A, E or G: time to send again."
    TIMEOUT = 8
    "Timer B, F or H: nothing came."
    OVER = 9
    "Timer D, I, J, K, L or M: nothing more can come."


class Do(enum.IntEnum):
    """What a transaction's user is to do about an event."""

    NOTHING = 0
    "The transaction has absorbed it."
    PASS = 1
    "Pass it on: an answer upstream or to the peer, an ACK downstream."
    RESEND = 2
    "Send the last message again."
    ACK = 3
    "Acknowledge, and pass nothing on."
    ACK_AND_PASS = 4
    "Acknowledge, and pass the answer on."
    FAIL = 5
    "Nothing more will come of it."


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """What one state of one machine answers to events, and which timers it runs."""

    steps: Mapping[Event, tuple[State, Do]]
    "The state entered and what to do, for each event that matters."
    repeat: float = 0.0
    "Seconds until the first REPEAT; doubled each time. 0 for none."
    longest: float = math.inf
    "Seconds that lie between two REPEATs at most."
    timeout: float = 0.0
    "Seconds until TIMEOUT; 0 for none."
    over: float = 0.0
    "Seconds until OVER; 0 for none."
    goes_on: bool = False
    "Whether the TIMEOUT that the state before began goes on."


Machine = Mapping[State, Rules]
"The rules of every state of one kind of transaction over one kind of transport."

_END = Rules({})


def _invite_client(reliable: bool) -> Machine:
    """RFC 3261 section 17.1.1 with RFC 6026 section 8.4."""
    absorb = 0.0 if reliable else ABSORB
    answered = {
        Event.PROVISIONAL: (State.PROCEEDING, Do.PASS),
        Event.SUCCESS: (State.ACCEPTED, Do.PASS),
        Event.FAILURE: (
            State.COMPLETED if absorb else State.TERMINATED,
            Do.ACK_AND_PASS,
        ),
        Event.BROKEN: (State.TERMINATED, Do.FAIL),
    }
    waiting = {
        Event.REPEAT: (State.CALLING, Do.RESEND),
        Event.TIMEOUT: (State.TERMINATED, Do.FAIL),
    }
    return {
        State.CALLING: Rules(
            {**answered, **waiting}, repeat=0.0 if reliable else T1, timeout=LIFE
        ),
        # Timer B is for the first answer; how long it may ring is the proxy's Timer C.
        State.PROCEEDING: Rules(answered),
        State.ACCEPTED: Rules(
            {
                Event.SUCCESS: (State.ACCEPTED, Do.PASS),
                Event.OVER: (State.TERMINATED, Do.NOTHING),
            },
            over=LIFE,
        ),
        State.COMPLETED: Rules(
            {
                Event.FAILURE: (State.COMPLETED, Do.ACK),
                Event.BROKEN: (State.TERMINATED, Do.NOTHING),
                Event.OVER: (State.TERMINATED, Do.NOTHING),
            },
            over=absorb,
        ),
        State.TERMINATED: _END,
    }


def _client(reliable: bool) -> Machine:
    """RFC 3261 section 17.1.2."""
    absorb = 0.0 if reliable else T4
    done = State.COMPLETED if absorb else State.TERMINATED
    answered = {
        Event.PROVISIONAL: (State.PROCEEDING, Do.PASS),
        Event.SUCCESS: (done, Do.PASS),
        Event.FAILURE: (done, Do.PASS),
        Event.BROKEN: (State.TERMINATED, Do.FAIL),
        Event.TIMEOUT: (State.TERMINATED, Do.FAIL),
    }
    return {
        State.TRYING: Rules(
            {**answered, Event.REPEAT: (State.TRYING, Do.RESEND)},
            repeat=0.0 if reliable else T1,
            longest=T2,
            timeout=LIFE,
        ),
        # Section 17.1.2.2: "If timer E fires in the Proceeding state, ... timer E is
        # reset with a value of T2 seconds." Timer F goes on from TRYING.
        State.PROCEEDING: Rules(
            {**answered, Event.REPEAT: (State.PROCEEDING, Do.RESEND)},
            repeat=0.0 if reliable else T2,
            longest=T2,
            goes_on=True,
        ),
        State.COMPLETED: Rules(
            {Event.OVER: (State.TERMINATED, Do.NOTHING)}, over=absorb
        ),
        State.TERMINATED: _END,
    }


def _invite_server(reliable: bool) -> Machine:
    """RFC 3261 section 17.2.1 with RFC 6026 section 8.5."""
    confirmed = State.TERMINATED if reliable else State.CONFIRMED
    return {
        State.PROCEEDING: Rules(
            {
                Event.AGAIN: (State.PROCEEDING, Do.RESEND),
                Event.PROVISIONAL: (State.PROCEEDING, Do.PASS),
                Event.SUCCESS: (State.ACCEPTED, Do.PASS),
                Event.FAILURE: (State.COMPLETED, Do.PASS),
            }
        ),
        # RFC 6026 section 7.1: "any retransmissions of the INVITE received will match
        # this transaction state machine and will be absorbed".
        State.ACCEPTED: Rules(
            {
                Event.SUCCESS: (State.ACCEPTED, Do.PASS),
                Event.ACKED: (State.ACCEPTED, Do.PASS),
                Event.OVER: (State.TERMINATED, Do.NOTHING),
            },
            over=LIFE,
        ),
        State.COMPLETED: Rules(
            {
                Event.AGAIN: (State.COMPLETED, Do.RESEND),
                Event.REPEAT: (State.COMPLETED, Do.RESEND),
                Event.ACKED: (confirmed, Do.NOTHING),
                Event.TIMEOUT: (State.TERMINATED, Do.NOTHING),
            },
            repeat=0.0 if reliable else T1,
            longest=T2,
            timeout=LIFE,
        ),
        State.CONFIRMED: Rules({Event.OVER: (State.TERMINATED, Do.NOTHING)}, over=T4),
        State.TERMINATED: _END,
    }


def _server(reliable: bool) -> Machine:
    """RFC 3261 section 17.2.2."""
    done = State.TERMINATED if reliable else State.COMPLETED
    answers = {
        Event.PROVISIONAL: (State.PROCEEDING, Do.PASS),
        Event.SUCCESS: (done, Do.PASS),
        Event.FAILURE: (done, Do.PASS),
    }
    return {
        State.TRYING: Rules(answers),
        State.PROCEEDING: Rules(
            {**answers, Event.AGAIN: (State.PROCEEDING, Do.RESEND)}
        ),
        State.COMPLETED: Rules(
            {
                Event.AGAIN: (State.COMPLETED, Do.RESEND),
                Event.OVER: (State.TERMINATED, Do.NOTHING),
            },
            over=LIFE,
        ),
        State.TERMINATED: _END,
    }


INVITE_CLIENT = (_invite_client(False), _invite_client(True))
"Machine of an INVITE sent, over an unreliable and over a reliable transport."
CLIENT = (_client(False), _client(True))
"Machine of any other request sent."
INVITE_SERVER = (_invite_server(False), _invite_server(True))
"Machine of an INVITE that came."
SERVER = (_server(False), _server(True))
"Machine of any other request that came."


_ANSWERS = (*[Event.PROVISIONAL] * 2, Event.SUCCESS, *[Event.FAILURE] * 4)
"Events by the first digit of an answer's status."


def event_of(status: int) -> Event:
    """The event that an answer of that status is."""
    return _ANSWERS[status // 100]
