"""The control socket: one line asks, one line answers, and nobody breaks it."""

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from protocols.net.tasks import Tasks
from router import control
from router.control import (
    CLIENTS,
    REQUEST,
    Answers,
    Caller,
    CommandError,
    Control,
    ControlError,
)


class Stage:
    """A control socket whose commands echo, stream, or are wrong."""

    def __init__(self, path: Path, patience: float) -> None:
        self.path = path
        self.tasks = Tasks()
        self.refused: list[str] = []
        self.callers: list[Caller] = []
        self.began: asyncio.Queue[str] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.held = asyncio.Event()
        self.control = Control(
            path,
            self.serve,
            refused=lambda _, reason: self.refused.append(reason),
            tasks=self.tasks,
            patience=patience,
        )

    async def serve(self, request: Mapping[str, Any], caller: Caller) -> Answers:
        self.callers.append(caller)
        self.began.put_nowait(request["command"])
        if request["command"] == "count":
            for number in range(3):
                yield {"number": number}
        elif request["command"] == "hold":
            await self.held.wait()
            yield {}
        elif request["command"] == "flood":
            try:
                while True:
                    yield {"text": "x" * 65_536}
            finally:
                self.ended.set()
        elif request["command"] == "wrong":
            raise CommandError("no such edge", 2, problems=[])
        else:
            yield {"echo": request["command"]}

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.path)

    async def ask(self, *lines: bytes) -> list[Any]:
        """Send lines, and read answers until the socket is closed."""
        reader, writer = await self.connect()
        writer.write(b"".join(lines))
        writer.write_eof()
        answers = [json.loads(line) for line in (await reader.read()).splitlines()]
        writer.close()
        return answers


@contextlib.asynccontextmanager
async def staged(path: Path, *, patience: float = 5.0) -> AsyncIterator[Stage]:
    stage = Stage(path, patience)
    await stage.control.start()
    try:
        yield stage
    finally:
        stage.control.close()
        await stage.tasks.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


async def test_each_request_gets_its_answer_in_order(path: Path) -> None:
    async with staged(path) as stage:
        answers = await stage.ask(b'{"command":"one"}\n', b'{"command":"count"}\n')
    assert answers == [
        {"ok": True, "echo": "one"},
        *({"ok": True, "number": number} for number in range(3)),
    ]


async def test_caller_is_known_by_the_kernels_word(path: Path) -> None:
    async with staged(path) as stage:
        await stage.ask(b'{"command":"one"}\n')
    assert stage.callers == [Caller(os.getpid(), os.getuid(), os.getgid())]


async def test_socket_is_for_its_owner_and_group_whatever_the_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        async with staged(path):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    finally:
        os.umask(before)


async def test_wrong_request_is_answered_and_the_next_one_served(path: Path) -> None:
    async with staged(path) as stage:
        answers = await stage.ask(b'{"command":"wrong"}\n', b'{"command":"two"}\n')
    assert answers == [
        {"ok": False, "exit": 2, "error": "no such edge", "problems": []},
        {"ok": True, "echo": "two"},
    ]
    assert stage.refused == []


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"GET / HTTP/1.1\r\n",
        b"[1]\n",
        b"{}\n",
        b'{"command":7}\n',
        b'{"command":"status"\n',
        b"\xff\xfe\x00\n",
        b"[" * 4_000 + b"\n",
        b"x" * (REQUEST + 1),
        b"x" * 200_000 + b"\n",
    ],
)
async def test_what_is_no_request_is_refused_and_the_socket_serves_on(
    path: Path, line: bytes
) -> None:
    async with staged(path) as stage:
        (answer,) = await stage.ask(line)
        assert (answer["ok"], answer["exit"]) == (False, 2)
        assert answer["error"].startswith("a request ")
        assert len(stage.refused) == 1
        assert await stage.ask(b'{"command":"one"}\n') == [{"ok": True, "echo": "one"}]


async def test_clients_beyond_the_bound_are_told_to_come_back(path: Path) -> None:
    async with staged(path) as stage:
        held = [await stage.connect() for _ in range(CLIENTS)]
        for _, writer in held:
            writer.write(b'{"command":"hold"}\n')
        for _ in held:
            await stage.began.get()
        (answer,) = await stage.ask()
        assert (answer["ok"], answer["exit"]) == (False, 1)
        stage.held.set()
        for reader, writer in held:
            assert json.loads(await reader.readline()) == {"ok": True}
            writer.close()


async def test_client_that_asks_nothing_or_reads_nothing_is_let_go(path: Path) -> None:
    async with staged(path, patience=0.05) as stage:
        idle, writer = await stage.connect()
        _, deaf = await stage.connect()
        deaf.write(b'{"command":"flood"}\n')
        assert await idle.read() == b""
        await stage.ended.wait()
        for one in (writer, deaf):
            one.transport.abort()


async def test_client_that_leaves_ends_its_stream(path: Path) -> None:
    async with staged(path) as stage:
        _, writer = await stage.connect()
        writer.write(b'{"command":"flood"}\n')
        await stage.began.get()
        writer.transport.abort()
        await stage.ended.wait()


async def test_nothing_is_left_when_it_ends_but_what_is_not_its_own(path: Path) -> None:
    async with staged(path) as stage:
        reader, writer = await stage.connect()
        writer.write(b'{"command":"one"}\n')
        await stage.began.get()
    assert not is_there(path)
    await reader.read()
    writer.close()
    async with staged(path):
        os.rename(path, f"{path}.before")
        with socket.socket(socket.AF_UNIX) as another:
            another.bind(os.fspath(path))
    assert is_there(path)


def is_there(path: Path) -> bool:
    return os.path.lexists(path)


async def test_socket_of_a_dead_daemon_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
    async with staged(path) as stage:
        assert await stage.ask(b'{"command":"one"}\n') == [{"ok": True, "echo": "one"}]


async def test_socket_of_a_living_daemon_is_left_alone(path: Path) -> None:
    async with staged(path) as stage:
        with pytest.raises(ControlError, match="another daemon answers there"):
            control.bind(path)
        assert await stage.ask(b'{"command":"one"}\n') == [{"ok": True, "echo": "one"}]


def test_what_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ControlError, match="no socket"):
        control.bind(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("missing/control.sock", "No such file"),
        ("file/control.sock", "Not a directory"),
    ],
)
def test_place_that_cannot_be_had_is_told(
    tmp_path: Path, place: str, reason: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ControlError, match=reason):
        control.bind(tmp_path / place)
