"""The process side against a real notification socket and real signals."""

import asyncio
import gc
import os
import pathlib
import platform
import signal
import socket
from collections.abc import Iterator

import pytest
import uvloop

from router import service
from router.service import Notifier, Stop, collect_rarely, map_large_blocks


@pytest.fixture(params=["path", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> Iterator[tuple[socket.socket, str]]:
    """A notification socket, and its address as $NOTIFY_SOCKET gives it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        if request.param == "path":
            address = str(tmp_path / "notify")
            server.bind(address)
        else:
            server.bind("")  # unix(7): autobind to an abstract address
            address = "@" + server.getsockname()[1:].decode()
        server.settimeout(10)
        yield server, address


def test_ready_status_and_stopping_reach_systemd(
    systemd: tuple[socket.socket, str],
) -> None:
    server, address = systemd
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready("home ashburn")
    notifier.status("home dublin\nMAINPID=1")
    notifier.stopping("12 flows left")
    assert [server.recv(4096) for _ in range(3)] == [
        b"READY=1\nSTATUS=home ashburn",
        b"STATUS=home dublin MAINPID=1",
        b"STOPPING=1\nSTATUS=12 flows left",
    ]


@pytest.mark.parametrize("address", ["", "vsock:2:1", "/nowhere/at/all", "@nobody"])
def test_nobody_to_notify_is_no_trouble(address: str) -> None:
    Notifier({"NOTIFY_SOCKET": address}).ready("alone")


def test_full_notification_socket_does_not_hold_up(
    systemd: tuple[socket.socket, str],
) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd[1]})
    for _ in range(10_000):
        notifier.status("x" * 1000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_asks_to_stop_and_main_ends_in_order(
    number: signal.Signals,
) -> None:
    async def main(stop: Stop) -> int:
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        assert not stop.asked
        os.kill(os.getpid(), number)
        await stop.wait()
        return 7 if stop.reason == number.name else 0

    assert service.run(main) == 7


def test_second_signal_ends_main_at_once() -> None:
    async def main(stop: Stop) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
        return 0

    assert service.run(main) == 128 + signal.SIGINT


def test_cancellation_of_another_cause_is_not_hidden() -> None:
    async def main(stop: Stop) -> int:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        service.run(main)


def test_signals_are_as_before_once_the_daemon_ended() -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def main(stop: Stop) -> int:
        return 0

    assert service.run(main) == 0
    assert signal.getsignal(signal.SIGTERM) == before


def test_malloc_can_be_told_to_map_large_blocks() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip(reason="only glibc knows mallopt")
    assert map_large_blocks()


def test_collector_leaves_what_was_there_before_alone() -> None:
    before = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    try:
        collect_rarely()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] > 700
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
