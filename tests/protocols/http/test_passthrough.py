from pathlib import Path

import pytest

from protocols.http.tunnel import Tunnels
from protocols.net.tls import server_context
from protocols.target import Result
from tests.protocols.http.tunnelling import (
    Pair,
    Place,
    Serve,
    Silent,
    Site,
    hear,
    hello,
    in_order,
    passing,
    talk,
)


async def test_passed_through_client_sees_the_edges_own_certificate(
    serve: Serve,
    place: Place,
    pair: Pair,
    ca_file: Path,
    tunnels: Tunnels,
    site: Site,
) -> None:
    async with serve(server_context(*pair)) as port:
        factory = passing(tunnels, in_order(place(port)))
        async with serve(factory=factory) as near:
            assert await talk(near, ca_file) == b"answer"
        record = await site.records.get()
    assert (record.protocol, record.listener) == ("passthrough", "api")
    assert (record.direction, record.client) == ("to_provider", "127.0.0.1")
    assert (record.host, record.edge, record.address) == (
        "edge.test",
        "edge",
        "127.0.0.1",
    )
    assert (record.ended, record.reason, record.attempts) == ("--", "", ())
    assert record.received > 500
    assert record.sent > 500
    assert record.connect is not None
    assert record.first_byte is not None
    assert 0 < record.connect < 1
    assert record.first_byte <= record.total < 5
    assert site.reports == [(port, Result.ALIVE)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "not a TLS handshake"),
        (hello("else.test"), "no route to this host"),
        (hello(""), "a ClientHello without server name"),
        (hello()[:-1], "no ClientHello within 2 s"),
    ],
    ids=["no-tls", "no-route", "no-name", "unfinished"],
)
async def test_client_without_a_route_is_closed(
    data: bytes, reason: str, serve: Serve, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=passing(tunnels, in_order())) as near:
        assert await hear(near, data) == b""
    record = await site.records.get()
    assert (record.ended, record.reason) == ("RH", reason)
    assert site.reports == []


async def test_passthrough_without_any_living_target_is_closed_and_told(
    serve: Serve, place: Place, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=Silent) as dead:
        choose = in_order(place(dead, patience=0.15))
        async with serve(factory=passing(tunnels, choose)) as near:
            assert await hear(near, hello()) == b""
    record = await site.records.get()
    assert record.ended == "RC"
    assert record.reason == f"edge 127.0.0.1:{dead}: timeout"
    assert [one.result for one in record.attempts] == [Result.TIMEOUT]
    assert record.attempts[0].detail == "no answer to the ClientHello within 0.5 s"
    assert site.reports == [(dead, Result.SILENT), (dead, Result.TIMEOUT)]
