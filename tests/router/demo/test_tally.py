"""The reckoning: the ledger is the judge."""

import math

from router.demo.clients import Reply, Request
from router.demo.tally import Row, Sent, Span, tally, timeline, total


def sent(
    marker: str, *, at: float = 0.0, status: int = 200, seconds: float = 0.1
) -> Sent:
    request = Request("terminate", "GET", "/", marker)
    return Sent(request, at, Reply(status, seconds))


def test_request_answered_once_is_fine() -> None:
    row = tally("GET", [sent("a", seconds=0.2), sent("b")], {"a": 1, "b": 1})
    assert row == Row("GET", sent=2, answered=2, twice=0, lost=0, slowest=0.2)
    assert row.fine


def test_request_that_the_ledger_has_twice_is_not_fine() -> None:
    row = tally("POST", [sent("a")], {"a": 2})
    assert (row.answered, row.twice, row.lost) == (1, 1, 0)
    assert not row.fine


def test_failure_status_is_a_lost_request() -> None:
    row = tally("POST", [sent("a", status=502), sent("b", status=0)], {"a": 1})
    assert (row.answered, row.lost) == (0, 2)
    assert not row.fine


def test_answer_that_the_ledger_does_not_know_is_a_lost_request() -> None:
    assert tally("GET", [sent("a")], {}).lost == 1


def test_nothing_sent_makes_an_empty_row() -> None:
    assert tally("GET", [], {}) == Row("GET", 0, 0, 0, 0, 0.0)


def test_total_is_the_sum_and_the_slowest() -> None:
    rows = [Row("GET", 3, 2, 0, 1, 0.2), Row("POST", 1, 1, 1, 0, 0.4)]
    assert total(rows) == Row("all", 4, 3, 1, 1, 0.4)
    assert total([]) == Row("all", 0, 0, 0, 0, 0.0)


def test_timeline_is_cut_by_events() -> None:
    requests = [
        sent("a", at=1.0),
        sent("b", at=2.0, seconds=0.3),
        sent("c", at=2.5),
        sent("d", at=2.6),
    ]
    spans = timeline(requests, {"a": "x", "b": "y", "c": "x"}, [2.0, 3.0])
    assert spans == [
        Span(-math.inf, 1, {"x": 1}, 0.1),
        Span(2.0, 3, {"x": 1, "y": 1, "": 1}, 0.3),
        Span(3.0, 0, {}, 0.0),
    ]
