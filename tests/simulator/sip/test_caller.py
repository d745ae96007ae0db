"""Calls made: cancelled, answered late, answered twice, never answered."""

import asyncio
from typing import TYPE_CHECKING

from simulator.sip.message import Received
from tests.simulator.sip.pair import Local, join, pair

if TYPE_CHECKING:
    from simulator.sip.call import Call


async def test_call_that_nobody_hears_has_no_answer() -> None:
    caller, _ = pair()
    caller.passes = lambda _: False

    call = caller.call()

    assert await call.outcome == 0
    assert await call.ended == "no answer"
    assert caller.count("INVITE") >= 5


async def test_ringing_call_waits_as_long_as_it_takes() -> None:
    caller, callee = pair()
    call = caller.call()
    await callee.until(lambda: bool(callee.calls_taken))
    callee.ring(callee.calls_taken[0])
    await call.ringing
    waited, _ = await asyncio.wait([call.outcome], timeout=0.05)

    assert not waited
    assert caller.count("INVITE") == 1
    caller.stop()


async def test_answer_after_a_lost_180_is_the_first_that_is_heard() -> None:
    caller, callee = pair()
    callee.passes = lambda m: m.code != 180
    call = caller.call()
    await callee.until(lambda: bool(callee.calls_taken))

    callee.ring(callee.calls_taken[0])
    callee.answer(callee.calls_taken[0])

    assert await call.outcome == 200
    assert call.ringing.result() == 200


async def test_cancel_waits_for_the_first_answer() -> None:
    caller, callee = pair()
    callee.passes = lambda m: m.code != 180
    call = caller.call()
    caller.cancel(call)
    caller.cancel(call)
    assert await call.ended == "no answer"
    await callee.until(lambda: bool(callee.calls_taken))
    assert caller.count("CANCEL") == 0

    callee.passes = lambda _: True
    callee.ring(callee.calls_taken[0])

    assert await callee.calls_taken[0].ended == "cancelled"
    assert caller.count("CANCEL") >= 1


async def test_answer_that_crosses_the_cancel_is_hung_up() -> None:
    caller, callee = pair()
    call = caller.call()
    await callee.until(lambda: bool(callee.calls_taken))
    (taken,) = callee.calls_taken
    callee.ring(taken)
    await call.ringing

    callee.answer(taken)
    caller.cancel(call)

    assert await taken.ended == "remote"
    assert await call.ended == "local"
    assert "answered-twice" not in caller.events


async def test_failure_is_acknowledged_each_time_it_comes() -> None:
    caller, callee = pair()
    lost: list[Received] = []

    def passes(message: Received) -> bool:
        if message.method == "ACK" and len(lost) < 2:
            lost.append(message)
            return False
        return True

    caller.passes = passes
    call = caller.call()
    await callee.until(lambda: bool(callee.calls_taken))
    callee.refuse(callee.calls_taken[0], 486)
    await callee.until(lambda: caller.count("ACK") == 3)

    assert await call.outcome == 486
    assert call.statuses == [486]
    assert callee.count("INVITE", 486) == 3


class Challenged(Local):
    """An agent that calls again after a challenge."""

    def challenged(self, call: "Call", message: Received) -> bool:
        if message.code != 407:
            return super().challenged(call, message)
        self.invite_again(call, [("Proxy-Authorization", "yes")])
        return True


async def test_challenge_is_answered_by_a_new_invite_of_the_same_call() -> None:
    caller, callee = join(Challenged(5071), Local(5072))
    call = caller.call()
    await callee.until(lambda: bool(callee.calls_taken))
    callee.refuse(callee.calls_taken[0], 407)
    await callee.until(lambda: len(callee.calls_taken) == 2)
    callee.refuse(callee.calls_taken[1], 603)

    assert await call.outcome == 603
    first, second = (one.request for one in callee.calls_taken)
    assert first is not None
    assert second is not None
    assert first.call_id == second.call_id
    assert (first.sequence, second.sequence) == (1, 2)
    assert first.from_tag == second.from_tag
    assert second.headers["Proxy-Authorization"] == "yes"
