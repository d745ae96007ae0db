"""The attempts of one request: whom it was sent to, and who is next.

A request is at one target at a time, as a rule; one that was left may answer yet. What
an answer means, and whether anybody else is to be asked, is decided elsewhere.
"""

from protocols.sip.branch import Branch, Clock, Decides
from protocols.sip.machines import State
from protocols.sip.shared import Shared
from protocols.sip.way import Way
from protocols.target import Result, Target, Transport

MOST_ATTEMPTS = 9
"Targets in all, those included that refuse and are not counted among the attempts."


class Search:
    """Takes one request to its targets, one after the other."""

    __slots__ = (
        "_shared",
        "_silent",
        "_since",
        "_tried",
        "_way",
        "branches",
        "exhausted",
    )

    def __init__(self, shared: Shared, way: Way, now: float) -> None:
        self._shared = shared
        self._way = way
        self._since = now
        self._tried: tuple[Target, ...] = ()
        self._silent: tuple[str, ...] = ()
        self.branches: tuple[Branch, ...] = ()
        "All attempts, in their order."
        self.exhausted = False
        "Whether everybody was asked who could be."

    def next(self, now: float) -> Target | None:
        """Who is to be asked next; None if there is nobody, or no more time."""
        if self._tried and self._is_spent(now):
            return None
        if self._way.first is not None and not self._tried:
            return self._way.first
        target = self._choose()
        self.exhausted = target is None
        return target

    def send(self, decides: Decides, target: Target, now: float) -> None:
        """Make an attempt, for whoever decides about its answers."""
        way = self._way
        self._tried += (target,)
        branch = Branch(self._shared, decides, way.side, target, way.mark, now)
        self.branches += (branch,)
        self.count(decides, target, now)
        if way.limits is not None:
            if decides.is_invite:
                branch.wait(Clock.LATE, way.limits.no_response / 2, now)
            else:
                branch.wait(Clock.SILENT, way.limits.no_response, now)

    def count(self, decides: Decides, target: Target, now: float) -> None:
        """Tell who counts what calls take that the request is there now."""
        meter, way = self._shared.meter, self._way
        if meter is None:
            return
        if way.limits is None:
            meter.passed(decides.request, now)
        elif decides.is_invite:
            meter.began(decides.request, way.label(target), now)

    def fall_back(
        self, decides: Decides, branch: Branch, target: Target, now: float
    ) -> None:
        """Over UDP after all: the target has no TCP.

        RFC 3261 section 18.1.1 allows it where the other transport is not supported.
        """
        branch.stand_in = None
        self._shared.note_udp_only(target, now)
        self._tried = tuple(one for one in self._tried if one != target)
        self.send(decides, target, now)

    def note_silent(self, target: Target) -> None:
        """Ask at other addresses of this place last."""
        self._silent += (target.label,)

    def live(self) -> list[Branch]:
        """The attempts whose answer is waited for."""
        return [branch for branch in self.branches if branch.live]

    def abandon_all(self, but: Branch, now: float) -> None:
        """Wait for this one alone."""
        for branch in self.branches:
            if branch.live and branch is not but:
                branch.abandon(Result.SILENT, "another target was sooner", now)

    def revive(self, now: float) -> bool:
        """Wait again for those that were left in silence: one has got its copy."""
        silent = [
            branch
            for branch in self.branches
            if branch.result is Result.SILENT
            and branch.state < State.ACCEPTED
            and not branch.cancelling
        ]
        for branch in silent:
            branch.revive(now)
        return bool(silent)

    def has_sign_of_life(self) -> bool:
        """Whether any target has answered with anything below 200."""
        return any(branch.provisional for branch in self.branches)

    def forget(self) -> None:
        """Let go of the attempts; those that are left end by themselves.

        They know whoever decides, who has this search: those who hold each other are
        freed late, and by a look through all calls.
        """
        self.branches = ()

    def _choose(self) -> Target | None:
        """The next target; a place that was silent at one address comes last.

        Its others are silent as a rule, and each would cost as many seconds again.
        """
        way, passed, spare = self._way, self._tried, None
        target = way.choose(passed)
        while target is not None and target not in passed:
            if not way.needs_tls or target.transport is Transport.TLS:
                if target.label not in self._silent:
                    return target
                spare = spare or target
            passed += (target,)
            target = way.choose(passed)
        return spare

    def _is_spent(self, now: float) -> bool:
        limits = self._way.limits
        if limits is None:
            return True
        # What was refused outright has cost no time, and reached nobody.
        sent = sum(one.result is not Result.REFUSED for one in self.branches)
        return (
            now - self._since >= limits.seconds
            or sent >= limits.attempts
            or len(self.branches) >= MOST_ATTEMPTS
        )
