"""Who is asked next, in virtual time, whatever is made of the answers."""

import dataclasses
from collections.abc import Sequence

from protocols.sip.branch import Branch, Clock
from protocols.sip.message import Message, parse
from protocols.sip.peers import Send, Side
from protocols.sip.search import MOST_ATTEMPTS, Search
from protocols.sip.settings import TO_EDGE, Limits
from protocols.sip.shared import Meter, Shared
from protocols.sip.way import Way
from protocols.target import Result, Target
from tests.protocols.sip.stage import (
    ASHBURN,
    DUBLIN,
    INVITE,
    SETTINGS,
    TCP,
    TLS,
    Counting,
    Known,
    edge,
    in_order,
    request,
)

OTHER = edge(3)
BESIDE = dataclasses.replace(edge(4), label=ASHBURN.label)


class Asking:
    """Decides nothing: it notes what its attempts tell."""

    has_rung = False
    reasons: Sequence[bytes] = ()

    def __init__(
        self,
        *targets: Target,
        data: bytes = INVITE,
        limits: Limits | None = TO_EDGE,
        first: Target | None = None,
        needs_tls: bool = False,
        mtu: int = 0,
        meter: Meter | None = None,
    ) -> None:
        self.request = parse(data)
        self.is_invite = self.request.method == b"INVITE"
        settings = dataclasses.replace(SETTINGS, mtu=mtu)
        choose = in_order(targets)
        self.shared = Shared(
            settings, (choose, choose), Known(targets), lambda: b"t", meter=meter
        )
        way = Way(Side.EDGE, choose, limits, b".m", first=first, needs_tls=needs_tls)
        self.search = Search(self.shared, way, 0.0)
        self.ran: list[tuple[Clock, float]] = []

    def lines_for(self, target: Target) -> list[bytes]:
        return []

    def answered(self, branch: Branch, response: Message, now: float) -> None:
        branch.provisional = response.status < 200

    def ended(self, branch: Branch, now: float) -> None:
        raise AssertionError("no attempt of these tests comes to its end")

    def ran_out(self, branch: Branch, clock: Clock, now: float) -> None:
        self.ran.append((clock, now))

    def ask(self, now: float = 0.0) -> Target | None:
        """Ask whoever is next."""
        target = self.search.next(now)
        if target is not None:
            self.search.send(self, target, now)
        return target

    def sent(self) -> list[Target]:
        sent = [made.to for made in self.shared.take() if isinstance(made, Send)]
        return [to for to in sent if isinstance(to, Target)]


def test_targets_are_asked_in_order_until_there_is_nobody() -> None:
    asking = Asking(ASHBURN, DUBLIN)
    assert [asking.ask(), asking.ask()] == [ASHBURN, DUBLIN]
    before = asking.search.exhausted
    assert asking.ask() is None
    assert (before, asking.search.exhausted) == (False, True)
    assert asking.sent() == [ASHBURN, DUBLIN]


def test_target_of_a_dialog_is_the_only_one() -> None:
    asking = Asking(ASHBURN, limits=None, first=DUBLIN)
    assert [asking.ask(), asking.ask()] == [DUBLIN, None]
    assert not asking.search.exhausted
    asking.shared.timers.expire(10.0)
    assert asking.ran == []


def test_target_of_a_pin_is_asked_first_and_others_after_it() -> None:
    asking = Asking(ASHBURN, DUBLIN, first=DUBLIN)
    assert [asking.ask(), asking.ask()] == [DUBLIN, ASHBURN]


def test_place_that_was_silent_is_asked_at_its_other_address_last() -> None:
    asking = Asking(ASHBURN, BESIDE, DUBLIN)
    assert asking.ask() == ASHBURN
    asking.search.note_silent(ASHBURN)
    assert [asking.ask(), asking.ask(), asking.ask()] == [DUBLIN, BESIDE, None]


def test_request_that_needs_tls_goes_to_targets_with_it_alone() -> None:
    secure = edge(5, TLS)
    asking = Asking(ASHBURN, secure, DUBLIN, needs_tls=True)
    assert [asking.ask(), asking.ask()] == [secure, None]


