"""The log into real pipes, terminals and journal sockets."""

import asyncio
import gc
import json
import logging
import os
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import pytest
import uvloop

from protocols.record import FlowRecord
from router import events
from router.calls import Call
from router.events import Level
from router.logs import Log, open_log
from router.sinks import Said

RECORD = FlowRecord("api", "https", "to_provider", "10.0.0.7", status=200, total=0.5)


class Pipe:
    """A pipe to log into; what was logged can be read once the log is closed."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self.writer: TextIO = os.fdopen(writer, "w")

    def lines(self) -> list[str]:
        self.writer.close()
        with os.fdopen(os.dup(self.reader), encoding="utf-8") as reader:
            return reader.read().splitlines()

    def drain(self) -> Callable[[], bytes]:
        """Read on in a thread; what is returned ends the pipe and gives all of it."""
        read: list[bytes] = []

        def drain() -> None:
            while data := os.read(self.reader, 65536):
                read.append(data)

        thread = threading.Thread(target=drain)
        thread.start()

        def end() -> bytes:
            self.writer.close()
            thread.join()
            return b"".join(read)

        return end

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


class Gate:
    """A sink that writes nothing until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.said: list[Said] = []

    def render(self, said: Said) -> bytes:
        self.entered.set()
        self.open.wait(10)
        self.said.append(said)
        return b"x"

    def write(self, batch: list[bytes]) -> None:
        pass

    def close(self) -> None:
        pass

    def fields(self) -> list[dict[str, object]]:
        """Fields of the events, flows and calls left out."""
        return [
            dict(said.fields)
            for said in self.said
            if not isinstance(said.fields, FlowRecord | Call)
        ]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.writer.close()
    os.close(pipe.reader)


def test_event_in_json_has_time_level_name_and_fields(pipe: Pipe) -> None:
    log = open_log("json", stream=pipe.writer)
    log.say(events.EDGE_SWITCHED, home="ashburn", before="dublin", gain_ms=31.5)
    log.close()
    (line,) = pipe.events()
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "edge.switched",
        "home": "ashburn",
        "before": "dublin",
        "gain_ms": 31.5,
    }


def test_events_below_the_level_are_not_logged(pipe: Pipe) -> None:
    log = open_log("json", Level.WARNING, stream=pipe.writer)
    assert not log.enabled(Level.INFO)
    assert log.enabled(Level.ERROR)
    log.say(events.DAEMON_STARTED, version="0.1.0")
    log.log_flow(RECORD)
    log.say(events.LIBRARY_LOGGED, at=Level.ERROR, text="raised above")
    log.close()
    assert [line["event"] for line in pipe.events()] == ["library.logged"]


def test_field_outside_the_registry_is_an_error_of_ours(pipe: Pipe) -> None:
    log = open_log("json", stream=pipe.writer)
    with pytest.raises(AssertionError, match="no field secret"):
        log.say(events.DAEMON_STARTED, secret="x")
    log.close()


def test_field_outside_the_registry_stops_nothing_in_service(pipe: Pipe) -> None:
    log = open_log("json", stream=pipe.writer, strict=False)
    log.say(events.DAEMON_STARTED, typo="x")
    log.close()
    assert pipe.events()[0]["typo"] == "x"


def test_empty_fields_are_left_out(pipe: Pipe) -> None:
    log = open_log("json", stream=pipe.writer)
    log.say(events.EDGE_SWITCHED, home="ashburn", before=None, reason="", gain_ms=0)
    log.close()
    (line,) = pipe.events()
    assert line["gain_ms"] == 0
    assert not {"before", "reason"} & line.keys()


def test_repeats_are_summed_up(pipe: Pipe) -> None:
    log = open_log("json", stream=pipe.writer)
    for _ in range(500):
        log.say(events.CLIENT_REFUSED, listener="api", client="c", reason="not allowed")
    log.say(events.CLIENT_REFUSED, listener="api", client="c", reason="too many")
    log.close()
    first, other, summary = pipe.events()
    assert (first["reason"], other["reason"]) == ("not allowed", "too many")
    assert (summary["event"], summary["of"]) == ("log.suppressed", "client.refused")
    assert (summary["about"], summary["count"]) == ("api, not allowed", 499)


def test_repeat_after_its_gap_says_how_many_were_suppressed() -> None:
    times = iter((100.0, 100.1, 100.2, 101.1))
    log = Log(gate := Gate(), clock=lambda: next(times, 101.1))
    for _ in range(4):
        log.say(events.STATE_UNSAVED, path="/x", reason="full")
    gate.open.set()
    log.close()
    first, again = gate.fields()
    assert "suppressed" not in first
    assert again["suppressed"] == 2


def test_slow_sink_loses_lines_and_says_how_many() -> None:
    gate = Gate()
    log = Log(gate, capacity=10)
    log.log_flow(RECORD)
    gate.entered.wait(10)
    for _ in range(110):
        log.log_flow(RECORD)
    gate.open.set()
    log.close()
    *flows, lost = gate.said
    assert lost.event is events.LOG_DROPPED
    assert lost.fields == {"count": 100}
    assert len(flows) == 11


def test_pipe_that_nobody_reads_does_not_hold_up_the_loop(pipe: Pipe) -> None:
    log = open_log("json", stream=pipe.writer)
    for _ in range(20_000):
        log.log_flow(RECORD)
    log.close(patience=0.05)
    assert log._writer.is_alive()
    written = pipe.drain()
    log._writer.join()
    assert b"log.dropped" in written()


