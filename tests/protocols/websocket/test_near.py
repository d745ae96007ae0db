"""The near side: what is served, what is refused, and that nothing slips through."""

import pytest

from tests.protocols.http.stage import Visit
from tests.protocols.websocket.stage import (
    ACCEPTED,
    OPENING,
    accepting,
    closing,
    read_close,
    saying,
    silent,
    stage,
    text,
)

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: voice.test\r\n\r\n"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"


def status(answer: bytes) -> int:
    """The status of the only answer that came."""
    assert answer.startswith(b"HTTP/1.1 "), answer
    assert b"\nHTTP/1.1 " not in answer
    return int(answer.split(b" ")[1])


def opening(*more: bytes, without: bytes = b"", first: bytes = b"") -> bytes:
    """The usual handshake with lines more or fewer."""
    lines = OPENING.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [line for line in lines if not without or not line.startswith(without)]
    if first:
        kept[0] = first
    return b"\r\n".join((*kept, *more)) + b"\r\n\r\n"


# ---- Smuggling ---------------------------------------------------------------------

REFUSED = {
    "body": (400, opening(b"Content-Length: 45") + SMUGGLED),
    "empty body": (400, opening(b"Content-Length: 0") + SMUGGLED),
    "chunked": (400, opening(b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED),
    "both": (400, opening(b"Content-Length: 5", b"Transfer-Encoding: chunked")),
    "behind it": (400, OPENING + SMUGGLED),
    "frames behind it": (400, OPENING + text(b"early", masked=True)),
    "two upgrades": (400, opening(b"Upgrade: websocket") + SMUGGLED),
    "h2c": (400, opening(b"Upgrade: h2c", without=b"Upgrade") + SMUGGLED),
    "h2c beside": (400, opening(b"Upgrade: websocket, h2c", without=b"Upgrade")),
    "no upgrade": (426, opening(without=b"Upgrade") + SMUGGLED),
    "no connection": (400, opening(without=b"Connection") + SMUGGLED),
    "version": (426, opening(b"Sec-WebSocket-Version: 7", without=b"Sec-WebSocket-V")),
    "no key": (400, opening(without=b"Sec-WebSocket-Key") + SMUGGLED),
    "two hosts": (400, opening(b"Host: other.test") + SMUGGLED),
    "POST": (405, opening(first=b"POST / HTTP/1.1") + SMUGGLED),
    "CONNECT": (405, opening(first=b"CONNECT voice.test:443 HTTP/1.1") + SMUGGLED),
    "HTTP/1.0": (505, opening(first=b"GET / HTTP/1.0") + SMUGGLED),
    "HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "bare LF": (400, OPENING.replace(b"\r\n", b"\n")),
    "no HTTP": (400, b"\x16\x03\x01\x02\x00\r\n\r\n"),
}


@pytest.mark.parametrize("to_provider", [True, False], ids=["to", "from"])
@pytest.mark.parametrize(("expected", "data"), REFUSED.values(), ids=REFUSED)
async def test_what_is_no_handshake_never_reaches_the_far_side(
    expected: int, data: bytes, to_provider: bool
) -> None:
    async with stage(accepting, to_provider=to_provider) as scene:
        client = await scene.client()
        client.send(data)
        assert status(await client.rest()) == expected
        record = await scene.recorded()
        assert not scene.origins[0].visits
        assert scene.dials == 0
    assert (record.status, record.ended) == (expected, "RH")
    assert [refused for refused, _ in scene.refusals] == [expected]
    assert len(scene.records) == 1


async def test_data_before_the_answer_ends_the_attempt() -> None:
    async with stage(silent) as scene:
        client = await scene.client()
        client.send(OPENING)
        await scene.origins[0].visited.wait()
        client.send(SMUGGLED)
        assert status(await client.rest()) == 400
        far = scene.origins[0].visits[0]
        assert SMUGGLED not in await far.reader.read()
    assert len(scene.records) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Content-Length: 2\r\n\r\nno",
    ],
)
async def test_nothing_passes_behind_a_handshake_that_failed(refusal: bytes) -> None:
    async with stage(saying(refusal)) as scene:
        client = await scene.client()
        client.send(OPENING)
        head = await client.head()
        body = b""
        while b"no" not in body:
            body += await client.exactly(1)
        client.send(SMUGGLED)
        assert status(head + body) == int(refusal.split()[1])
        assert b"connection: close" in head.lower()
        assert b"upgrade" not in head.lower()
        far = scene.origins[0].visits[0]
        assert SMUGGLED not in await far.reader.read()


