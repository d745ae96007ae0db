"""What `advise` prints, with and without a daemon."""

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from router.cli import main
from router.explanation import explain
from router.files import read
from router.openings import nftables, openings

CONFIG = """\
version: 1
provider: {catalogue: twilio, edges: [ashburn, tokyo]}
admin: {socket: control.sock}
listeners:
  trunk:
    protocol: sip
    product: pstn
    host: t.pstn.twilio.com
    site: {bind: [udp://10.0.0.2:5060], to: [sip:10.0.0.9], allow: [10.0.0.9]}
    edge: {bind: [udp://5.5.5.5:5060], transport: udp}
  hooks: {protocol: https, direction: from_provider, bind: "10.0.0.2:443",
          tls: {certificate: a.pem, key: a.key}, to: ["http://10.0.0.20"]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "f.yaml"
    path.write_text(CONFIG)
    return path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["advise", *map(str, words)])


def serve(path: Path, answer: object) -> list[object]:
    """A daemon for one question; what it is asked is in the list."""
    asked: list[object] = []
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.fspath(path))
    server.listen()

    def answer_one() -> None:
        with server, server.accept()[0] as client:
            asked.append(json.loads(client.recv(4096)))
            client.sendall(json.dumps(answer).encode() + b"\n")

    threading.Thread(target=answer_one, daemon=True).start()
    return asked


def test_advice_without_a_daemon_is_in_the_order_of_the_file(config: Path) -> None:
    result = run(config)
    assert result.exit_code == 0
    first, *_ = result.stdout.splitlines()
    assert first == (
        "what to set at the provider, edges in the order of the file: no daemon "
        f"answers at {config.parent}/control.sock (No such file or directory)"
    )
    assert result.stdout.index("edge=ashburn\n") < result.stdout.index("edge=tokyo\n")
    assert "#e=ashburn,tokyo&rc=1&rp=ct&ct=5000" in result.stdout
    assert '["ashburn", "tokyo", "roaming"]' in result.stdout
    assert "  TWILIO_EDGE=ashburn\n" in result.stdout
    assert result.stderr == ""


def test_advice_is_in_the_order_of_the_daemon(
    config: Path, make_snapshot: Any, make_edge: Any
) -> None:
    snapshot = make_snapshot([make_edge("ashburn", 0.2), make_edge("tokyo", 0.1)])
    live = {"ok": True, **explain(snapshot, now=snapshot.time)}
    asked = serve(config.parent / "control.sock", live)
    result = run(config, "--json")
    told = json.loads(result.stdout)
    assert (told["schema"], told["order"]) == ("edge-router/advice/1", "live")
    assert [one["uri"] for one in told["trunks"][0]["uris"]] == [
        "sip:5.5.5.5:5060;transport=udp;edge=tokyo",
        "sip:5.5.5.5:5060;transport=udp;edge=ashburn",
    ]
    assert asked == [{"command": "explain"}]


@pytest.mark.parametrize(
    "answer", ["nonsense", {"ok": False, "error": "no", "exit": 1}]
)
def test_daemon_without_an_order_is_as_none(config: Path, answer: object) -> None:
    serve(config.parent / "control.sock", answer)
    assert json.loads(run(config, "--json").stdout)["order"] == "configuration"


def test_socket_that_is_off_is_not_asked(config: Path) -> None:
    config.write_text(CONFIG.replace("control.sock", "off"))
    assert "in the order of the file: admin.socket is off" in run(config).stdout


def test_networks_are_printed_alone(config: Path) -> None:
    found = openings(read(config, verify=False).catalogue)
    shown = run(config, "--networks", "nftables", "--table", "site")
    assert shown.stdout.splitlines() == list(nftables(found, "site"))
    assert run(config, "--networks", "plain").stdout.startswith("# sip_signalling: ")
    assert run(config, "--networks", "ipset").stdout.startswith("create provider_sip_")
    assert json.loads(run(config, "--networks", "json").stdout)[0]["networks"]


def test_what_needs_a_look_is_noted_beside_it(config: Path) -> None:
    config.write_text(CONFIG.replace("5.5.5.5", "10.0.0.3"))
    result = run(config)
    assert result.stderr.startswith("note: trunk: 10.0.0.3 is a private address")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--retries", "6"], "retries: found 6"),
        (["--connect-timeout", "2"], "did you mean '2s'?"),
        (["--connect-timeout", "8s"], "2 attempts of 8 s"),
        (["--retry-on", "3xx"], "3xx"),
        (["--table", "a; flush ruleset"], "expected letters"),
    ],
)
def test_wish_that_cannot_be_fulfilled_is_wrong_usage(
    config: Path, words: list[str], why: str
) -> None:
    result = run(config, *words)
    assert result.exit_code == 2
    assert why in result.stderr


def test_wishes_are_fulfilled(config: Path) -> None:
    words = ["--retries", "1", "--retry-on", "ct", "--retry-on", "5xx"]
    result = run(config, *words, "--connect-timeout", "1500ms")
    assert "rc=1&rp=ct,5xx&ct=1500" in result.stdout


def test_wrong_configuration_is_told_with_its_problems(config: Path) -> None:
    config.write_text("version: 2\n")
    result = run(config)
    assert result.exit_code == 78
    assert "f.yaml:1:10: version" in result.stderr
