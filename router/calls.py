"""The call record as fields of `call.ended`."""

from typing import Any

from protocols.sip.records import CallRecord
from router.access import tried


def fields(listener: str, record: CallRecord) -> dict[str, Any]:
    """What the record says; what does not apply to the call is left out."""
    shown: dict[str, Any] = {
        "listener": listener,
        "direction": record.direction,
        "client": record.client,
        "method": record.method,
        "call_id": record.call_id,
        "from_tag": record.from_tag,
        "to_tag": record.to_tag,
        "cseq": record.cseq,
        "status": record.status,
        "edge": record.edge,
        "target": record.target,
        "attempts": len(record.attempts),
        "tried": tried(record.attempts),
        "reason": record.reason or _advice(record),
    }
    times = {
        "trying_ms": record.trying,
        "ringing_ms": record.ringing,
        "failover_ms": record.failover or None,
        "total_ms": record.total,
    }
    measured = {n: round(1000 * t, 1) for n, t in times.items() if t is not None}
    return {name: value for name, value in shown.items() if value} | measured


def _advice(record: CallRecord) -> str:
    """Providers know a trunk by its address, which may be another one at each edge."""
    answered = record.target and record.direction == "to_provider"
    if answered and record.method == "INVITE" and record.status == 403:
        return "is our address there in the provider's list?"
    return ""
