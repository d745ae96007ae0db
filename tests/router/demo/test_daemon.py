"""The daemon as a process, and its log."""

from pathlib import Path

import pytest

from router.demo.daemon import Daemon, DaemonError

CONFIG = """\
version: 1
provider: {catalogue: twilio}
resolver: {nameservers: ["127.0.0.1:1"]}
listeners:
  api:
    {protocol: https, direction: to_provider, mode: connect, bind: "127.0.0.1:0",
     allow: [127.0.0.0/8]}
"""


def write(directory: Path, text: str) -> Path:
    file = directory / "config.yaml"
    file.write_text(text)
    return file


async def test_daemon_says_where_it_listens_and_restarts_and_stops_when_told(
    tmp_path: Path,
) -> None:
    log = tmp_path / "daemon.log"
    async with Daemon.start(write(tmp_path, CONFIG), log) as daemon:
        (line,) = await daemon.wait("listener.bound", seconds=20, listener="api")
        assert not line["address"].endswith(":0")
        assert daemon.said("listener.bound", since=line["at"]) == [line]
        assert daemon.said("listener.bound", since=line["at"] + 60) == []
        await daemon.restart()
        assert len(daemon.said("daemon.stopped")) == 1
        assert '"daemon.stopped"' in log.read_text()
        await daemon.wait("listener.bound", count=2, seconds=20)
    assert len(daemon.said("daemon.stopped")) == 2
    assert log.read_text().count('"daemon.stopped"') == 2


async def test_line_that_does_not_come_is_an_error(tmp_path: Path) -> None:
    config = write(tmp_path, CONFIG)
    async with Daemon.start(config, tmp_path / "daemon.log") as daemon:
        with pytest.raises(DaemonError, match=r"no flow.ended listener=x in"):
            await daemon.wait("flow.ended", seconds=0.01, listener="x")


async def test_daemon_that_ends_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    config = write(tmp_path, "version: 2\n")
    async with Daemon.start(config, tmp_path / "daemon.log") as daemon:
        with pytest.raises(
            DaemonError, match=r"(?s)the daemon ended: .*:1:10: version"
        ):
            await daemon.wait("daemon.ready", seconds=20)
