"""The stage of scenarios: the daemon as a process of its own, and what its log says.

Nothing here sleeps: whoever waits, waits for a line of the log, with a deadline.
"""

import asyncio
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import trustme
import yaml

from simulator.provider import Provider
from tests.manager import Manager

ROOT = Path(__file__).parent.parent
HERE = "127.30.0.1"
"Where listeners of the daemon are: no client takes its ports from this address."
NAME = "router.test"
"Name in the certificate of the daemon's listeners."
HUSH = "hush-hush"
"Part of every query and credential in scenarios; no log may ever hold it."
DEADLINE = 15.0
"Seconds after which what is waited for has not happened."
SOON: dict[str, Any] = {
    "interval": "500ms",
    "fast_interval": "50ms",
    "fall": 3,
    "rise": 2,
    "recovery": "1s",
}
"Health settings that find out faster than the defaults, for shorter tests."

Record = dict[str, Any]
"One line of the log."

Settings = dict[str, Any]
"A configuration, or a part of it."


def free_port(address: str = HERE) -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind((address, 0))
        return int(sock.getsockname()[1])


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """The certificate of the daemon's listeners, and who vouches for it."""

    ca_file: Path
    "What clients of the site trust."
    certificate: Path
    "PEM file."
    key: Path
    "PEM file."

    @property
    def tls(self) -> Settings:
        """The `tls` key of a listener."""
        return {"certificate": str(self.certificate), "key": str(self.key)}

    def trust(self) -> ssl.SSLContext:
        """A client's context that trusts the site."""
        return ssl.create_default_context(cafile=self.ca_file)


def site(directory: Path, *names: str) -> Site:
    """A site with an authority of its own; `names` are added to its certificate."""
    authority = trustme.CA()
    issued = authority.issue_cert(NAME, HERE, *names)
    made = Site(
        directory / "site-ca.pem", directory / "site.pem", directory / "key.pem"
    )
    authority.cert_pem.write_to_path(str(made.ca_file))
    issued.private_key_pem.write_to_path(str(made.key))
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    made.certificate.write_bytes(chain)
    return made


def terminate(place: Site, **keys: Any) -> Settings:
    """A listener that decrypts requests to the provider."""
    return {
        "protocol": "https",
        "direction": "to_provider",
        "mode": "terminate",
        "product": "api",
        "bind": f"{HERE}:{free_port()}",
        "tls": place.tls,
        "allow": ["127.0.0.0/8"],
        **keys,
    }


def passthrough(**keys: Any) -> Settings:
    """A listener that reads the server name only."""
    return {
        "protocol": "https",
        "direction": "to_provider",
        "mode": "passthrough",
        "product": "api",
        "bind": f"{HERE}:{free_port()}",
        "allow": ["127.0.0.0/8"],
        **keys,
    }


def connect(**keys: Any) -> Settings:
    """A listener that is a forward proxy."""
    return {
        "protocol": "https",
        "direction": "to_provider",
        "mode": "connect",
        "products": ["api"],
        "bind": f"{HERE}:{free_port()}",
        "allow": ["127.0.0.0/8"],
        **keys,
    }


def webhooks(place: Site, *receivers: str, **keys: Any) -> Settings:
    """A listener that decrypts requests of the provider."""
    return {
        "protocol": "https",
        "direction": "from_provider",
        "bind": f"{HERE}:{free_port()}",
        "tls": place.tls,
        "to": list(receivers),
        **keys,
    }


def configuration(
    provider: Provider,
    directory: Path,
    listeners: Mapping[str, Settings],
    **sections: Any,
) -> Settings:
    """A whole configuration for a provider; `sections` replace those given here."""
    catalogue = directory / "catalogue.yaml"
    catalogue.write_text(provider.catalogue(), encoding="utf-8")
    host, port = provider.dns_address
    return {
        "version": 1,
        "provider": {
            "catalogue": str(catalogue),
            "region": "us1",
            "ca_file": str(provider.ca_file),
        },
        "policy": {"switch": {"dwell": "1s"}},
        "health": SOON,
        "resolver": {"nameservers": [f"{host}:{port}"]},
        "admin": {"socket": "off"},
        "log": {"format": "json"},
        "listeners": dict(listeners),
        **sections,
    }


def state_directory(directory: Path) -> str:
    """A new one, with which edges are asked by OPTIONS as soon as the daemon starts."""
    return tempfile.mkdtemp(prefix="state-", dir=directory)


