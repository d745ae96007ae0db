"""How a command finds the daemon, and what it says when there is none."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli import main

CONFIG = """\
version: 1
provider: {catalogue: twilio}
admin: {socket: SOCKET}
listeners:
  one: {protocol: https, direction: to_provider, mode: connect,
        bind: "127.0.0.1:3128", allow: [127.0.0.0/8]}
"""


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.fixture
def answering(tmp_path: Path) -> Callable[[bytes], Path]:
    """Makes a socket that gives one client these bytes and hangs up."""

    def make(data: bytes) -> Path:
        path = tmp_path / "control.sock"
        server = socket.socket(socket.AF_UNIX)
        server.bind(os.fspath(path))
        server.listen()

        def serve() -> None:
            with server, server.accept()[0] as client:
                client.recv(4096)
                client.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        return path

    return make


def test_daemon_that_is_not_there_is_told_with_what_to_look_at(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    result = run("status", "--socket", path)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        f"edge-router: no daemon to ask at {path}: No such file or directory; does it "
        "run? Its log says `control.failed` if it cannot open that\n"
    )


def test_configuration_tells_where_the_daemon_is(tmp_path: Path) -> None:
    config = tmp_path / "edge-router.yaml"
    config.write_text(CONFIG.replace("SOCKET", "its.sock"))
    result = run("unpin", "--config", config)
    assert result.exit_code == 3
    assert f"no daemon to ask at {tmp_path / 'its.sock'}: " in result.stderr
    config.write_text(CONFIG.replace("SOCKET", "off"))
    result = run("unpin", "--config", config)
    assert result.exit_code == 3
    assert "admin.socket is off" in result.stderr
    config.write_text("version: 2")
    result = run("unpin", "--config", config)
    assert result.exit_code == 78
    assert "edge-router.yaml:1:10: version: " in result.stderr


def test_environment_tells_where_the_daemon_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_ROUTER_SOCKET", str(tmp_path / "env.sock"))
    assert "env.sock" in run("status").stderr


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "what answers there is no edge-router"),
        (b"[]\n", "what answers there is no edge-router"),
        (b"", "it has ended meanwhile"),
    ],
)
def test_answer_that_is_none_is_told(
    answering: Callable[[bytes], Path], data: bytes, told: str
) -> None:
    result = run("status", "--socket", answering(data))
    assert result.exit_code == 3
    assert result.stderr.endswith(f": {told}\n")


def test_problems_of_a_configuration_are_printed_with_their_places(
    answering: Callable[[bytes], Path],
) -> None:
    path = answering(
        b'{"ok":false,"exit":78,"error":"nothing was changed","problems":[{"file":'
        b'"f.yaml","line":3,"column":5,"key":"log.level","found":"found loud"}]}\n'
    )
    result = run("reload", "--socket", path)
    assert result.exit_code == 78
    assert result.stderr == (
        "f.yaml:3:5: log.level: found loud\nedge-router: nothing was changed\n"
    )
