"""The call record as fields, and as JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from protocols.record import Attempt
from protocols.sip.records import CallRecord
from protocols.target import Result, Target, Transport
from router import calls, events, lines
from router.access import Place
from router.calls import Call

HOME = Target("192.0.2.1", 5060, Transport.UDP, "pstn", label="ashburn")


def test_record_of_a_call_that_failed_over_says_what_was_tried_and_how_long() -> None:
    record = CallRecord(
        "INVITE", "to_provider", "10.0.0.10", "id@pbx", "a",
        to_tag="b", cseq=7, status=200, edge="dublin", target="dublin 192.0.2.5:5060",
        attempts=(Attempt(HOME, Result.SILENT, "no answer", 2.0),),
        trying=2.04, ringing=2.5, total=9.0, failover=2.0,
    )  # fmt: skip
    fields = calls.fields(Call("trunk", record))
    events.CALL_ENDED.check(fields)
    assert fields["tried"] == "ashburn 192.0.2.1:5060 silent after 2000 ms (no answer)"
    assert (fields["trying_ms"], fields["ringing_ms"]) == (2040.0, 2500.0)
    assert (fields["failover_ms"], fields["total_ms"]) == (2000.0, 9000.0)
    assert (fields["edge"], fields["status"], fields["cseq"]) == ("dublin", 200, 7)


def test_call_that_an_edge_refuses_says_where_to_look() -> None:
    """The first call from another address, after a failover, meets an old list."""
    record = CallRecord("INVITE", "to_provider", "10.0.0.10", "id", "a", status=403)
    assert "reason" not in calls.fields(Call("trunk", record)), "refused here"
    record.target = "dublin 192.0.2.5:5060"
    fields = calls.fields(Call("trunk", record))
    assert fields["reason"] == "is our address there in the provider's list?"
    record.direction = "from_provider"
    assert "reason" not in calls.fields(Call("trunk", record)), "refused by the PBX"


def test_call_tells_its_link_and_what_was_full() -> None:
    record = CallRecord(
        "INVITE", "to_provider", "10.0.0.10", "id", "a", edge="dublin", spilled="ix1"
    )
    places = {"ashburn-ix": Place("us1", "private", "ix1")}
    fields = calls.fields(Call("trunk", record), places)
    assert fields["spilled"] == "ix1"
    assert "link" not in fields
    record.edge = "ashburn-ix"
    assert calls.fields(Call("trunk", record), places)["link"] == "ix1"
    assert '"link":"ix1"' in calls.as_json("now", Call("trunk", record), places)


def test_what_does_not_apply_is_left_out() -> None:
    record = CallRecord("BYE", "from_provider", "192.0.2.1", "id", "a", total=0.01)
    assert calls.fields(Call("trunk", record)) == {
        "listener": "trunk",
        "direction": "from_provider",
        "client": "192.0.2.1",
        "method": "BYE",
        "call_id": "id",
        "from_tag": "a",
        "total_ms": 10.0,
    }


_texts = st.text(max_size=300)
_seconds = st.floats(0, 1e4)
_records = st.builds(
    CallRecord,
    method=st.sampled_from(["INVITE", "BYE"]),
    direction=st.sampled_from(["to_provider", "from_provider"]),
    client=_texts,
    call_id=_texts,
    from_tag=_texts,
    to_tag=_texts,
    cseq=st.integers(0, 2**31),
    status=st.sampled_from([0, 200, 403, 503]),
    edge=_texts,
    target=_texts,
    attempts=st.lists(
        st.builds(Attempt, st.just(HOME), st.sampled_from([None, *Result]), _texts)
    ).map(tuple),
    trying=st.none() | _seconds,
    ringing=st.none() | _seconds,
    total=_seconds,
    failover=_seconds,
    reason=_texts,
    spilled=_texts,
)


@given(_records)
def test_json_of_any_record_holds_the_same_fields(record: CallRecord) -> None:
    line = calls.as_json("2026-11-22T06:00:00.000Z", Call("trunk", record))
    assert line.isascii()
    assert json.loads(line) == {
        "time": "2026-11-22T06:00:00.000Z",
        "level": "info",
        "event": "call.ended",
        **lines.safe(calls.fields(Call("trunk", record))),
    }


@given(_records)
def test_fields_of_any_record_are_registered(record: CallRecord) -> None:
    events.CALL_ENDED.check(calls.fields(Call("trunk", record)))