class Daemon(asyncio.SubprocessProtocol):
    """A running daemon and its log."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._awaited: list[tuple[asyncio.Future[Record], str, Settings]] = []
        self.ports = ports
        "Port of each listener by its name."
        self._lines: list[str] = []
        self.records: list[Record] = []
        "The lines of its log."
        self.code: asyncio.Future[int] = self._loop.create_future()
        "Its exit code."
        self.transport: asyncio.SubprocessTransport

    # ---- Called by the event loop ------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line.decode())

    def connection_lost(self, exc: Exception | None) -> None:
        code = self.transport.get_returncode()
        assert code is not None
        if not self.code.done():
            self.code.set_result(code)
        for future, event, _ in self._awaited:
            if not future.done():
                told = f"ended before {event}:\n{self.text[-3000:]}"
                future.set_exception(AssertionError(told))

    def _take(self, line: str) -> None:
        self._lines.append(line)
        if not line.startswith("{"):
            return
        record: Record = json.loads(line)
        self.records.append(record)
        for future, event, fields in self._awaited:
            if not future.done() and _fits(record, event, fields):
                future.set_result(record)

    # ---- The log -----------------------------------------------------------------

    def events(self, event: str, **fields: Any) -> list[Record]:
        """Lines of a kind whose fields have these values; None for no such field."""
        return [record for record in self.records if _fits(record, event, fields)]

    async def wait(self, event: str, *, after: int = 0, **fields: Any) -> Record:
        """The first such line, past or to come, but none of the first `after` lines."""
        for record in self.records[after:]:
            if _fits(record, event, fields):
                return record
        found: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        awaited = (found, event, fields)
        self._awaited.append(awaited)
        try:
            async with asyncio.timeout(DEADLINE):
                return await found
        except TimeoutError:
            tail = self.text[-3000:]
            raise AssertionError(f"no {event} {fields} in:\n{tail}") from None
        finally:
            self._awaited.remove(awaited)

    async def count(self, number: int, event: str, **fields: Any) -> list[Record]:
        """Wait until there are at least so many such lines."""
        while len(found := self.events(event, **fields)) < number:
            await self.wait(event, after=len(self.records), **fields)
        return found

    def assert_clean(self, secrets: Sequence[str]) -> None:
        """Nothing crashed, and nothing was told that is nobody's business."""
        crashes = self.events("flow.crashed")
        assert not crashes, crashes
        assert "Traceback" not in self.text, self.text[-5000:]
        assert not self.events("library.logged"), self.events("library.logged")
        text = self.text
        for secret in (HUSH, "uthorization", *secrets):
            assert secret not in text, f"{secret!r} is in the log"

    # ---- The process -------------------------------------------------------------

    @property
    def text(self) -> str:
        """All that it wrote, on standard output and standard error."""
        return "".join(f"{line}\n" for line in self._lines)

    @property
    def pid(self) -> int:
        """Its process."""
        return self.transport.get_pid()

    def memory(self) -> int:
        """Bytes resident."""
        pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def terminate(self) -> None:
        """Ask it to end."""
        self.transport.send_signal(signal.SIGTERM)

    async def end(self) -> int:
        """Wait until it has ended; its exit code."""
        try:
            async with asyncio.timeout(DEADLINE):
                return await asyncio.shield(self.code)
        except TimeoutError:
            raise AssertionError(f"still running:\n{self.text[-3000:]}") from None


def _fits(record: Record, event: str, fields: Mapping[str, Any]) -> bool:
    return record["event"] == event and all(
        record.get(name) == value for name, value in fields.items()
    )


_numbers = itertools.count(1)


async def launch(
    settings: Settings,
    directory: Path,
    *,
    manager: Manager | None = None,
    before: Sequence[str] = (),
    watchdog: float = 0.0,
) -> Daemon:
    """Start the daemon with this configuration, whatever comes of it.

    A `manager` gives it what it keeps, and hears of it; `before` is a command that runs
    the one behind it.
    """
    path = directory / f"edge-router-{next(_numbers)}.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    ports = {
        name: int(str(listener["bind"]).rpartition(":")[2])
        for name, listener in settings["listeners"].items()
        if "bind" in listener
    }
    command: Sequence[str] = (
        *before, *(sys.executable, "-m", "router", "run", "--config", str(path)),
    )  # fmt: skip
    given: dict[str, Any] = {}
    if manager is not None:
        command = manager.command(*command)
        given["pass_fds"] = manager.descriptors
        given["env"] = {**os.environ, **manager.environment(watchdog)}
    _, daemon = await asyncio.get_running_loop().subprocess_exec(
        functools.partial(Daemon, ports), *command, stdin=None, cwd=ROOT, **given
    )
    return daemon


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    directory: Path,
    *,
    secrets: Sequence[str] = (),
    ready: bool = True,
    before: Sequence[str] = (),
) -> AsyncIterator[Daemon]:
    """The daemon, ready; at the end it is stopped, and its whole log looked at."""
    daemon = await launch(settings, directory, before=before)
    try:
        if ready:
            await daemon.wait("daemon.ready")
        yield daemon
        if not daemon.code.done():
            daemon.terminate()
        await daemon.end()
    finally:
        if not daemon.code.done():
            daemon.transport.kill()
            await daemon.code
        daemon.transport.close()
    daemon.assert_clean(secrets)
