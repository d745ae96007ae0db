"""What an earlier run saved is believed by its age; an outage of the DNS ends."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from protocols.net.tasks import Tasks
from router import config
from router.knowledge import Knowledge
from router.location import plain
from router.logs import Log, open_log
from router.names import Answer, Memory
from router.saved import Saved, dump
from router.usage import Usage
from tests.router.counting import counting
from tests.router.test_usage import Carried
from tests.router.test_usage import loaded as linked

CATALOGUE = """\
version: 1
name: small
default_edge: north
edges: {north: {kind: public}, south: {kind: public}}
products: {api: {protocol: https, transports: {tls: 443}, host: "{edge}.example"}}
"""
CONFIG = """\
version: 1
provider: {catalogue: small}
resolver: {nameservers: ["127.0.0.1:9"]}
listeners:
  api: {protocol: https, direction: to_provider, mode: connect,
        bind: "127.0.0.1:0", allow: [127.0.0.0/8]}
"""
DAY = 86_400


@pytest.fixture
def log() -> Iterator[Log]:
    log = open_log("json")
    yield log
    log.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "log").open("w+") as file:
        yield file


def knowledge_of(
    directory: Path | None,
    log: Log,
    usage: Usage | None = None,
    loaded: config.Loaded | None = None,
) -> Knowledge:
    """Of two edges, with one product there."""
    return Knowledge(
        loaded or configured(CONFIG),
        {},
        lambda snapshot, changes: None,
        log=log,
        tasks=Tasks(),
        directory=directory,
        now=asyncio.get_running_loop().time(),
        usage=usage or counting(log)[1],
        refit=lambda: None,
    )


async def test_resolver_that_answers_again_for_every_name_is_told(
    tmp_path: Path, file: TextIO
) -> None:
    log = open_log("json", stream=file)
    knowledge = knowledge_of(tmp_path, log)
    failed, fine = Answer(error="timeout"), Answer(plain(["192.0.2.1"]), ttl=60.0)
    for answer in (failed, fine):
        knowledge._answered("north.example", answer)
        knowledge._answered("south.example", answer)
    log.close()
    file.seek(0)
    told = [json.loads(line) for line in file]
    assert [line["event"] for line in told] == [
        "name.unresolved",
        "resolver.recovered",
        "log.suppressed",
    ]
    assert told[1]["names"] == 2


@pytest.mark.parametrize(("age", "believed"), [(DAY - 60, True), (DAY + 60, False)])
async def test_scores_are_forgotten_after_a_day_and_addresses_are_not(
    tmp_path: Path, log: Log, age: int, believed: bool
) -> None:
    file = tmp_path / "state.json"
    file.write_text(
        json.dumps(
            dump(Saved({"south": 0.02}, {"south.example": plain(["192.0.2.2"])}))
        )
    )
    written = time.time_ns() / 1e9 - age
    os.utime(file, (written, written))
    knowledge = knowledge_of(tmp_path, log)
    snapshot = knowledge.checker.snapshot
    assert (snapshot.edges["south"].score is not None) is believed
    assert [target.address for target in snapshot.routes["api"].first] == ["192.0.2.2"]


def in_doubt(knowledge: Knowledge) -> bool:
    """Whether an edge never asked has to wait for its first OPTIONS."""
    spacing = knowledge.checker._table._schedule.spacing
    return spacing.next("192.0.2.1") > asyncio.get_running_loop().time()


async def lived(directory: Path, log: Log, *, ended: bool) -> bool:
    """A daemon comes and goes, by a crash or not; whether it was in doubt."""
    knowledge = knowledge_of(directory, log)
    knowledge.start()
    doubts = in_doubt(knowledge)
    if ended:
        await knowledge.close()
    else:
        knowledge.checker.close()
        await knowledge._resolver.close()
        assert knowledge._keeper is not None
        await knowledge._keeper._tasks.close()
    return doubts


async def test_only_what_a_daemon_left_in_order_tells_when_edges_were_asked(
    tmp_path: Path, log: Log
) -> None:
    assert not await lived(tmp_path, log, ended=True), "nobody was here before"
    assert not await lived(tmp_path, log, ended=False), "all is written down"
    assert await lived(tmp_path, log, ended=False), "there was a crash"
    assert await lived(tmp_path, log, ended=True), "there was another one"
    assert await lived(tmp_path, log, ended=True), "which was a second ago"


async def test_file_that_cannot_be_read_does_not_tell_when_edges_were_asked(
    tmp_path: Path, log: Log
) -> None:
    (tmp_path / "state.json").write_text("{")
    assert await lived(tmp_path, log, ended=True)


async def test_edges_wait_for_options_where_nothing_can_be_kept(
    tmp_path: Path, log: Log
) -> None:
    assert in_doubt(knowledge_of(None, log))
    assert await lived(tmp_path / "none", log, ended=True)


async def test_options_of_an_earlier_run_are_known_by_address(
    tmp_path: Path, log: Log
) -> None:
    saved = Saved({}, {}, {"192.0.2.1": 1.0}, ended=True)
    file = tmp_path / "state.json"
    file.write_text(json.dumps(dump(saved)))
    spacing = knowledge_of(tmp_path, log).checker._table._schedule.spacing
    now = asyncio.get_running_loop().time()
    assert now + 12.0 < spacing.next("192.0.2.1") < now + 18.0
    assert spacing.next("192.0.2.2") < now
    later = time.time_ns() / 1e9 + 60
    os.utime(file, (later, later))  # the clock was set back
    assert in_doubt(knowledge_of(tmp_path, log))


def configured(text: str) -> config.Loaded:
    return config.load(text, "f", lambda _: (CATALOGUE, "small.yaml"), base=Path("/"))


async def test_change_keeps_what_is_known_of_names_that_stay(
    tmp_path: Path, file: TextIO
) -> None:
    log = open_log("json", stream=file)
    knowledge = knowledge_of(tmp_path, log)
    knowledge.start()
    fine = Answer(plain(["192.0.2.1"]), ttl=60.0)
    for name in ("north.example", "south.example"):
        knowledge._resolver._followed[name].memory = Memory(answer=fine)
        knowledge._answered(name, fine)
    knowledge._answered("south.example", Answer(error="timeout"))
    # Another listener of the same product, at one edge less: nothing is looked up anew.
    text = CONFIG.replace("{catalogue: small}", "{catalogue: small, edges: [north]}")
    knowledge.change(configured(text.replace("  api:", "  other:")), {})
    snapshot = knowledge.checker.snapshot
    assert list(snapshot.edges) == ["north"]
    assert [target.address for target in snapshot.routes["api"].first] == ["192.0.2.1"]
    assert set(knowledge._resolver.answers) == {"north.example"}
    # A name that comes back has to be looked up.
    knowledge.change(configured(CONFIG), {})
    services = knowledge.checker.snapshot.services["api"]
    assert [len(one.addresses) for one in services] == [1, 0]
    await knowledge.close()
    log.close()
    file.seek(0)
    assert "resolver.recovered" in [json.loads(line)["event"] for line in file]


async def test_calls_on_links_outlive_a_restart(tmp_path: Path, file: TextIO) -> None:
    log, before, after = open_log("json", stream=file), Carried(), Carried()
    before.call()
    knowledge = knowledge_of(tmp_path, log, before.usage)
    knowledge.start()
    await knowledge.close()
    again = knowledge_of(tmp_path, log, after.usage)
    assert after.usage.links == before.usage.links
    assert again._usage is after.usage
    log.close()
    file.seek(0)
    (restored,) = (json.loads(line) for line in file)
    assert (restored["event"], restored["calls"]) == ("state.restored", 1)


async def test_links_are_told_with_what_they_carry(log: Log) -> None:
    carried = Carried()
    carried.call()
    (link,) = knowledge_of(None, log, carried.usage, linked()).links()
    assert (link.name, link.edges) == ("ix1", ("ashburn-ix",))
    assert link.use == carried.usage.links["ix1"]


async def test_calls_that_cannot_be_read_are_told_of_and_cost_nothing_else(
    tmp_path: Path, file: TextIO
) -> None:
    log = open_log("json", stream=file)
    names = {"south.example": plain(["192.0.2.2"])}
    saved = dump(Saved({}, names)) | {"calls": {"version": 99}}
    (tmp_path / "state.json").write_text(json.dumps(saved))
    knowledge = knowledge_of(tmp_path, log)
    first = knowledge.checker.snapshot.routes["api"].first
    assert [target.address for target in first] == ["192.0.2.2"]
    log.close()
    file.seek(0)
    ignored, restored = (json.loads(line) for line in file)
    assert (ignored["event"], restored["event"]) == ("state.ignored", "state.restored")
    assert "calls" not in restored
