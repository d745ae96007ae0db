"""The reckoning: what was sent, what became of it, and who answered when.

Pure: clients say what they saw, the provider's ledger what it did; the ledger is right.
"""

import bisect
import collections
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

from router.demo.clients import Reply, Request


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """One request and its end."""

    request: Request
    "What was asked."
    at: float
    "When it was sent, in monotonic seconds."
    reply: Reply
    "What the client saw."


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of the last table."""

    name: str
    "What was sent."
    sent: int
    "How many."
    answered: int
    "How many got an answer that says success."
    twice: int
    "How many were carried out more than once."
    lost: int
    "How many were sent in vain."
    slowest: float
    "Seconds that the slowest took."

    @property
    def fine(self) -> bool:
        """Whether each was answered, and carried out once."""
        return self.sent == self.answered and not self.twice and not self.lost


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """What was sent between two events, and who answered it."""

    start: float
    "When the earlier event was, in monotonic seconds; minus infinity before the first."
    count: int
    "How many requests were sent."
    edges: Mapping[str, int]
    "How many each edge answered; an empty name for those that none did."
    slowest: float
    "Seconds that the slowest took; 0 without any."


def tally(name: str, sent: Iterable[Sent], answers: Mapping[str, int]) -> Row:
    """Judge requests by how often the ledger has an answer to each marker."""
    every = list(sent)
    answered = [
        one
        for one in every
        if one.reply.status in range(200, 300) and answers.get(one.request.marker)
    ]
    return Row(
        name=name,
        sent=len(every),
        answered=len(answered),
        twice=sum(answers.get(one.request.marker, 0) > 1 for one in every),
        lost=len(every) - len(answered),
        slowest=max((one.reply.seconds for one in every), default=0.0),
    )


def total(rows: Iterable[Row]) -> Row:
    """All rows as one."""
    every = list(rows)
    return Row(
        name="all",
        sent=sum(row.sent for row in every),
        answered=sum(row.answered for row in every),
        twice=sum(row.twice for row in every),
        lost=sum(row.lost for row in every),
        slowest=max((row.slowest for row in every), default=0.0),
    )


def timeline(
    sent: Iterable[Sent], edges: Mapping[str, str], cuts: Sequence[float]
) -> list[Span]:
    """One span before the first of the sorted times `cuts`, and one behind each.

    `edges` names for each marker the edge that answered.
    """
    spans: list[list[Sent]] = [[] for _ in range(len(cuts) + 1)]
    for one in sent:
        spans[bisect.bisect(cuts, one.at)].append(one)
    return [
        Span(
            start=start,
            count=len(span),
            edges=collections.Counter(edges.get(s.request.marker, "") for s in span),
            slowest=max((s.reply.seconds for s in span), default=0.0),
        )
        for start, span in zip((-math.inf, *cuts), spans, strict=True)
    ]
