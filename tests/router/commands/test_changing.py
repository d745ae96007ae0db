"""What the commands that change something send, and how they print the answer."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from router.cli import main


class Daemon:
    """Answers every request alike, and keeps what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[Any] = []
        self.answer: dict[str, Any] = {"ok": True, "said": "done"}
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(os.fspath(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client:
                self.asked.append(json.loads(client.recv(4096)))
                client.sendall(json.dumps(self.answer).encode() + b"\n")

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(main, [*words, "--socket", str(self.path)])


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "control.sock")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (["drain", "all"], {"command": "drain", "edge": "all"}),
        (["undrain", "a"], {"command": "undrain", "edge": "a"}),
        (["pin", "a"], {"command": "pin", "edge": "a", "for": "1h"}),
        (
            ["pin", "a", "--for", "5m"],
            {"command": "pin", "edge": "a", "for": "5m"},
        ),
        (["unpin"], {"command": "unpin"}),
        (["log-level", "debug"], {"command": "log-level", "level": "debug"}),
        (
            ["log-level", "info", "--for", "5m"],
            {"command": "log-level", "level": "info", "for": "5m"},
        ),
        (["reload", "--wait"], {"command": "reload", "wait": True}),
    ],
)
def test_command_sends_what_was_typed_and_prints_what_is_said(
    daemon: Daemon, words: list[str], request_: dict[str, Any]
) -> None:
    result = daemon.run(*words)
    assert (result.exit_code, result.stdout) == (0, "done\n")
    assert daemon.asked == [request_]


def test_reload_prints_what_changed(daemon: Daemon) -> None:
    daemon.answer = {"ok": True, "said": "2 changes", "changed": ["one", "two"]}
    assert daemon.run("reload").stdout == "2 changes\n  one\n  two\n"
    assert json.loads(daemon.run("reload", "--json").stdout)["changed"] == [
        "one",
        "two",
    ]


def test_level_that_is_none_is_refused_before_anybody_is_asked(daemon: Daemon) -> None:
    assert daemon.run("log-level", "loud").exit_code == 2
    assert daemon.asked == []