async def test_frames_that_come_with_the_answer_are_not_lost() -> None:
    async def eager(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        visit.writer.write(ACCEPTED + text(b"one", masked=False)[:3])
        visit.writer.write(text(b"one", masked=False)[3:])
        visit.writer.write(closing(1000, masked=False))
        visit.writer.close()

    async with stage(eager) as scene:
        client, _ = await scene.open()
        assert await client.exactly(5) == text(b"one", masked=False)
        assert await read_close(client.reader) == 1000
        client.close()
        record = await scene.recorded()
    assert (record.ended, record.sent_messages, record.close_code) == ("--", 1, 1000)


@pytest.mark.parametrize("scripts", [[], [saying(UNAVAILABLE)] * 2])
async def test_nothing_to_reach_is_said_at_once(scripts: list[object]) -> None:
    async with stage(*scripts) as scene:  # type: ignore[arg-type]
        client = await scene.client()
        client.send(OPENING)
        answer = await client.rest()
        record = await scene.recorded()
    assert status(answer) == 503
    assert b"\r\nRetry-After: 1\r\n" in answer
    assert (record.status, record.ended) == (503, "RC")
    assert len(record.attempts) == len(scripts)


# ---- Ends before the joining -------------------------------------------------------


async def test_client_that_sends_no_head_is_cut() -> None:
    async with stage(accepting, deadlines={"head": 0.05}) as scene:
        client = await scene.client()
        assert await client.rest() == b""
        assert not scene.records


async def test_client_that_sends_half_a_head_is_told_so() -> None:
    async with stage(accepting, deadlines={"head": 0.05}) as scene:
        client = await scene.client()
        client.send(OPENING[:50])
        assert status(await client.rest()) == 408
        assert (await scene.recorded()).ended == "RH"


async def test_client_that_leaves_while_an_edge_is_asked_ends_that() -> None:
    async with stage(silent) as scene:
        client = await scene.client()
        client.send(OPENING)
        await scene.origins[0].visited.wait()
        client.close()
        record = await scene.recorded()
        far = scene.origins[0].visits[0]
        await far.reader.read()
        assert far.reader.at_eof()
    assert (record.ended, record.reason) == ("CC", "the client left")


async def test_client_that_leaves_within_its_head_is_recorded() -> None:
    async with stage(accepting) as scene:
        client = await scene.client()
        client.send(OPENING[:50])
        client.writer.write_eof()
        assert (await scene.recorded()).ended == "CH"


async def test_refused_client_that_stays_is_cut() -> None:
    async with stage(accepting, deadlines={"linger": 0.05}) as scene:
        client = await scene.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert status(await client.head() + b"") == 426
        client.send(SMUGGLED)
        await client.rest()
        await scene.until(lambda: bool(scene.records))
    assert len(scene.records) == 1


async def test_cut_ends_an_attempt() -> None:
    async with stage(silent) as scene:
        client, idle = await scene.client(), await scene.client()
        client.send(OPENING)
        await scene.origins[0].visited.wait()
        scene.relay.close()
        assert await client.rest() == b""
        assert await idle.rest() == b""
        assert (await scene.recorded()).ended == "RC"
    assert len(scene.records) == 1


async def test_attempt_that_is_broken_off_from_above_ends_its_client() -> None:
    async with stage(silent) as scene:
        client = await scene.client()
        client.send(OPENING)
        await scene.origins[0].visited.wait()
        await scene.tasks.close()
        assert await client.rest() == b""
        record = await scene.recorded()
    assert (record.ended, record.reason) == ("RC", "opening it was broken off")
