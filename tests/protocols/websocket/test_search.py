"""The search: what each target is asked, and who is asked next."""

import asyncio

import pytest

from protocols.target import Result
from protocols.websocket import search
from tests.protocols.http.stage import OK as OK_ANSWER
from tests.protocols.http.stage import Visit, answering, blackhole
from tests.protocols.websocket.stage import (
    ACCEPTED,
    OPENING,
    accepting,
    saying,
    silent,
    stage,
    status,
)

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"

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
        assert (await client.rest()).startswith(b"HTTP/1.1 503 ")
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


async def test_receiver_that_is_held_for_dead_is_not_waited_for() -> None:
    async with stage(silent, to_provider=False, patience=0.05) as scene:
        client = await scene.client()
        client.send(OPENING)
        assert (await client.rest()).startswith(b"HTTP/1.1 503 ")


async def test_targets_that_decline_one_after_the_other_are_not_all_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "DECLINED", 0.0)
    async with stage(resetting, *[saying(UNAVAILABLE)] * 2) as scene:
        client = await scene.client()
        client.send(OPENING)
        assert status(await client.rest()) == 503
        record = await scene.recorded()
    assert [one.result for one in record.attempts] == [
        Result.RESET,
        Result.SERVER_ERROR,
    ]
