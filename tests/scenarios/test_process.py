"""The daemon as a process: how it begins, how it ends, what it keeps."""

import asyncio
import socket
from pathlib import Path

import pytest

from protocols.net.tasks import Tasks
from simulator.nameserver import DnsFault
from simulator.provider import Provider
from tests import stage
from tests.stage import HERE, NAME, Site
from tests.wire import BrokenError, Caller, connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOW = "/simulator/slow?first=0&every=0.1&parts=10"


def listens(port: int) -> bool:
    """Whether anybody accepts connections there."""
    with socket.socket() as sock:
        return sock.connect_ex((HERE, port)) == 0


async def test_wrong_configuration_ends_with_78_and_binds_nothing(
    provider: Provider, site: Site, tmp_path: Path
) -> None:
    listeners = {"api": stage.terminate(site), "other": stage.terminate(site)}
    listeners["other"]["product"] = "apo"
    settings = stage.configuration(provider, tmp_path, listeners)
    daemon = await stage.launch(settings, tmp_path)
    assert await daemon.end() == 78
    assert "apo" in daemon.text
    assert not daemon.events("listener.bound")
    assert not listens(daemon.ports["api"])
    daemon.assert_clean([])


async def test_occupied_port_ends_with_1_and_nothing_else_stays_bound(
    provider: Provider, site: Site, tmp_path: Path
) -> None:
    listeners = {name: stage.terminate(site) for name in ("one", "two", "three")}
    settings = stage.configuration(provider, tmp_path, listeners)
    port = int(listeners["two"]["bind"].rpartition(":")[2])
    with socket.create_server((HERE, port)):
        daemon = await stage.launch(settings, tmp_path)
        assert await daemon.end() == 1
        assert not listens(daemon.ports["one"])
        assert not listens(daemon.ports["three"])
    (failed,) = daemon.events("listener.failed")
    assert "in use" in failed["error"]
    assert not daemon.events("listener.bound")
    daemon.assert_clean([])


async def test_unreadable_key_ends_before_anything_is_bound(
    provider: Provider, site: Site, tmp_path: Path
) -> None:
    listeners = {"one": stage.terminate(site), "two": stage.terminate(site)}
    listeners["two"]["tls"] = {**site.tls, "key": str(site.ca_file)}
    settings = stage.configuration(provider, tmp_path, listeners)
    daemon = await stage.launch(settings, tmp_path)
    assert await daemon.end() == 78
    assert not listens(daemon.ports["one"])
    daemon.assert_clean([])


async def test_sigterm_lets_a_slow_answer_end_and_takes_no_new_connections(
    provider: Provider, site: Site, tmp_path: Path
) -> None:
    listeners = {"api": stage.terminate(site)}
    settings = stage.configuration(provider, tmp_path, listeners)
    async with stage.running(settings, tmp_path) as daemon:
        port, trust = daemon.ports["api"], site.trust()
        async with connected(port, trust) as (reader, writer):
            writer.write(f"GET {SLOW} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            await reader.readuntil(b"part 0\n")
            daemon.terminate()
            # Said first, then done.
            await daemon.wait("daemon.stopping")
            async with asyncio.timeout(5):
                while listens(port):  # noqa: ASYNC110 - a port has no event
                    await asyncio.sleep(0)
            await reader.readuntil(b"part 9\n")
            assert (await reader.read()).endswith(b"0\r\n\r\n")
        assert await daemon.end() == 0
    ended = await daemon.wait("flow.ended", path="/simulator/slow")
    assert ended["ended"] == "--"
    assert daemon.events("daemon.stopped", flows=0)


async def test_second_sigterm_ends_at_once(
    provider: Provider, site: Site, tmp_path: Path
) -> None:
    listeners = {"api": stage.terminate(site)}
    settings = stage.configuration(provider, tmp_path, listeners)
    slow = "/simulator/slow?first=60"
    async with (
        stage.running(settings, tmp_path) as daemon,
        Caller(daemon.ports["api"], site.trust()) as caller,
    ):
        never = Tasks().start(caller.ask("GET", slow), name="slow request")
        await provider.ledger.wait("request", target=slow)
        daemon.terminate()
        await daemon.wait("daemon.stopping")
        daemon.terminate()
        async with asyncio.timeout(3):
            assert await daemon.end() == 128 + 15
        with pytest.raises((BrokenError, OSError)):
            await never


async def test_restart_with_dead_dns_uses_the_addresses_of_the_last_run(
    provider: Provider, site: Site, tmp_path: Path
) -> None:
    listeners = {"api": stage.terminate(site)}
    kept = {"state_directory": str(tmp_path)}
    settings = stage.configuration(provider, tmp_path, listeners, **kept)
    async with stage.running(settings, tmp_path):
        pass
    provider.dns.fail(DnsFault.TIMEOUT)
    try:
        async with stage.running(settings, tmp_path) as daemon:
            restored = await daemon.wait("state.restored")
            assert restored["names"] == 2
            async with Caller(daemon.ports["api"], site.trust()) as caller:
                assert (await caller.ask("POST", "/after-restart")).status == 200
    finally:
        provider.dns.heal()


@pytest.mark.parametrize(
    "damaged", [b"", b"{", b"[1, 2]", b'{"version": 99}', b"\xff\x00" * 1000]
)
async def test_damaged_state_file_is_told_of_and_replaced(
    provider: Provider, site: Site, tmp_path: Path, damaged: bytes
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(damaged)
    listeners = {"api": stage.terminate(site)}
    kept = {"state_directory": str(tmp_path)}
    settings = stage.configuration(provider, tmp_path, listeners, **kept)
    async with stage.running(settings, tmp_path) as daemon:
        ignored = await daemon.wait("state.ignored")
        assert ignored["reason"]
        async with Caller(daemon.ports["api"], site.trust()) as caller:
            assert (await caller.ask("GET", "/")).status == 200
    assert path.read_bytes() != damaged
