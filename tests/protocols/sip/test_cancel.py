"""A CANCEL on its way to where its request is."""

from tests.protocols.sip.stage import CANCEL, TCP, Stage, edge, method, told


def test_cancel_over_udp_is_sent_until_it_is_answered() -> None:
    stage = Stage()
    stage.answer(stage.begin(), "180 Ringing")
    cancel = stage.receive(CANCEL)[-1]
    assert stage.wait(1.6) == [cancel, cancel]
    stage.answer(cancel, "200 OK")
    assert stage.wait(20) == []


def test_cancel_over_a_stream_is_sent_once() -> None:
    stage = Stage(edges=[edge(1, TCP)])
    stage.answer(stage.begin(), "180 Ringing")
    assert told(stage.receive(CANCEL)) == ["200 10.0.0.10", "CANCEL 192.0.2.1"]
    assert [sent for sent in stage.wait(31) if method(sent) == "CANCEL"] == []


def test_answer_to_a_cancel_is_absorbed_until_timer_k() -> None:
    stage = Stage()
    first = stage.begin()
    stage.answer(first, "180 Ringing")
    cancel = stage.receive(CANCEL)[-1]
    assert stage.answer(cancel, "200 OK") == []
    assert stage.answer(cancel, "200 OK") == []
    stage.wait(5.1)
    stage.answer(cancel, "200 OK")
    assert stage.dropped == ["response to nothing"]


def test_transport_failure_of_a_cancel_is_left_to_its_timers() -> None:
    stage = Stage()
    stage.answer(stage.begin(), "180 Ringing")
    cancel = stage.receive(CANCEL)[-1]
    assert cancel.attempt == 0
    assert stage.fail(cancel) == []
