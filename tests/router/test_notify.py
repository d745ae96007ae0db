"""The notifications against a socket that takes them as systemd does."""

import os
import pathlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from router.notify import Notifier
from tests.manager import Manager

NOBODY = ["", "vsock:2:1", "/nowhere/at/all", "@nobody-is-here"]


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> Iterator[Manager]:
    path = str(tmp_path / "notify")
    running = Manager(path if request.param == "path" else f"@{path}")
    running.socket.settimeout(10)
    yield running
    running.close()


@pytest.fixture
def notifier(manager: Manager) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": manager.address})


def test_life_of_a_service_is_told_in_messages_of_their_own(
    manager: Manager, notifier: Notifier
) -> None:
    assert notifier.is_heard
    notifier.ready("home ashburn")
    notifier.status("home dublin\nMAINPID=1")
    notifier.alive()
    notifier.stopping("12 flows left")
    notifier.extend(12.5)
    told = [manager.read() for _ in range(5)]
    assert {one.pid for one in told} == {os.getpid()}
    assert [one.values for one in told] == [
        {"READY": "1", "STATUS": "home ashburn"},
        {"STATUS": "home dublin MAINPID=1"},
        {"WATCHDOG": "1"},
        {"STOPPING": "1", "STATUS": "12 flows left"},
        {"EXTEND_TIMEOUT_USEC": "12500000"},
    ]


def test_reload_tells_the_monotonic_time_in_the_same_message(
    manager: Manager, notifier: Notifier
) -> None:
    before = time.monotonic()
    notifier.reloading()
    values = manager.read().values
    assert values.keys() == {"RELOADING", "MONOTONIC_USEC"}
    told = int(values["MONOTONIC_USEC"]) / 1e6
    assert before - 0.001 <= told <= time.monotonic()


def test_socket_is_kept_under_its_name_until_it_is_forgotten(
    manager: Manager, notifier: Notifier
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        notifier.store("tcp-one", server.fileno())
        notifier.store("tcp-one", server.fileno())
        place = server.getsockname()
    manager.read()
    assert manager.read().values == {
        "FDSTORE": "1",
        "FDNAME": "tcp-one",
        "FDPOLL": "0",
    }
    assert manager.names == ["tcp-one"]
    socket.create_connection(place, 5).close()  # it listens, though we closed ours
    notifier.forget("tcp-one")
    assert manager.read().values == {"FDSTOREREMOVE": "1", "FDNAME": "tcp-one"}
    assert manager.names == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place, 5)


def test_barrier_waits_until_all_was_read(manager: Manager, notifier: Notifier) -> None:
    notifier.forget("one")
    reader = threading.Timer(0.05, lambda: [manager.read() for _ in range(2)])
    reader.start()
    assert notifier.barrier(10)
    reader.join()
    assert [one.values for one in manager.told][1:] == [{"BARRIER": "1"}]


def test_barrier_gives_up_on_a_manager_that_does_not_read(
    manager: Manager, notifier: Notifier
) -> None:
    assert not notifier.barrier(0.01)


@pytest.mark.parametrize("address", NOBODY)
def test_nobody_to_notify_is_no_trouble(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready("alone")
    notifier.store("alone", 1)
    began = time.monotonic()
    assert not notifier.barrier(10)
    assert time.monotonic() - began < 1


def test_service_that_serves_does_not_wait_for_a_manager_that_does_not_read(
    manager: Manager, notifier: Notifier
) -> None:
    for _ in range(1_000):
        notifier.status("x" * 1000)
        notifier.alive()
        notifier.stopping("")
        notifier.extend(1)
