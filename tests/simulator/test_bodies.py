import asyncio

import aiohttp
import pytest

from simulator.provider import Provider

API = "api.ashburn.us1.twilio.com"


async def wire(provider: Provider, path: str, close: bool = True) -> bytes:
    """All bytes of an answer as they come, until the connection ends."""
    reader, writer = await asyncio.open_connection(
        provider.edges["ashburn"].addresses[0].address,
        provider.port,
        ssl=provider.trust(),
        server_hostname=API,
    )
    connection = "Connection: close\r\n" if close else ""
    writer.write(
        f"GET /simulator/{path} HTTP/1.1\r\nHost: {API}\r\n{connection}\r\n".encode()
    )
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("status", [204, 304, 404, 429, 503])
async def test_status_is_the_one_of_the_path(provider: Provider, status: int) -> None:
    answer = await provider.ask(API, f"/simulator/status/{status}")

    assert (answer.status, answer.body) == (status, b"")


@pytest.mark.parametrize("query", ["", "?chunked=1"])
async def test_bytes_are_as_many_as_asked_for(provider: Provider, query: str) -> None:
    answer = await provider.ask(API, f"/simulator/bytes/3000001{query}")

    assert len(answer.body) == 3_000_001
    assert ("Content-Length" in answer.headers) is not bool(query)
    assert ("Transfer-Encoding" in answer.headers) is bool(query)


async def test_slow_answer_takes_its_time(provider: Provider) -> None:
    clock = asyncio.get_running_loop().time
    begun = clock()

    answer = await provider.ask(API, "/simulator/slow?first=0.1&every=0.05&parts=2")

    assert answer.body == b"part 0\npart 1\n"
    assert clock() - begun >= 0.2


@pytest.mark.parametrize("query", ["first=x", "first=-1", "every=nan", "parts=1e9"])
async def test_slow_answer_with_a_wrong_number_is_a_bad_request(
    provider: Provider, query: str
) -> None:
    answer = await provider.ask(API, f"/simulator/slow?{query}")

    assert answer.status == 400


async def test_trailers_follow_the_last_chunk(provider: Provider) -> None:
    body = (await wire(provider, "trailers")).partition(b"\r\n\r\n")[2]

    assert body == (
        b"6;note=first\r\nhello \r\n5\r\nworld\r\n"
        b"0\r\nDigest: none\r\nServer-Timing: total;dur=1\r\n\r\n"
    )


async def test_body_without_a_length_ends_with_the_connection(
    provider: Provider,
) -> None:
    head, _, body = (await wire(provider, "until-close", close=False)).partition(
        b"\r\n\r\n"
    )

    assert b"content-length" not in head.lower()
    assert b"transfer-encoding" not in head.lower()
    assert body == b"this body ends when the connection does"


async def test_cut_body_is_shorter_than_promised(provider: Provider) -> None:
    head, _, body = (
        await wire(provider, "cut?after=10&length=20", close=False)
    ).partition(b"\r\n\r\n")

    assert b"Content-Length: 20" in head
    assert len(body) == 10
    with pytest.raises(aiohttp.ClientPayloadError):
        await provider.ask(API, "/simulator/cut")


async def test_client_that_leaves_is_noted(provider: Provider) -> None:
    with pytest.raises(TimeoutError):
        await provider.ask(API, "/simulator/slow?first=30", timeout=0.3)

    async with asyncio.timeout(5):
        await provider.ledger.wait("aborted", edge="ashburn")
