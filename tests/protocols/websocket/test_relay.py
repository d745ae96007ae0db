"""The relay of one listener: its counts, its drain, what it tells of the far side."""

import asyncio

import pytest

from protocols.target import Result
from protocols.websocket.shared import Drain
from tests.protocols.http.stage import Client, Visit
from tests.protocols.websocket.stage import (
    OPENING,
    Tls,
    accepting,
    closing,
    read_close,
    saying,
    silent,
    stage,
    text,
)


async def test_bytes_pass_both_ways_untouched_and_are_recorded() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        question = text(b"question", masked=True)
        answer = text(b"x" * 300, masked=False)
        client.send(question)
        assert await far.reader.readexactly(len(question)) == question
        far.writer.write(answer)
        assert await client.exactly(len(answer)) == answer
        client.send(closing(1000, masked=True))
        assert await read_close(far.reader) == 1000
        far.writer.write(closing(1000, masked=False))
        far.writer.close()
        assert await read_close(client.reader) == 1000
        assert await client.rest() == b""
        record = await scene.recorded()
    assert (record.protocol, record.direction) == ("websocket", "to_provider")
    assert (record.method, record.host, record.path) == ("GET", "voice.test", "/signal")
    assert (record.status, record.edge, record.address) == (101, "a", "127.0.0.1")
    assert (record.received_messages, record.sent_messages) == (1, 1)
    assert record.received == len(question) + 8
    assert record.sent == len(answer) + 4
    assert record.attempts == ()
    assert record.connect is not None
    assert record.first_byte is not None
    assert record.total >= record.first_byte > 0


async def test_connections_are_counted_until_they_are_gone() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        await scene.client()
        assert scene.relay.flows == 2
        client.send(closing(1000, masked=True))
        far.writer.write(closing(1000, masked=False))
        far.writer.close()
        await scene.recorded()
        assert scene.relay.flows == 1


async def test_connection_that_never_came_about_is_not_counted() -> None:
    async with stage(accepting) as scene:
        scene.relay.connection()  # whose TLS handshake fails, or is under way
        assert scene.relay.flows == 0
        assert await scene.relay.drain() == 0


# ---- Drain -------------------------------------------------------------------------


async def test_handshake_that_comes_during_a_drain_is_told_to_come_back() -> None:
    async with stage(accepting, draining=Drain(wait=5.0, spread=0.0)) as scene:
        client, far = await scene.open()
        early, late = await scene.client(), await scene.client()
        late.send(OPENING[:50])
        leaving = scene.tasks.start(scene.relay.drain(), name="drain")
        await asyncio.sleep(0)
        early.send(OPENING)
        late.send(OPENING[50:])
        for one in (early, late):
            answer = await one.rest()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 1\r\n" in answer
            one.close()
        assert (await scene.recorded()).reason == "the router stops"
        client.send(closing(1000, masked=True))
        assert await read_close(far.reader) == 1000
        far.writer.close()
        await client.rest()
        assert await leaving == 0


async def test_client_that_has_just_connected_gets_an_answer_before_the_end() -> None:
    async with stage(accepting) as scene:
        client = await scene.client()

        async def accept_no_more() -> None:
            client.send(OPENING)

        assert await scene.relay.drain(accept_no_more) == 0
        assert (await client.rest()).startswith(b"HTTP/1.1 503 ")


async def test_drain_closes_one_after_the_other() -> None:
    async with stage(accepting, draining=Drain(spread=0.3)) as scene:
        opened = [await scene.open() for _ in range(3)]
        leaving = scene.tasks.start(scene.relay.drain(), name="drain")
        times = []

        async def leave(client: Client, far: Visit) -> None:
            assert await read_close(client.reader) == 1012
            times.append(asyncio.get_running_loop().time())
            client.close()
            far.writer.close()

        await asyncio.gather(*(leave(*both) for both in opened))
        assert await leaving == 0
        assert times[2] - times[0] >= 0.15


