"""Whatever peers send, a line stays one line, harmless and of limited length."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import lines


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("Zürich, 東京", "Zürich, 東京"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("one\r\ntwo", "one\\r\\ntwo"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\u2028", "\\u2028"),
        ("\x00\x7f", "\\x00\\x7f"),
        ("\ud800", "\\ud800"),
    ],
)
def test_text_shows_control_characters_as_escapes(value: str, shown: str) -> None:
    assert lines.text(value) == shown


@pytest.mark.parametrize("value", ["a" * 256, "é" * 128, "a" * 65, "\x1b" * 64])
def test_text_within_the_limit_is_whole(value: str) -> None:
    assert not lines.text(value).endswith("...")


@pytest.mark.parametrize(
    "value", ["a" * 257, "é" * 129, "\x1b" * 65, "😀" * 65, "a" * 10_000_000]
)
def test_text_beyond_the_limit_is_cut_to_it(value: str) -> None:
    shown = lines.text(value)
    assert shown.endswith("...")
    assert len(shown.encode()) <= lines.LIMIT


@given(st.text(max_size=600))
def test_text_is_always_printable_and_within_the_limit(value: str) -> None:
    shown = lines.text(value)
    assert shown.isprintable()
    assert len(shown.encode()) <= lines.LIMIT


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, 1),
        (1.5, 1.5),
        (True, True),
        (None, None),
        (b"\x1b\xff", "\\x1b\\xff"),
        (("192.0.2.1", "192.0.2.2"), "192.0.2.1, 192.0.2.2"),
        ([b"\x1b"], "b'\\x1b'"),
        ("\x07", "\\x07"),
        (ValueError("no\nway"), "no\\nway"),
    ],
)
def test_value_of_any_kind_is_made_safe(value: object, shown: object) -> None:
    assert lines.safe({"field": value}) == {"field": shown}


def test_traceback_keeps_its_lines_and_only_those() -> None:
    shown = lines.safe({"traceback": "File x\n\x1b[2J\r\nValueError"})["traceback"]
    assert shown == "File x\n\\x1b[2J\\r\nValueError"


def test_traceback_beyond_its_limit_keeps_its_end() -> None:
    shown = lines.traceback("x" * 10_000 + "\nValueError: the cause")
    assert len(shown) <= lines.TRACEBACK_LIMIT
    assert shown.endswith("ValueError: the cause")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("ashburn", "field=ashburn"),
        ("two words", 'field="two words"'),
        ('say "no"', 'field="say \\"no\\""'),
        ("a=b", 'field="a=b"'),
        (True, "field=yes"),
        (False, "field=no"),
        (41.25, "field=41.25"),
        (7, "field=7"),
        ("", ""),
    ],
)
def test_pair_is_quoted_where_its_end_would_be_lost(value: object, shown: str) -> None:
    assert lines.pairs({"field": value}) == shown


def test_journal_entry_frames_values_with_and_without_line_ends() -> None:
    entry = lines.journal_entry({"edge": "ashburn", "traceback": "a\nb"})
    assert entry == (b"EDGE=ashburn\nTRACEBACK\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n")


def test_clock_shows_milliseconds_of_utc() -> None:
    moment = datetime.datetime(2026, 11, 22, 6, 0, 0, 7000, tzinfo=datetime.UTC)
    nanoseconds = int(moment.timestamp() * 1000) * 1_000_000 + 999_999
    assert lines.clock(nanoseconds) == "2026-11-22T06:00:00.007Z"
