import asyncio
import json
from pathlib import Path

import pytest

from simulator.ledger import Ledger, LedgerFullError


def clock() -> float:
    return 12.5


def test_event_is_kept_and_appended_to_the_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    file.write_text("earlier\n")
    ledger = Ledger(clock, file)

    event = ledger.record("request", edge="ashburn", method="POST", status=0)

    earlier, line = file.read_text().splitlines()
    assert earlier == "earlier"
    assert json.loads(line) == {
        "time": 12.5,
        "event": "request",
        "edge": "ashburn",
        "method": "POST",
    }
    assert ledger.events() == [event]
    ledger.close()


def test_event_with_a_line_break_stays_one_line(tmp_path: Path) -> None:
    ledger = Ledger(clock, tmp_path / "ledger.jsonl")

    ledger.record("request", target="/a\r\nb")
    ledger.close()

    assert (tmp_path / "ledger.jsonl").read_text().count("\n") == 1


def test_events_are_found_by_kind_and_fields() -> None:
    ledger = Ledger(clock)
    ledger.record("request", edge="ashburn", method="POST")
    ledger.record("request", edge="dublin", method="POST")
    ledger.record("answered", edge="dublin", status=201)

    assert [event.edge for event in ledger.requests(method="POST")] == [
        "ashburn",
        "dublin",
    ]
    assert len(ledger.requests(method="POST", edge="dublin")) == 1
    assert [event.status for event in ledger.events(edge="dublin")] == [0, 201]


def test_duplicates_are_markers_received_more_than_once() -> None:
    ledger = Ledger(clock)
    for marker in ("a", "b", "a", "", "", "c"):
        ledger.record("request", marker=marker)
    ledger.record("answered", marker="b")

    assert ledger.markers() == {"a": 2, "b": 1, "c": 1}
    assert ledger.duplicates() == {"a": 2}


def test_ledger_that_forgot_events_refuses_to_judge() -> None:
    ledger = Ledger(clock, limit=2)
    for _ in range(3):
        ledger.record("request", marker="a")

    with pytest.raises(LedgerFullError, match="3 events, 2 kept"):
        ledger.duplicates()


def test_cleared_ledger_judges_what_comes_later() -> None:
    ledger = Ledger(clock, limit=2)
    for _ in range(3):
        ledger.record("request", marker="a")

    ledger.clear()
    ledger.record("request", marker="a")

    assert ledger.duplicates() == {}
    assert ledger.markers() == {"a": 1}


async def test_wait_returns_the_first_event_that_fits_past_or_to_come() -> None:
    ledger = Ledger(clock)
    past = ledger.record("request", edge="ashburn")

    assert await ledger.wait("request") == past
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ledger.wait("request", edge="dublin"))
        await asyncio.sleep(0)
        ledger.record("request", edge="ashburn")
        ledger.record("answered", edge="dublin")
        wanted = ledger.record("request", edge="dublin")
        ledger.record("request", edge="dublin")
    assert waiting.result() is wanted
