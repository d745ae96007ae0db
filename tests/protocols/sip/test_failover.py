import pytest

from protocols.sip.failover import Verdict, finding, is_better, is_limit, judge
from protocols.target import Result

LIMITS = [
    b"Trunk CPS limit exceeded",
    b"Trunk concurrent call limit exceeded",
    b"TRUNK CPS LIMIT EXCEEDED",
    b"Call limit",
]


@pytest.mark.parametrize("status", range(300, 700))
def test_nobody_else_is_asked_but_after_failures_of_a_target(status: int) -> None:
    expected = {500: 1, 502: 1, 503: 1, 504: 1, 408: 1, 482: 2}.get(status, 0)
    assert judge(status, b"", provisional=False) is Verdict(expected)


def test_408_after_a_sign_of_life_is_passed() -> None:
    assert judge(408, b"", provisional=True) is Verdict.PASS
    assert judge(504, b"", provisional=True) is Verdict.NEXT


@pytest.mark.parametrize("reason", LIMITS)
def test_limit_of_the_account_is_passed_and_condemns_nobody(reason: bytes) -> None:
    assert is_limit(reason)
    assert judge(503, reason, provisional=False) is Verdict.PASS
    assert finding(503, reason) is Result.ALIVE


@pytest.mark.parametrize("reason", [b"Service Unavailable", b"", b"Unlimited Trouble"])
def test_other_503_is_the_edges_own(reason: bytes) -> None:
    assert not is_limit(reason)
    assert finding(503, reason) is Result.SERVER_ERROR


@pytest.mark.parametrize("status", [401, 403, 404, 407, 408, 482, 486, 504, 603])
def test_answer_of_callee_or_account_says_that_the_edge_lives(status: int) -> None:
    assert finding(status, b"") is Result.ALIVE


def test_better_failure_is_a_6xx_or_of_the_lower_class() -> None:
    assert is_better(603, than=408)
    assert is_better(408, than=500)
    assert not is_better(500, than=503)
    assert not is_better(503, than=500)
    assert not is_better(500, than=603)
