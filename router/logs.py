"""The log: events and access records, out of the event loop's way.

The loop hands an event over unrendered; a thread renders and writes. When whatever
takes the lines is slow the queue fills up, lines are dropped and counted, and nothing
waits.
"""

import asyncio
import logging
import os
import queue
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO

from protocols.record import FlowRecord
from protocols.sip.records import CallRecord
from router import events, lines
from router.access import NOWHERE, Places
from router.calls import Call
from router.events import Event, Level
from router.repeats import Repeats
from router.sinks import Said, Sink, open_sink

CAPACITY = 4096
"Lines that wait to be written at most; the next ones are dropped and counted."
BATCH = 64
"Lines written at a time at most."
GATHER = 0.01
"Seconds that lines may gather: a thread that wakes for each costs more than its work."
PATIENCE = 2.0
"Seconds to wait for the last lines to be written at the end."

Sort = tuple[str, str, str]
"A sort of flows: listener, protocol, edge; the last is empty for what reached none."

_FLOW = events.FLOW_ENDED
_CALL = events.CALL_ENDED


class Follows(Protocol):
    """Who is shown records before they are logged. Never raises, never waits."""

    def flow(self, record: FlowRecord) -> None:
        """Take the record of a flow, or add to it."""

    def call(self, listener: str, record: CallRecord) -> None:
        """Take the record of a call, or add to it."""