def test_attempts_are_bounded_and_those_refused_are_not_counted() -> None:
    asking = Asking(*(edge(number) for number in range(20)))
    for _ in range(2):
        asking.ask()
        asking.search.branches[-1].end(Result.REFUSED, "refused", 0.0)
    assert None not in [asking.ask() for _ in range(TO_EDGE.attempts)]
    assert asking.ask() is None


def test_attempts_that_are_refused_come_to_an_end_too() -> None:
    asking = Asking(*(edge(number) for number in range(20)))
    while asking.ask():
        asking.search.branches[-1].end(Result.REFUSED, "refused", 0.0)
    assert len(asking.search.branches) == MOST_ATTEMPTS


def test_nobody_is_asked_once_the_time_is_spent() -> None:
    asking = Asking(ASHBURN, DUBLIN, OTHER)
    asking.ask()
    assert asking.ask(TO_EDGE.seconds - 0.1) == DUBLIN
    assert asking.ask(TO_EDGE.seconds) is None


def test_silence_of_an_invite_is_told_at_half_time_and_of_others_at_the_end() -> None:
    invite, register = Asking(ASHBURN), Asking(ASHBURN, data=request("REGISTER"))
    for asking in (invite, register):
        asking.ask()
        for now in (1.0, 2.0):
            asking.shared.timers.expire(now)
    assert invite.ran == [(Clock.LATE, 1.0)]
    assert register.ran == [(Clock.SILENT, 2.0)]


def test_target_without_tcp_is_asked_again_over_udp() -> None:
    asking = Asking(ASHBURN, mtu=100)
    asking.ask()
    branch = asking.search.branches[0]
    assert branch.target.transport is TCP
    asking.search.fall_back(asking, branch, ASHBURN, 1.0)
    assert branch.stand_in is None
    assert [one.target for one in asking.search.branches[1:]] == [ASHBURN]
    assert asking.shared.is_udp_only(ASHBURN, 2.0)
    assert asking.ask() is None


def test_attempts_are_abandoned_for_one_and_revived() -> None:
    asking = Asking(ASHBURN, DUBLIN)
    search = asking.search
    asking.ask()
    asking.ask()
    first, second = search.branches
    assert search.live() == [first, second]
    search.abandon_all(second, 0.0)
    assert search.live() == [second]
    assert search.revive(1.0)
    assert search.live() == [first, second]
    assert not search.revive(1.0)


def test_attempt_that_is_being_cancelled_is_not_revived() -> None:
    asking = Asking(ASHBURN)
    asking.ask()
    assert not asking.search.has_sign_of_life()
    branch = asking.search.branches[0]
    branch.provisional = True
    assert asking.search.has_sign_of_life()
    branch.abandon(Result.SILENT, "no answer", 0.0)
    assert not asking.search.revive(1.0)


def test_search_that_is_forgotten_has_no_attempts() -> None:
    asking = Asking(ASHBURN)
    asking.ask()
    asking.search.forget()
    assert asking.search.live() == []


def test_new_call_is_counted_at_each_edge_that_it_is_sent_to() -> None:
    counting = Counting()
    asking = Asking(ASHBURN, DUBLIN, meter=counting)
    asking.search.send(asking, ASHBURN, 0.0)
    asking.search.send(asking, DUBLIN, 1.0)
    assert counting.told == ["began edge1", "began edge2"]


def test_request_of_a_dialog_is_counted_as_passed() -> None:
    counting = Counting()
    asking = Asking(ASHBURN, data=request("BYE"), limits=None, meter=counting)
    asking.search.send(asking, ASHBURN, 0.0)
    assert counting.told == ["BYE"]


def test_new_request_that_is_no_call_is_not_counted() -> None:
    counting = Counting()
    asking = Asking(ASHBURN, data=request("REGISTER"), meter=counting)
    asking.search.send(asking, ASHBURN, 0.0)
    assert counting.told == []


def test_nothing_is_counted_where_nobody_counts() -> None:
    asking = Asking(ASHBURN)
    asking.search.count(asking, ASHBURN, 0.0)
