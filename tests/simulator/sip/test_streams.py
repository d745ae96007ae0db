"""Connections of SIP, in and out, and what faults do to them."""

import asyncio
import ssl

import pytest

from simulator.faults import Fault
from simulator.provider import Provider
from simulator.sip.message import Received, read
from simulator.sip.pbx import Pbx
from tests.simulator.sip.raw import HOST, Raw, at

Site = tuple[ssl.SSLContext, ssl.SSLContext]
RINGS = "+155518000000"


class Connection:
    """A TCP connection to the first address of ashburn."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, provider: Provider) -> "Connection":
        place = at(provider, "ashburn")
        return cls(*await asyncio.open_connection(*place))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> Received:
        return read(await self.reader.readuntil(b"Content-Length: 0\r\n\r\n"))

    async def close(self) -> None:
        self.writer.transport.abort()
        try:
            await self.writer.wait_closed()
        except OSError:
            return


@pytest.fixture
async def raw(provider: Provider) -> Raw:
    """Writes requests; its socket stays unused."""
    raw = Raw(at(provider, "ashburn"))
    raw.close()
    return raw


async def test_ping_is_answered_and_messages_in_pieces_are_put_together(
    provider: Provider, raw: Raw
) -> None:
    connection = await Connection.open(provider)
    connection.send(b"\r\n\r\n")
    assert await connection.reader.readexactly(2) == b"\r\n"
    request = raw.request("INVITE", f"sip:{RINGS}@{HOST}").replace(b"/UDP", b"/TCP")

    connection.send(request[:50])
    connection.send(request[50:])

    assert (await connection.receive()).code == 100
    assert (await connection.receive()).code == 180
    await connection.close()


async def test_stream_of_nonsense_is_closed_and_noted(provider: Provider) -> None:
    connection = await Connection.open(provider)

    connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert await connection.reader.read() == b""
    await provider.ledger.wait("unparsed", transport="tcp")
    await connection.close()


@pytest.mark.parametrize("pbx", ["tcp", "tls"], indirect=True)
@pytest.mark.parametrize("fault", [Fault.KILL, Fault.RESET])
async def test_broken_edge_resets_connections_in_and_out(
    provider: Provider, pbx: Pbx, fault: Fault
) -> None:
    way = pbx.transport
    call = pbx.call(RINGS)
    await call.ringing
    uri = f"sip:127.0.0.1:{pbx.ports[way]};transport={way};edge=ashburn"
    placed = await provider.sip.call([uri])

    provider.edges["ashburn"].fail(fault)

    assert await call.outcome == 0
    assert placed.status == 200
    provider.edges["ashburn"].heal()
    again = pbx.call("+15551234567")
    assert await again.outcome == 200


@pytest.mark.parametrize("pbx", ["tcp", "tls"], indirect=True)
async def test_mute_edge_obeys_and_lets_no_answer_out(
    provider: Provider, pbx: Pbx
) -> None:
    first = pbx.call(RINGS)
    await first.ringing
    provider.edges["ashburn"].mute()
    call = pbx.call(RINGS)

    await provider.ledger.wait("rung", call=call.call_id)
    assert not call.heard.done()
    provider.edges["ashburn"].heal()
    await call.ringing


@pytest.mark.parametrize("pbx", ["tcp"], indirect=True)
async def test_frozen_edge_stands_still_with_the_connections_that_it_dialled(
    provider: Provider, pbx: Pbx
) -> None:
    uri = f"sip:127.0.0.1:{pbx.ports['tcp']};transport=tcp;edge=ashburn"
    placed = await provider.sip.call([uri])
    call = await pbx.incoming.get()
    await call.confirmed
    provider.edges["ashburn"].freeze()
    provider.sip.core.hang_up(placed.call)
    done, _ = await asyncio.wait([call.ended], timeout=0.1)
    assert not done

    provider.edges["ashburn"].heal()

    assert await call.ended == "remote"


@pytest.mark.parametrize(
    ("way", "trusted"), [("tcp", False), ("tls", False), ("tls", True)]
)
async def test_listener_that_is_not_there_or_not_trusted_ends_the_attempt(
    provider: Provider, site: Site, way: str, trusted: bool
) -> None:
    serves, _ = site
    provider.sip.trust = ssl.create_default_context() if trusted else None
    async with Pbx.start(at(provider, "ashburn"), serves=serves) as pbx:
        port = pbx.ports["tls"] if way == "tls" else 9
        placed = await provider.sip.call([f"sip:127.0.0.1:{port};transport={way}"])

    assert placed.status == 0
    assert provider.ledger.events("dial-failed", transport=way)


async def test_connection_with_an_alias_carries_requests_back(
    provider: Provider, raw: Raw
) -> None:
    connection = await Connection.open(provider)
    host, port = raw.near
    fields = [f"Record-Route: <sip:{host}:{port};transport=tcp;lr>"]
    request = raw.request("INVITE", f"sip:+155520000000001@{HOST}", fields=fields)
    request = request.replace(b"/UDP", b"/TCP").replace(b";rport", b";alias")

    connection.send(request)

    seen = b""
    while b"BYE sip:a@" not in seen:
        seen += await connection.reader.read(65_536)
    assert f"Route: <sip:{host}:{port};transport=tcp;lr>".encode() in seen
    await connection.close()
    assert not provider.ledger.events("dial-failed")


async def test_connection_without_an_alias_does_not(
    provider: Provider, raw: Raw
) -> None:
    connection = await Connection.open(provider)
    fields = ["Record-Route: <sip:127.0.0.1:9;transport=tcp;lr>"]
    request = raw.request("INVITE", f"sip:+155520000000001@{HOST}", fields=fields)

    connection.send(request.replace(b"/UDP", b"/TCP"))

    await provider.ledger.wait("dial-failed")
    await connection.close()
