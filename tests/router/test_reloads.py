"""The file read again: one at a time, taken over whole or not at all, and told."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from protocols.net.listen import BindError
from router.config import Loaded
from router.files import read
from router.logs import Log, open_log
from router.problem import ConfigError
from router.reloads import Reloads, Stopping

CONFIG = """\
version: 1
provider: {catalogue: twilio}
listeners:
  one: {protocol: https, direction: to_provider, mode: connect,
        bind: "127.0.0.1:0", allow: [127.0.0.0/8]}
"""


class Scene:
    """A file, and who takes over what it says."""

    def __init__(self, file: Path, log: Log) -> None:
        self.file = file
        self.taken: list[Loaded] = []
        self.failing: list[Exception] = []
        self.reloads = Reloads(read(file), file, log, self.take)
        self._log = log

    def take(self, loaded: Loaded) -> set[Path]:
        if self.failing:
            raise self.failing.pop()
        self.taken.append(loaded)
        return set()

    def told(self) -> list[dict[str, Any]]:
        """What was logged; nothing is from now on."""
        self._log.close()
        text = (self.file.parent / "log").read_text()
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    file = tmp_path / "edge-router.yaml"
    file.write_text(CONFIG)
    with (tmp_path / "log").open("w") as stream:
        log = open_log("json", stream=stream)
        yield Scene(file, log)
        log.close()


async def test_what_differs_is_returned_and_told(scene: Scene) -> None:
    scene.file.write_text(CONFIG.replace("  one:", "  two:"))
    changed = await scene.reloads.reload()
    assert list(map(str, changed)) == ["listeners.one: removed", "listeners.two: added"]
    assert await scene.reloads.reload() == ()
    assert [list(one.config.listeners) for one in scene.taken] == [["two"]] * 2
    first, second = scene.told()
    assert first["event"] == second["event"] == "config.reloaded"
    assert (first["changed"], second["changed"]) == (
        "listeners.one: removed; listeners.two: added",
        "nothing",
    )


async def test_setting_of_the_start_is_named_until_it_is_taken_back(
    scene: Scene,
) -> None:
    scene.file.write_text(CONFIG + "state_directory: /nowhere\n")
    for _ in range(2):
        (one,) = await scene.reloads.reload()
        assert (one.path, one.restart) == (("state_directory",), True)
    scene.file.write_text(CONFIG)
    assert await scene.reloads.reload() == ()


async def test_file_with_errors_is_told_and_not_taken_over(scene: Scene) -> None:
    scene.file.write_text("nonsense")
    with pytest.raises(ConfigError):
        await scene.reloads.reload()
    assert scene.taken == []
    assert [line["event"] for line in scene.told()] == ["config.rejected"]


async def test_what_cannot_be_served_is_told_and_differs_the_next_time(
    scene: Scene,
) -> None:
    scene.failing.append(BindError("127.0.0.1", 9, "taken"))
    scene.file.write_text(CONFIG.replace("  one:", "  two:"))
    with pytest.raises(BindError):
        await scene.reloads.reload()
    assert len(await scene.reloads.reload()) == 2
    first, second = scene.told()
    assert (first["event"], first["first"]) == (
        "config.rejected",
        "cannot listen on 127.0.0.1:9: taken",
    )
    assert second["event"] == "config.reloaded"


async def test_two_at_once_take_over_one_after_the_other(scene: Scene) -> None:
    scene.reloads.waiting = True
    scene.file.write_text(CONFIG.replace("  one:", "  two:"))
    every = await asyncio.gather(scene.reloads.reload(), scene.reloads.reload())
    assert list(map(len, every)) == [2, 0]
    assert not scene.reloads.waiting


async def test_nothing_is_taken_over_once_it_is_closed(scene: Scene) -> None:
    reloading = asyncio.get_running_loop().create_task(scene.reloads.reload())
    await asyncio.sleep(0)
    scene.reloads.close()
    with pytest.raises(Stopping):
        await reloading
    assert scene.taken == []
    assert [line["event"] for line in scene.told()] == ["config.rejected"]
