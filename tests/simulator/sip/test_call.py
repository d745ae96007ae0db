from simulator.sip.call import Call, settle
from simulator.sip.transaction import Path


def call() -> Call:
    path = Path("udp", ("127.0.0.1", 1), ("127.0.0.2", 2), lambda _: None)
    return Call(path, "id", "sip:+1555@h", "me", "you", "tag", outgoing=True)


async def test_call_is_established_between_its_answer_and_its_end() -> None:
    one = call()
    states = [one.established]
    one.outcome.set_result(200)
    states.append(one.established)

    ended = [one.end("local"), one.end("remote")]

    assert [*states, one.established] == [False, True, False]
    assert ended == [True, False]
    assert one.ended.result() == "local"


async def test_call_that_ends_without_an_answer_has_none() -> None:
    one = call()

    one.end("no answer")
    settle(one.outcome, 200)

    assert one.outcome.result() == 0
    assert not one.established
    assert one.number == "+1555"


async def test_refused_call_is_not_established() -> None:
    one = call()
    one.outcome.set_result(486)

    assert not one.established
