"""Clients that are slow, many, strange or elsewhere: what the listener bears."""

import asyncio

import pytest

from protocols.net.tasks import Tasks
from tests.stage import HUSH, NAME, Daemon, Site
from tests.wire import Caller, connect, connected, tell

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUEST = f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()


async def test_header_that_does_not_end_in_time_is_408_and_the_end(
    daemon: Daemon, site: Site
) -> None:
    head = f"GET /{HUSH} HTTP/1.1\r\nHost: {NAME}\r\nX-Slow: ".encode()
    heard = await tell(daemon.ports["strict"], site.trust(), head)
    assert heard.startswith(b"HTTP/1.1 408 ")
    await daemon.wait("request.refused", listener="strict", status=408)


async def test_header_that_trickles_does_not_prolong_its_time(
    daemon: Daemon, site: Site
) -> None:
    async with connected(daemon.ports["strict"], site.trust()) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nX-Slow: ")
        answer = Tasks().start(reader.read(), name="answer")
        async with asyncio.timeout(5):
            while not answer.done():
                writer.write(b"x")
                await asyncio.wait([answer], timeout=0.2)
        assert answer.result().startswith(b"HTTP/1.1 408 ")


async def test_body_slower_than_the_least_rate_is_408(
    daemon: Daemon, site: Site
) -> None:
    head = f"POST /slow-body HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 9000\r\n\r\nx"
    heard = await tell(daemon.ports["strict"], site.trust(), head.encode())
    assert heard.startswith(b"HTTP/1.1 408 ")
    ended = await daemon.wait("flow.ended", path="/slow-body")
    assert (ended["status"], ended["ended"]) == (408, "CB")


async def test_answer_that_does_not_begin_in_time_is_504(
    daemon: Daemon, site: Site
) -> None:
    async with Caller(daemon.ports["strict"], site.trust()) as caller:
        answer = await caller.ask("POST", "/simulator/slow?first=20")
    assert answer.status == 504
    ended = await daemon.wait("flow.ended", listener="strict", status=504)
    assert (ended["method"], ended["ended"]) == ("POST", "RW")


async def test_connections_of_one_client_are_limited_and_those_of_another_are_not(
    daemon: Daemon, site: Site
) -> None:
    port, trust = daemon.ports["crowded"], site.trust()
    held = [await connect(port, trust, source="127.0.0.7") for _ in range(5)]
    with pytest.raises(OSError):  # noqa: PT011 - closed or reset, as it comes
        await connect(port, trust, source="127.0.0.7")
    refused = await daemon.wait("client.refused", listener="crowded")
    assert (refused["client"], refused["reason"]) == ("127.0.0.7", "client_limit")
    async with Caller(port, trust, source="127.0.0.8") as caller:
        assert (await caller.ask("GET", "/other")).status == 200
    for _, writer in held:
        writer.transport.abort()


async def test_client_from_no_allowed_network_gets_no_tls(
    daemon: Daemon, site: Site
) -> None:
    port, trust = daemon.ports["few"], site.trust()
    async with Caller(port, trust, source="127.0.0.2") as caller:
        assert (await caller.ask("GET", "/allowed")).status == 200
    with pytest.raises(OSError):  # noqa: PT011 - closed or reset, as it comes
        await connect(port, trust, source="127.0.0.3")
    refused = await daemon.wait("client.refused", listener="few")
    assert (refused["client"], refused["reason"]) == ("127.0.0.3", "not_allowed")
