import pytest

from protocols.sip.peers import Peer, Side
from tests.protocols.sip.stage import (
    CANCEL,
    INVITE,
    TCP,
    Stage,
    ack,
    message,
    one,
    request,
    status,
    told,
)

STREAM = Peer(Side.SITE, TCP, "10.0.0.10", 40_000, connection=3)
REGISTER = request("REGISTER", uri="sip:trunk.pstn.test")


def test_repeated_invite_gets_its_last_answer_again() -> None:
    stage = Stage()
    first = stage.begin()
    assert told(stage.receive(INVITE)) == ["100 10.0.0.10"]
    ringing = stage.answer(first, "180 Ringing")
    assert stage.receive(INVITE) == ringing
    busy = stage.answer(first, "486 Busy Here")[-1]
    assert stage.receive(INVITE) == [busy]


def test_failure_is_repeated_until_its_ack_and_the_ack_goes_no_further() -> None:
    stage = Stage()
    busy = stage.answer(stage.begin(), "486 Busy Here")[-1]
    assert stage.wait(1.6) == [busy, busy]
    assert stage.receive(ack()) == []
    assert stage.wait(20) == []
    assert stage.proxy.pending == 0


def test_failure_without_an_ack_is_given_up_after_timer_h() -> None:
    stage = Stage()
    busy = stage.answer(stage.begin(), "486 Busy Here")[-1]
    assert stage.wait(40) == [busy] * 10
    assert stage.proxy.pending == 0


def test_repeated_invite_after_a_2xx_is_absorbed() -> None:
    stage = Stage()
    stage.answer(stage.begin(), "200 OK")
    assert stage.receive(INVITE) == []


def test_repeated_request_gets_its_answer_again_and_is_not_sent_on() -> None:
    stage = Stage()
    first = stage.begin(REGISTER)
    assert stage.receive(REGISTER) == []
    answered = stage.answer(first, "200 OK")
    assert stage.receive(REGISTER) == answered
    stage.wait(32.1)
    assert stage.proxy.pending == 0


def test_transactions_over_a_stream_end_with_their_answer() -> None:
    stage = Stage()
    first = stage.begin(REGISTER, STREAM)
    stage.answer(first, "200 OK")
    assert stage.proxy.pending == 0


def test_cancel_is_a_transaction_of_its_own() -> None:
    stage = Stage()
    stage.begin()
    answered = one(stage.receive(CANCEL))
    assert stage.receive(CANCEL) == [answered]
    assert message(answered).first(b"cseq") == b"1 CANCEL"


def test_cancel_of_a_cancel_is_answered_and_changes_nothing() -> None:
    stage = Stage()
    first = stage.begin()
    stage.receive(CANCEL)
    other = request("CANCEL", via="SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKzz")
    assert status(one(stage.receive(other))) == 481
    stage.answer(first, "180 Ringing")
    assert stage.dropped == []


@pytest.mark.parametrize("text", ["180 Ringing", "200 OK", "486 Busy Here"])
def test_answer_goes_back_on_the_connection_that_the_request_came_on(text: str) -> None:
    stage = Stage()
    first = stage.begin(INVITE, STREAM)
    answered = stage.answer(first, text)[-1]
    assert isinstance(answered.to, Peer)
    # Once the connection is gone, the port of sent-by is the one to connect to.
    assert (answered.to.connection, answered.to.port) == (3, 5060)
