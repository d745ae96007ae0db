"""Lines in pipes, on terminals and in journal sockets, all of them real."""

import dataclasses
import json
import os
import pathlib
import pty
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

import pytest

from protocols.record import FlowRecord
from router import events
from router.access import Place
from router.events import Event, Level
from router.sinks import Said, Sink, Stream, open_sink

RECORD = FlowRecord("api", "https", "to_provider", "10.0.0.7", status=200, total=0.5)
WHEN = 1_800_000_000_123_456_789


def said(event: Event, /, **fields: object) -> Said:
    return Said(WHEN, event.level, event, fields)


def write(sink: Sink, *batch: Said) -> None:
    sink.write([sink.render(said) for said in batch])
    sink.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    yield reader, stream
    stream.close()
    os.close(reader)


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    master, slave = pty.openpty()
    stream = os.fdopen(slave, "w")
    yield master, stream
    stream.close()
    os.close(master)


@pytest.fixture
def journal(tmp_path: pathlib.Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        server.settimeout(10)
        yield server


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("json", b'"region":"us1","kind":"private"'),
        ("console", b"region=us1 kind=private"),
        ("journald", b"REGION=us1\nKIND=private\n"),
    ],
)
def test_record_in_every_form_tells_region_and_kind_of_its_edge(
    pipe: tuple[int, TextIO], form: str, shown: bytes
) -> None:
    places = {"ashburn-ix": Place("us1", "private")}
    sink = open_sink(form, pipe[1], {}, places=places)
    record = dataclasses.replace(RECORD, edge="ashburn-ix")
    rendered = sink.render(Said(WHEN, Level.INFO, events.FLOW_ENDED, record))
    sink.close()
    assert shown in rendered


def test_event_in_json_has_time_level_name_and_fields(
    pipe: tuple[int, TextIO],
) -> None:
    reader, stream = pipe
    write(
        open_sink("json", stream, {}),
        said(events.EDGE_SWITCHED, home="ashburn", gain_ms=31.5),
        Said(WHEN, Level.INFO, events.FLOW_ENDED, RECORD),
    )
    switched, flow = map(json.loads, os.read(reader, 65536).splitlines())
    assert switched == {
        "time": "2027-01-15T08:00:00.123Z",
        "level": "warning",
        "event": "edge.switched",
        "home": "ashburn",
        "gain_ms": 31.5,
    }
    assert (flow["event"], flow["total_ms"]) == ("flow.ended", 500.0)


@pytest.mark.parametrize("form", ["json", "console", "journald"])
def test_control_characters_reach_no_output(
    form: str, pipe: tuple[int, TextIO], journal: socket.socket
) -> None:
    reader, stream = pipe
    evil = "\x1b]0;x\x07\x9b2J\r\n<0>fake line\u202e\x00"
    write(
        open_sink(form, stream, {}, journal=journal.getsockname()),
        said(events.TLS_FAILED, listener="api", client=evil, error=evil),
        Said(
            WHEN,
            Level.INFO,
            events.FLOW_ENDED,
            FlowRecord(evil, evil, evil, evil, evil),
        ),
    )
    if form == "journald":
        received = [journal.recv(65536).decode() for _ in range(2)]
    else:
        received = os.read(reader, 65536).decode().splitlines()
    assert len(received) == 2
    for entry in received:
        assert entry.replace("\n", "").isprintable()
        assert "\n<0>" not in entry


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)]
)
def test_terminal_gets_colours_unless_there_is_no_color(
    environ: dict[str, str], coloured: bool, terminal: tuple[int, TextIO]
) -> None:
    master, stream = terminal
    write(open_sink("auto", stream, environ), said(events.DAEMON_STARTED, version="1"))
    shown = os.read(master, 65536)
    assert b"daemon.started" in shown
    assert (b"\x1b[" in shown) is coloured


def test_console_shows_a_traceback_below_its_line(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    crash = said(events.FLOW_CRASHED, error="bug", traceback="File x\nValueError")
    write(open_sink("console", stream, {}), crash)
    assert os.read(reader, 65536).splitlines()[1:] == [b"File x", b"ValueError"]


def test_pipe_gets_json_by_itself(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    write(
        open_sink("auto", stream, {"JOURNAL_STREAM": "1:2"}), said(events.LOG_DROPPED)
    )
    assert json.loads(os.read(reader, 65536))["event"] == "log.dropped"


def test_journal_stream_gets_native_entries_by_itself(
    pipe: tuple[int, TextIO], journal: socket.socket
) -> None:
    status = os.fstat(pipe[1].fileno())
    environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    write(
        open_sink("auto", pipe[1], environ, journal=journal.getsockname()),
        said(events.EDGE_SWITCHED, home="ashburn", reason="dublin is down"),
        said(events.FLOW_CRASHED, error="bug", traceback="a\nb"),
    )
    assert journal.recv(65536).decode().splitlines() == [
        "PRIORITY=4",
        'MESSAGE=edge.switched home=ashburn reason="dublin is down"',
        "SYSLOG_IDENTIFIER=edge-router",
        "EVENT=edge.switched",
        "HOME=ashburn",
        "REASON=dublin is down",
    ]
    crashed = journal.recv(65536)
    assert crashed.endswith(b"TRACEBACK\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n")


def test_entry_that_the_journal_does_not_take_is_written_as_text(
    pipe: tuple[int, TextIO], tmp_path: pathlib.Path
) -> None:
    sink = open_sink("journald", pipe[1], {}, journal=str(tmp_path / "none"))
    write(sink, said(events.EDGE_SWITCHED, home="ashburn"))
    assert os.read(pipe[0], 65536) == b"<4>edge.switched home=ashburn\n"


def test_non_blocking_descriptor_gets_every_line(pipe: tuple[int, TextIO]) -> None:
    reader, stream = pipe
    os.set_blocking(stream.fileno(), False)
    sink = open_sink("json", stream, {})
    batch = [said(events.DAEMON_STARTED, version="x" * 200)] * 5_000
    writer = threading.Thread(target=write, args=(sink, *batch))
    writer.start()
    received = 0
    while received < 5_000:
        received += os.read(reader, 65536).count(b"\n")
    writer.join()
    assert received == 5_000


def _render_surrogate(said: Said) -> str:
    return "\ud800"


def test_stream_takes_lone_surrogates(pipe: tuple[int, TextIO]) -> None:
    render: Callable[[Said], str] = _render_surrogate
    write(Stream(pipe[1].fileno(), render), said(events.DAEMON_STARTED))
    assert os.read(pipe[0], 65536) == b"\\ud800\n"