class Log:
    """Takes events from the loop and hands them to a sink, in a thread of its own."""

    def __init__(
        self,
        sink: Sink,
        *,
        level: Level = Level.INFO,
        strict: bool = True,
        capacity: int = CAPACITY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`strict` makes a field that the registry lacks an AssertionError; `clock`
        gives the monotonic seconds by which repeats are told."""
        self._clock = clock
        self._sink = sink
        self._level = level
        self._strict = strict
        self._capacity = capacity
        self._waiting: queue.SimpleQueue[Said | None] = queue.SimpleQueue()
        self._repeats = Repeats()
        self._lock = threading.Lock()  # of the repeats: libraries log from any thread
        self.dropped = 0
        "Lines lost since the start, for whatever reason."
        self.taken = 0
        "Lines handed over since the start."
        self._why_dropped = ""
        self._flows = self.enabled(_FLOW.level)
        self._calls = self.enabled(_CALL.level)
        self.ended: defaultdict[Sort, int] = defaultdict(int)
        "How many flows have ended of each sort, whether or not that was logged."
        self.follows: Follows | None = None
        "Who is shown each record first."
        self._libraries: _Libraries | None = None
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def enabled(self, level: Level) -> bool:
        """Whether events of this level are logged; ask before preparing costly ones."""
        return level >= self._level

    @property
    def level(self) -> Level:
        """The least severe events that are logged."""
        return self._level

    @level.setter
    def level(self, level: Level) -> None:
        self._level = level
        self._flows = self.enabled(_FLOW.level)
        self._calls = self.enabled(_CALL.level)
        if self._libraries is not None:
            self._hear_libraries()

    def say(
        self, event: Event, /, *, at: Level | None = None, **fields: object
    ) -> None:
        """Log an event, unless it only repeats itself. Never waits.

        `at` replaces the event's level, for events whose weight only the case shows.
        Fields that are empty or None are left out.
        """
        fields = _not_empty(fields)
        if self._strict:
            event.check(fields)
        level = event.level if at is None else at
        if level < self._level:
            return
        if event.once_per:
            about = (str(fields.get(name, ""))[:80] for name in event.once_per)
            with self._lock:
                suppressed = self._repeats.admit(
                    (event.name, *about), now=self._clock()
                )
            if suppressed is None:
                return
            if suppressed:
                fields["suppressed"] = suppressed
        self._put(Said(time.time_ns(), level, event, fields))

    def log_flow(self, record: FlowRecord) -> None:
        """Log the access record of a flow. Never raises, never waits."""
        self.ended[record.listener, record.protocol, record.edge] += 1
        if self.follows is not None:
            self.follows.flow(record)
        if self._flows:
            self._put(Said(time.time_ns(), _FLOW.level, _FLOW, record))

    def log_call(self, listener: str, record: CallRecord) -> None:
        """Log the record of a call. Never raises, never waits."""
        self.ended[listener, "sip", record.edge] += 1
        if self.follows is not None:
            self.follows.call(listener, record)
        if self._calls:
            self._put(Said(time.time_ns(), _CALL.level, _CALL, Call(listener, record)))

    def crashed(
        self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]
    ) -> None:
        """The loop's exception handler: a fault of ours that nothing caught.

        A peer's fault that nobody waits for any more is none: a connection may break in
        the very turn in which whoever wanted it gives it up.
        """
        error = context.get("exception")
        if isinstance(error, OSError) and "future" in context:
            return
        if isinstance(error, RuntimeError) and "handler is closed" in str(error):
            # uvloop writes what TLS still had to say to a TCP connection that was
            # closed within the same turn; it then drops it, as it should.
            return
        if loop.is_closed():  # what was asked of the system came back after the end
            return
        self.say(
            events.FLOW_CRASHED,
            error=f"{context.get('message')}: {error!r}",
            traceback="".join(traceback.format_exception(error)) if error else "",
        )

    def capture_libraries(self) -> None:
        """Take over what libraries log by Python's logging, until `close`."""
        assert self._libraries is None
        self._libraries = _Libraries(self)
        root = logging.getLogger()
        root.addHandler(self._libraries)
        self._libraries.level_before = root.level
        self._hear_libraries()
        logging.captureWarnings(True)

    def close(self, patience: float = PATIENCE) -> None:
        """Write what waits, for so many seconds at most."""
        if self._libraries is not None:
            logging.captureWarnings(False)
            root = logging.getLogger()
            root.removeHandler(self._libraries)
            root.setLevel(self._libraries.level_before)
            self._libraries = None
        self._waiting.put(None)
        self._writer.join(patience)

    def _hear_libraries(self) -> None:
        # At their own INFO, libraries talk of what events say better.
        quiet = self._level > Level.DEBUG
        least = max(self._level, Level.WARNING) if quiet else Level.DEBUG
        logging.getLogger().setLevel(least)

    def _put(self, said: Said) -> None:
        self.taken += 1
        if self._waiting.qsize() < self._capacity:
            self._waiting.put(said)
        else:
            self.dropped += 1

    def _write(self) -> None:
        dropped, open_ = 0, True
        while open_:
            batch, open_ = self._take()
            batch += self._sum_up(final=not open_)
            if self.dropped > dropped:
                batch.append(self._lost(self.dropped - dropped))
                dropped = self.dropped
            rendered = [entry for said in batch if (entry := self._render(said))]
            try:
                self._sink.write(rendered)
            except OSError as error:
                self.dropped += len(rendered)
                self._why_dropped = error.strerror or str(error)
            if open_ and len(batch) < BATCH:
                time.sleep(GATHER)
        self._sink.close()

    def _take(self) -> tuple[list[Said], bool]:
        """What waits, after a second at most, and whether more may come."""
        batch: list[Said] = []
        try:
            said = self._waiting.get(timeout=1.0)
            while said is not None:
                batch.append(said)
                if len(batch) == BATCH:
                    return batch, True
                said = self._waiting.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _render(self, said: Said) -> bytes:
        try:
            return self._sink.render(said)
        except Exception as error:  # a value that cannot be shown must not end the log
            self.dropped += 1
            self._why_dropped = f"{said.event.name}: {error!r}"
            return b""

    def _sum_up(self, *, final: bool) -> list[Said]:
        with self._lock:
            unsaid = self._repeats.unsaid(now=self._clock(), final=final)
        event = events.LOG_SUPPRESSED
        return [
            Said(
                time.time_ns(),
                event.level,
                event,
                _not_empty(
                    {
                        "of": repeated.key[0],
                        "about": ", ".join(filter(None, repeated.key[1:])),
                        "count": repeated.count,
                        "seconds": round(repeated.seconds, 1),
                    }
                ),
            )
            for repeated in unsaid
        ]

    def _lost(self, count: int) -> Said:
        fields: dict[str, object] = {"count": count}
        if self._why_dropped:
            fields["error"] = self._why_dropped
        event = events.LOG_DROPPED
        return Said(time.time_ns(), event.level, event, fields)


def _not_empty(fields: lines.Fields) -> dict[str, object]:
    return {name: v for name, v in fields.items() if v is not None and v != ""}


_EXPECTED = {"SSL connection is closed", "socket.send() raised exception."}
"""What uvloop says when more is written to a connection that is already being closed.

It drops that, as it should: the two sides of a relay do not end in the same turn.
"""


class _Libraries(logging.Handler):
    """What libraries say, as events of ours."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log
        self.level_before = logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):  # the library's own mistake
            text = str(record.msg)
        if record.name == "asyncio" and text in _EXPECTED:
            return
        fields = {"logger": record.name, "text": text}
        if record.exc_info:
            fields["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        level = next(
            (level for level in sorted(Level, reverse=True) if record.levelno >= level),
            Level.DEBUG,
        )
        self._log.say(events.LIBRARY_LOGGED, at=level, **fields)


def open_log(
    form: str = "auto",
    level: Level = Level.INFO,
    *,
    stream: TextIO = sys.stderr,
    environ: Mapping[str, str] = os.environ,
    strict: bool = True,
    places: Places = NOWHERE,
) -> Log:
    """The log of the process in one of the formats auto, journald, json, console.

    `places` is what access records say of edges beside their names.
    """
    sink = open_sink(form, stream, environ, places=places)
    return Log(sink, level=level, strict=strict)
