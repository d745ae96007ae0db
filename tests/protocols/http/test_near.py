"""Client connections, on real sockets."""

import asyncio

import pytest

from tests.protocols.http.stage import OK, Visit, answering, stage

GET = b"GET /a?b=%20c HTTP/1.1\r\nHost: site.test\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\n\r\nabc"


async def test_requests_of_one_client_follow_each_other_on_one_far_connection() -> None:
    async with stage(answering(OK)) as scene:
        client = await scene.client()
        for _ in range(5):
            assert await client.ask(POST) == (200, b"ok")
        assert len(scene.origins[0].visits) == 1
        assert [record.reused for record in scene.records] == [False] + [True] * 4


async def test_pipelined_requests_are_answered_in_order() -> None:
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % n for n in range(4)]
    async with stage(answering(*answers)) as scene:
        client = await scene.client()
        client.send(GET + POST + GET + POST)
        bodies = []
        for _ in range(4):
            await client.head()
            bodies.append(await client.exactly(1))
        assert bodies == [b"0", b"1", b"2", b"3"]
        methods = [request.method for request, _ in scene.origins[0].requests]
        assert methods == [b"GET", b"POST", b"GET", b"POST"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\nHost: s\r\n\r\n", 501),
        (b"CONNECT s:443 HTTP/1.1\r\nHost: s:443\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: s\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
    ],
)
async def test_what_is_no_request_is_answered_and_cut(
    request_bytes: bytes, status: int
) -> None:
    async with stage(answering(OK)) as scene:
        client = await scene.client()
        client.send(request_bytes)
        assert (await client.rest()).startswith(b"HTTP/1.1 %d " % status)
        assert scene.refusals[0][0] == status
        assert scene.origins[0].requests == []
        (record,) = scene.records
        assert (record.status, record.ended) == (status, "RH")
        assert record.reason == scene.refusals[0][1]


async def test_head_that_trickles_is_answered_408() -> None:
    async with stage(answering(OK)) as scene:
        client = await scene.client()
        assert await client.ask(GET + b"GET / HTTP/1.1\r\nHo") == (200, b"ok")
        scene.relay.look(asyncio.get_running_loop().time() + 11.0)
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")
        refused = scene.records[1]
        assert (refused.status, refused.ended) == (408, "RH")
        assert 0.0 <= refused.total < 1.0


async def test_idle_connection_is_closed_without_a_word() -> None:
    async with stage(answering(OK)) as scene:
        client = await scene.client()
        assert await client.ask(GET) == (200, b"ok")
        scene.relay.look(asyncio.get_running_loop().time() + 60.0)
        assert await client.ask(GET) == (200, b"ok")
        scene.relay.look(asyncio.get_running_loop().time() + 76.0)
        assert await client.rest() == b""


async def test_empty_line_before_a_request_is_ignored() -> None:
    async with stage(answering(OK)) as scene:
        client = await scene.client()
        assert await client.ask(b"\r\n" + GET) == (200, b"ok")


async def test_pipelined_flood_stops_the_client_and_is_served_in_the_end() -> None:
    go = asyncio.Event()

    async def script(visit: Visit) -> None:
        await go.wait()
        while await visit.request() is not None:
            visit.writer.write(OK)

    async with stage(script) as scene:
        client = await scene.client()
        count = 2_000
        client.send(GET * count)
        async with asyncio.timeout(20):
            await scene.origins[0].visited.wait()
            go.set()
            for _ in range(count):
                await client.head()
                assert await client.exactly(2) == b"ok"


async def test_slow_client_that_asked_to_close_still_gets_the_whole_answer() -> None:
    size = 240_000
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size
    async with stage(answering(whole)) as scene:
        client = await scene.client()
        client.transport.pause_reading()
        client.send(b"GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")
        assert (await scene.recorded()).ended == "--"
        scene.relay.look(asyncio.get_running_loop().time() + 20.0)
        client.transport.resume_reading()
        await client.head()
        assert len(await client.rest()) == size


async def test_client_that_never_takes_its_answer_is_cut_in_the_end() -> None:
    size = 240_000
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size
    async with stage(answering(whole)) as scene:
        client = await scene.client()
        client.transport.pause_reading()
        client.send(b"GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")
        await scene.recorded()
        scene.relay.look(asyncio.get_running_loop().time() + 61.0)
        client.transport.resume_reading()
        assert len(await client.rest()) < size


async def test_client_that_pipelines_and_does_not_read_is_not_served_further() -> None:
    size = 60_000
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size
    async with stage(answering(whole)) as scene:
        client = await scene.client()
        client.transport.pause_reading()
        client.send(GET * 100)
        await scene.recorded(3)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await scene.recorded(20)
        client.transport.resume_reading()
        for _ in range(100):
            await client.head()
            assert len(await client.exactly(size)) == size


async def test_far_side_that_drains_does_not_lift_the_bound_of_the_queue() -> None:
    drained, go = asyncio.Event(), asyncio.Event()
    size = 8 << 20

    async def late(visit: Visit) -> None:
        visit.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go.wait()
        visit.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await visit.reader.readexactly(size)
        drained.set()
        await visit.reader.read()

    async with stage(late, head=2 * size) as scene:
        scene.dialling = asyncio.Event()
        client = await scene.client()
        client.send(b"GET / HTTP/1.1\r\nHost: s\r\nX: %b\r\n\r\n" % (b"x" * size))
        client.send(GET * 200_000)
        # The queue is full before there is a connection, which is full at once.
        await asyncio.sleep(0.5)
        unsent = client.transport.get_write_buffer_size()
        assert unsent > size // 4
        scene.dialling.set()
        await scene.origins[0].visited.wait()
        go.set()
        async with asyncio.timeout(20):
            await drained.wait()
        await asyncio.sleep(0.5)
        assert client.transport.get_write_buffer_size() > unsent / 2
