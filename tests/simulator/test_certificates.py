import asyncio
import ssl
from pathlib import Path

import pytest

from simulator.certificates import Authority, NamedTLS
from simulator.faults import Fault

NAMES = ("*.twilio.com", "*.ashburn.us1.twilio.com")
HOST = "api.ashburn.us1.twilio.com"


async def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, host: str = HOST
) -> NamedTLS:
    """The server's session after a handshake on a real socket."""
    sessions: asyncio.Queue[NamedTLS] = asyncio.Queue()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.put_nowait(writer.get_extra_info("ssl_object"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server) as served:
        port = served.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client, server_hostname=host
        )
        session = await sessions.get()
        writer.close()
        await writer.wait_closed()
        return session


async def test_sound_certificate_is_accepted_and_the_name_remembered(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)

    session = await handshake(authority.context(NAMES), authority.client())

    assert session.server_name == HOST
    assert session.selected_alpn_protocol() is None


async def test_wildcard_covers_a_single_label(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await handshake(
            authority.context(NAMES[:1]), authority.client(), "api.ashburn.twilio.com"
        )


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        (Fault.EXPIRED, "certificate has expired"),
        (Fault.WRONG_NAME, "Hostname mismatch"),
        (Fault.UNKNOWN_CA, "unable to get local issuer"),
    ],
)
async def test_flawed_certificate_is_refused_for_its_flaw(
    tmp_path: Path, flaw: Fault, reason: str
) -> None:
    authority = Authority(tmp_path)

    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        await handshake(authority.context(NAMES, flaw), authority.client())


async def test_old_tls_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    assert authority.context(NAMES).minimum_version is ssl.TLSVersion.TLSv1_2


def test_only_the_authority_stays_on_disk(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.context(NAMES)

    assert list(tmp_path.iterdir()) == [authority.file]
    assert b"PRIVATE" not in authority.file.read_bytes()
