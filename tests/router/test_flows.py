"""Flows counted and listed."""

from protocols.record import UnderWay
from router.flows import count, listed
from router.status import FlowCount


def flow(edge: str = "ashburn", since: float = 0.0) -> UnderWay:
    return UnderWay("api", "https", "10.0.0.1", edge, since)


def test_flows_are_counted_by_sort() -> None:
    ended = {("api", "https", "ashburn"): 7, ("api", "https", "dublin"): 1}
    assert count([flow(), flow(), flow("")], ended) == (
        FlowCount("api", "https", "", 1, 0),
        FlowCount("api", "https", "ashburn", 2, 7),
        FlowCount("api", "https", "dublin", 0, 1),
    )


def test_oldest_flows_are_listed_first_and_no_more_than_asked() -> None:
    flows = [flow(since=float(number)) for number in (3, 1, 2)]
    shown = list(listed(flows, now=10.0, unix=60.0, most=2))
    assert [one["age_s"] for one in shown] == [9.0, 8.0]
    assert shown[0] == {
        "listener": "api",
        "protocol": "https",
        "client": "10.0.0.1",
        "edge": "ashburn",
        "since": "1970-01-01T00:00:51.000Z",
        "age_s": 9.0,
    }
