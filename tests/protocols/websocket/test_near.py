"""The near side: what is served, what is refused, and that nothing slips through."""

import asyncio
import contextlib

import h11
import pytest

from tests.protocols.http.stage import OK as OK_ANSWER
from tests.protocols.http.stage import Client, Visit, answering
from tests.protocols.websocket.stage import (
    ACCEPTED,
    KEY,
    OPENING,
    Tls,
    accepting,
    closing,
    read_close,
    saying,
    silent,
    stage,
    status,
    text,
    turns,
)

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: voice.test\r\n\r\n"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"


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
    "body in capitals": (400, opening(b"CONTENT-LENGTH: 45") + SMUGGLED),
    "body behind a tab": (400, opening(b"Transfer-Encoding:\tchunked") + SMUGGLED),
    "expectation": (400, opening(b"Expect: 100-continue") + SMUGGLED),
    "another behind it": (400, OPENING + OPENING),
    "h2c with settings": (
        400,
        opening(
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAAQAAP__",
            b"Connection: HTTP2-Settings",
            without=b"Upgrade",
        ),
    ),
    "other connection": (
        400,
        opening(b"Connection: keep-alive", without=b"Connection") + SMUGGLED,
    ),
    "nominated key": (400, opening(b"Connection: Sec-WebSocket-Key") + SMUGGLED),
    "two versions": (400, opening(b"Sec-WebSocket-Version: 13") + SMUGGLED),
    "short key": (
        400,
        opening(b"Sec-WebSocket-Key: c2hvcnQ=", without=b"Sec-WebSocket-Key"),
    ),
    "two keys": (400, opening(b"Sec-WebSocket-Key: " + KEY.encode()) + SMUGGLED),
    "folded": (400, opening(b"X-Odd: a\r\n b") + SMUGGLED),
    "folded upgrade": (
        400,
        opening(b"Upgrade:\r\n websocket", without=b"Upgrade") + SMUGGLED,
    ),
    "space before colon": (
        400,
        opening(b"Upgrade : websocket", without=b"Upgrade") + SMUGGLED,
    ),
    "NUL": (400, opening(b"X-Odd: a\0b") + SMUGGLED),
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


def agreeing(*more: bytes, without: bytes = b"", first: bytes = b"") -> bytes:
    """The usual agreement with lines more or fewer."""
    lines = ACCEPTED.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [line for line in lines if not without or not line.startswith(without)]
    if first:
        kept[0] = first
    return b"\r\n".join((*kept, *more)) + b"\r\n\r\n"


