"""Which flows there are: counted by sort, and the oldest of them one by one.

Nobody counts flows while they begin and end, but for one addition per record: whoever
asks has them looked through.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from protocols.record import UnderWay
from router.status import FlowCount, iso

LISTED = 1_000
"Flows listed one by one."

Sort = tuple[str, str, str]
"Listener, protocol and edge."


def count(
    under_way: Iterable[UnderWay], ended: Mapping[Sort, int]
) -> tuple[FlowCount, ...]:
    """How many flows there are of each sort, by their names."""
    open_ = Counter((one.listener, one.protocol, one.edge) for one in under_way)
    return tuple(
        FlowCount(*sort, open=open_[sort], ended=ended.get(sort, 0))
        for sort in sorted({*open_, *ended})
    )


def listed(
    under_way: Iterable[UnderWay], *, now: float, unix: float, most: int = LISTED
) -> Iterator[dict[str, object]]:
    """The oldest flows, first the oldest, as data that JSON can hold.

    `now` in monotonic seconds is `unix` in Unix seconds.
    """
    for one in heapq.nsmallest(most, under_way, key=lambda flow: flow.since):
        yield {
            "listener": one.listener,
            "protocol": one.protocol,
            "client": one.client,
            "edge": one.edge,
            "since": iso(unix - now + one.since),
            "age_s": round(now - one.since, 1),
        }
