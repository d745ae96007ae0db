from benchmarks.failover import Asked, Timetable, judge

TIMETABLE = Timetable(fault=10, heal=20, end=30)


def _asked(
    began: float, took: float, *, method: str = "GET", failure: str = ""
) -> Asked:
    return Asked(f"{began}", method, began, took, failure)


def test_times_are_those_of_the_requests_that_left_during_the_outage() -> None:
    asked = [_asked(9.99, 8.0), _asked(10, 1.0), _asked(19.9, 2.0), _asked(20, 9.0)]
    verdict = judge(asked, [], TIMETABLE)
    assert (verdict.p50, verdict.p99, verdict.longest) == (1.0, 2.0, 2.0)


def test_failures_of_the_whole_run_are_counted_by_method_and_kind() -> None:
    asked = [
        _asked(1, 0.1, failure="502"),
        _asked(11, 0.1, method="POST", failure="504"),
        _asked(12, 0.1, method="POST", failure="504"),
        _asked(13, 0.1),
    ]
    verdict = judge(asked, [], TIMETABLE)
    assert verdict.requests == 4
    assert verdict.failed == {"GET 502": 1, "POST 504": 2}


def test_a_post_that_two_origins_got_counts_once_as_received_twice() -> None:
    received = ["00000001", "00000003", "00000001"]
    assert judge([_asked(11, 0.1)], received, TIMETABLE).twice == 1
