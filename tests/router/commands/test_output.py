"""Tables: plain when piped, coloured on a terminal."""

import io

import pytest
from rich.console import Console

from router.commands.output import (
    Sheet,
    console,
    lasting,
    milliseconds,
    plain,
    show,
    since,
)

ROWS = [("ashburn", "4.1 ms", "up"), ("b", "-", "")]
SHEET = Sheet(("edge", "score#", "state"), ROWS)
PLAIN = "edge      score  state\nashburn  4.1 ms  up\nb             -\n"


def test_table_is_plain_and_whole_when_piped() -> None:
    assert plain(SHEET) == PLAIN.rstrip("\n")
    file = io.StringIO()
    wide = Sheet(("text",), [("word " * 60 + "end",)])
    show(console(file), ["ok: fine", SHEET, Sheet(("none",), []), wide])
    assert file.getvalue() == f"ok: fine\n\n{PLAIN}\ntext\n{'word ' * 60}end\n"


def test_states_have_colours_on_a_terminal_only() -> None:
    file = io.StringIO()
    on = Console(file=file, force_terminal=True, color_system="standard", width=60)
    show(on, ["failed: all is lost", SHEET])
    assert "\x1b[1;31mfailed\x1b[0m: all is lost" in file.getvalue()
    assert "\x1b[32mup" in file.getvalue()


def test_markup_in_what_is_shown_is_none() -> None:
    file = io.StringIO()
    show(console(file), ["[red]ok[/red]: [x]", Sheet(("a",), [("[bold]b",)])])
    assert file.getvalue() == "[red]ok[/red]: [x]\n\na\n[bold]b\n"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-1.0, "0 s"), (119.0, "119 s"), (150.0, "2 min"), (7200.0, "2 h"), (2e5, "2 d")],
)
def test_durations_are_short(seconds: float, told: str) -> None:
    assert lasting(seconds) == told


def test_times_and_round_trips() -> None:
    before, now = "2026-11-22T12:00:00.000Z", "2026-11-22T12:00:42.900Z"
    assert since(before, now) == "43 s"
    assert (milliseconds(4.123), milliseconds(None)) == ("4.1 ms", "-")
