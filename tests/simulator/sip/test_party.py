"""Requests within a dialog, from both ends."""

import asyncio

import pytest

from simulator.sip.call import Call
from tests.simulator.sip.pair import Local, pair


async def joined(transport: str = "udp") -> tuple[Local, Call, Local, Call]:
    """A call that was answered and acknowledged."""
    caller, callee = pair(transport)
    call = caller.call()
    await callee.until(lambda: bool(callee.calls_taken))
    callee.answer(callee.calls_taken[0])
    await callee.calls_taken[0].confirmed
    return caller, call, callee, callee.calls_taken[0]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("from_caller", [True, False])
async def test_either_end_changes_asks_and_hangs_up(
    transport: str, from_caller: bool
) -> None:
    caller, call, callee, taken = await joined(transport)
    one, own, _, theirs = (
        (caller, call, callee, taken) if from_caller else (callee, taken, caller, call)
    )
    loop = asyncio.get_running_loop()
    codes: list[int] = []
    done = loop.create_future()

    one.reinvite(own, codes.append)
    await theirs.reinvited
    one.ask(own, "INFO", done.set_result)

    assert await done == 200
    await callee.until(lambda: codes == [200])
    one.hang_up(own)
    one.hang_up(own)
    assert await theirs.ended == "remote"
    assert await own.ended == "local"
    # A busy machine may have it said again.
    assert len({sent.sequence for sent in one.sent if sent.method == "BYE"}) == 1
    assert not caller.calls
    assert not callee.calls


async def test_repeated_answer_to_a_change_is_acknowledged_again() -> None:
    caller, call, callee, taken = await joined()
    caller.passes = lambda m: m.method != "ACK" or caller.count("ACK") > 3
    codes: list[int] = []

    caller.reinvite(call, codes.append)
    await callee.until(lambda: caller.count("ACK") > 3)
    await callee.until(lambda: taken.answering is None)

    assert codes == [200]
    assert callee.count("INVITE", 200) >= 4


@pytest.mark.parametrize("method", ["INVITE", "INFO", "BYE"])
async def test_request_that_nobody_answers_is_given_up(method: str) -> None:
    caller, call, callee, _ = await joined()
    callee.passes = lambda _: False
    done = asyncio.get_running_loop().create_future()

    if method == "INVITE":
        caller.reinvite(call, done.set_result)
    elif method == "BYE":
        caller.hang_up(call, done.set_result)
    else:
        caller.ask(call, method, done.set_result)

    assert await done == 0


async def test_method_that_is_not_allowed_is_refused() -> None:
    caller, call, _, _ = await joined()
    done = asyncio.get_running_loop().create_future()

    caller.ask(call, "REFER", done.set_result)

    assert await done == 405
    assert call.established


async def test_refused_change_leaves_the_call_as_it_is() -> None:
    caller, call, callee, _ = await joined()
    callee.calls.clear()
    done = asyncio.get_running_loop().create_future()

    caller.reinvite(call, done.set_result)

    assert await done == 481
    assert call.established
