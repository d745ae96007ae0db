"""Whoever is shown the record of each flow before it is logged."""

from collections.abc import Callable

from protocols.record import FlowRecord
from protocols.sip.records import CallRecord
from router.incoming import Incoming
from router.usage import Usage


class Following:
    """Shows records to those who count: where flows come from, what they carried."""

    def __init__(
        self, incoming: Incoming, usage: Usage, clock: Callable[[], float]
    ) -> None:
        """`clock` gives monotonic seconds."""
        self._incoming = incoming
        self._usage = usage
        self._clock = clock

    def flow(self, record: FlowRecord) -> None:
        """A flow has ended."""
        self._incoming.flow(record, self._clock())
        self._usage.flow(record)

    def call(self, listener: str, record: CallRecord) -> None:
        """A request of a call has its final answer."""
        self._incoming.call(listener, record, self._clock())