def refusing(status: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    """An ordinary response."""
    return b"\r\n".join((b"HTTP/1.1 " + status, *lines, b"", body))


TWO = b"Content-Length: 2"
UPGRADED = (b"Connection: Upgrade", b"Upgrade: websocket")
ANSWERS = {
    "200": (200, refusing(b"200 OK", TWO, body=b"no")),
    "200 that speaks of an upgrade": (
        200,
        refusing(b"200 OK", *UPGRADED, TWO, body=b"no"),
    ),
    "200 with the accept": (200, agreeing(TWO, first=b"HTTP/1.1 200 OK") + b"no"),
    "chunked": (
        200,
        refusing(
            b"200 OK", b"Transfer-Encoding: chunked", body=b"2\r\nno\r\n0\r\n\r\n"
        ),
    ),
    "more than its length": (200, refusing(b"200 OK", TWO, body=b"nothing else")),
    "two responses": (403, refusing(b"403 No", TWO, body=b"no" + ACCEPTED)),
    "204": (204, refusing(b"204 Nothing")),
    "302": (302, refusing(b"302 There", b"Location: /", b"Content-Length: 0")),
    "401": (401, refusing(b"401 Who", b"WWW-Authenticate: Basic", TWO, body=b"no")),
    "426": (426, refusing(b"426 Higher", b"Upgrade: h2c", TWO, body=b"no")),
    "429": (429, refusing(b"429 Later", b"Retry-After: 1", TWO, body=b"no")),
    "500": (500, refusing(b"500 Own", TWO, body=b"no")),
    "503": (503, refusing(b"503 Full", TWO, body=b"no")),
    "101 without accept": (503, agreeing(without=b"Sec-WebSocket-Accept")),
    "101 with another accept": (
        503,
        ACCEPTED.replace(b"Accept: ", b"Accept: x"),
    ),
    "101 with two accepts": (503, agreeing(b"Sec-WebSocket-Accept: x")),
    "101 without upgrade": (503, agreeing(without=b"upgrade")),
    "101 without connection": (503, agreeing(without=b"Connection")),
    "101 to h2c": (503, agreeing(b"Upgrade: h2c", without=b"upgrade")),
    "101 to both": (503, agreeing(b"Upgrade: h2c")),
    "101 with a body": (503, agreeing(TWO) + b"no"),
    "101 that is chunked": (503, agreeing(b"Transfer-Encoding: chunked")),
    "101 with what was not offered": (503, agreeing(b"Sec-WebSocket-Protocol: a")),
    "101 folded": (503, agreeing(b"X-Odd: a\r\n b")),
    "101 in HTTP/1.0": (503, agreeing(first=b"HTTP/1.0 101 Switching")),
    "101 in bare LF": (503, ACCEPTED.replace(b"\r\n", b"\n")),
    "100 with the accept": (503, agreeing(first=b"HTTP/1.1 100 Go on") * 17),
}


@pytest.mark.parametrize("to_provider", [True, False], ids=["to", "from"])
@pytest.mark.parametrize(("expected", "said"), ANSWERS.values(), ids=ANSWERS)
async def test_handshake_that_failed_leaves_one_response_and_nothing_behind_it(
    expected: int, said: bytes, to_provider: bool
) -> None:
    heard: list[bytes] = []

    async def recording(visit: Visit) -> None:
        heard.append(await visit.reader.readuntil(b"\r\n\r\n"))
        visit.writer.write(said)
        heard.append(await visit.reader.read())

    async with stage(recording, to_provider=to_provider) as scene:
        client = await scene.client()
        client.send(OPENING)
        response = await read_response(client)
        client.send(SMUGGLED + text(b"early", masked=True))
        with contextlib.suppress(ConnectionResetError):
            assert await client.rest() == b""
        await scene.recorded()
        await scene.until(lambda: len(heard) == 2)
    assert heard[0].startswith(b"GET /signal?token=hush HTTP/1.1\r\n")
    assert heard[1] == b""
    assert response.status_code == expected
    assert b"upgrade" not in dict(response.headers)
    assert len(scene.records) == 1


async def read_response(client: Client) -> h11.Response:
    """The answer to a GET, whole and the only one, as another parser reads it."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    parser.send(h11.EndOfMessage())
    response = None
    while not isinstance(event := parser.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            parser.receive_data(await client.reader.read(65_536))
        elif isinstance(event, h11.Response):
            response = event
    assert response is not None
    assert (parser.their_state, parser.trailing_data[0]) == (h11.MUST_CLOSE, b"")
    return response


@pytest.mark.parametrize(
    "lines",
    [
        [b"upgrade:websocket", b"connection:upgrade"],
        [b"UPGRADE: WEBSOCKET", b"CONNECTION: UPGRADE"],
        [b"Upgrade: WebSocket", b"Connection: keep-alive, Upgrade"],
    ],
)
async def test_handshake_in_any_spelling_reaches_the_edge_in_one(
    lines: list[bytes],
) -> None:
    others = [
        line
        for line in OPENING.removesuffix(b"\r\n\r\n").split(b"\r\n")
        if not line.startswith((b"Upgrade", b"Connection"))
    ]
    async with stage(answering(OK_ANSWER)) as scene:
        client = await scene.client()
        client.send(b"\r\n".join((*others, *lines)) + b"\r\n\r\n")
        await client.rest()
        ((request, _),) = scene.origins[0].requests
    said = [line for line in request.headers if line[0] in (b"upgrade", b"connection")]
    assert said == [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]


async def test_what_follows_an_agreement_is_no_http_any_more() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        client.send(SMUGGLED)
        assert await far.reader.readexactly(len(SMUGGLED)) == SMUGGLED
        assert scene.dials == 1
        client.close()


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


@pytest.mark.parametrize("turn", range(4))
async def test_client_that_leaves_as_it_is_answered_takes_the_far_side_along(
    turn: int, tls: Tls
) -> None:
    """At some of these turns the near side hears of it once it has been joined."""
    ended = asyncio.Event()

    async def answering_late(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        visit.writer.write(ACCEPTED)
        await turns(turn)
        client.close()
        await visit.reader.read(1)
        ended.set()

    async with stage(answering_late, tls=tls) as scene:
        client = await scene.client()
        client.send(OPENING)
        await ended.wait()
        await scene.until(lambda: scene.relay.flows == 0)
    assert len(scene.records) == 1


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
