"""The response context of one request (RFC 3261 section 16.7): who is asked, what is
passed on, when the search ends.

A request is at one target at a time, as a rule. It moves to the next one when the
transport fails, when nothing comes, or when the answer is a failure of the target's
own; never after it has rung. An attempt that was left may answer late: a 2xx is passed
on all the same, since somebody has picked up, and anything earlier is cancelled.
"""

from collections.abc import Sequence

from protocols.record import UnderWay
from protocols.sip import replies
from protocols.sip.account import Account
from protocols.sip.answering import TRYING_AFTER, Answering
from protocols.sip.branch import ARRIVED, Branch, Clock
from protocols.sip.failover import Verdict, finding, is_better, judge
from protocols.sip.machines import State
from protocols.sip.message import Message
from protocols.sip.peers import Ended, Peer, Side
from protocols.sip.search import Search
from protocols.sip.shared import Key, Shared
from protocols.sip.timers import Timer
from protocols.sip.way import Way
from protocols.target import Result, Target, Transport

SAFE_TO_REPEAT = frozenset(
    (b"INVITE", b"OPTIONS", b"REGISTER", b"SUBSCRIBE", b"PUBLISH")
)
"Methods sent to a second target after the first was silent: no harm if both got it."


class Context(Answering):
    """One request that came, and the search for its answer."""

    __slots__ = (
        "_account",
        "_best",
        "_deadline",
        "_is_cancelled",
        "_rang_out",
        "_search",
        "_way",
        "has_rung",
        "reasons",
    )

    def __init__(
        self,
        shared: Shared,
        key: Key,
        request: Message,
        peer: Peer,
        way: Way,
        now: float,
    ) -> None:
        super().__init__(shared, key, request, peer, now)
        self._way = way
        self._account = Account(way.record, now)
        self._search = Search(shared, way, now)
        self._best: tuple[Message, Branch] | None = None
        self._is_cancelled = False
        self._rang_out = False
        self._deadline: Timer | None = None
        self.has_rung = False
        "Whether an answer of 101 to 199 was passed on."
        self.reasons: Sequence[bytes] = ()
        "The lines of Reason in the CANCEL that came."
        if self.is_invite:
            # RFC 3261 section 17.2.1: "The server transaction MUST generate a 100
            # (Trying) response unless it knows that the TU will generate a provisional
            # or final response within 200 ms".
            self.answer(100, now)
        elif peer.transport is Transport.UDP:
            self.timers.set(TRYING_AFTER, self, Clock.TRYING, now)
        if way.limits is not None:
            seconds = way.limits.seconds
            self._deadline = self.timers.set(seconds, self, Clock.DEADLINE, now)
        if not self._try_next(now):
            self._settle(now)

    def under_way(self, listener: str) -> UnderWay | None:
        """What there is to tell before the final answer."""
        if self.given:
            return None
        asked = self._search.branches if self._way.side is Side.EDGE else ()
        edge = asked[-1].target.label if asked else self._account.edge
        return UnderWay(listener, "sip", self._peer.address, edge, self._account.since)

    def cancelled(self, request: Message, now: float) -> None:
        """Take a CANCEL. Too late for what was answered, and no use twice."""
        if self.given or self._is_cancelled:
            return
        self._is_cancelled = True
        self.reasons = request.lines_of(b"reason")
        for branch in self._search.live():
            branch.cancel(now)

    def expired(self, kind: int, now: float) -> None:
        """A timer ran out, of the transaction or of the search."""
        if kind == Clock.DEADLINE:
            self._give_up(now)
        elif kind == Clock.TRYING:
            self.answer(100, now)
        else:
            super().expired(kind, now)

    # What comes from the branches.

    def lines_for(self, target: Target) -> list[bytes]:
        """Record-Route or Path of the copy for this target."""
        stamp = self._way.stamp
        return [] if stamp is None else stamp.lines(target)

    def answered(self, branch: Branch, response: Message, now: float) -> None:
        """Take an answer that the client transaction has not absorbed."""
        if self._peer.transport is not Transport.UDP:
            response.ensure_length()
        self._account.answered(now)
        if response.status < 200:
            self._progressed(branch, response, now)
        elif response.status < 300:
            self._succeeded(branch, response, now)
        else:
            self._failed(branch, response, now)

    def ended(self, branch: Branch, now: float) -> None:
        """Take that a branch came to nothing: no transport, or no answer ever."""
        result = branch.result or Result.SILENT
        branch.observe(result, branch.detail)
        if self._is_cancelled or not self._may_repeat(result):
            self._settle(now)
        elif branch.stand_in is not None:
            self._search.fall_back(self, branch, branch.stand_in, now)
        elif not self._try_next(now):
            self._settle(now)

    def ran_out(self, branch: Branch, clock: Clock, now: float) -> None:
        """Take that a branch has waited in vain."""
        if clock is Clock.LATE:
            self._is_late(branch, now)
        elif clock is Clock.SILENT:
            self._is_silent(branch, now)
        elif clock is Clock.STUCK:
            self._is_stuck(branch, now)
        else:
            # RFC 3261 section 16.8 for Timer C: "If the client transaction has received
            # a provisional response, the proxy MUST generate a CANCEL request".
            branch.abandon(Result.SILENT, "no final answer", now)
            self._rang_out = True
            self._settle(now)

    # Answers.

    def _progressed(self, branch: Branch, response: Message, now: float) -> None:
        first = not branch.provisional
        if first:
            branch.provisional = True
            branch.observe(Result.ALIVE)
        if not branch.live:
            branch.hush()  # what is no INVITE would be repeated from now on
            branch.cancel(now)
            return
        if not self.is_invite:
            # RFC 4320 section 4.1 forbids provisional answers but 100 to these.
            branch.stop_waiting()
            return
        if branch.cancelling:
            branch.cancel(now)
        elif response.status > 100:
            branch.ring(now)
        elif first:
            self._await_progress(branch, now)
        if response.status > 100:
            self._ring(branch, response, now)

    def _await_progress(self, branch: Branch, now: float) -> None:
        limits = self._way.limits
        if limits is not None and limits.no_progress:
            branch.wait(Clock.STUCK, limits.no_progress, now)
        else:
            branch.ring(now)

    def _ring(self, branch: Branch, response: Message, now: float) -> None:
        if not self.has_rung:
            self.has_rung = True
            self._account.rang(now)
            self._search.abandon_all(branch, now)
        self.say(response.status, bytes(response), now)
        if self._shared.meter is not None:
            self._shared.meter.passed(response, now)

    def _succeeded(self, branch: Branch, response: Message, now: float) -> None:
        again = branch.answered
        branch.answered = True
        if not again:
            self._is_over(branch, Result.ALIVE, "", now)
            branch.result = None
            self._search.abandon_all(branch, now)
        if not self.given:
            self._give(response, branch, now)
        elif self.is_invite:
            # RFC 3261 section 16.7 step 5: after a final answer, "any 2xx response to
            # an INVITE request" is forwarded, of an abandoned branch, too.
            self._send(bytes(response))
            if not again:
                reason = "answered after another answer"
                self._note(response.status, branch, reason, now, response)

    def _failed(self, branch: Branch, response: Message, now: float) -> None:
        waiting = branch.live
        status, reason = response.status, replies.reason_of(response)
        found = finding(status, reason)
        verdict = judge(status, reason, branch.provisional)
        self._is_over(branch, found, f"answered {status}", now)
        if self.given:
            return
        if verdict is Verdict.MERGED and len(self._search.branches) > 1:
            if waiting:
                self._merged(now)
            return
        if self._best is None or is_better(status, self._best[0].status):
            self._best = (response, branch)
        if status >= 600 or (waiting and verdict is not Verdict.NEXT):
            self._search.abandon_all(branch, now)
            self._give(response, branch, now)
        elif waiting and not self._try_next(now):
            self._settle(now)

    def _merged(self, now: float) -> None:
        """One copy has met another of ours: that one counts, if it can still answer."""
        search = self._search
        if search.revive(now) or search.live():
            return
        if any(one.cancelling for one in search.branches) and self._try_next(now):
            return  # the first copy is on its way out
        if self._is_cancelled:
            self._settle(now)
        else:
            # The way by which its answer would have come is gone. The caller has sent
            # one request, and is not to be told that there were two.
            self._finish(500, now)

    def _is_over(self, branch: Branch, result: Result, detail: str, now: float) -> None:
        """A branch has its final answer."""
        if result is not Result.ALIVE or not branch.provisional:
            branch.observe(result, detail)
        branch.end(result, detail, now)

    # Silence.

    def _is_late(self, branch: Branch, now: float) -> None:
        """Tell that an INVITE is unanswered, so that the next calls go elsewhere.

        A 100 is due within 200 ms (RFC 3261 section 17.2.1), and over UDP a second copy
        is on its way: that is no doubt, as with protocols that may think for long.
        """
        branch.observe(Result.TIMEOUT, "no answer")
        limits = self._way.limits
        assert limits is not None, "without them no clock was started"
        branch.wait(Clock.SILENT, limits.no_response / 2, now)

    def _is_silent(self, branch: Branch, now: float) -> None:
        if not self.is_invite:
            branch.observe(Result.SILENT, "no answer")
        self._search.note_silent(branch.target)
        if self._is_cancelled:
            branch.abandon(Result.SILENT, "no answer", now)
            self._settle(now)
        elif not self._may_repeat(Result.SILENT):
            return  # it waits on
        elif branch.stand_in is not None:
            branch.abandon(Result.SILENT, "no answer over TCP", now)
            self._search.fall_back(self, branch, branch.stand_in, now)
        else:
            self._leave(branch, "no answer", now)

    def _is_stuck(self, branch: Branch, now: float) -> None:
        branch.observe(Result.SILENT, "no progress after a 100")
        if not self._leave(branch, "no progress after a 100", now):
            branch.ring(now)

    def _leave(self, branch: Branch, detail: str, now: float) -> bool:
        """Go to the next target; if there is none, this one may yet answer."""
        target = self._next_target(now)
        if target is None:
            return False
        branch.abandon(Result.SILENT, detail, now)
        self._search.send(self, target, now)
        return True

    def _give_up(self, now: float) -> None:
        """The deadline: end what has been silent so far."""
        live = self._search.live()
        if self.given or any(branch.provisional for branch in live):
            return
        for branch in live:
            branch.abandon(Result.SILENT, "no answer", now)
        self._settle(now)

    # The search.

    def _try_next(self, now: float) -> bool:
        target = self._next_target(now)
        if target is None:
            return False
        self._search.send(self, target, now)
        return True

    def _next_target(self, now: float) -> Target | None:
        """Who is to be asked next; None if nobody is, or nobody may be."""
        if self.has_rung or self._is_cancelled or self.given:
            return None
        return self._search.next(now)

    def _may_repeat(self, result: Result) -> bool:
        """Whether another target may be asked, though this one may have got it."""
        return result not in ARRIVED or self.request.method in SAFE_TO_REPEAT

    # Final answers.

    def _settle(self, now: float) -> None:
        """With nobody to wait for, choose the answer (RFC 3261 section 16.7)."""
        if self.given or self._search.live():
            return
        if self._is_cancelled:
            self._finish(487, now)
        elif self._rang_out and (self._best is None or self._best[0].status >= 500):
            self._finish(408, now)  # section 16.8: as if a 408 had come
        elif self._best is None:
            self._settle_for_nobody(now)
        elif self._best[0].status != 503:
            self._give(*self._best, now)
        elif self._search.exhausted:
            self._refuse(now)
        else:
            # "a proxy which receives a 503 (Service Unavailable) response SHOULD NOT
            # forward it upstream unless it can determine that any subsequent requests
            # it might proxy will also generate a 503."
            response, branch = self._best
            replies.restate(response, 500)
            self._give(response, branch, now)

    def _settle_for_nobody(self, now: float) -> None:
        """No target has given a final answer."""
        if self._way.needs_tls and not self._search.branches:
            self._finish(480, now)
        elif self._way.limits is not None and not self._search.has_sign_of_life():
            self._refuse(now)
        elif self._search.branches[-1].result is not Result.SILENT:
            self._finish(500, now)
        elif self.is_invite:
            self._finish(408, now)
        elif self._search.branches[-1].state is not State.TERMINATED:
            self._finish(500, now)  # before Timer F: it is repeated yet
        else:
            self._end_in_silence(now)

    def _end_in_silence(self, now: float) -> None:
        """Timer F has run out, for whoever sent the request, too.

        RFC 4320 section 4.2: "MUST NOT send a response with a status-code of 408 to a
        non-INVITE request"; section 4.3 forbids any other once this is over.
        """
        self._stop()
        self.given = 408  # as if it had been
        self._note(0, None, "no answer", now)
        self._forget()

    def _refuse(self, now: float) -> None:
        """All that could be asked has failed: the next request would, too."""
        settings, record = self._shared.settings, self._way.record
        retry_after = b"Retry-After: %d" % settings.retry_after
        nobody = settings.nobody if self._way.side is Side.EDGE else ""
        if record is not None and not self._search.branches:
            # Whoever chooses may have known why there is nobody.
            nobody = record.reason or nobody
        if not nobody:
            self._finish(503, now, (retry_after,))
            return
        # RFC 3261 section 20.43: 399 is for what people are to read.
        warning = b'Warning: 399 edge-router "%b"' % nobody.encode()
        self._finish(503, now, (retry_after, warning), nobody)

    def _finish(
        self,
        status: int,
        now: float,
        extra: tuple[bytes, ...] = (),
        reason: str = "",
    ) -> None:
        """Give an answer of our own."""
        self._stop()
        self.answer(status, now, extra, reason.encode())
        self._note(status, None, reason or replies.REASONS[status].decode(), now)

    def _give(self, response: Message, branch: Branch, now: float) -> None:
        """Give somebody's answer."""
        self._stop()
        way = self._way
        challenges = response.status in (401, 407) and way.limits is not None
        if challenges and way.side is Side.EDGE:  # to the site nobody looks for a pin
            call_id = self.request.first(b"call-id") or b""
            self._shared.pins.pin(call_id, branch.stand_in or branch.target, now)
        self.say(response.status, bytes(response), now)
        self._note(response.status, branch, "", now, response)

    def _forget(self) -> None:
        self._search.forget()
        self._best = None
        super()._forget()

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _note(
        self,
        status: int,
        branch: Branch | None,
        reason: str,
        now: float,
        response: Message | None = None,
    ) -> None:
        """Write the record, and tell who counts what calls take."""
        self._count(status, branch, response, now)
        record = self._account.close(
            status,
            self._search.branches,
            now,
            reason=reason,
            branch=branch,
            response=response,
        )
        if record is not None:
            self._shared.actions.append(Ended(record))

    def _count(
        self, status: int, branch: Branch | None, response: Message | None, now: float
    ) -> None:
        meter = self._shared.meter
        if meter is None:
            return
        if branch is None or response is None or status >= 300:
            meter.refused(self.request, status or 408, now)
            return
        if self.given >= 300 or branch not in self._search.branches[-1:]:
            # The call is where its answer came from, though it was elsewhere since.
            self._search.count(self, branch.target, now)
        meter.passed(response, now)
