"""Calls taken, and requests judged."""

import asyncio

import pytest

from simulator.sip.message import read, reply
from tests.simulator.sip.pair import T1, pair
from tests.simulator.sip.raw import Raw


async def test_call_is_rung_answered_and_acknowledged() -> None:
    caller, callee = pair()
    call = caller.call()
    await callee.until(lambda: bool(callee.calls_taken))
    (taken,) = callee.calls_taken

    callee.ring(taken)
    callee.answer(taken)
    callee.answer(taken)
    callee.ring(taken)
    callee.refuse(taken, 486)

    assert await call.outcome == 200
    assert await taken.confirmed == 1
    assert await taken.ringing == 180
    assert call.established
    assert taken.established


async def test_refused_call_ends_with_its_status() -> None:
    caller, callee = pair()
    call = caller.call()
    await callee.until(lambda: bool(callee.calls_taken))

    callee.refuse(callee.calls_taken[0], 486, "Not now")

    assert await call.outcome == 486
    assert call.phrase == "Not now"
    assert await call.ended == "refused"
    assert not callee.calls


async def test_answer_comes_again_until_it_is_acknowledged() -> None:
    caller, callee = pair()
    caller.passes = lambda m: m.method != "ACK" or caller.count("ACK") > 3
    call = caller.call()
    await callee.until(lambda: bool(callee.calls_taken))
    (taken,) = callee.calls_taken

    callee.answer(taken)
    await taken.confirmed

    assert call.established
    assert caller.count("ACK") == 4
    assert callee.count("INVITE", 200) == 4


async def test_answer_without_any_ack_ends_with_a_bye() -> None:
    caller, callee = pair()
    caller.passes = lambda m: m.method != "ACK"
    caller.call()
    await callee.until(lambda: bool(callee.calls_taken))
    (taken,) = callee.calls_taken

    callee.answer(taken)

    assert await taken.ended == "local"
    assert "unacknowledged" in callee.events
    assert callee.count("BYE") == 1


async def test_bye_for_a_call_that_is_over_finds_none() -> None:
    caller, callee = pair()
    call = caller.call()
    await callee.until(lambda: bool(callee.calls_taken))
    callee.answer(callee.calls_taken[0])
    await call.outcome
    callee.stop()
    answered = asyncio.get_running_loop().create_future()

    caller.hang_up(call, answered.set_result)

    assert await answered == 481


async def test_cancel_that_comes_too_late_is_answered_and_changes_nothing() -> None:
    _, callee = pair()
    raw = Raw(("127.0.0.1", 9))
    raw.close()
    for method in ("INVITE", "CANCEL"):
        callee.take(raw.request(method, branch="1"), callee.path)
        if method == "INVITE":
            callee.answer(callee.calls_taken[0])
    callee.take(raw.request("CANCEL", branch="2"), callee.path)
    await callee.until(lambda: callee.count("CANCEL", 481) == 1)

    assert callee.count("CANCEL", 200) == 1
    assert callee.count("INVITE", 487) == 0
    assert not callee.calls_taken[0].ended.done()
    callee.stop()


async def test_second_copy_of_a_call_is_merged_until_the_first_has_failed() -> None:
    _, callee = pair()
    raw = Raw(("127.0.0.1", 9))
    raw.close()
    callee.take(raw.request(branch="1"), callee.path)
    callee.take(raw.request(branch="2"), callee.path)
    assert callee.count("INVITE", 482) == 1

    callee.refuse(callee.calls_taken[0], 503)
    callee.take(raw.request(branch="3"), callee.path)

    assert len(callee.calls_taken) == 2
    callee.stop()


async def test_request_that_is_objected_to_is_dropped_in_silence() -> None:
    caller, callee = pair()
    call = caller.call()
    await callee.until(lambda: bool(callee.calls_taken))
    callee.answer(callee.calls_taken[0])
    await callee.calls_taken[0].confirmed
    callee.objects = "altered"
    answered = asyncio.get_running_loop().create_future()

    caller.hang_up(call, answered.set_result)

    assert await answered == 0
    assert "dropped" in callee.events
    assert not callee.calls_taken[0].ended.done()


async def test_request_that_is_not_admitted_is_left_to_who_judged_it() -> None:
    _, callee = pair()
    callee.admits = False
    raw = Raw(("127.0.0.1", 9))
    raw.close()

    callee.take(raw.request(), callee.path)
    callee.take(raw.request(), callee.path)

    assert not callee.sent
    assert callee.events == ["invite", "repeated"]


@pytest.mark.parametrize(("method", "code"), [("OPTIONS", 200), ("PUBLISH", 405)])
async def test_request_outside_a_call_is_answered(method: str, code: int) -> None:
    _, callee = pair()
    raw = Raw(("127.0.0.1", 9))
    raw.close()

    callee.take(raw.request(method), callee.path)

    assert callee.count(method, code) == 1
    callee.stop()


async def test_stray_and_spoiled_messages_are_noted() -> None:
    _, callee = pair()
    raw = Raw(("127.0.0.1", 9))
    raw.close()

    assert callee.take(b"nothing", callee.path) is None
    callee.take(reply(read(raw.request()), 200), callee.path)
    callee.take(raw.request("ACK", to_tag="x"), callee.path)

    assert callee.events == ["unparsed", "stray"]
    assert not callee.sent


async def test_stopped_agent_ends_its_calls_and_sends_nothing_more() -> None:
    caller, callee = pair()
    caller.passes = lambda _: False
    call = caller.call()

    caller.stop()
    callee.stop()

    assert await call.ended == "stopped"
    sent = len(caller.sent)
    await asyncio.sleep(4 * T1)
    assert len(caller.sent) == sent
