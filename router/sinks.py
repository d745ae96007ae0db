"""Where log lines go, and what they look like there: the journal, JSON, the eyes."""

import json
import os
import select
import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TextIO

import structlog

from protocols.record import FlowRecord
from router import access, calls, lines
from router.access import NOWHERE, Places
from router.calls import Call
from router.events import Event, Level

JOURNAL = "/run/systemd/journal/socket"
"Where the journal takes native entries."


class Said(NamedTuple):
    """One event on its way to the writer thread, not rendered yet."""

    when: int
    "Nanoseconds since 1970."
    level: Level
    "How much it matters."
    event: Event
    "What happened."
    fields: lines.Fields | FlowRecord | Call
    "Its data; a flow's is its record, which nobody changes any more."


class Sink(Protocol):
    """Where lines go. Called by the writer thread only."""

    def render(self, said: Said) -> bytes:
        """The event as this sink wants it."""

    def write(self, batch: list[bytes]) -> None:
        """Write what was rendered; raises OSError when it is lost."""

    def close(self) -> None:
        """Write nothing any more."""


class Stream:
    """Lines of text into a descriptor: JSON, or for the eyes."""

    def __init__(self, descriptor: int, render: Callable[[Said], str]) -> None:
        self._descriptor = descriptor
        self._render = render

    def render(self, said: Said) -> bytes:
        return self._render(said).encode(errors="backslashreplace") + b"\n"

    def write(self, batch: list[bytes]) -> None:
        rest = memoryview(b"".join(batch))
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody else made the descriptor non-blocking
                select.select([], [self._descriptor], [])

    def close(self) -> None:
        """The descriptor is not ours to close."""


class Journal:
    """Native entries to journald, with every field to search by.

    An entry that the journal does not take goes to a descriptor as text, with its
    priority in front as sd-daemon(3) has it.
    """

    def __init__(
        self, descriptor: int, *, path: str = JOURNAL, places: Places = NOWHERE
    ) -> None:
        self._descriptor = descriptor
        self._path = path
        self._places = places
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(1.0)

    def render(self, said: Said) -> bytes:
        shown = _safe_fields(said, self._places)
        text = lines.pairs({n: v for n, v in shown.items() if n != "traceback"})
        return lines.journal_entry(
            {
                "PRIORITY": said.level.priority,
                "MESSAGE": f"{said.event.name} {text}",
                "SYSLOG_IDENTIFIER": "edge-router",
                "EVENT": said.event.name,
                **shown,
            }
        )

    def write(self, batch: list[bytes]) -> None:
        for entry in batch:
            try:
                self._socket.sendto(entry, self._path)
            except OSError:  # no journal, or one that does not keep up
                priority, message, _ = entry.split(b"\n", 2)
                text = b"<%b>%b\n" % (priority[9:], message[8:])
                os.write(self._descriptor, text)

    def close(self) -> None:
        self._socket.close()


def open_sink(
    form: str,
    stream: TextIO,
    environ: Mapping[str, str],
    *,
    journal: str = JOURNAL,
    places: Places = NOWHERE,
) -> Sink:
    """The sink for one of the formats auto, journald, json, console."""
    descriptor = stream.fileno()
    if form == "auto":
        form = _fitting(stream, environ)
    match form:
        case "journald":
            return Journal(descriptor, path=journal, places=places)
        case "console":
            colors = stream.isatty() and not environ.get("NO_COLOR")
            return Stream(descriptor, _for_eyes(colors, places))
        case _:
            return Stream(descriptor, _as_json(places))


def _fitting(stream: TextIO, environ: Mapping[str, str]) -> str:
    # systemd.exec(5): compare $JOURNAL_STREAM with the "device and inode numbers" of
    # standard error, "separated by a colon", to see whether it goes to the journal.
    status = os.fstat(stream.fileno())
    if environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}":
        return "journald"
    return "console" if stream.isatty() else "json"


def _safe_fields(said: Said, places: Places) -> dict[str, object]:
    fields = said.fields
    if isinstance(fields, FlowRecord):
        fields = access.fields(fields, places)
    elif isinstance(fields, Call):
        fields = calls.fields(fields, places)
    return lines.safe(fields)


def _line(said: Said, places: Places) -> dict[str, object]:
    return {
        "time": lines.clock(said.when),
        "level": said.level.name.lower(),
        "event": said.event.name,
        **_safe_fields(said, places),
    }


def _as_json(places: Places) -> Callable[[Said], str]:
    encode = json.JSONEncoder(separators=(",", ":")).encode
    render = structlog.processors.JSONRenderer(lambda line, **_: encode(line))

    def render_line(said: Said) -> str:
        if isinstance(said.fields, FlowRecord):
            return access.as_json(lines.clock(said.when), said.fields, places)
        if isinstance(said.fields, Call):
            return calls.as_json(lines.clock(said.when), said.fields, places)
        return str(render(None, "", _line(said, places)))

    return render_line


def _for_eyes(colors: bool, places: Places) -> Callable[[Said], str]:
    render = structlog.dev.ConsoleRenderer(
        colors=colors, timestamp_key="time", sort_keys=False
    )

    def render_line(said: Said) -> str:
        line = _line(said, places)
        if "traceback" in line:
            line["exception"] = line.pop("traceback")
        return str(render(None, "", line))

    return render_line
