"""A far side that says no: its answer arrives as the HTTP response that it is."""

import asyncio

import pytest

from tests.protocols.http.stage import Visit
from tests.protocols.websocket.stage import OPENING, Stage, Tls, saying, stage, turns

HEAD = b"HTTP/1.1 401 Who are you\r\nWWW-Authenticate: Basic\r\n"


async def ask(scene: Stage) -> bytes:
    client = await scene.client()
    client.send(OPENING)
    return await client.rest()


@pytest.mark.parametrize(
    ("answer", "head", "body"),
    [
        (HEAD + b"Content-Length: 2\r\n\r\nno", b"Content-Length: 2", b"no"),
        (HEAD + b"Content-Length: 0\r\n\r\n", b"Content-Length: 0", b""),
        (
            HEAD
            + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nno\r\n0\r\nA: b\r\n\r\n",
            b"Transfer-Encoding: chunked",
            b"2\r\nno\r\n0\r\nA: b\r\n\r\n",
        ),
        (
            b"HTTP/1.1 100 Go on\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nno",
            b"",
            b"no",
        ),
    ],
)
async def test_answer_passes_with_its_framing(
    answer: bytes, head: bytes, body: bytes
) -> None:
    async with stage(saying(answer)) as scene:
        got = await ask(scene)
        record = await scene.recorded()
    got_head, _, got_body = got.partition(b"\r\n\r\n")
    assert got_head.startswith(HEAD.removesuffix(b"\r\n"))
    assert head in got_head
    assert b"Connection: close" in got_head
    assert got_body == body
    assert (record.status, record.ended, record.edge) == (401, "--", "a")


async def test_answer_without_length_ends_with_its_connection() -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        visit.writer.write(HEAD + b"\r\n")
        visit.writer.write(b"x" * 300_000)
        visit.writer.close()

    async with stage(script) as scene:
        got = await ask(scene)
        record = await scene.recorded()
    assert got.partition(b"\r\n\r\n")[2] == b"x" * 300_000
    assert record.sent == 300_000


@pytest.mark.parametrize("turn", range(8))
async def test_answer_that_its_connection_ends_at_once_is_whole(
    turn: int, tls: Tls
) -> None:
    """At some of these turns the far side's end is heard while the sides are joined."""

    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        visit.writer.write(HEAD + b"\r\nno")
        await turns(turn)
        visit.writer.close()

    async with stage(script, tls=tls) as scene:
        got = await ask(scene)
        record = await scene.recorded()
        await scene.until(lambda: scene.relay.flows == 0)
    assert got.partition(b"\r\n\r\n")[2] == b"no"
    assert (record.ended, record.sent) == ("--", 2)


async def test_answer_in_pieces_is_one_answer() -> None:
    answer = HEAD + b"Content-Length: 200000\r\n\r\n" + b"y" * 200_000

    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        for start in range(0, 200, 7):
            visit.writer.write(answer[start : start + 7])
            await asyncio.sleep(0)
        visit.writer.write(answer[203:])
        await visit.writer.wait_closed()

    async with stage(script) as scene:
        got = await ask(scene)
        assert got.partition(b"\r\n\r\n")[2] == b"y" * 200_000


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"Content-Length: 9\r\n\r\nno", "the answer broke off"),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nno", "the answer broke off"),
    ],
)
async def test_answer_that_breaks_off_does_not_look_whole(
    answer: bytes, reason: str
) -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        visit.writer.write(HEAD + answer)
        await visit.writer.drain()
        visit.writer.close()

    async with stage(script) as scene:
        await ask(scene)
        record = await scene.recorded()
    assert (record.status, record.ended, record.reason) == (401, "FD", reason)


async def test_answer_with_broken_chunks_is_cut() -> None:
    answer = HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    async with stage(saying(answer)) as scene:
        assert b"zz" not in await ask(scene)
        record = await scene.recorded()
    assert (record.ended, record.reason) == ("FD", "malformed chunk size")


async def test_answer_that_stops_is_cut() -> None:
    answer = HEAD + b"Content-Length: 9\r\n\r\nno"
    async with stage(saying(answer), deadlines={"stall": 0.05}) as scene:
        assert (await ask(scene)).endswith(b"no")
        assert (await scene.recorded()).ended == "RD"


async def test_client_that_leaves_within_the_answer_ends_it() -> None:
    answer = HEAD + b"Content-Length: 9\r\n\r\nno"
    async with stage(saying(answer)) as scene:
        client = await scene.client()
        client.send(OPENING)
        await client.head()
        client.close()
        far = scene.origins[0].visits[0]
        record = await scene.recorded()
        assert await far.reader.read() == b""
    assert (record.ended, record.reason) == ("CD", "the client left")
