"""Bodies far larger than any buffer, to readers that take their time."""

import asyncio
import hashlib

import pytest

from simulator.provider import Provider
from tests.stage import NAME, Daemon, Site
from tests.wire import connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIZE = 100_000_000
SLACK = 16_000_000
"Bytes by which the daemon may grow; a relay that kept the body would grow by all."


@pytest.mark.timeout(60)
async def test_large_answer_to_a_slow_reader_is_never_held_in_memory(
    daemon: Daemon, site: Site
) -> None:
    before, most = daemon.memory(), 0
    head = f"GET /simulator/bytes/{SIZE} HTTP/1.1\r\nHost: {NAME}\r\n\r\n"
    async with connected(daemon.ports["api"], site.trust()) as (reader, writer):
        writer.write(head.encode())
        await reader.readuntil(b"\r\n\r\n")
        # Not a byte is read until everything before the client is full.
        while not most or daemon.memory() > most:
            most = daemon.memory()
            await asyncio.sleep(0.2)
        left = SIZE
        while left:
            data = await reader.read(1 << 20)
            assert data, f"{left} bytes are missing"
            left -= len(data)
            most = max(most, daemon.memory())
    assert most - before < SLACK
    await daemon.wait("flow.ended", sent_bytes=SIZE, ended="--")


@pytest.mark.timeout(60)
async def test_large_upload_arrives_whole_and_is_never_held_in_memory(
    daemon: Daemon, site: Site, provider: Provider
) -> None:
    before, most = daemon.memory(), 0
    head = (
        f"POST /large HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {SIZE}\r\n"
        "Idempotency-Key: large\r\n\r\n"
    )
    part = bytes(range(256)) * 3906 + b"#" * 64
    digest = hashlib.sha256()
    async with connected(daemon.ports["api"], site.trust()) as (reader, writer):
        writer.write(head.encode())
        for _ in range(100):
            writer.write(part)
            digest.update(part)
            await writer.drain()
            most = max(most, daemon.memory())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    (done,) = provider.ledger.events("answered", marker="large")
    assert (done.size, done.digest) == (SIZE, digest.hexdigest())
    assert most - before < SLACK
