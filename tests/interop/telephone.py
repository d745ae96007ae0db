"""baresip as a telephone without sound, which a test dials and hears."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.processes import Process
from tests import stage
from tests.interop.trunks import NUMBER, TELEPHONE, Trunk

_DEADLINE = 5.0
_TRIES = 50
_APART = 0.05

# aubridge gives back what it is given, so that there is a source and a player.
_CONFIG = """
sip_listen {address}:{port}
sip_certificate {directory}/telephone.pem
sip_cafile {ca_file}
audio_source aubridge,loop
audio_player aubridge,loop
audio_alert aubridge,alert
rtp_ports 10000-10100
net_interface {address}
module_path /usr/lib/baresip/modules
module g711.so
module aubridge.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {address}:{control}
"""

Event = dict[str, Any]
"What baresip tells."


class Telephone:
    """A running baresip, by its control connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._told: list[Event] = []

    async def do(self, command: str, parameters: str = "") -> None:
        """Have a command obeyed."""
        text = json.dumps({"command": command, "params": parameters}).encode()
        self._writer.write(b"%d:%s," % (len(text), text))
        while "response" not in (told := await self._read()):
            self._told.append(told)
        assert told["ok"], (command, told)

    async def until(self, event: str) -> Event:
        """The next event of a kind; those before it are forgotten."""
        while True:
            told = self._told.pop(0) if self._told else await self._read()
            if told.get("type") == event:
                return told

    async def _read(self) -> Event:
        # https://cr.yp.to/proto/netstrings.txt: length, colon, text, comma.
        async with asyncio.timeout(_DEADLINE):
            length = await self._reader.readuntil(b":")
            text = await self._reader.readexactly(int(length[:-1]) + 1)
        told: Event = json.loads(text[:-1])
        return told


def free_port() -> int:
    """A port for UDP and TCP of the telephone; TLS is on the next one."""
    while True:
        port = stage.free_port(TELEPHONE)
        with socket.socket() as following, contextlib.suppress(OSError):
            following.bind((TELEPHONE, port + 1))
            return port


@contextlib.asynccontextmanager
async def telephone(
    trunk: Trunk, place: stage.Site, directory: Path, port: int
) -> AsyncIterator[Telephone]:
    """A telephone that calls by a trunk, and is called at a port."""
    control = stage.free_port(TELEPHONE)
    shown = place.key.read_bytes() + place.certificate.read_bytes()
    (directory / "telephone.pem").write_bytes(shown)
    (directory / "contacts").touch()
    (directory / "accounts").write_text(
        f"<sip:{NUMBER}@{TELEPHONE};transport={trunk.way}>;regint=0;"
        'outbound="sip:{}:{};transport={}";'.format(*trunk.site, trunk.way)
        + "auth_user=alice;auth_pass=wonderland\n"
    )
    (directory / "config").write_text(
        _CONFIG.format(
            address=TELEPHONE,
            port=port,
            control=control,
            directory=directory,
            ca_file=place.ca_file,
        )
    )
    log = directory / "baresip.log"
    with Process.start("baresip", ["baresip", "-v", "-f", directory], log):
        reader, writer = await _connected(control)
        try:
            yield Telephone(reader, writer)
        finally:
            writer.close()


async def _connected(
    port: int,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for _ in range(_TRIES):
        try:
            return await asyncio.open_connection(TELEPHONE, port)
        except ConnectionRefusedError:
            await asyncio.sleep(_APART)  # nothing tells when it listens
    raise AssertionError("baresip does not listen")
