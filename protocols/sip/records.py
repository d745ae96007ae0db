"""The call record: one value per dialog-forming request, and per BYE.

It holds no body, no credentials, and of all URIs the host at most.
"""

import dataclasses

from protocols.record import Attempt


@dataclasses.dataclass(slots=True)
class CallRecord:
    """What became of one request. Times in seconds since it came; None for never."""

    method: str
    "INVITE, SUBSCRIBE, REFER or BYE."
    direction: str
    "to_provider or from_provider."
    client: str
    "Address of the peer that it came from."
    call_id: str
    "Call-ID, as it came."
    from_tag: str
    "Tag of whoever sent the request."
    to_tag: str = ""
    "Tag of whoever answered it."
    cseq: int = 0
    "Number in CSeq."
    status: int = 0
    "Status of the final answer given; 0 for none."
    edge: str = ""
    "Edge, for a call from the provider, too."
    target: str = ""
    "Where the final answer came from: its place and address; empty for our own."
    attempts: tuple[Attempt, ...] = ()
    "All targets turned to, in order; empty when the first one served at once."
    trying: float | None = None
    "Until the far side's first answer."
    ringing: float | None = None
    "Until the first of 101 to 199."
    total: float = 0.0
    "Until the final answer was given."
    failover: float = 0.0
    "Until the request was sent where the final answer came from."
    reason: str = ""
    """In words, why the router itself ended it, or what was odd; from our own text.
    While it is under way, why nobody else may be asked."""
    spilled: str = ""
    "What had no room for the call, so that it went elsewhere; empty for nothing."
