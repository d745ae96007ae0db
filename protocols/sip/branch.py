"""One attempt: a copy of the request at one target, and the CANCEL of it."""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Protocol

from protocols.record import Attempt
from protocols.sip import replies
from protocols.sip.cancel import Cancel
from protocols.sip.machines import (
    CLIENT,
    INVITE_CLIENT,
    LIFE,
    Do,
    Event,
    State,
    event_of,
)
from protocols.sip.message import Message
from protocols.sip.peers import Observed, Send, Side
from protocols.sip.shared import Shared
from protocols.sip.timers import Timer
from protocols.sip.transaction import Transaction
from protocols.target import ALIVE, Outcome, Result, Target, Transport

COOKIE = b"z9hG4bK"
"How a branch begins whose sender knows RFC 3261 (section 8.1.1.7)."

ARRIVED = (Result.SILENT, Result.RESET, Result.BAD_ANSWER)
"What may become of a request that has arrived; all else becomes of one never sent."

_ACKED = (Do.ACK, Do.ACK_AND_PASS)
_PASSED = (Do.PASS, Do.ACK_AND_PASS)
_ANSWERED = (Result.ALIVE, Result.SERVER_ERROR)


class Clock(enum.IntEnum):
    """Timers of the proxy, beside those of its transactions."""

    SILENT = 20
    "Nothing came from a target."
    STUCK = 21
    "Nothing but a 100 came from a target."
    RINGING = 22
    "Timer C."
    CANCELLED = 23
    "A cancelled request was not answered."
    FORGOTTEN = 24
    "An abandoned attempt is no longer waited for."
    DEADLINE = 25
    "A request has been tried for long enough."
    TRYING = 26
    "A request that is no INVITE may be answered with 100."
    LATE = 27
    "Nothing came for an INVITE in half the time that it is waited for."


class Decides(Protocol):
    """What a branch is part of: it decides what an answer, or its absence, means."""

    request: Message
    "The request to send, without the lines that each copy has for itself."
    is_invite: bool
    "Whether the request is an INVITE."
    has_rung: bool
    "Whether an answer of 101 to 199 was passed on."
    reasons: Sequence[bytes]
    "The lines of Reason in the CANCEL that came."

    def lines_for(self, target: Target) -> list[bytes]:
        """Lines that the copy for this target has above its others: Record-Route."""

    def answered(self, branch: "Branch", response: Message, now: float) -> None:
        """Take an answer that the transaction has not absorbed."""

    def ended(self, branch: "Branch", now: float) -> None:
        """Take that nothing will come of a branch that was waited for."""

    def ran_out(self, branch: "Branch", clock: Clock, now: float) -> None:
        """Take that a clock of this branch has run out."""


