"""SIP listeners of a daemon that starts: bound whole, or not at all."""

import asyncio
import contextlib
import json
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocols.net.tasks import Tasks
from protocols.sip import datagrams
from protocols.target import Result, Target, Transport
from router.checker import Checker
from router.config import Loaded
from router.endpoints import endpoints, receivers
from router.files import read
from router.keyring import Keyring
from router.location import Location
from router.logs import open_log
from router.relays import Ground
from router.table import Table
from router.trunks import Trunks
from tests.protocols.sip.peers import telephone
from tests.protocols.sip.stage import response
from tests.router.counting import counting

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
        complaint = process.stderr.read()
        assert process.wait() == 78
    assert "listeners.trunk.key_file: " in complaint


# Several listeners, or several ways to one PBX, in one process.

TWO = """\
version: 1
provider: {catalogue: twilio}
listeners:
  one:
    protocol: sip
    product: pstn
    host: example.pstn.twilio.com
    site: {bind: ["udp://127.0.0.1:0"], to: ["sip:127.0.0.3:PORT"], allow: [127.0.0.3]}
    edge: {bind: ["udp://127.0.0.2:0"], transport: udp}
  other:
    protocol: sip
    product: pstn
    host: example.pstn.twilio.com
    site: {bind: ["tcp://127.0.0.1:0"], to: ["sip:127.0.0.3:PORT"], allow: [127.0.0.3]}
    edge: {bind: ["tcp://127.0.0.2:0"], transport: tcp}
"""
ONE = """\
version: 1
provider: {catalogue: twilio}
listeners:
  one:
    protocol: sip
    product: pstn
    host: example.pstn.twilio.com
    site:
      bind: ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]
      to: ["sip:127.0.0.3:PORT", "sip:127.0.0.3:PORT;transport=tcp"]
      allow: [127.0.0.3]
    edge: {bind: ["udp://127.0.0.2:0"], transport: udp}
"""


@contextlib.asynccontextmanager
async def composed(text: str, directory: Path) -> AsyncIterator[tuple[Trunks, Loaded]]:
    """The listeners of a configuration, started; nobody probes by himself."""
    file = directory / "edge-router.yaml"
    file.write_text(text)
    loaded = read(file)
    catalogue, config = loaded.catalogue, loaded.config
    tasks = Tasks()
    table = Table(
        {name: edge.kind for name, edge in catalogue.edges.items()},
        endpoints(catalogue, config),
        receivers=receivers(config),
        now=asyncio.get_running_loop().time(),
        uniform=random.Random(1).uniform,
    )
    checker = Checker(
        table,
        {},
        tasks=tasks,
        on_change=lambda *_: None,
        on_failure=lambda *_: None,
        look_up=lambda _: None,
    )
    with (directory / "log").open("w") as file_of_log:
        log = open_log("json", stream=file_of_log)
        keyring = Keyring()
        ground = Ground(loaded, checker, keyring, log, tasks, *counting(log, loaded))
        trunks = Trunks(log, tasks, keyring)
        bound = trunks.bind(loaded)
        trunks.switch(ground, bound, trunks.prepare(ground, bound, None))
        try:
            yield trunks, loaded
        finally:
            await trunks.drain()
            await tasks.close()
            log.close()


@pytest.mark.parametrize("text", [TWO, ONE])
async def test_pbx_with_two_transports_is_asked_over_each_of_them(
    text: str, tmp_path: Path
) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.3", 0))
        port = listening.getsockname()[1]
    async with (
        telephone("127.0.0.3", port) as phone,
        composed(text.replace("PORT", str(port)), tmp_path) as (trunks, loaded),
    ):
        over_udp, over_tcp = (
            one.target(Location("127.0.0.3")) for one in receivers(loaded.config)
        )
        async with asyncio.TaskGroup() as group:
            probe = group.create_task(trunks.probe(over_udp, 2.0))
            phone.say(response(bytes(await phone.hear()), "200 OK"))
        assert probe.result().result is Result.ALIVE
        # Nobody listens there.
        refused = await trunks.probe(over_tcp, 2.0)
        assert refused.detail == "Connection refused"


BESIDE = """\
version: 1
provider:
  catalogue: CATALOGUE
  edges: [ashburn, ashburn-ix]
  links:
    a: {exchange: A, edges: [ashburn-ix], sources: [127.0.0.9], interface: lo,
        prefixes: [127.0.0.8/29], bandwidth: 1Mbit/s}
listeners:
  secret:
    protocol: sip
    product: pstn
    host: example.pstn.twilio.com
    privacy: required
    site: {bind: ["udp://127.0.0.1:0"], to: ["sip:127.0.0.3:5060"], allow: [127.0.0.3]}
    edge: {bind: ["udp://127.0.0.9:0"], transport: udp}
  other:
    protocol: sip
    product: pstn
    host: example.pstn.twilio.com
    site: {bind: ["udp://127.0.0.4:0"], to: ["sip:127.0.0.3:5060"], allow: [127.0.0.3]}
    edge: {bind: ["udp://127.0.0.2:0", "udp://127.0.0.9:0"], transport: udp}
"""


async def test_edges_that_a_private_trunk_may_not_ask_are_asked_by_another(
    tmp_path: Path,
) -> None:
    catalogue = ROOT / "examples" / "catalogues" / "simulated.yaml"
    text = BESIDE.replace("CATALOGUE", str(catalogue))
    async with composed(text, tmp_path) as (trunks, loaded):
        found = endpoints(loaded.catalogue, loaded.config)
        asked = {one.edge: one.target(Location("127.0.0.77")) for one in found}
        assert {edge: one.device for edge, one in asked.items()} == {
            "ashburn": None,
            "ashburn-ix": "lo",
        }
        for target in asked.values():
            # It was sent: nobody listens there.
            outcome = await trunks.probe(target, 2.0)
            assert outcome.detail == "Connection refused"


async def test_target_of_no_listener_is_not_asked(tmp_path: Path) -> None:
    async with composed(ONE.replace("PORT", "5060"), tmp_path) as (trunks, _):
        target = Target("127.0.0.3", 5060, Transport.TLS, "127.0.0.3:5060")
        assert (await trunks.probe(target, 1.0)).result is Result.TIMEOUT


async def test_udp_socket_with_less_room_than_it_needs_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No system gives a socket so much.
    monkeypatch.setattr(datagrams, "RECEIVE_BUFFER", 2**31 - 1)
    async with composed(ONE.replace("PORT", "5060"), tmp_path) as (trunks, _):
        assert len(trunks.sockets) == 3
        bound = [sock.getsockname() for sock in trunks.sockets]
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    told = [line for line in lines if line["event"] == "listener.cramped"]
    assert [line["address"] for line in told] == [
        f"{host}:{port}" for host, port in (bound[0], bound[2])
    ]
    assert told[0]["room_bytes"] < told[0]["needed_bytes"] == 2**31 - 1
