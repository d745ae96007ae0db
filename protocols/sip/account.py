"""What is written down of a request: when its answers came, and how it ended."""

import dataclasses
from collections.abc import Sequence

from protocols.sip.branch import Branch
from protocols.sip.headers import tag_in
from protocols.sip.message import Message
from protocols.sip.records import CallRecord


class Account:
    """Fills the record of one request, if there is to be one.

    Times in seconds on any one clock.
    """

    __slots__ = ("_record", "_rung", "_trying", "since")

    def __init__(self, record: CallRecord | None, now: float) -> None:
        self._record = record
        self.since = now
        "When the request came."
        self._trying: float | None = None
        self._rung: float | None = None

    @property
    def edge(self) -> str:
        """The edge as far as it is known; empty without a record."""
        return self._record.edge if self._record is not None else ""

    def answered(self, now: float) -> None:
        """Note that the far side has answered; the first time counts."""
        if self._trying is None:
            self._trying = now - self.since

    def rang(self, now: float) -> None:
        """Note that it rings."""
        self._rung = now - self.since

    def close(
        self,
        status: int,
        branches: Sequence[Branch],
        now: float,
        *,
        reason: str = "",
        branch: Branch | None = None,
        response: Message | None = None,
    ) -> CallRecord | None:
        """The record of a final answer: ours, or one that came from a branch.

        Another answer after it makes another record.
        """
        record = self._record
        if record is None:
            return None
        if record.status:  # written already: another one
            record = dataclasses.replace(record)
        record.status = status
        record.trying = self._trying
        record.ringing = self._rung
        record.total = now - self.since
        record.reason = reason
        if branch is not None:
            record.target = str(branch.target)
            if record.direction == "to_provider":
                record.edge = branch.target.label or record.edge
            record.failover = branch.begun - self.since
        if response is not None:
            record.to_tag = tag_in(response.line(b"to")).decode("latin-1")
        if len(branches) > 1 or branch is None:
            record.attempts = tuple(one.noted() for one in branches)
        return record
