"""The demo from its first word to its verdict, as a process."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from router.demo import play

ROOT = Path(__file__).parents[3]


@pytest.mark.timeout(150)
async def test_demo_shows_a_death_and_loses_nothing(tmp_path: Path) -> None:
    """The client is Python's, which every machine has."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.demo", "--client", "python"),
        *("--keep", str(tmp_path)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    text = said.decode()
    assert process.returncode == 0, text
    assert "\x1b" not in text
    assert text.rstrip().endswith("Every request and every call was answered once.")
    assert re.search(r"edge\.switched home=ashburn-ix reason='of a better tier'", text)
    assert re.search(r"Post-dial delay [\d.]+ s; answered by \S+; rung once", text)
    assert re.search(r"method=BYE status=200 edge=ashburn-ix", text)
    assert re.search(r"^ call +4 +4 +0 +0 ", text, re.MULTILINE)
    for name in (
        "demo.yaml",
        "daemon.log",
        "ledger.jsonl",
        "catalogues/simulated.yaml",
    ):
        assert (tmp_path / name).stat().st_size, name


def test_directory_that_cannot_be_made_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert play.main(["--keep", str(tmp_path / "file" / "below")]) == 1
    assert capsys.readouterr().out.startswith("edge-router demo: ")
