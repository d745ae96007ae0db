"""What an operator may change: it says what it did, and does nothing else."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from typing import Any, TextIO

import pytest
import pytest_asyncio

from protocols.target import Target
from router.control import CommandError
from router.events import Level
from router.logs import Log, open_log
from router.steering import Steering


class Stage:
    """Steering of a checker, with relays that note what they are told."""

    def __init__(self, measured: Any, stream: TextIO) -> None:
        self.checker = measured.checker
        self.log: Log = open_log("json", stream=stream)
        self.left: list[str] = []
        self.cancelled: list[str] = []
        self.steering = Steering(
            self.checker,
            self.log,
            measured.tasks,
            leave=self._leave,
        )

    async def _leave(self, edge: str, targets: Iterable[Target]) -> None:
        self.left.append(edge)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.append(edge)
            raise

    @property
    def first(self) -> list[str]:
        groups = self.checker.snapshot.routes["api"].groups
        return [group[0].label for group in groups]


@pytest_asyncio.fixture
async def stage(measured: Any) -> AsyncIterator[Stage]:
    with tempfile.TemporaryFile("w+") as stream:
        made = Stage(measured, stream)
        yield made
        made.steering.close()
        made.log.close()


async def test_drained_edge_comes_last_and_is_left_in_good_order(stage: Stage) -> None:
    drain, undrain = stage.steering.drain, stage.steering.undrain
    assert drain({"edge": "ashburn"}) == "ashburn is drained: new flows go to dublin"
    assert stage.first == ["dublin", "ashburn"]
    drain({"edge": "ashburn"})
    await asyncio.sleep(0)
    assert stage.left == ["ashburn"]
    assert undrain({"edge": "ashburn"}) == (
        "ashburn is not drained any more: new flows go to dublin"
    )
    await asyncio.sleep(0)
    assert stage.cancelled == ["ashburn"]


async def test_last_edge_that_is_drained_serves_on_and_that_is_said(
    stage: Stage,
) -> None:
    stage.steering.drain({"edge": "ashburn"})
    assert stage.steering.drain({"edge": "dublin"}) == (
        "dublin is drained: new flows go to dublin all the same: nothing else is up"
    )


async def test_all_edges_drained_take_no_flows_until_they_are_not(stage: Stage) -> None:
    said = stage.steering.drain({"edge": "all"})
    assert said.startswith("all edges are drained: new flows to the provider are ref")
    assert stage.first == []
    await asyncio.sleep(0)
    assert stage.left == ["ashburn", "dublin"]
    said = stage.steering.undrain({"edge": "all"})
    assert said == "no edge is drained any more: new flows go to ashburn"


@pytest.mark.parametrize(
    ("edge", "told"),
    [
        ("asburn", "no edge 'asburn' is configured; did you mean 'ashburn'?"),
        ("tokyo", "no edge 'tokyo' is configured; there are ashburn or dublin"),
        (None, "edge: expected ashburn or dublin"),
        (["ashburn"], "no edge '['ashburn']' is configured; there are ashburn or"),
    ],
)
async def test_edge_that_is_unknown_is_told_with_those_that_are(
    stage: Stage, edge: object, told: str
) -> None:
    for steer in (stage.steering.drain, stage.steering.undrain, stage.steering.pin):
        with pytest.raises(CommandError) as error:
            steer({"edge": edge})
        assert str(error.value).startswith(told)
        assert error.value.exit_code == 2


async def test_pinned_edge_becomes_home_and_is_told(stage: Stage) -> None:
    said = stage.steering.pin({"edge": "dublin", "for": "2h"})
    assert said == "dublin is pinned for 2h: it is home"
    assert stage.checker.snapshot.home.edge == "dublin"
    assert stage.steering.unpin({}) == "dublin is pinned no more: home goes by merit"
    assert stage.steering.unpin({}) == "no edge was pinned"


async def test_edge_that_is_drained_is_not_pinned(stage: Stage) -> None:
    stage.steering.drain({"edge": "dublin"})
    with pytest.raises(CommandError, match="edge-router undrain dublin"):
        stage.steering.pin({"edge": "dublin"})


@pytest.mark.parametrize("lasts", ["60", "0s", "8d", 60, None, "soon"])
async def test_time_that_is_none_is_refused(stage: Stage, lasts: object) -> None:
    with pytest.raises(CommandError, match="for: expected a time"):
        stage.steering.pin({"edge": "dublin", "for": lasts})


async def test_level_of_the_log_returns_after_its_time(stage: Stage) -> None:
    level = stage.steering.log_level
    assert level({"level": "debug", "for": "10m"}) == (
        "the log's level is debug for 10m, then info"
    )
    assert stage.log.enabled(Level.DEBUG)
    stage.steering._restore()
    assert not stage.log.enabled(Level.DEBUG)
    assert level({"level": "error"}) == "the log's level is error until the daemon ends"
    assert level({"level": "debug", "for": "1s"}).endswith("then error")
    for word in ("loud", None, 3):
        with pytest.raises(CommandError, match="level: expected debug, info"):
            level({"level": word})
