"""The relay as a whole, on real sockets."""

import asyncio

import pytest

from protocols.http.near import FIRST
from protocols.target import Result
from tests.protocols.http.stage import OK, Visit, answering, stage

GET = b"GET /a?b=%20c HTTP/1.1\r\nHost: site.test\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\n\r\nabc"


async def hang(visit: Visit) -> None:
    while await visit.request() is not None:
        pass


async def test_first_request_to_a_warm_target_pays_for_no_handshake() -> None:
    async with stage(answering(OK)) as scene:
        scene.relay.keep_warm([scene.origins[0].target])
        await scene.until(lambda: Result.ALIVE in scene.results("a"))
        client = await scene.client()
        assert await client.ask(GET) == (200, b"ok")
        assert scene.dials == 2  # the one that was used is replaced
        (record,) = scene.records
        assert (record.reused, record.connect, record.tls) == (True, None, None)
        assert record.waited is None


async def test_request_that_had_to_wait_for_a_connection_tells_how_long() -> None:
    async with stage(answering(OK)) as scene:
        client = await scene.client()
        await client.ask(GET)
        (record,) = scene.records
        assert record.connect is not None
        assert record.waited is not None
        assert 0.0 <= record.waited <= record.total
        assert not record.reused


@pytest.mark.parametrize(
    ("name", "found"), [("twilio-request-id", "RQ01"), ("X-Id", ""), ("", "")]
)
async def test_request_id_of_the_far_side_is_recorded_if_asked_for(
    name: str, found: str
) -> None:
    told = OK.replace(b"\r\n\r\n", b"\r\nTwilio-Request-Id: RQ01\r\n\r\n")
    async with stage(answering(told), request_id=name) as scene:
        client = await scene.client()
        await client.ask(GET)
        assert scene.records[0].request_id == found


async def test_drain_ends_idle_connections_and_waits_for_the_others() -> None:
    async with stage(hang) as scene:
        (origin,) = scene.origins
        idle, busy = await scene.client(), await scene.client()
        for client in (idle, busy):
            client.send(GET)
            await origin.asked.wait()
            origin.asked.clear()
            if client is idle:
                origin.visits[0].writer.write(OK)
                assert (await client.head()).startswith(b"HTTP/1.1 200 ")
                assert await client.exactly(2) == b"ok"
        draining = scene.tasks.start(scene.relay.drain(5.0), name="drain")
        assert await idle.rest() == b""
        origin.visits[0].writer.write(OK)
        assert b"Connection: close" in await busy.head()
        assert await draining == 0


async def test_client_that_has_just_connected_is_served_during_a_drain() -> None:
    async with stage(answering(OK)) as scene:
        client = await scene.client()
        draining = scene.tasks.start(scene.relay.drain(5.0), name="drain")
        await asyncio.sleep(0)
        client.send(GET)
        assert b"Connection: close" in await client.head()
        assert await client.rest() == b"ok"
        assert await draining == 0


async def test_client_that_comes_during_a_drain_is_served_but_not_waited_for() -> None:
    async with stage(hang) as scene:
        busy = await scene.client()
        busy.send(GET)
        await scene.origins[0].asked.wait()
        draining = scene.tasks.start(scene.relay.drain(5.0), name="drain")
        await asyncio.sleep(0)
        late = await scene.client()
        scene.relay.look(asyncio.get_running_loop().time() + FIRST + 0.01)
        assert await late.rest() == b""
        scene.origins[0].visits[0].writer.write(OK)
        assert await draining == 0


async def test_client_that_connects_and_says_nothing_does_not_hold_a_drain_up() -> None:
    async with stage(answering(OK)) as scene:
        client = await scene.client()
        draining = scene.tasks.start(scene.relay.drain(5.0), name="drain")
        await asyncio.sleep(0)
        scene.relay.look(asyncio.get_running_loop().time() + FIRST + 0.01)
        assert await client.rest() == b""
        assert await draining == 0


async def test_retired_target_keeps_what_is_under_way_and_no_idle_connection() -> None:
    async with stage(hang) as scene:
        client = await scene.client()
        assert list(scene.relay.under_way()) == []
        client.send(POST)
        await scene.origins[0].asked.wait()
        (flow,) = scene.relay.under_way()
        assert (flow.protocol, flow.edge) == ("https", scene.origins[0].target.label)
        assert (flow.received, flow.sent) == (3, 0)
        scene.relay.vacate(scene.origins[0].target)
        scene.origins[0].visits[0].writer.write(OK)
        assert b"200" in await client.head()


async def test_drain_cuts_what_does_not_end() -> None:
    async with stage(hang) as scene:
        client = await scene.client()
        client.send(GET)
        await scene.origins[0].asked.wait()
        assert await scene.relay.drain(0.05) == 1


async def test_retired_relay_answers_each_client_once_more_and_ends() -> None:
    async with stage(answering(OK)) as scene:
        idle, silent = await scene.client(), await scene.client()
        assert await idle.ask(GET) == (200, b"ok")
        retiring = scene.tasks.start(scene.relay.retire(), name="retire")
        await asyncio.sleep(0)
        assert not idle.reader.at_eof()
        idle.send(GET)
        answer = await idle.rest()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nConnection: close\r\n" in answer
        assert not retiring.done()
        silent.close()
        await retiring
    assert [record.status for record in scene.records] == [200, 200]


async def test_retired_relay_lets_an_answer_under_way_end() -> None:
    async with stage(hang) as scene:
        client = await scene.client()
        client.send(GET)
        await scene.origins[0].asked.wait()
        scene.origins[0].visits[0].writer.write(OK[:-1])
        await client.head()
        retiring = scene.tasks.start(scene.relay.retire(), name="retire")
        await asyncio.sleep(0)
        scene.origins[0].visits[0].writer.write(OK[-1:])
        assert await client.exactly(2) == b"ok"
        client.close()
        await retiring


async def test_relay_without_clients_retires_at_once() -> None:
    async with stage(answering(OK)) as scene:
        await scene.relay.retire()
        await scene.relay.retire()
