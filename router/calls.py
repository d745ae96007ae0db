"""The call record as a line: `call.ended`, rendered twice per call.

As with requests (`router.access`), JSON has a form of its own, which a test compares
with `fields` and the general encoder.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

from protocols.sip.records import CallRecord
from router import events
from router.access import CUT, NOWHERE, UNKNOWN, Places, head_of, named, tried


class Call(NamedTuple):
    """What the log is told of one request; nobody changes the record any more."""

    listener: str
    "Name of the listener."
    record: CallRecord
    "What became of the request."


def fields(call: Call, places: Places = NOWHERE) -> dict[str, object]:
    """What the record says; what does not apply to the call is left out."""
    listener, record = call
    shown: dict[str, object] = {
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
        "link": places.get(record.edge, UNKNOWN).link,
        "spilled": record.spilled,
        "target": record.target,
        "attempts": len(record.attempts),
        "tried": tried(record.attempts),
        "reason": record.reason or _advice(record),
    }
    shown = {name: value for name, value in shown.items() if value}
    for name, seconds in _times(record):
        shown[name] = round(1000 * seconds, 1)
    return shown


def as_json(when: str, call: Call, places: Places = NOWHERE) -> str:
    """The whole line of the record as a JSON object; `when` is its time."""
    listener, record = call
    line = (
        f'{{"time":"{when}",{_HEAD}'
        + _asked(listener, record.direction, record.client, record.method)
        + named(
            (
                ("call_id", record.call_id),
                ("from_tag", record.from_tag),
                ("to_tag", record.to_tag),
            )
        )
    )
    if record.cseq:
        line += f',"cseq":{record.cseq}'
    line += _answered(
        record.status,
        record.edge,
        places.get(record.edge, UNKNOWN).link,
        record.spilled,
        record.target,
        (record.reason or _advice(record))[:CUT],
    )
    if record.attempts:
        line += f',"attempts":{len(record.attempts)}'
        line += named((("tried", tried(record.attempts)),))
    for name, seconds in _times(record):
        line += f',"{name}":{1000 * seconds:.1f}'
    return line + "}"


_HEAD = head_of(events.CALL_ENDED)

# Calls repeat each other in most: parts that take few values are remembered.


@functools.lru_cache(maxsize=256)
def _asked(*values: str) -> str:
    names = ("listener", "direction", "client", "method")
    return named(zip(names, values, strict=True))


@functools.lru_cache(maxsize=256)
def _answered(status: int, *values: str) -> str:
    line = f',"status":{status}' if status else ""
    names = ("edge", "link", "spilled", "target", "reason")
    return line + named(zip(names, values, strict=True))


def _times(record: CallRecord) -> Iterator[tuple[str, float]]:
    if record.trying is not None:
        yield "trying_ms", record.trying
    if record.ringing is not None:
        yield "ringing_ms", record.ringing
    if record.failover:
        yield "failover_ms", record.failover
    yield "total_ms", record.total


def _advice(record: CallRecord) -> str:
    """Providers know a trunk by its address, which may be another one at each edge."""
    answered = record.target and record.direction == "to_provider"
    if answered and record.method == "INVITE" and record.status == 403:
        return "is our address there in the provider's list?"
    return ""
