"""The daemon under a service manager: what it tells, what it takes, what it leaves."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from protocols.net.tasks import Tasks
from simulator.provider import Provider
from tests import stage
from tests.manager import Manager, Told
from tests.stage import HERE, Daemon, Settings, Site
from tests.wire import Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    made.serve()
    yield made
    made.close()


@contextlib.asynccontextmanager
async def managed(
    settings: Settings, directory: Path, manager: Manager, watchdog: float = 0.0
) -> AsyncIterator[Daemon]:
    """The daemon, ready; at the end it is stopped."""
    daemon = await stage.launch(settings, directory, manager=manager, watchdog=watchdog)
    try:
        await daemon.wait("daemon.ready")
        yield daemon
        daemon.terminate()
        assert await daemon.end() == 0
        daemon.assert_clean([])
    finally:
        if not daemon.code.done():
            daemon.transport.kill()
            await daemon.code
        daemon.transport.close()


def kinds(told: list[Told]) -> list[str]:
    """The first assignment of each message: what it is about."""
    return [next(iter(one.values)) for one in told]


async def test_life_is_told_and_who_connects_after_it_is_served_by_the_next_run(
    provider: Provider, site: Site, tmp_path: Path, manager: Manager
) -> None:
    listeners = {"api": stage.terminate(site)}
    known = {"state_directory": stage.state_directory(tmp_path)}
    settings = stage.configuration(provider, tmp_path, listeners, **known)
    async with managed(settings, tmp_path, manager, watchdog=0.4) as daemon:
        pid, port = daemon.pid, daemon.ports["api"]
        while kinds(manager.told).count("WATCHDOG") < 3:  # noqa: ASYNC110 - a thread
            await asyncio.sleep(0.01)
        assert manager.names == [f"tcp-{HERE}-{port}"]
    assert {one.pid for one in manager.told} == {pid}
    told = [kind for kind in kinds(manager.told) if kind not in ("WATCHDOG", "STATUS")]
    assert told[:4] == ["FDSTORE", "READY", "STOPPING", "EXTEND_TIMEOUT_USEC"]
    ready = next(one for one in manager.told if "READY" in one.values)
    assert ready.values["STATUS"].startswith("home ashburn ")
    assert ready.values["STATUS"].endswith(" | idle | 2/2 edges up")
    async with Caller(port, site.trust()) as caller:
        asking = Tasks().start(caller.ask("POST", "/"), name="asking")
        await asyncio.sleep(0)
        async with managed(settings, tmp_path, manager):
            assert (await asking).status == 200


async def test_socket_of_a_unit_is_taken_and_one_that_nobody_wants_is_told_of(
    provider: Provider, site: Site, tmp_path: Path, manager: Manager
) -> None:
    ours, other = (socket.create_server((HERE, 0)) for _ in range(2))
    port, odd = ours.getsockname()[1], other.getsockname()[1]
    manager.kept = [("api", ours.detach()), ("old", other.detach())]
    listeners = {"api": stage.terminate(site, bind=f"{HERE}:{port}")}
    settings = stage.configuration(provider, tmp_path, listeners)
    async with managed(settings, tmp_path, manager) as daemon:
        (unused,) = daemon.events("socket.unused")
        assert unused["socket"] == f"old (tcp-{HERE}-{odd})"
        assert manager.names == ["api"]
        async with Caller(port, site.trust()) as caller:
            assert (await caller.ask("POST", "/")).status == 200


async def test_kept_socket_makes_way_for_one_that_is_wanted_in_its_place(
    provider: Provider, site: Site, tmp_path: Path, manager: Manager
) -> None:
    listeners = {"api": stage.terminate(site)}
    settings = stage.configuration(provider, tmp_path, listeners)
    async with managed(settings, tmp_path, manager) as daemon:
        port = daemon.ports["api"]
    listeners["api"]["bind"] = f"0.0.0.0:{port}"
    async with managed(settings, tmp_path, manager):
        assert manager.names == [f"tcp-0.0.0.0-{port}"]
        async with Caller(port, site.trust()) as caller:
            assert (await caller.ask("POST", "/")).status == 200


def reload(daemon: Daemon, directory: Path, text: str) -> None:
    """Write the configuration anew, and say so."""
    (path,) = directory.glob("edge-router-*.yaml")
    path.write_text(text, encoding="utf-8")
    daemon.transport.send_signal(signal.SIGHUP)


async def test_reload_is_told_and_what_is_kept_follows_the_configuration(
    provider: Provider, site: Site, tmp_path: Path, manager: Manager
) -> None:
    listeners = {"api": stage.terminate(site)}
    settings = stage.configuration(provider, tmp_path, listeners)
    async with managed(settings, tmp_path, manager) as daemon:
        port = stage.free_port(HERE)
        listeners["api"]["bind"] = f"{HERE}:{port}"
        reload(daemon, tmp_path, yaml.safe_dump(settings))
        await daemon.wait("config.reloaded")
        reload(daemon, tmp_path, "nonsense")
        await daemon.wait("config.rejected")
    assert manager.names == [f"tcp-{HERE}-{port}"]
    told = [one for one in kinds(manager.told) if one not in ("WATCHDOG", "STATUS")]
    once = ["RELOADING", "FDSTOREREMOVE", "FDSTORE", "READY"]
    assert told[:8] == ["FDSTORE", "READY", *once, "RELOADING", "READY"]
    async with managed(settings, tmp_path, manager) as daemon:
        assert daemon.events("socket.unused") == []
        async with Caller(port, site.trust()) as caller:
            assert (await caller.ask("POST", "/")).status == 200
