"""SIP listeners of a daemon that starts: bound whole, or not at all."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SITE, EDGE = "127.0.0.1", "127.0.0.2"

CONFIG = """\
version: 1
provider: {{catalogue: twilio}}
resolver: {{nameservers: ["127.0.0.1:1"]}}
log: {{format: json}}
listeners:
  trunk:
    protocol: sip
    product: pstn
    host: example.pstn.twilio.com
    site:
      bind: ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]
      to: ["sip:127.0.0.3:5060"]
      allow: [127.0.0.0/8]
    edge: {{bind: ["udp://127.0.0.2:{port}"], transport: udp}}
    {more}
"""
OPTIONS = """\
OPTIONS sip:{host}:{port} SIP/2.0
Via: SIP/2.0/UDP {host}:{own};branch=z9hG4bK1
From: <sip:pbx@127.0.0.1>;tag=1
To: <sip:{host}:{port}>
Call-ID: 1
CSeq: 1 OPTIONS
Max-Forwards: 70
Content-Length: 0

"""


@contextlib.contextmanager
def running(directory: Path, *, port: int = 0, more: str = "") -> Iterator[Any]:
    """The daemon; its process."""
    config = directory / "edge-router.yaml"
    config.write_text(CONFIG.format(port=port, more=more))
    with subprocess.Popen(
        [sys.executable, "-m", "router", "run", "--config", str(config)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def log_of(process: Any, event: str = "") -> list[dict[str, Any]]:
    """Lines of the log up to the first of that event, or to the end."""
    lines = []
    for raw in process.stderr:
        lines.append(json.loads(raw))
        if lines[-1]["event"] == event:
            break
    return lines


def test_trunk_is_bound_on_both_sides_and_answers_a_pbx(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        lines = log_of(process, "daemon.started")
        bound = [line for line in lines if line["event"] == "listener.bound"]
        assert [(line["protocol"], line["direction"]) for line in bound] == [
            ("sip over udp", "to_provider"),
            ("sip over tcp", "to_provider"),
            ("sip over udp", "from_provider"),
        ]
        host, _, port = bound[0]["address"].rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pbx:
            pbx.bind((SITE, 0))
            pbx.settimeout(5)
            own = pbx.getsockname()[1]
            text = OPTIONS.format(host=host, port=port, own=own)
            pbx.sendto(text.replace("\n", "\r\n").encode(), (host, int(port)))
            assert pbx.recv(2000).startswith(b"SIP/2.0 200 OK\r\n")


def test_address_that_is_taken_starts_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((EDGE, 0))
        port = taken.getsockname()[1]
        with running(tmp_path, port=port) as process:
            (line,) = log_of(process)
            assert process.wait() == 1
    assert line["event"] == "listener.failed"
    assert f"{EDGE}:{port}" in line["error"]


@pytest.mark.parametrize("text", ["short\n", "0123456789abcdef\n" * 9])
def test_key_file_without_good_keys_starts_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(text)
    with running(tmp_path, more="key_file: keys") as process:
        (line,) = log_of(process)
        assert process.wait() == 1
    assert line["event"] == "listener.failed"
    assert "keys" in line["error"]
