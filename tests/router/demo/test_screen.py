"""What the demo shows, as plain text."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from router.demo.clients import Reply, Request
from router.demo.screen import Screen, console, logged, why
from router.demo.tally import Row, Sent, Span


def shown(show: str, *arguments: object) -> str:
    file = io.StringIO()
    screen = Screen(Console(file=file, width=100))
    getattr(screen, show)(*arguments)
    return file.getvalue()


RANKED = {"edge": "ashburn", "place": 2, "kind": "public", "tier": 1, "score_ms": 18.5}


def test_chapters_are_numbered() -> None:
    file = io.StringIO()
    screen = Screen(Console(file=file, width=100))
    screen.chapter("One", "text")
    screen.chapter("Two")
    assert file.getvalue().split("\n") == ["", "1. One", "text", "", "2. Two", ""]


def test_ranking_shows_place_measure_and_reason() -> None:
    text = shown("ranking", [{**RANKED, "gain_ms": 9.7}], {"ashburn": "8 ms"})
    (row,) = (" ".join(line.split()) for line in text.splitlines() if "ashburn" in line)
    assert row == "2 ashburn public 8 ms 18.5 ms 9.7 ms faster, but public"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"gain_ms": -4.0}, "4.0 ms slower"),
        ({"gain_ms": 4.0}, "4.0 ms faster, but public"),
        (
            {"kind": "private", "tier": 0, "place": 1},
            "home: private, and not much slower",
        ),
        ({"place": 1}, "home"),
    ],
)
def test_reason_is_in_words(fields: dict[str, object], reason: str) -> None:
    assert why({**RANKED, **fields}) == reason


def test_unmeasured_edge_says_so() -> None:
    line = {name: value for name, value in RANKED.items() if name != "score_ms"}
    assert why(line) == "not measured"
    assert " - " in shown("ranking", [line], {"ashburn": "8 ms"})


def test_visit_shows_who_served_it() -> None:
    request = Request("connect", "POST", "/2010-04-01/Accounts/AC1/Messages.json", "m")
    text = shown("visits", [(Sent(request, 0.0, Reply(201, 0.05)), "dublin")])
    row = text.splitlines()[3].split()
    assert row == ["connect", "POST", "/2010-04-01", "201", "dublin", "50", "ms"]


def test_commands_are_not_broken_into_lines() -> None:
    command = "curl " + "x" * 120
    assert shown("commands", {"connect": command}) == f"  connect      {command}\n"


def test_events_stand_between_the_spans_that_they_cut() -> None:
    spans = [
        Span(0.0, 2, {"a": 2}, 0.1),
        Span(1.0, 1, {"": 1}, 0.2),
        Span(2.0, 0, {}, 0.0),
    ]
    text = shown("spans", spans, [(0.0, Text("dies")), (1.5, Text("is well"))])
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines[2:] == [
        "2 requests, served 2 by a; slowest 100 ms",
        "+0.00   dies",
        "1 request, served 1 by nobody; slowest 200 ms",
        "+1.50   is well",
    ]


def test_call_shows_its_edge_and_how_often_it_rang() -> None:
    request = Request("to the provider", "INVITE", "sip:+1555@example.com", "m")
    one = Sent(request, 0.0, Reply(200, 0.016))
    text = shown("calls", [(one, "dublin", 1), (one, "ashburn, dublin", 2)])
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "to the provider dublin 200 once 16 ms" in rows
    assert "to the provider ashburn, dublin 200 2 times 16 ms" in rows


def test_events_have_their_second() -> None:
    text = shown("events", [(0.0, Text("rings")), (1.5, Text("is answered"))])
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert rows[-3:-1] == ["+0.00 rings", "+1.50 is answered"]


def test_reckoning_shows_every_row() -> None:
    text = shown("reckoning", [Row("GET", 3, 3, 0, 0, 0.25), Row("all", 4, 3, 0, 1, 1)])
    rows = [line.split() for line in text.splitlines()]
    assert ["GET", "3", "3", "0", "0", "250", "ms"] in rows
    assert ["all", "4", "3", "0", "1", "1000", "ms"] in rows


def test_log_line_shows_event_and_telling_fields() -> None:
    line = {"time": "t", "level": "warning", "at": 1.0, "event": "edge.switched"}
    text = logged({**line, "home": "dublin", "reason": "home is down"})
    assert text.plain == "edge.switched home=dublin reason='home is down'"


def test_console_is_100_columns_wide_without_a_terminal() -> None:
    assert console().width == 100
