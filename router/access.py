"""The access record as a line: `flow.ended`, rendered once per request.

Every request pays for this, so JSON has a form of its own: it gives what `fields` and
the general encoder would, at a fraction of the time; a test compares the two.
"""

import functools
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from protocols.record import Attempt, FlowRecord
from router import events, lines
from router.events import Event


class Place(NamedTuple):
    """What a record says of the edge that served, beside its name."""

    region: str
    "The provider's region, by configuration."
    kind: str
    "public or private."
    link: str = ""
    "The direct link that leads there; empty for none."


Places = Mapping[str, Place]
"By name of the edge; receivers of the site are none."
NOWHERE: Places = MappingProxyType({})
UNKNOWN = Place("", "")
"What is no edge."
_SWITCHED = 101  # the status of a WebSocket

CUT = lines.LIMIT + 1
"Characters of a text that matter; the last of them is never shown."
quote = json.encoder.encode_basestring_ascii
"A text as JSON."


def head_of(event: Event) -> str:
    """The part of a line that is the same for every record."""
    return f'"level":"{event.level.name.lower()}","event":"{event.name}"'


_HEAD = head_of(events.FLOW_ENDED)


def fields(record: FlowRecord, places: Places = NOWHERE) -> dict[str, object]:
    """The fields of `flow.ended`; what does not apply to the flow is left out."""
    place = places.get(record.origin or record.edge, UNKNOWN)
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
        "origin": record.origin,
        "link": place.link,
        "request_id": record.request_id,
        "reused": record.reused,
        "resumed": record.resumed,
        "attempts": len(record.attempts),
        "tried": tried(record.attempts),
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
    if record.status == _SWITCHED:
        shown["received_messages"] = record.received_messages
        shown["sent_messages"] = record.sent_messages
        if record.close_code:
            shown["close_code"] = record.close_code
            shown["closed_by"] = record.closed_by
    shown["ended"] = record.ended
    return shown


def as_json(when: str, record: FlowRecord, places: Places = NOWHERE) -> str:
    """The whole line of the record as a JSON object; `when` is its time."""
    line = f'{{"time":"{when}",{_HEAD}' + _asked(
        record.listener,
        record.protocol,
        record.direction,
        record.client,
        record.method,
        record.host[:CUT],
    )
    if record.path:
        line += f',"path":{quote(lines.text(record.path))}'
    if record.request_id:
        line += f',"request_id":{quote(lines.text(record.request_id))}'
    if record.attempts:
        line += f',"attempts":{len(record.attempts)}'
        if tried_ := tried(record.attempts):
            line += f',"tried":{quote(lines.text(tried_))}'
    line += _answered(
        record.status,
        record.edge,
        record.address,
        places.get(record.origin or record.edge, UNKNOWN),
        record.origin,
        record.reused,
        record.resumed,
        record.ended,
        record.reason[:CUT],
    )
    return line + _measured(record)


# Requests repeat each other in most: parts that take few values are remembered.


@functools.lru_cache(maxsize=256)
def _asked(*values: str) -> str:
    names = ("listener", "protocol", "direction", "client", "method", "host")
    return named(zip(names, values, strict=True))


@functools.lru_cache(maxsize=256)
def _answered(
    status: int,
    edge: str,
    address: str,
    place: Place,
    origin: str,
    reused: bool,
    resumed: bool,
    ended: str,
    reason: str,
) -> str:
    line = named(
        (
            ("edge", edge),
            ("address", address),
            ("region", place.region),
            ("kind", place.kind),
            ("origin", origin),
            ("link", place.link),
            ("reason", reason),
        )
    )
    if status:
        line += f',"status":{status}'
    if reused:
        line += ',"reused":true'
    if resumed:
        line += ',"resumed":true'
    return f'{line},"ended":{quote(lines.text(ended))}'


def named(texts: Iterable[tuple[str, str]]) -> str:
    """Members of an object, without those that are empty."""
    return "".join(
        f',"{name}":{quote(lines.text(text))}' for name, text in texts if text
    )


def _measured(record: FlowRecord) -> str:
    line = ""
    for name, seconds in (
        ("waited_ms", record.waited),
        ("connect_ms", record.connect),
        ("tls_ms", record.tls),
        ("first_byte_ms", record.first_byte),
    ):
        if seconds is not None:
            line += f',"{name}":{seconds * 1000:.3f}'
    if record.status == _SWITCHED:
        line += (
            f',"received_messages":{record.received_messages}'
            f',"sent_messages":{record.sent_messages}'
        )
        if record.close_code:
            line += f',"close_code":{record.close_code}'
            line += f',"closed_by":"{record.closed_by}"'
    return (
        f'{line},"total_ms":{record.total * 1000:.3f}'
        f',"received_bytes":{record.received},"sent_bytes":{record.sent}}}'
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def tried(attempts: Iterable[Attempt]) -> str:
    """The attempts that did not serve, in words."""
    return "; ".join(
        f"{attempt.target} {attempt.result or 'unfinished'} after "
        f"{_milliseconds(attempt.seconds):g} ms"
        + (f" ({attempt.detail})" if attempt.detail else "")
        for attempt in attempts
        if attempt.result is not None or attempt.detail
    )
