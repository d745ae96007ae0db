import pytest

from router.fragment import Wishes, fragment
from simulator.console import refused_fragment

EDGES = ("a", "b", "c", "d", "e", "f", "g")


@pytest.mark.parametrize(
    ("edges", "written"),
    [
        ((), "rc=1&rp=ct&ct=5000"),
        (("a",), "e=a&rc=1&rp=ct&ct=5000"),
        (("a", "b"), "e=a,b&rc=1&rp=ct&ct=5000"),
        (("a", "b", "c"), "e=a,b,c&rc=2&rp=ct&ct=3333"),
        (EDGES, "e=a,b,c,d,e,f&rc=5&rp=ct&ct=1666"),
    ],
)
def test_each_attempt_goes_from_the_next_edge(
    edges: tuple[str, ...], written: str
) -> None:
    assert fragment(edges) == written
    known = (*EDGES, "ashburn")  # without e=, that is the default
    assert refused_fragment(f"https://x.example/#{written}", known) == []


def test_wishes_are_written() -> None:
    wishes = Wishes(retries=2, policies=("ct", "5xx"), connect_timeout=0.5)
    assert fragment(EDGES, wishes) == "e=a,b,c&rc=2&rp=ct,5xx&ct=500"


def test_wishes_are_written_once_and_to_the_millisecond() -> None:
    wishes = Wishes(retries=1, policies=("ct", "ct"), connect_timeout=2.01)
    assert fragment(("a",), wishes) == "e=a&rc=1&rp=ct&ct=2010"


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        (Wishes(retries=6), "retries: found 6, expected 0 to 5"),
        (Wishes(retries=-1), "retries: found -1, expected 0 to 5"),
        (Wishes(connect_timeout=0.05), "found 0.05, expected 0.1 to 10"),
        (Wishes(connect_timeout=11.0), "found 11, expected 0.1 to 10"),
        (Wishes(retries=1, connect_timeout=8.0), "2 attempts of 8 s to connect"),
        (Wishes(policies=("ct", "3xx")), "retry on 3xx: expected 4xx, 5xx, ct, rt"),
        (Wishes(policies=()), "retry on nothing"),
    ],
)
def test_wish_that_would_be_ignored_is_refused(wishes: Wishes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        fragment(EDGES, wishes)