def test_sink_that_is_gone_is_said_once_it_is_back() -> None:
    class Broken(Gate):
        def __init__(self) -> None:
            super().__init__()
            self.open.set()
            self.broken = True
            self.failed = threading.Event()

        def write(self, batch: list[bytes]) -> None:
            if self.broken:
                self.broken = False
                self.failed.set()
                raise BrokenPipeError(32, "Broken pipe")

    sink = Broken()
    log = Log(sink)
    log.log_flow(RECORD)
    sink.failed.wait(10)
    log.close()
    assert sink.said[-1].fields == {"count": 1, "error": "Broken pipe"}


def test_value_that_cannot_be_shown_costs_only_its_line(pipe: Pipe) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no")

    log = open_log("json", stream=pipe.writer)
    log.say(events.DAEMON_STARTED, version=Odd())
    log.say(events.DAEMON_READY, home="ashburn")
    log.close()
    names = {line["event"] for line in pipe.events()}
    assert "daemon.ready" in names
    assert "daemon.started" not in names


def test_data_for_a_connection_that_is_being_closed_is_no_event(pipe: Pipe) -> None:
    log = open_log("json", stream=pipe.writer)
    log.capture_libraries()
    logger = logging.getLogger("asyncio")
    logger.warning("SSL connection is closed")
    logger.warning("SSL connection is odd")
    log.close()
    assert [line["text"] for line in pipe.events()] == ["SSL connection is odd"]


def test_libraries_log_the_same_way(pipe: Pipe) -> None:
    log = open_log("json", stream=pipe.writer)
    log.capture_libraries()
    logger = logging.getLogger("dns.something")
    logger.info("chatter")
    logger.warning("no %s\x1b", "luck")
    assert log._libraries is not None
    log._libraries.handle(
        logging.makeLogRecord(
            {"name": "odd", "msg": "%d", "args": ("x",), "levelno": logging.CRITICAL}
        )
    )
    logger.log(Level.WARNING, "own level")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("deprecated thing", stacklevel=1)
    try:
        raise ValueError("inside")
    except ValueError:
        logger.exception("it crashed")
    log.close()
    logger.warning("after the end")
    luck, wrong, own, warned, crashed = pipe.events()
    assert (luck["level"], luck["logger"]) == ("warning", "dns.something")
    assert luck["text"] == "no luck\\x1b"
    assert (wrong["level"], wrong["text"]) == ("error", "%d")
    assert own["text"] == "own level"
    assert "deprecated thing" in warned["text"]
    assert crashed["traceback"].endswith("ValueError: inside\n")


async def test_fault_that_nothing_caught_is_logged_with_its_traceback(
    pipe: Pipe,
) -> None:
    log = open_log("json", stream=pipe.writer)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log.crashed)
    loop.call_soon(lambda: 1 // 0)
    await asyncio.sleep(0)
    loop.call_exception_handler({"message": "without an exception"})
    log.close()
    crashed, other = pipe.events()
    assert "ZeroDivisionError" in crashed["error"]
    assert "1 // 0" in crashed["traceback"]
    assert "without an exception" in other["error"]


async def _write_after_the_end() -> Exception:
    """What uvloop's TLS runs into when its TCP connection was closed under it."""
    near, far = socket.socketpair()
    with far:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        transport.abort()
        while not transport.is_closing() or near.fileno() != -1:  # noqa: ASYNC110
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError) as raised:
            transport.write(b"x")
        return raised.value


def test_last_word_of_tls_to_a_closed_connection_is_no_fault(pipe: Pipe) -> None:
    log = open_log("json", stream=pipe.writer)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        closed = runner.run(_write_after_the_end())
        for error in (closed, RuntimeError("our own")):
            context = {"message": "Fatal error on SSL protocol", "exception": error}
            log.crashed(runner.get_loop(), context)
    log.close()
    (crashed,) = pipe.events()
    assert "our own" in crashed["error"]


def test_what_comes_back_after_the_end_is_no_fault(pipe: Pipe) -> None:
    """As a look-up by a thread of uvloop, which is told of while the loop closes."""
    log = open_log("json", stream=pipe.writer)
    loop = uvloop.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError) as raised:
        loop.call_soon(print)
    log.crashed(loop, {"exception": raised.value})
    log.close()
    assert pipe.events() == []


async def test_broken_connection_that_nobody_waits_for_is_no_fault(pipe: Pipe) -> None:
    log = open_log("json", stream=pipe.writer)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log.crashed)
    for error in (ConnectionResetError("by the peer"), ValueError("our own")):
        loop.create_future().set_exception(error)
    gc.collect()
    log.close()
    (crashed,) = pipe.events()
    assert "our own" in crashed["error"]


def test_level_that_changes_holds_for_records_and_libraries_too(pipe: Pipe) -> None:
    log = open_log("json", Level.ERROR, stream=pipe.writer, environ={})
    log.capture_libraries()
    log.log_flow(RECORD)
    log.level = Level.DEBUG
    log.log_flow(RECORD)
    logging.getLogger("theirs").debug("a detail")
    log.level = Level.WARNING
    log.log_flow(RECORD)
    logging.getLogger("theirs").info("another")
    log.close()
    told = [json.loads(line)["event"] for line in pipe.lines()]
    assert told == ["flow.ended", "library.logged"]
    assert log.ended == {("api", "https", ""): 3}
