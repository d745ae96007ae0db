"""What an earlier run saved is believed according to its age."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.net.tasks import Tasks
from router import config
from router.knowledge import Knowledge
from router.logs import Log, open_log
from router.saved import Saved, dump

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


@pytest.mark.parametrize(("age", "believed"), [(DAY - 60, True), (DAY + 60, False)])
async def test_scores_are_forgotten_after_a_day_and_addresses_are_not(
    tmp_path: Path, log: Log, age: int, believed: bool
) -> None:
    file = tmp_path / "state.json"
    file.write_text(
        json.dumps(dump(Saved({"south": 0.02}, {"south.example": ("192.0.2.2",)})))
    )
    written = time.time_ns() / 1e9 - age
    os.utime(file, (written, written))
    knowledge = Knowledge(
        config.load(CONFIG, "f", lambda _: (CATALOGUE, "small.yaml"), base=tmp_path),
        {},
        lambda snapshot, changes: None,
        log=log,
        tasks=Tasks(),
        directory=tmp_path,
        now=asyncio.get_running_loop().time(),
    )
    snapshot = knowledge.checker.snapshot
    assert (snapshot.edges["south"].score is not None) is believed
    assert [target.address for target in snapshot.routes["api"].first] == ["192.0.2.2"]
