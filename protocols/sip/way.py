"""Where one request may go: what the search for its answer is given."""

from typing import NamedTuple

from protocols.sip.peers import Side
from protocols.sip.records import CallRecord
from protocols.sip.settings import Limits
from protocols.sip.stamp import Stamp
from protocols.target import Choose, Target


class Way(NamedTuple):
    """Where one request may go, and what its copies carry."""

    side: Side
    "The side that it goes to."
    choose: Choose
    "Gives its targets, one after the other."
    limits: Limits | None
    "How long and how often it is tried; None within a dialog, which never moves."
    mark: bytes
    "What shows that it has come round in a loop."
    stamp: Stamp | None = None
    "Makes its Record-Route or Path, if it gets one."
    first: Target | None = None
    "The target to ask first: the next hop of a dialog, or who wanted credentials."
    needs_tls: bool = False
    "Whether it may go to targets with TLS alone (sips)."
    record: CallRecord | None = None
    "The record to fill and write, if there is to be one."

    def label(self, target: Target) -> str:
        """Name of the provider's place: where the request goes, or where it is from."""
        if self.side is Side.EDGE or self.record is None:
            return target.label
        return self.record.edge
