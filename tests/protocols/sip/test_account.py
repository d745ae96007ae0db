"""The record of a call, by what its peers do."""

import dataclasses

from protocols.sip.account import Account
from protocols.target import Result
from tests.protocols.sip.stage import EDGE, FROM_EDGE, Stage, peer_of, response


def test_record_tells_when_each_answer_came_and_where_from() -> None:
    stage = Stage()
    first = stage.begin()
    stage.wait(0.25)
    stage.answer(first, "100 Trying")
    stage.wait(1.0)
    stage.answer(first, "180 Ringing")
    stage.wait(4.0)
    stage.answer(first, "200 OK")
    record = one_record(stage)
    assert (record["trying"], record["ringing"], record["total"]) == (0.25, 1.25, 5.25)
    assert record["edge"] == "edge1"
    assert record["target"] == "edge1 192.0.2.1:5060"
    assert record["attempts"] == ()
    assert record["to_tag"] == "t1"


def one_record(stage: Stage) -> dict[str, object]:
    assert len(stage.records) == 1
    return dataclasses.asdict(stage.records[0])


def test_record_tells_what_failover_cost() -> None:
    stage = Stage()
    stage.begin()
    second = stage.wait(2.0)[-1]
    stage.answer(second, "200 OK")
    record = stage.records[0]
    assert record.failover == 2.0
    assert [a.result for a in record.attempts] == [Result.SILENT, None]


def test_record_of_an_answer_of_our_own_has_all_attempts_and_says_why() -> None:
    stage = Stage()
    stage.fail(stage.fail(stage.begin())[-1])
    record = stage.records[0]
    assert (record.status, record.target) == (503, "")
    assert record.reason == "Service Unavailable"
    assert [a.result for a in record.attempts] == [Result.REFUSED] * 2


def test_second_answer_makes_a_record_of_its_own() -> None:
    stage = Stage()
    first = stage.begin()
    second = stage.wait(2.1)[-1]
    stage.answer(second, "200 OK")
    stage.receive(response(first, "200 OK"), peer_of(first))
    assert [one.edge for one in stage.records] == ["edge2", "edge1"]
    assert stage.records[0] is not stage.records[1]


def test_record_of_a_call_of_the_provider_names_the_edge_that_it_came_from() -> None:
    stage = Stage()
    stage.answer(stage.begin(FROM_EDGE, EDGE), "200 OK")
    record = stage.records[0]
    assert (record.edge, record.target) == ("edge1", "pbx10 10.0.0.10:5060")


def test_request_without_a_record_has_none() -> None:
    account = Account(None, 0.0)
    assert account.edge == ""
    assert account.close(200, (), 1.0) is None
