"""The server transaction of a request: its answers, its repetitions, its ACK."""

from protocols.record import UnderWay
from protocols.sip import replies
from protocols.sip.machines import (
    INVITE_SERVER,
    SERVER,
    T1,
    T2,
    Do,
    Event,
    State,
    event_of,
)
from protocols.sip.message import Message
from protocols.sip.peers import Peer, Send
from protocols.sip.shared import Key, Shared
from protocols.sip.transaction import Transaction
from protocols.target import Transport

TRYING_AFTER = T1 + 2 * T1 + T2 / 2
"""Seconds until a request that is no INVITE gets a 100.

RFC 4320 section 4.1: not "before the amount of time it takes a client transaction's
Timer E to be reset to T2", which is the sum of 0.5, 1 and 2 s.
"""


class Answering(Transaction):
    """A request that came, and what it was answered so far."""

    __slots__ = ("_key", "_peer", "_shared", "_size", "given", "is_invite", "request")

    def __init__(
        self, shared: Shared, key: Key, request: Message, peer: Peer, now: float
    ) -> None:
        reliable = peer.transport is not Transport.UDP
        self.is_invite = request.method == b"INVITE"
        if self.is_invite:
            machine, state = INVITE_SERVER[reliable], State.PROCEEDING
        else:
            machine, state = SERVER[reliable], State.TRYING
        super().__init__(machine, state, shared.timers, now)
        self._shared = shared
        self._key = key
        self._peer = peer
        self.request = request
        self.given = 0
        "Status of the final answer that was given; 0 before."
        self._size = len(request)
        shared.held += self._size
        shared.under_way[peer.side] += 1
        shared.contexts[key] = self

    def again(self, now: float) -> None:
        """Take that the request came once more: it was answered, or is under way."""
        if self.on(Event.AGAIN, now) is Do.RESEND:
            self._send(self.last)

    def acked(self, now: float) -> bool:
        """Take an ACK; returns whether it is to be passed on."""
        passes = self.on(Event.ACKED, now) is Do.PASS
        self._drop_if_over()
        return passes

    def under_way(self, listener: str) -> UnderWay | None:
        """Nothing: what the router answers by itself goes nowhere."""

    def cancelled(self, request: Message, now: float) -> None:
        """Take a CANCEL: too late for what has its answer."""

    def expired(self, kind: int, now: float) -> None:
        """A timer of the transaction ran out."""
        if self.on(Event(kind), now) is Do.RESEND:
            self._send(self.last)
        self._drop_if_over()

    def answer(
        self,
        status: int,
        now: float,
        extra: tuple[bytes, ...] = (),
        reason: bytes = b"",
    ) -> None:
        """Give an answer of our own, unless the transaction has had its last."""
        if not self.given:
            data = replies.reply(self.request, status, reason, extra=extra)
            self.say(status, data, now)

    def say(self, status: int, data: bytes, now: float) -> None:
        """Send an answer to a request that has not had its last."""
        if status >= 200:
            self.given = status
            if self.is_invite and status < 300:
                self._shared.accepted = now
        self.on(event_of(status), now)
        # What is accepted is not said again: whoever accepted it does that.
        self.last = b"" if self.state is State.ACCEPTED else data
        self._send(data)
        self._drop_if_over()

    def _send(self, data: bytes) -> None:
        self._shared.actions.append(Send(self._peer.side, self._peer, data))

    def _drop_if_over(self) -> None:
        if self.state is State.TERMINATED:
            self._forget()

    def _forget(self) -> None:
        shared = self._shared
        del shared.contexts[self._key]
        shared.held -= self._size
        shared.under_way[self._peer.side] -= 1
