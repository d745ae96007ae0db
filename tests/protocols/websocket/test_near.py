"""The near side: what is served, what is refused, and that nothing slips through."""

import asyncio

import pytest

from protocols.target import Result
from tests.protocols.http.stage import OK as OK_ANSWER
from tests.protocols.http.stage import Visit, answering, blackhole
from tests.protocols.websocket.stage import (
    ACCEPTED,
    OPENING,
    Tls,
    accepting,
    closing,
    read_close,
    saying,
    silent,
    stage,
    text,
    turns,
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


# ---- What the far side gets --------------------------------------------------------


async def test_edge_is_asked_under_its_own_name() -> None:
    async with stage(answering(OK_ANSWER)) as scene:
        client = await scene.client()
        client.send(OPENING)
        await client.rest()
        ((request, _),) = scene.origins[0].requests
        fields = dict(request.headers)
        assert request.target == b"/signal?token=hush"
        port = scene.origins[0].target.port
        assert fields[b"host"] == b"o.test:%d" % port
        assert fields[b"x-twilio-signature"] == b"c2lnbmVk"
        assert fields[b"upgrade"] == b"websocket"
        assert b"x-forwarded-for" not in fields


async def test_receiver_gets_the_host_that_was_signed_and_the_client() -> None:
    async with stage(answering(OK_ANSWER), to_provider=False) as scene:
        client = await scene.client()
        client.send(OPENING)
        await client.rest()
        ((request, _),) = scene.origins[0].requests
        fields = dict(request.headers)
        assert fields[b"host"] == b"voice.test"
        assert fields[b"x-twilio-signature"] == b"c2lnbmVk"
        assert fields[b"x-forwarded-for"] == b"127.0.0.1"
        assert fields[b"x-forwarded-proto"] == b"http"


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


# ---- Failover ----------------------------------------------------------------------

BROKEN = {
    "status 503": (saying(UNAVAILABLE), Result.SERVER_ERROR),
    "status 504": (
        saying(b"HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n"),
        Result.SERVER_ERROR,
    ),
    "no HTTP": (saying(b"SSH-2.0-OpenSSH\r\n\r\n"), Result.BAD_ANSWER),
    "wrong key": (
        saying(ACCEPTED.replace(b"Accept: ", b"Accept: x")),
        Result.BAD_ANSWER,
    ),
    "another protocol": (
        saying(ACCEPTED.replace(b"WebSocket", b"h2c")),
        Result.BAD_ANSWER,
    ),
}


async def resetting(visit: Visit) -> None:
    """An origin that breaks the connection when it is asked."""
    await visit.reader.readuntil(b"\r\n\r\n")
    visit.reset()


BROKEN["reset"] = (resetting, Result.RESET)


@pytest.mark.parametrize(("script", "result"), BROKEN.values(), ids=BROKEN)
async def test_fault_of_an_edge_is_answered_by_the_next_edge(
    script: object, result: Result
) -> None:
    async with stage(script, accepting) as scene:  # type: ignore[arg-type]
        await scene.open(1)
        assert scene.results("a") == [result]
        scene.relay.close()
        record = await scene.recorded()
    assert record.edge == "b"
    assert [one.target.label for one in record.attempts] == ["a", "b"]
    assert record.attempts[0].result is result


async def test_silent_edge_is_overtaken_after_its_patience() -> None:
    async with stage(silent, accepting, patience=0.05) as scene:
        client, _ = await scene.open(1)
        assert scene.results("a") == [Result.SILENT]
        client.close()


async def test_edge_that_takes_no_connection_is_overtaken() -> None:
    async with stage(silent, silent, accepting, patience=0.1) as scene:
        await scene.origins[0].close()
        with blackhole() as black:
            scene.origins[1].target = black
            client, _ = await scene.open(2)
            assert scene.results("a") == [Result.REFUSED]
            assert scene.results("black")[0] is Result.SILENT
            client.close()


async def test_edge_that_never_answers_is_given_up() -> None:
    deadlines = {"answer": 0.2}
    async with stage(silent, patience=0.12, deadlines=deadlines) as scene:
        client = await scene.client()
        client.send(OPENING)
        assert status(await client.rest()) == 503
        assert scene.results("a") == [Result.SILENT, Result.TIMEOUT]


async def test_receiver_of_the_site_is_condemned_by_no_stranger() -> None:
    async with stage(resetting, accepting, to_provider=False) as scene:
        client, _ = await scene.open(1)
        assert scene.results("a") == [Result.SERVER_ERROR]
        client.close()


async def test_receiver_of_the_site_has_time_to_answer() -> None:
    """What is slow is not asked twice: only `patience` of edges is so short."""

    async def slowly(visit: Visit) -> None:
        await asyncio.sleep(0.1)
        await accepting(visit)

    options = {"patience": 0.1, "to_provider": False}
    async with stage(slowly, accepting, **options) as scene:  # type: ignore[arg-type]
        client, _ = await scene.open(0)
        assert not scene.origins[1].visits
        client.close()


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


async def test_receiver_that_is_held_for_dead_is_not_waited_for() -> None:
    async with stage(silent, to_provider=False, patience=0.05) as scene:
        client = await scene.client()
        client.send(OPENING)
        assert status(await client.rest()) == 503
