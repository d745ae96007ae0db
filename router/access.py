"""The access record as a line: `flow.ended`, rendered once per request.

Every request pays for this, so JSON has a form of its own: it gives what `fields` and
the general encoder would, at a fraction of the time; a test compares the two.
"""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from protocols.record import Attempt, FlowRecord
from router import events, lines


class Place(NamedTuple):
    """What a record says of the edge that served, beside its name."""

    region: str
    "The provider's region, by configuration."
    kind: str
    "public or private."


Places = Mapping[str, Place]
"By name of the edge; receivers of the site are none."
NOWHERE: Places = MappingProxyType({})
_UNKNOWN = Place("", "")

_LEVEL = events.FLOW_ENDED.level.name.lower()
_HEAD = f'"level":"{_LEVEL}","event":"{events.FLOW_ENDED.name}"'
_quote = json.encoder.encode_basestring_ascii


def fields(record: FlowRecord, places: Places = NOWHERE) -> dict[str, object]:
    """The fields of `flow.ended`; what does not apply to the flow is left out."""
    place = places.get(record.edge, _UNKNOWN)
    shown: dict[str, object] = {
        "listener": record.listener,
        "protocol": record.protocol,
        "direction": record.direction,
        "client": record.client,
        "method": record.method,
        "host": record.host,
        "path": record.path,
        "status": record.status,
        "edge": record.edge,
        "address": record.address,
        "region": place.region,
        "kind": place.kind,
        "request_id": record.request_id,
        "reused": record.reused,
        "resumed": record.resumed,
        "attempts": len(record.attempts),
        "tried": _tried(record.attempts),
        "reason": record.reason,
    }
    shown = {name: value for name, value in shown.items() if value}
    for name, seconds in (
        ("waited_ms", record.waited),
        ("connect_ms", record.connect),
        ("tls_ms", record.tls),
        ("first_byte_ms", record.first_byte),
    ):
        if seconds is not None:
            shown[name] = _milliseconds(seconds)
    shown["total_ms"] = _milliseconds(record.total)
    shown["received_bytes"] = record.received
    shown["sent_bytes"] = record.sent
    shown["ended"] = record.ended
    return shown


def as_json(when: str, record: FlowRecord, places: Places = NOWHERE) -> str:
    """The whole line of the record as a JSON object; `when` is its time."""
    place = places.get(record.edge, _UNKNOWN)
    line = f'{{"time":"{when}",{_HEAD}'
    for name, value in (
        (',"listener":', record.listener),
        (',"protocol":', record.protocol),
        (',"direction":', record.direction),
        (',"client":', record.client),
        (',"method":', record.method),
        (',"host":', record.host),
        (',"path":', record.path),
        (',"edge":', record.edge),
        (',"address":', record.address),
        (',"region":', place.region),
        (',"kind":', place.kind),
        (',"request_id":', record.request_id),
        (',"reason":', record.reason),
    ):
        if value:
            line += name + _quote(lines.text(value))
    if record.attempts:
        line += f',"attempts":{len(record.attempts)}'
        if tried := _tried(record.attempts):
            line += f',"tried":{_quote(lines.text(tried))}'
    if record.status:
        line += f',"status":{record.status}'
    if record.reused:
        line += ',"reused":true'
    if record.resumed:
        line += ',"resumed":true'
    return line + _timers(record)


def _timers(record: FlowRecord) -> str:
    line = ""
    if record.waited is not None:
        line += f',"waited_ms":{_milliseconds(record.waited)}'
    if record.connect is not None:
        line += f',"connect_ms":{_milliseconds(record.connect)}'
    if record.tls is not None:
        line += f',"tls_ms":{_milliseconds(record.tls)}'
    if record.first_byte is not None:
        line += f',"first_byte_ms":{_milliseconds(record.first_byte)}'
    return (
        f'{line},"total_ms":{_milliseconds(record.total)}'
        f',"received_bytes":{record.received},"sent_bytes":{record.sent}'
        f',"ended":{_quote(lines.text(record.ended))}}}'
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _tried(attempts: Iterable[Attempt]) -> str:
    return "; ".join(
        f"{attempt.target} {attempt.result or 'unfinished'} after "
        f"{_milliseconds(attempt.seconds):g} ms"
        + (f" ({attempt.detail})" if attempt.detail else "")
        for attempt in attempts
        if attempt.result is not None or attempt.detail
    )
