"""The access record as fields and as JSON: two ways to the same line."""

import json

from hypothesis import given
from hypothesis import strategies as st

from protocols.record import Attempt, FlowRecord
from protocols.target import Result, Target, Transport
from router import access, events, lines
from router.access import Place

DUBLIN = Target("192.0.2.1", 443, Transport.TLS, "api.example", label="dublin")
ASHBURN = Target("2001:db8::1", 443, Transport.TLS, "api.example", label="ashburn")
PLACES = {
    "ashburn": Place("us1", "public"),
    "link": Place("", "private"),
    "ashburn-ix": Place("us1", "private", "ix1"),
}


def test_record_of_a_failed_over_request_tells_what_was_tried() -> None:
    record = FlowRecord(
        listener="api",
        protocol="https",
        direction="to_provider",
        client="10.0.0.7",
        method="POST",
        host="api.example",
        path="/Messages.json",
        status=201,
        edge="ashburn",
        address="2001:db8::1",
        resumed=True,
        attempts=(
            Attempt(DUBLIN, Result.REFUSED, "ECONNREFUSED", 0.0012),
            Attempt(ASHBURN, None, "", 0.07),
        ),
        request_id="RQ01",
        waited=0.0715,
        connect=0.0301,
        tls=0.0402,
        first_byte=0.1024,
        total=0.11,
        received=312,
        sent=861,
    )
    assert access.fields(record, PLACES) == {
        "listener": "api",
        "protocol": "https",
        "direction": "to_provider",
        "client": "10.0.0.7",
        "method": "POST",
        "host": "api.example",
        "path": "/Messages.json",
        "status": 201,
        "edge": "ashburn",
        "address": "2001:db8::1",
        "region": "us1",
        "kind": "public",
        "request_id": "RQ01",
        "resumed": True,
        "attempts": 2,
        "tried": "dublin 192.0.2.1:443 refused after 1.2 ms (ECONNREFUSED)",
        "waited_ms": 71.5,
        "connect_ms": 30.1,
        "tls_ms": 40.2,
        "first_byte_ms": 102.4,
        "total_ms": 110.0,
        "received_bytes": 312,
        "sent_bytes": 861,
        "ended": "--",
    }


def test_record_tells_the_link_and_where_a_flow_of_the_provider_came_from() -> None:
    went = FlowRecord("api", "https", "to_provider", "10.0.0.7", edge="ashburn-ix")
    assert access.fields(went, PLACES)["link"] == "ix1"
    came = FlowRecord("hooks", "https", "from_provider", "8.8.8.8", edge="10.0.0.20")
    assert "link" not in access.fields(came, PLACES)
    came.origin = "ashburn-ix"
    shown = access.fields(came, PLACES)
    assert (shown["origin"], shown["link"]) == ("ashburn-ix", "ix1")
    assert (shown["edge"], shown["kind"]) == ("10.0.0.20", "private")
    assert json.loads(access.as_json("now", came, PLACES)).items() >= shown.items()


def test_record_of_a_websocket_tells_its_messages_and_its_close() -> None:
    record = FlowRecord(
        "voice",
        "websocket",
        "to_provider",
        "10.0.0.7",
        status=101,
        received_messages=3,
        close_code=1012,
        closed_by="router",
        ended="RD",
    )
    shown = access.fields(record)
    assert (shown["received_messages"], shown["sent_messages"]) == (3, 0)
    assert (shown["close_code"], shown["closed_by"]) == (1012, "router")
    assert json.loads(access.as_json("now", record)).items() >= shown.items()
    record.close_code = 0
    assert "close_code" not in access.fields(record)
    assert "close" not in access.as_json("now", record)


def test_attempt_that_came_to_nothing_yet_is_tried_and_unfinished() -> None:
    record = FlowRecord(
        "api",
        "https",
        "to_provider",
        "10.0.0.7",
        attempts=(Attempt(DUBLIN, None, "still under way when the flow ended", 0.25),),
        ended="CC",
    )
    assert access.fields(record)["tried"] == (
        "dublin 192.0.2.1:443 unfinished after 250 ms "
        "(still under way when the flow ended)"
    )


def test_record_of_a_refused_client_holds_only_what_applies() -> None:
    record = FlowRecord(
        "api", "https", "to_provider", "10.0.0.7", ended="RH", reason="no Host"
    )
    assert access.fields(record) == {
        "listener": "api",
        "protocol": "https",
        "direction": "to_provider",
        "client": "10.0.0.7",
        "reason": "no Host",
        "total_ms": 0.0,
        "received_bytes": 0,
        "sent_bytes": 0,
        "ended": "RH",
    }


_text = st.text(max_size=300)
_seconds = st.none() | st.floats(min_value=0, max_value=1e6)
_attempts = st.builds(
    Attempt,
    target=st.sampled_from([DUBLIN, ASHBURN]),
    result=st.none() | st.sampled_from(Result),
    detail=_text,
    seconds=st.floats(min_value=0, max_value=100),
)
_records = st.builds(
    FlowRecord,
    listener=_text,
    protocol=_text,
    direction=_text,
    client=_text,
    method=_text,
    host=_text,
    path=_text,
    status=st.integers(0, 999),
    edge=_text | st.sampled_from(sorted(PLACES)),
    address=_text,
    reused=st.booleans(),
    resumed=st.booleans(),
    attempts=st.lists(_attempts, max_size=3).map(tuple),
    request_id=_text,
    waited=_seconds,
    connect=_seconds,
    tls=_seconds,
    first_byte=_seconds,
    total=st.floats(min_value=0, max_value=1e6),
    received=st.integers(0),
    sent=st.integers(0),
    ended=_text,
    reason=_text,
)


@given(_records)
def test_json_of_any_record_holds_the_same_fields(record: FlowRecord) -> None:
    line = access.as_json("2026-11-22T06:00:00.000Z", record, PLACES)
    assert line.isascii()
    assert json.loads(line) == {
        "time": "2026-11-22T06:00:00.000Z",
        "level": "info",
        "event": "flow.ended",
        **lines.safe(access.fields(record, PLACES)),
    }


@given(_records)
def test_fields_of_any_record_are_registered(record: FlowRecord) -> None:
    events.FLOW_ENDED.check(access.fields(record, PLACES))
