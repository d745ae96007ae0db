"""What links carry, of a daemon that runs."""

import asyncio
import importlib.resources
import json
from pathlib import Path

import pytest

from protocols.record import FlowRecord, UnderWay
from protocols.sip.message import parse
from router import usage
from router.config import Loaded, load
from router.usage import Usage

CATALOGUE = (
    importlib.resources.files("router.catalogues").joinpath("twilio.yaml").read_text()
)
CONFIG = """\
version: 1
provider: {catalogue: twilio}
listeners:
  proxy: {protocol: https, direction: to_provider, mode: connect,
          bind: "127.0.0.1:3128", allow: [127.0.0.0/8]}
"""
LINKED = """\
  catalogue: twilio
  links:
    ix1: {exchange: A, edges: [ashburn-ix], sources: [8.8.8.1], reserve: 0.1,
          prefixes: [8.8.8.0/24], bandwidth: 1Mbit/s}
"""
PRIVATE = "208.78.112.65"
INVITE = parse(
    b"INVITE sip:a@b SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n\r\n"
)


ANSWER = parse(
    b"SIP/2.0 200 OK\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n\r\n"
)


def loaded(links: str = LINKED) -> Loaded:
    text = CONFIG
    if links:
        text = text.replace(" {catalogue: twilio}\n", f"\n{links}")
    return load(text, "f", lambda _: (CATALOGUE, "twilio.yaml"), base=Path("/"))


class Carried:
    """A daemon's flows, its time, and what is said of its link."""

    def __init__(self, *, linked: bool = True) -> None:
        self.now = 100.0
        self.open: list[UnderWay] = []
        self.usage = Usage(
            loaded(LINKED if linked else ""),
            lambda: self.open,
            lambda address: "ashburn-ix" if address == PRIVATE else "",
            lambda: self.now,
        )

    def call(self) -> None:
        self.usage.meter.began(INVITE, "ashburn-ix", self.now)

    def look(self, seconds: float = 2.0) -> float:
        """Time passes; what other traffic takes then."""
        self.now += seconds
        self.usage.look(self.now)
        link = self.usage.links["ix1"]
        return link.other


def flow(edge: str, sent: int, client: str = "10.0.0.1") -> UnderWay:
    return UnderWay("api", "https", client, edge, 0.0, received=100, sent=sent)


def record(edge: str, sent: int, origin: str = "") -> FlowRecord:
    return FlowRecord(
        "api", "https", "x", "10.0.0.1", edge=edge, origin=origin, sent=sent
    )


def test_link_is_told_with_what_was_ordered_and_what_is_left() -> None:
    carried = Carried()
    carried.call()
    link = carried.usage.links["ix1"]
    assert (link.bandwidth, link.reserve) == (1e6, 1e5)
    assert (link.calls, link.taken, link.room) == (1, 100_000, 800_000)


def test_call_that_is_not_heard_of_frees_its_room_where_that_is_configured() -> None:
    audited = LINKED.replace("reserve: 0.1", "session_limit: 5m, session_audit: 30s")
    carried = Carried()
    carried.usage.change(loaded(audited))
    carried.call()
    carried.usage.meter.passed(ANSWER, carried.now)
    carried.look(29.0)
    assert carried.usage.links["ix1"].calls == 1
    carried.look(1.0)
    assert carried.usage.links["ix1"].calls == 0


def test_nothing_is_counted_without_links() -> None:
    carried = Carried(linked=False)
    carried.call()
    assert carried.usage.links == {}
    carried.usage.flow(record("ashburn", 10))
    assert carried.usage.saved()["calls"] == []


def test_bytes_of_open_flows_and_of_ended_ones_are_counted_once() -> None:
    carried = Carried()
    carried.open = [flow("ashburn-ix", 50_000), flow("ashburn", 10**9)]
    first = carried.look()
    assert first == pytest.approx(8 * 50_000 / 5.0)
    assert carried.look() < first, "the same bytes are not counted again"
    carried.open = []
    carried.usage.flow(record("ashburn-ix", 60_000))
    carried.usage.flow(record("ashburn", 10**9))
    before = carried.look(0.0)
    assert carried.look(100.0) < 1
    assert before < first + 8 * 10_000 / 5.0


def test_what_was_carried_before_there_was_a_link_is_none_of_its_traffic() -> None:
    carried = Carried(linked=False)
    carried.open.append(flow("ashburn-ix", 10**10))
    carried.usage.look(carried.now)
    carried.usage.change(loaded())
    assert carried.look() == 0
    carried.open[0] = flow("ashburn-ix", 10**10 + 1000)
    assert carried.look() == 8 * 1000 / 5


def test_bytes_from_a_private_edge_are_counted_on_its_link() -> None:
    carried = Carried()
    carried.open = [flow("10.0.0.20:8080", 10_000, client=PRIVATE)]
    assert carried.look() == pytest.approx(8 * 10_000 / 5.0)
    carried.usage.flow(record("10.0.0.20:8080", 20_000, origin="ashburn-ix"))
    assert carried.look(0.0) > 8 * 20_000 / 5.0


def test_fuller_direction_counts() -> None:
    carried = Carried()
    carried.open = [UnderWay("api", "https", "10.0.0.1", "ashburn-ix", 0.0, 9_000, 10)]
    assert carried.look() == pytest.approx(8 * 9_000 / 5.0)


def test_call_that_nobody_answers_is_given_up_and_links_may_go_and_come() -> None:
    carried = Carried()
    carried.call()
    carried.look(300.0)
    link = carried.usage.links["ix1"]
    assert link.calls == 0
    carried.call()
    carried.usage.change(loaded(""))
    gone = carried.usage.links
    assert gone == {}
    carried.usage.change(loaded())
    assert carried.usage.links["ix1"].calls == 0


def test_calls_outlive_a_restart_and_what_is_unsound_is_refused() -> None:
    before, after = Carried(), Carried()
    before.call()
    saved = json.loads(json.dumps(before.usage.saved()))
    assert after.usage.restore(saved, 10.0) == 1
    assert after.usage.links == before.usage.links
    with pytest.raises(ValueError, match="call"):
        after.usage.restore({"version": 7}, 0.0)


async def test_daemon_looks_by_itself_and_tells_that_there_is_something_to_save(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(usage, "INTERVAL", 0.01)
    carried, idle = Carried(), Carried(linked=False)
    carried.call()
    told = asyncio.Event()
    idle.usage.start(told.set)
    carried.usage.start(told.set)
    await asyncio.wait_for(told.wait(), 5.0)
    carried.now += 300.0
    while carried.usage.links["ix1"].calls:
        told.clear()
        await asyncio.wait_for(told.wait(), 5.0)
    carried.usage.close()
    idle.usage.close()
    Carried().usage.close()