async def test_handshake_that_nobody_has_answered_yet_is_told_so_by_a_drain(
    tls: Tls,
) -> None:
    async with stage(silent, tls=tls) as scene:
        client = await scene.client()
        client.send(OPENING)
        await scene.origins[0].visited.wait()
        assert await scene.relay.drain() == 0
        assert (await client.rest()).startswith(b"HTTP/1.1 503 ")
        record = await scene.recorded()
    assert (record.ended, record.reason) == ("RC", "the router stops")


async def test_drain_cuts_an_answer_that_does_not_end() -> None:
    endless = b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nno"
    async with stage(saying(endless), deadlines={"closing": 0.05}) as scene:
        client = await scene.client()
        client.send(OPENING)
        await client.head()
        assert await scene.relay.drain() == 1
        assert (await scene.recorded()).ended == "RD"


async def test_drain_of_nothing_is_done() -> None:
    async with stage() as scene:
        assert await scene.relay.drain() == 0


# ---- Health ------------------------------------------------------------------------


async def test_far_side_that_is_heard_is_reported_alive() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        scene.relay.look()
        assert scene.results("a") == []
        far.writer.write(text(b"tick", masked=False))
        await client.exactly(6)
        scene.relay.look()
        assert scene.results("a") == [Result.ALIVE]
        scene.relay.look()
        assert scene.results("a") == [Result.ALIVE]
        client.close()


async def test_websockets_through_a_dead_address_end_and_others_stay() -> None:
    async with stage(accepting, accepting) as scene:
        client, _ = await scene.open()
        scene.hidden.add("a")
        other, far = await scene.open(1)
        scene.relay.forsake(scene.origins[0].target)
        scene.relay.look()
        assert await read_close(client.reader) == 1014
        client.send(closing(1014, masked=True))
        assert await client.rest() == b""
        record = await scene.recorded()
        far.writer.write(text(b"still here", masked=False))
        assert len(await other.exactly(12)) == 12
        other.close()
    assert (record.ended, record.edge) == ("FD", "a")
    assert record.reason == "the health checks hold it for dead"


@pytest.mark.parametrize("looks", [1, 5])
async def test_websocket_that_shows_life_stays_at_an_address_held_for_dead(
    looks: int,
) -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        scene.relay.forsake(scene.origins[0].target)
        for _ in range(looks):
            far.writer.write(text(b"tick", masked=False))
            await client.exactly(6)
            scene.relay.look()
        scene.relay.look()
        if looks == 5:  # and has proved it long enough
            far.writer.write(text(b"tick", masked=False))
            assert len(await client.exactly(6)) == 6
        else:
            assert await read_close(client.reader) == 1014
        client.close()


async def test_place_that_is_left_ends_its_websockets_and_no_others() -> None:
    async with stage(accepting, draining=Drain(spread=0.0)) as scene:
        client, far = await scene.open()
        (flow,) = scene.relay.under_way()
        assert (flow.protocol, flow.client, flow.edge) == (
            "websocket",
            "127.0.0.1",
            "a",
        )
        await scene.relay.leave("b")
        client.send(text(b"still there", masked=True))
        assert await far.reader.readexactly(17)
        (flow,) = scene.relay.under_way()
        assert (flow.received, flow.sent) == (17, 0)
        await scene.relay.leave("a")
        assert await read_close(client.reader) == 1012
        client.send(closing(1012, masked=True))
        far.writer.close()
        await scene.recorded()
        assert list(scene.relay.under_way()) == []


# ---- Retirement --------------------------------------------------------------------


async def test_retired_relay_serves_open_websockets_until_they_end() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        retiring = scene.tasks.start(scene.relay.retire(), name="retire")
        await asyncio.sleep(0)
        answer = text(b"still here", masked=False)
        far.writer.write(answer)
        assert await client.exactly(len(answer)) == answer
        assert not retiring.done()
        client.send(closing(1000, masked=True))
        far.writer.write(closing(1000, masked=False))
        far.writer.close()
        await retiring
        assert (await scene.recorded()).ended == "--"


async def test_retired_relay_is_drained_like_any_other() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        retiring = scene.tasks.start(scene.relay.retire(), name="retire")
        await asyncio.sleep(0)
        leaving = scene.tasks.start(scene.relay.drain(), name="drain")
        assert await read_close(client.reader) == 1012
        client.close()
        far.writer.close()
        assert await leaving == 0
        await retiring
