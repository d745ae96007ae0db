"""The demo's calls; what it makes of an edge that goes dark is in test_play.py."""

import io

import pytest
from rich.console import Console

from router.demo import calls
from router.demo.screen import Screen
from router.demo.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_calls_of_both_directions_are_shown_and_one_stays_up(
    stage: Stage,
) -> None:
    file = io.StringIO()
    standing = await calls.talk(Screen(Console(file=file, width=100)), stage)
    rows = [line.split() for line in file.getvalue().splitlines()]
    told = [(row[0], row[-4:-2]) for row in rows if row[-4:-3] == ["200"]]
    once = ["200", "once"]
    assert told == [("to", once), ("from", once), ("to", once)]
    assert len(stage.calls) == 3
    assert len(stage.talks()) == 2
    assert standing.call.established
