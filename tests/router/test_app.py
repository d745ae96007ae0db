"""The daemon composed: it starts with all that is asked for, or not at all."""

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from router.app import Daemon
from router.events import Level
from router.files import read
from router.logs import open_log
from router.problem import ConfigError
from router.reloads import Stopping
from router.service import Stop
from tests.stage import free_port

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


# ---- Another configuration -----------------------------------------------------------


def reload(
    process: subprocess.Popen[str], config: Path, text: str, event: str
) -> dict[str, Any]:
    """Write the file anew, say so, and wait for what becomes of it."""
    config.write_text(text)
    process.send_signal(signal.SIGHUP)
    return read_until(process, event)[-1]


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_hangup_takes_another_configuration_over(tmp_path: Path) -> None:
    one, two, new = (free_port("127.0.0.1") for _ in range(3))
    config = configure(tmp_path, first=one, second=two)
    text = config.read_text()
    with running(config) as process:
        read_until(process, "daemon.started")
        with socket.create_connection(("127.0.0.1", one), 5) as standing:
            other = text.replace("  two:", "  three:").replace(str(two), str(new))
            told = reload(process, config, other, "config.reloaded")
            assert told["changed"] == "listeners.two: removed; listeners.three: added"
            assert "restart" not in told
            assert [listens(port) for port in (one, two, new)] == [True, False, True]
            told = reload(process, config, other, "config.reloaded")
            assert told["changed"] == "nothing"
            # A tunnel that is not open yet is still served.
            standing.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert standing.recv(100).startswith(b"HTTP/1.1 ")
        process.send_signal(signal.SIGTERM)
        assert read_until(process, "")[-1]["event"] == "daemon.stopped"
        assert process.wait() == 0


def test_configuration_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    one, two, new = (free_port("127.0.0.1") for _ in range(3))
    config = configure(tmp_path, first=one, second=two)
    text = config.read_text()
    with running(config) as process, socket.create_server(("127.0.0.1", 0)) as taken:
        read_until(process, "daemon.started")
        moved = text.replace(str(two), str(new))
        wrong = moved.replace("passthrough", "passthru")
        told = reload(process, config, wrong, "config.rejected")
        assert told["errors"] == 1
        assert told["first"].startswith(f"{config}:9:")
        port = taken.getsockname()[1]
        bound = moved.replace(str(one), str(port))
        told = reload(process, config, bound, "config.rejected")
        assert f"127.0.0.1:{port}: Address already in use" in told["first"]
        lacking = moved + RECEIVER.format(port=port)
        told = reload(process, config, lacking, "config.rejected")
        assert "site.pem" in told["first"]
        assert [listens(port) for port in (one, two, new)] == [True, True, False]
        # The log of the rejections has not cost the daemon its way back.
        told = reload(process, config, moved, "config.reloaded")
        assert f"{two} -> 127.0.0.1:{new}" in told["changed"]


@contextlib.asynccontextmanager
async def within(config: Path, **options: Any) -> AsyncIterator[Daemon]:
    """A daemon in this process."""
    stop = Stop()
    with (config.parent / "log").open("w") as file:
        log = open_log("json", stream=file)
        daemon = Daemon(read(config), config, log, {}, **options)
        running = asyncio.get_running_loop().create_task(daemon.run(stop))
        await asyncio.sleep(0)
        try:
            yield daemon
        finally:
            stop.ask("end of test")
            assert await running == 0
            log.close()


def logged(config: Path) -> list[dict[str, Any]]:
    text = (config.parent / "log").read_text()
    return [json.loads(line) for line in text.splitlines()]


async def test_level_of_the_log_is_taken_over_when_it_changes(tmp_path: Path) -> None:
    config = configure(tmp_path)
    text = config.read_text()
    async with within(config) as daemon:
        config.write_text(text.replace("format: json", "format: json, level: error"))
        levels = [await level(daemon)]
        daemon._log.level = Level.DEBUG  # somebody looks for something
        levels.append(await level(daemon))
        config.write_text(text)
        levels.append(await level(daemon))
    assert levels == [Level.ERROR, Level.DEBUG, Level.INFO]


async def level(daemon: Daemon) -> Level:
    """The level of the log after a reload."""
    await daemon.reload()
    return daemon._log.level


async def test_setting_of_the_start_waits_for_a_restart_until_it_is_taken_back(
    tmp_path: Path,
) -> None:
    config = configure(tmp_path)
    text = config.read_text()
    async with within(config) as daemon:
        config.write_text("admin: {http: 127.0.0.1:9}\n" + text)
        for _ in range(2):
            (one,) = await daemon.reload()
            assert (one.path, one.restart) == (("admin", "http"), True)
        config.write_text(text)
        assert await daemon.reload() == ()
    told = [line for line in logged(config) if line["event"] == "config.reloaded"]
    assert [line.get("restart") for line in told] == ["admin.http"] * 2 + [None]


async def test_certificate_written_anew_is_seen_without_a_reload(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()

    def write() -> None:
        issued = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
        issued.write_to_path(str(tmp_path / "fresh"))
        (tmp_path / "fresh").replace(tmp_path / "site.pem")

    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    write()
    config, port = configure(tmp_path), free_port("127.0.0.1")
    text = RECEIVER.format(port=9).replace("127.0.0.1:0", f"127.0.0.1:{port}")
    config.write_text(config.read_text() + text)
    trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")

    async def shown() -> bytes:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        opened.append(writer)
        data: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
        return data

    opened: list[asyncio.StreamWriter] = []

    async with within(config, renew_interval=0.02):
        before = await shown()
        write()
        async with asyncio.timeout(5):
            while await shown() == before:
                pass
        assert not opened[0].transport.is_closing()
        for writer in opened:
            writer.transport.abort()
    told = [line for line in logged(config) if line["event"] == "certificate.renewed"]
    assert len(told) == 1


async def test_reply_names_files_that_were_written_anew(tmp_path: Path) -> None:
    keys = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(keys))
    config = configure(tmp_path)
    text = config.read_text().replace("twilio}", "twilio, ca_file: ca.pem}")
    config.write_text(text)
    async with within(config) as daemon:
        assert await daemon.reload() == ()
        trustme.CA().cert_pem.write_to_path(str(keys))
        (one,) = await daemon.reload()
        assert str(one) == f"provider.ca_file: {keys} was written anew"
        assert not one.restart


async def test_daemon_that_stops_takes_nothing_over(tmp_path: Path) -> None:
    config = configure(tmp_path)
    async with within(config) as daemon:
        reloading = asyncio.get_running_loop().create_task(daemon.reload())
        await asyncio.sleep(0)
    with pytest.raises((Stopping, asyncio.CancelledError)):
        await reloading
    assert "config.reloaded" not in [line["event"] for line in logged(config)]


async def test_hangups_while_one_waits_are_one(tmp_path: Path) -> None:
    config = configure(tmp_path)
    async with within(config) as daemon:
        async with daemon._reloads._lock:
            for _ in range(50):
                daemon._hung_up()
            await asyncio.sleep(0)
        config.write_text("nonsense")
        with pytest.raises(ConfigError):
            await daemon.reload()
    told = [line["event"] for line in logged(config)]
    assert told.count("config.reloaded") + told.count("config.rejected") == 2
