"""The state file on a real disk, with everything that can be wrong with it."""

import asyncio
import json
import os
import pathlib
import resource
import stat
from collections.abc import Callable

import pytest

from router import state
from router.state import Keeper, Loaded

NOW = 2_000_000_000.0
DATA = {"version": 1, "addresses": {"edge.example": ["192.0.2.1"]}}


def as_it_is(data: object) -> object:
    if not isinstance(data, dict):
        raise ValueError("not an object")
    return data


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / state.NAME


def test_what_was_saved_is_loaded_with_its_age(path: pathlib.Path) -> None:
    assert state.save(path, DATA) == ""
    os.utime(path, (NOW - 60, NOW - 60))
    assert state.load(path, as_it_is, now=NOW) == Loaded(DATA, 60.0)


def test_saved_file_is_for_its_owner_only(path: pathlib.Path) -> None:
    state.save(path, DATA)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_saving_leaves_no_other_file(path: pathlib.Path) -> None:
    for _ in range(3):
        state.save(path, DATA)
    assert [entry.name for entry in path.parent.iterdir()] == [state.NAME]


def test_missing_file_is_nothing_to_complain_of(path: pathlib.Path) -> None:
    assert state.load(path, as_it_is, now=NOW) == Loaded()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"version": 1', "Expecting"),
        (b"\xff\xfe\x00", "decode"),
        (b"[]", "not an object"),
        (b'{"score": NaN}', "NaN is no number"),
        (b"[" * 100_000, "recursion"),
        (b'"' + b"x" * state.MAX_BYTES + b'"', "more than 2097152 bytes"),
    ],
)
def test_file_of_no_use_is_ignored_with_a_reason(
    content: bytes, reason: str, path: pathlib.Path
) -> None:
    path.write_bytes(content)
    loaded = state.load(path, as_it_is, now=NOW)
    assert loaded.value is None
    assert reason in loaded.reason


def _directory(path: pathlib.Path) -> None:
    path.mkdir()


def _link(path: pathlib.Path) -> None:
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("make", [_directory, _link, os.mkfifo])
def test_what_is_no_file_is_ignored_with_a_reason(
    make: Callable[[pathlib.Path], None], path: pathlib.Path
) -> None:
    make(path)
    loaded = state.load(path, as_it_is, now=NOW)
    assert loaded.value is None
    assert loaded.reason


def test_truncated_file_at_any_length_is_ignored_or_whole(path: pathlib.Path) -> None:
    content = json.dumps(DATA).encode()
    for length in range(1, len(content)):
        path.write_bytes(content[:length])
        assert state.load(path, as_it_is, now=NOW).reason


def test_saving_into_a_missing_directory_is_a_reason(tmp_path: pathlib.Path) -> None:
    reason = state.save(tmp_path / "none" / state.NAME, DATA)
    assert reason == "No such file or directory"


def test_saving_beyond_the_allowed_size_is_a_reason_and_keeps_the_old_file(
    path: pathlib.Path,
) -> None:
    state.save(path, DATA)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        reason = state.save(path, DATA | {"scores": {"ashburn": 0.01}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert reason == "File too large"
    assert state.load(path, as_it_is, now=NOW).value == DATA
    assert [entry.name for entry in path.parent.iterdir()] == [state.NAME]


def test_state_too_large_to_load_is_not_saved(path: pathlib.Path) -> None:
    reason = state.save(path, {"x": "x" * state.MAX_BYTES})
    assert reason == f"{state.MAX_BYTES + 8} bytes, more than {state.MAX_BYTES}"
    assert not path.exists()


async def test_state_written_at_once_is_there_when_that_returns(
    path: pathlib.Path,
) -> None:
    reasons: list[str] = []
    assert state.Keeper(path, lambda: DATA, reasons.append).write()
    assert state.load(path, as_it_is, now=NOW).value == DATA
    nowhere = path.parent / "none" / state.NAME
    assert not state.Keeper(nowhere, lambda: DATA, reasons.append).write()
    assert reasons == ["No such file or directory"]


@pytest.mark.parametrize(
    ("configured", "environ", "expected"),
    [
        (pathlib.Path("/a"), {"STATE_DIRECTORY": "/b"}, pathlib.Path("/a")),
        (None, {"STATE_DIRECTORY": "/b"}, pathlib.Path("/b")),
        (None, {"STATE_DIRECTORY": "/b:/c"}, pathlib.Path("/b")),
        (None, {}, None),
    ],
)
def test_state_directory_is_the_configured_one_or_that_of_systemd(
    configured: pathlib.Path | None,
    environ: dict[str, str],
    expected: pathlib.Path | None,
) -> None:
    assert state.directory(configured, environ) == expected


class Saver:
    """A keeper of numbers, and what it said."""

    def __init__(self, path: pathlib.Path, interval: float) -> None:
        self.number = 0
        self.collected = asyncio.Event()
        self.troubles: list[str] = []
        self.troubled = asyncio.Event()
        self.keeper = Keeper(path, self.collect, self.trouble, interval=interval)

    def collect(self) -> dict[str, object]:
        self.collected.set()
        return {"number": self.number}

    def trouble(self, reason: str) -> None:
        self.troubles.append(reason)
        self.troubled.set()


async def test_change_is_saved_soon(path: pathlib.Path) -> None:
    saver = Saver(path, interval=0.0)
    saver.keeper.start()
    for number in (1, 2):
        saver.number = number
        saver.collected.clear()
        saver.keeper.changed()
        await saver.collected.wait()
    await saver.keeper.close()
    assert state.load(path, as_it_is, now=NOW).value == {"number": 2}


async def test_changes_within_the_interval_wait_and_are_saved_at_the_end(
    path: pathlib.Path,
) -> None:
    saver = Saver(path, interval=3600.0)
    saver.keeper.start()
    saver.keeper.changed()
    await saver.collected.wait()
    saver.collected.clear()
    saver.number = 5
    saver.keeper.changed()
    assert not saver.collected.is_set()
    await saver.keeper.close()
    assert state.load(path, as_it_is, now=NOW).value == {"number": 5}


async def test_state_is_saved_at_the_end_in_any_case(path: pathlib.Path) -> None:
    saver = Saver(path, interval=3600.0)
    await saver.keeper.close()
    assert state.load(path, as_it_is, now=NOW).value == {"number": 0}


async def test_trouble_is_told_and_saving_tried_again(tmp_path: pathlib.Path) -> None:
    directory = tmp_path / "later"
    saver = Saver(directory / state.NAME, interval=0.0)
    saver.keeper.start()
    saver.keeper.changed()
    for _ in range(2):
        await saver.troubled.wait()
        saver.troubled.clear()
    await asyncio.to_thread(directory.mkdir)
    await saver.keeper.close()
    assert set(saver.troubles) == {"No such file or directory"}
    assert state.load(directory / state.NAME, as_it_is, now=NOW).value is not None


async def test_trouble_at_the_end_is_told_once(tmp_path: pathlib.Path) -> None:
    saver = Saver(tmp_path / "none" / state.NAME, interval=0.0)
    await saver.keeper.close()
    assert saver.troubles == ["No such file or directory"]