class Branch(Transaction):
    """One client transaction, and what is known of its target.

    It is *live* while its answer is waited for. When it is abandoned it is not
    forgotten: its target may still answer, and must not ring then.
    """

    __slots__ = (
        "_clock",
        "_decides",
        "_has_cancel",
        "_shared",
        "_size",
        "answered",
        "attempt",
        "begun",
        "cancelling",
        "detail",
        "id",
        "live",
        "method",
        "provisional",
        "result",
        "seconds",
        "side",
        "stand_in",
        "target",
        "via",
    )

    def __init__(
        self,
        shared: Shared,
        decides: Decides,
        side: Side,
        target: Target,
        mark: bytes,
        now: float,
    ) -> None:
        self._shared = shared
        self._decides = decides
        self._clock: Timer | None = None
        self._has_cancel = False
        self.method = decides.request.method
        self.side = side
        self.begun = now
        self.attempt = shared.number()
        self.id = COOKIE + shared.token() + mark
        self.live = True
        self.provisional = False
        "Whether it was answered with anything below 200."
        self.answered = False
        "Whether it was answered with a 2xx."
        self.cancelling = False
        "Whether a CANCEL was sent, or is to be sent once there is an answer."
        self.result: Result | None = None
        self.detail = ""
        self.seconds = 0.0
        self.stand_in: Target | None = None
        "The target over UDP, where TCP is used for the size of the message alone."
        self.via = b""
        "The whole line under which the request was sent."
        data = self._addressed(target)
        mtu = shared.settings.mtu
        if (
            mtu
            and len(data) > mtu
            and target.transport is Transport.UDP
            and not shared.is_udp_only(target, now)
            and shared.places.face(
                side, Transport.TCP, target.address, target.source
            ).is_bound
        ):
            # RFC 3261 section 18.1.1: a request "larger than 1300 bytes" MUST be sent
            # over "a congestion controlled transport protocol, such as TCP". Not so
            # where the far side could not reach us by it: Record-Route names it, and
            # the far side's requests in the dialog would be refused.
            self.stand_in = target
            target = dataclasses.replace(target, transport=Transport.TCP)
            data = self._addressed(target)
        self.target = target
        reliable = target.transport is not Transport.UDP
        if decides.is_invite:
            super().__init__(INVITE_CLIENT[reliable], State.CALLING, shared.timers, now)
        else:
            super().__init__(CLIENT[reliable], State.TRYING, shared.timers, now)
        self.last = data
        self._size = len(data)
        shared.held += self._size
        shared.branches[self.id] = shared.attempts[self.attempt] = self
        self._send(data)

    def received(self, response: Message, now: float) -> None:
        """Take an answer to this copy."""
        do = self.on(event_of(response.status), now)
        if do in _ACKED:
            self._send(replies.ack(self._decides.request, self.via, response))
        if do in _PASSED:
            self._decides.answered(self, response, now)
        self._drop_if_over()

    def expired(self, kind: int, now: float) -> None:
        """A timer ran out, of the transaction or of the proxy."""
        if kind >= Clock.SILENT:
            self._ran_out(Clock(kind), now)
            return
        do = self.on(Event(kind), now)
        if do is Do.RESEND:
            self._send(self.last)
        elif do is Do.FAIL:
            self.end(Result.SILENT, "no answer", now)
            self._decides.ended(self, now)
        self._drop_if_over()

    def failed(self, result: Result, detail: str, now: float) -> None:
        """Take that the transport failed."""
        if self.provisional and self._decides.has_rung:
            return  # whoever rings may still answer, on another connection
        waiting = self.live
        if self._may_ring(result):
            if waiting:
                self.abandon(result, detail, now)
                self._decides.ended(self, now)
        elif self.on(Event.BROKEN, now) is Do.FAIL:
            self.end(result, detail, now)
            self.forget()
            if waiting:
                self._decides.ended(self, now)
        else:
            self._drop_if_over()

    def wait(self, clock: Clock, seconds: float, now: float) -> None:
        """Start a clock; one runs at a time."""
        self.stop_waiting()
        self._clock = self.timers.set(seconds, self, clock, now)

    def stop_waiting(self) -> None:
        """Stop the clock."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def ring(self, now: float) -> None:
        """Start Timer C, or again, once per second at most: a peer may flood."""
        seconds = self._shared.settings.ringing
        clock = self._clock
        if (
            clock is None
            or clock.kind != Clock.RINGING
            or clock.deadline < now + seconds - 1.0
        ):
            self.wait(Clock.RINGING, seconds, now)

    def abandon(self, result: Result | None, detail: str, now: float) -> None:
        """Wait no longer for its answer, but for what must be done about a late one."""
        self.end(result, detail, now)
        self.hush()
        self.wait(Clock.FORGOTTEN, self._shared.settings.ringing, now)
        if self.provisional:
            self.cancel(now)

    def revive(self, now: float) -> None:
        """Wait for its answer again."""
        self.live = True
        self.result = None
        self.detail = ""
        self.stop_waiting()
        self.resume(now)

    def cancel(self, now: float) -> None:
        """Cancel it: at once if it was answered at all, or as soon as it is.

        RFC 3261 section 9.1: "If no provisional response has been received, the CANCEL
        request MUST NOT be sent; rather, the client MUST wait for the arrival of a
        provisional response before sending the request."
        """
        if not self._decides.is_invite or self.state > State.PROCEEDING:
            return
        self.cancelling = True
        if not self.provisional or self._has_cancel:
            return
        self._has_cancel = True
        data = replies.cancel(self._decides.request, self.via, self._decides.reasons)
        Cancel(self._shared, self.side, self.target, self.id, data, now)
        if self.live:
            # Section 9.1: without a final answer in 64*T1 seconds, "the client SHOULD
            # then consider the original transaction cancelled".
            self.wait(Clock.CANCELLED, LIFE, now)

    def end(self, result: Result | None, detail: str, now: float) -> None:
        """Wait no longer, and write down why."""
        self.live = False
        self.result = result
        self.detail = detail
        self.seconds = now - self.begun
        self.stop_waiting()

    def observe(self, result: Result, detail: str = "") -> None:
        """Report what became of the target.

        One that stands for another is nobody whom the policy knows. What it answers
        is told of the other one; that it does not says nothing about that.
        """
        if self.stand_in is not None and result not in _ANSWERED:
            return
        target = self.stand_in or self.target
        outcome = ALIVE if result is Result.ALIVE else Outcome(result, detail=detail)
        self._shared.actions.append(Observed(target, outcome))

    def noted(self) -> Attempt:
        """This attempt, for the record."""
        return Attempt(self.target, self.result, self.detail, self.seconds)

    def forget(self) -> None:
        """Leave the tables: what comes now is nobody's."""
        self.hush()
        self.stop_waiting()
        self._shared.branches.pop(self.id, None)
        self._shared.held -= self._size
        self._size = 0
        self._shared.attempts.pop(self.attempt, None)

    def _addressed(self, target: Target) -> bytes:
        """The copy for a target: our own lines above those that came."""
        face = self._shared.places.face(
            self.side, target.transport, target.address, target.source
        )
        self.via = face.via + self.id
        request = self._decides.request
        if target.transport is not Transport.UDP:
            request.ensure_length()
        return b"\r\n".join(
            (
                request.start,
                self.via,
                *self._decides.lines_for(self.stand_in or target),
                *request.lines,
                b"",
                request.body,
            )
        )

    def _send(self, data: bytes) -> None:
        self._shared.actions.append(Send(self.side, self.target, data, self.attempt))

    def _may_ring(self, result: Result) -> bool:
        """Whether an INVITE whose connection broke may have arrived.

        Its target answers on a connection of its own then (RFC 3261 section 18.2.2).
        """
        arrived = self.provisional or result in ARRIVED
        is_invite = self._decides.is_invite
        return is_invite and arrived and self.state <= State.PROCEEDING

    def _ran_out(self, clock: Clock, now: float) -> None:
        self._clock = None
        if clock is Clock.FORGOTTEN:
            self.forget()
        else:
            self._decides.ran_out(self, clock, now)

    def _drop_if_over(self) -> None:
        if self.state is State.TERMINATED:
            self.forget()
