"""The daemon composed: it starts with all that is asked for, or not at all."""

import contextlib
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

ROOT = Path(__file__).parents[2]

CONFIG = """\
version: 1
provider: {{catalogue: twilio}}
resolver: {{nameservers: ["127.0.0.1:1"]}}
state_directory: {directory}
log: {{format: json}}
listeners:
  one: {{protocol: https, direction: to_provider, mode: connect,
        bind: "127.0.0.1:{first}", allow: [127.0.0.0/8]}}
  two: {{protocol: https, direction: to_provider, mode: passthrough, product: api,
        bind: "127.0.0.1:{second}", allow: [127.0.0.0/8]}}
"""
RECEIVER = """\
  three: {{protocol: https, direction: from_provider, bind: "127.0.0.1:0",
          tls: {{certificate: site.pem, key: site.pem}},
          to: ["https://127.0.0.1:{port}"], ca_file: ca.pem}}
"""


def configure(directory: Path, *, first: int = 0, second: int = 0) -> Path:
    file = directory / "edge-router.yaml"
    file.write_text(CONFIG.format(directory=directory, first=first, second=second))
    return file


@contextlib.contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[str]]:
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


def read_until(process: subprocess.Popen[str], event: str) -> list[dict[str, Any]]:
    """Lines of the log up to the first of that event, or to the end."""
    assert process.stderr is not None
    lines = []
    for raw in process.stderr:
        lines.append(json.loads(raw))
        if lines[-1]["event"] == event:
            break
    return lines


def test_daemon_tells_the_ports_that_the_system_chose(tmp_path: Path) -> None:
    with running(configure(tmp_path)) as process:
        lines = read_until(process, "daemon.started")
        bound = {x["listener"]: x for x in lines if x["event"] == "listener.bound"}
        assert bound["one"]["mode"] == "connect"
        assert bound["two"]["mode"] == "passthrough"
        for line in bound.values():
            host, _, port = line["address"].rpartition(":")
            socket.create_connection((host, int(port)), 5).close()


def test_address_that_is_taken_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        second = taken.getsockname()[1]
        with running(configure(tmp_path, second=second)) as process:
            (line,) = read_until(process, "")
            assert process.wait() == 1
    assert line["event"] == "listener.failed"
    assert f"127.0.0.1:{second}" in line["error"]


def test_receiver_is_probed_with_its_own_authorities(tmp_path: Path) -> None:
    authority = trustme.CA()
    site = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    site.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "site.pem"))
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    site.configure_cert(trust)
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        text = RECEIVER.format(port=receiver.getsockname()[1])
        config = configure(tmp_path)
        config.write_text(config.read_text() + text)
        with running(config), receiver.accept()[0] as accepted:
            # A daemon that did not trust the certificate would leave in the midst.
            trust.wrap_socket(accepted, server_side=True).close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_daemon_and_saves_its_state(
    number: signal.Signals, tmp_path: Path
) -> None:
    with running(configure(tmp_path)) as process:
        read_until(process, "daemon.started")
        process.send_signal(number)
        events = [line["event"] for line in read_until(process, "")]
        assert process.wait() == 0
    assert events[-2:] == ["daemon.stopping", "daemon.stopped"]
    assert json.loads((tmp_path / "state.json").read_text())["version"] == 1


def test_damaged_state_is_told_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with running(configure(tmp_path)) as process:
        lines = read_until(process, "daemon.started")
        assert "state.ignored" in [line["event"] for line in lines]
        process.send_signal(signal.SIGTERM)
        read_until(process, "")
    assert json.loads((tmp_path / "state.json").read_text())["version"] == 1
