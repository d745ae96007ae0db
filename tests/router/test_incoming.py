"""Where flows of the provider come from, and what contradicts the advice."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from protocols.record import FlowRecord
from protocols.sip.records import CallRecord
from router.config import load
from router.contradiction import SETTLED, SPAN, WINDOW
from router.incoming import Incoming
from router.logs import Log, open_log
from router.snapshot import Home, Snapshot
from tests.router.conftest import edge_of, snapshot_of
from tests.router.test_usage import CATALOGUE, PRIVATE, loaded

PUBLIC, ELSEWHERE = "54.172.60.1", "192.0.2.1"
TRUNK = """\
version: 1
provider: {catalogue: twilio}
listeners:
  trunk:
    protocol: sip
    product: pstn
    host: t.pstn.twilio.com
    site: {bind: ["udp://10.0.0.2:5060"], to: ["sip:10.0.0.9"], allow: [10.0.0.9]}
    edge: {bind: ["udp://5.5.5.5:5060"], transport: udp}
  hooks:
    protocol: https
    direction: from_provider
    bind: 5.5.5.5:443
    tls: {certificate: a.pem, key: a.key}
    to: ["http://10.0.0.20"]
"""


@pytest.fixture
def file() -> Iterator[TextIO]:
    with tempfile.TemporaryFile("w+") as file:
        yield file


@pytest.fixture
def log(file: TextIO) -> Iterator[Log]:
    log = open_log("json", stream=file)
    yield log
    log.close()


def told(log: Log, file: TextIO) -> list[dict[str, Any]]:
    """All that was logged; nothing may be any more."""
    log.close()
    file.seek(0)
    return [json.loads(line) for line in file]


def listening(log: Log) -> Incoming:
    """For a trunk and webhooks, without links."""
    read = load(TRUNK, "f", lambda _: (CATALOGUE, "twilio.yaml"), base=BASE)
    return Incoming(read, log)


BASE = Path("/")


def liking(*edges: str) -> Snapshot:
    """A policy that likes edges in this order."""
    known = [edge_of(name, 0.01 * n) for n, name in enumerate(edges, start=1)]
    return snapshot_of(known, Home(edges[0]))


def call(edge: str, method: str = "INVITE") -> CallRecord:
    return CallRecord(method, "from_provider", PUBLIC, "id", "tag", edge=edge)


def calls(incoming: Incoming, edge: str, since: float) -> float:
    """As many calls as are looked at, over long enough; the time after them."""
    for _ in range(WINDOW):
        since += 1.5 * SPAN / WINDOW
        incoming.call("trunk", call(edge), since)
    return since


def test_source_tells_edge_and_link(log: Log) -> None:
    incoming = Incoming(loaded(), log)
    assert incoming.edge_of(PRIVATE) == "ashburn-ix"
    assert incoming.edge_of(PUBLIC) == "ashburn"
    assert incoming.edge_of(ELSEWHERE) == ""
    assert incoming.edge_of("") == "", "who left before anybody looked"


def test_source_of_a_link_may_come_to_what_it_announces_and_to_nothing_else(
    log: Log,
) -> None:
    incoming = Incoming(loaded(), log)
    assert incoming.strays(PRIVATE, "8.8.8.7", "") == ""
    assert incoming.strays(PRIVATE, "", "") == ""
    assert "5.5.5.5" in incoming.strays(PRIVATE, "5.5.5.5", "eth0")
    assert incoming.strays(PUBLIC, "5.5.5.5", "eth0") == ""
    assert incoming.strays(ELSEWHERE, "fe80::1%eth0", "eth0") == ""


def test_nothing_strays_once_there_is_no_link(log: Log) -> None:
    incoming = Incoming(loaded(), log)
    incoming.change(loaded(""))
    assert incoming.strays(PRIVATE, "5.5.5.5", "") == ""


def test_record_of_a_flow_from_the_provider_tells_its_edge(log: Log) -> None:
    incoming = Incoming(loaded(), log)
    came = FlowRecord("hooks", "https", "from_provider", PRIVATE, edge="10.0.0.20")
    incoming.flow(came, 0.0)
    assert came.origin == "ashburn-ix"
    went = FlowRecord("proxy", "connect", "to_provider", PRIVATE)
    incoming.flow(went, 0.0)
    assert went.origin == ""


def test_calls_that_keep_coming_from_elsewhere_contradict_the_advice(
    log: Log, file: TextIO
) -> None:
    incoming = listening(log)
    incoming.ranked(liking("dublin", "ashburn"), 0.0)
    now = calls(incoming, "ashburn", SETTLED)
    now = calls(incoming, "ashburn", now)
    calls(incoming, "dublin", now)
    contradicted, followed = told(log, file)
    assert contradicted["event"] == "advice.contradicted"
    assert contradicted["listener"] == "trunk"
    assert (contradicted["advised"], contradicted["edge"]) == ("dublin", "ashburn")
    assert (contradicted["flows"], contradicted["looked"]) == (WINDOW, WINDOW)
    assert (followed["event"], followed["advised"]) == ("advice.followed", "dublin")


def test_webhooks_from_another_edge_contradict_the_advice_and_byes_do_not(
    log: Log, file: TextIO
) -> None:
    incoming = listening(log)
    incoming.ranked(liking("dublin", "ashburn"), 0.0)
    for number in range(2 * WINDOW):
        now = SETTLED + number * SPAN / 10
        record = FlowRecord("hooks", "https", "from_provider", PUBLIC)
        incoming.flow(record, now)
        incoming.call("trunk", call("ashburn", "BYE"), now)
    (line,) = told(log, file)
    assert (line["event"], line["listener"]) == ("advice.contradicted", "hooks")


def test_listener_that_is_gone_is_advised_nothing(log: Log, file: TextIO) -> None:
    incoming = listening(log)
    incoming.ranked(liking("dublin", "ashburn"), 0.0)
    incoming.change(loaded(""))
    calls(incoming, "ashburn", SETTLED)
    assert told(log, file) == []
