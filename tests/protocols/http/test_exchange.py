"""Requests and their answers, on real sockets."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from protocols.net.handshake import Contexts
from protocols.net.tls import server_context
from protocols.target import Result, Target
from tests.protocols.http.stage import OK, Script, Visit, answering, blackhole, stage

GET = b"GET /a?b=%20c HTTP/1.1\r\nHost: site.test\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: site.test\r\nContent-Length: 3\r\n\r\nabc"


async def hang(visit: Visit) -> None:
    while await visit.request() is not None:
        pass


async def leave(visit: Visit) -> None:
    await visit.request()


async def test_request_reaches_the_target_with_its_own_host_and_untouched_path() -> (
    None
):
    async with stage(answering(OK)) as scene:
        client = await scene.client()
        assert await client.ask(GET) == (200, b"ok")
        request, _ = scene.origins[0].requests[0]
        assert request.target == b"/a?b=%20c"
        port = scene.origins[0].target.port
        assert dict(request.headers)[b"host"] == b"o.test:%d" % port


async def test_refused_target_is_followed_by_the_next_one() -> None:
    async with stage(answering(OK), answering(OK)) as scene:
        await scene.origins[0].close()
        client = await scene.client()
        assert await client.ask(POST) == (200, b"ok")
        record = scene.records[0]
        assert record.edge == "b"
        assert [a.result for a in record.attempts] == [Result.REFUSED, None]
        assert scene.results("a") == [Result.REFUSED]


async def test_request_without_any_target_is_answered_503_with_retry_after() -> None:
    async with stage(answering(OK)) as scene:
        await scene.origins[0].close()
        client = await scene.client()
        client.send(POST)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in head
        assert (await scene.recorded()).ended == "RC"


async def test_get_broken_before_its_answer_is_sent_to_the_next_target() -> None:
    async with stage(leave, answering(OK)) as scene:
        client = await scene.client()
        assert await client.ask(GET) == (200, b"ok")
        assert scene.records[0].edge == "b"
        assert scene.results("a")[-1] is Result.RESET


async def test_post_broken_before_its_answer_is_never_sent_again() -> None:
    async with stage(leave, answering(OK)) as scene:
        client = await scene.client()
        status, _ = await client.ask(POST)
        assert status == 502
        assert len(scene.origins[0].requests) == 1
        assert scene.origins[1].requests == []
        assert (await scene.recorded()).ended == "FW"


async def test_get_is_sent_at_most_three_times() -> None:
    async with stage(leave, leave, leave, answering(OK)) as scene:
        client = await scene.client()
        assert (await client.ask(GET))[0] == 502
        assert [len(origin.requests) for origin in scene.origins] == [1, 1, 1, 0]


async def test_get_that_every_target_breaks_is_the_far_sides_fault() -> None:
    async with stage(leave) as scene:
        client = await scene.client()
        assert (await client.ask(GET))[0] == 502
        assert (await scene.recorded()).ended == "FW"


@pytest.mark.parametrize("script", [leave, answering(b"nonsense\r\n\r\n")])
async def test_receiver_that_breaks_a_request_is_blamed_less_than_an_edge(
    script: Script,
) -> None:
    async with stage(script, to_provider=False) as scene:
        client = await scene.client()
        assert (await client.ask(POST))[0] == 502
        assert scene.results("a")[-1] is Result.SERVER_ERROR


async def test_silence_is_told_and_a_forsaken_get_moves_on() -> None:
    async with stage(hang, answering(OK), patience=0.1) as scene:
        client = await scene.client()
        client.send(GET)
        await scene.until(lambda: Result.SILENT in scene.results("a"))
        scene.relay.forsake(scene.origins[0].target)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert (await scene.recorded()).edge == "b"


async def test_forsaken_post_waits_for_its_own_target() -> None:
    async with stage(hang, answering(OK), patience=0.1) as scene:
        client = await scene.client()
        client.send(POST)
        await scene.until(lambda: Result.SILENT in scene.results("a"))
        scene.relay.forsake(scene.origins[0].target)
        scene.origins[0].visits[0].writer.write(OK)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert (await scene.recorded()).edge == "a"
        assert scene.origins[1].requests == []


async def test_forsaken_get_with_nowhere_to_go_waits() -> None:
    async with stage(hang, patience=0.1) as scene:
        client = await scene.client()
        client.send(GET)
        await scene.until(lambda: Result.SILENT in scene.results("a"))
        scene.relay.forsake(scene.origins[0].target)
        scene.origins[0].visits[0].writer.write(OK)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("count", [1, 3, 70_000])
async def test_body_of_any_size_arrives_whole(count: int) -> None:
    async with stage(answering(OK)) as scene:
        client = await scene.client()
        client.send(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n" % count)
        for start in range(0, count, 9_000):
            client.send(b"x" * min(9_000, count - start))
        await client.head()
        assert scene.origins[0].requests[0][1] == b"x" * count
        assert (await scene.recorded()).received == count


async def test_chunked_body_is_framed_anew_with_its_trailers() -> None:
    async with stage(answering(OK)) as scene:
        client = await scene.client()
        client.send(
            b"POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nChecked: yes\r\n\r\n"
        )
        await client.head()
        assert scene.origins[0].requests[0][1] == b"abcde"


async def test_chunked_answer_reaches_a_1_1_client_chunked_with_trailers() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"4;q\r\nwiki\r\n0\r\nDigest: x\r\n\r\n"
    )
    async with stage(answering(answer)) as scene:
        client = await scene.client()
        client.send(GET)
        assert b"Transfer-Encoding: chunked" in await client.head()
        expected = b"4\r\nwiki\r\n0\r\nDigest: x\r\n\r\n"
        assert await client.exactly(len(expected)) == expected
        assert await client.ask(GET) != (0, b"")


async def test_chunked_answer_reaches_a_1_0_client_until_close() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n0\r\n\r\n"
    )
    async with stage(answering(answer)) as scene:
        client = await scene.client()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        head = await client.head()
        assert b"Transfer-Encoding" not in head
        assert b"Connection: close" in head
        assert await client.rest() == b"wiki"


async def test_answer_until_close_ends_the_clients_connection() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    async with stage(script) as scene:
        client = await scene.client()
        client.send(GET)
        assert b"Connection: close" in await client.head()
        assert await client.rest() == b"all of it"
        assert (await scene.recorded()).ended == "--"


@pytest.mark.parametrize(
    ("alert", "ended", "reason"),
    [(True, "--", ""), (False, "FD", "the answer broke off: connection closed")],
)
async def test_answer_until_close_over_tls_is_whole_only_with_a_close_notify(
    alert: bool,
    ended: str,
    reason: str,
    pair: tuple[Path, Path],
    ca_file: Path,
    place: Callable[..., Target],
) -> None:
    def answer(listener: socket.socket) -> None:
        accepted, _ = listener.accept()
        with server_context(*pair).wrap_socket(accepted, server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")
            if alert:
                tls.unwrap()
            socket.socket(fileno=tls.detach()).close()

    async with stage(leave) as scene:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            scene.contexts = Contexts(ca_file)
            scene.origins[0].target = place(listener.getsockname()[1])
            answering = asyncio.gather(asyncio.to_thread(answer, listener))
            client = await scene.client()
            client.send(GET)
            record = await scene.recorded()
            await answering
        assert (record.ended, record.reason) == (ended, reason)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    ],
)
async def test_answer_without_body_leaves_both_connections_usable(
    answer: bytes,
) -> None:
    async with stage(answering(answer, OK)) as scene:
        client = await scene.client()
        client.send(GET)
        assert (await client.head()).startswith(answer[:12])
        assert await client.ask(GET) == (200, b"ok")
        assert len(scene.origins[0].visits) == 1


async def test_head_is_answered_without_body_whatever_length_it_names() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
    async with stage(answering(head, OK)) as scene:
        client = await scene.client()
        client.send(b"HEAD / HTTP/1.1\r\nHost: s\r\n\r\n")
        assert b"Content-Length: 999" in await client.head()
        assert await client.ask(GET) == (200, b"ok")


async def test_100_continue_comes_from_the_far_side_only() -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        visit.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await visit.reader.readexactly(2) == b"hi"
        visit.writer.write(OK)

    async with stage(script) as scene:
        client = await scene.client()
        client.send(
            b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hi")
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
async def test_answer_that_is_not_plain_http_becomes_502(answer: bytes) -> None:
    async with stage(answering(answer)) as scene:
        client = await scene.client()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 502 " in await client.rest()
        record = await scene.recorded()
        assert record.status == 502
        assert "not plain HTTP/1.1" in record.reason
        assert Result.BAD_ANSWER in scene.results("a")


async def test_answer_broken_off_breaks_the_clients_connection() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    async with stage(script) as scene:
        client = await scene.client()
        client.send(GET)
        await client.head()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.exactly(9)
        assert (await scene.recorded()).ended == "FD"


async def test_bytes_behind_an_answer_make_the_connection_useless() -> None:
    async with stage(answering(OK + OK)) as scene:
        client = await scene.client()
        assert await client.ask(GET) == (200, b"ok")
        assert await client.ask(GET) == (200, b"ok")
        assert len(scene.origins[0].visits) == 2


async def test_server_error_of_the_edge_is_passed_on_and_told() -> None:
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    async with stage(answering(answer), answering(OK)) as scene:
        client = await scene.client()
        assert await client.ask(GET) == (503, b"")
        assert scene.results("a")[-1] is Result.SERVER_ERROR


async def test_malformed_chunk_ends_request_and_connection() -> None:
    async with stage(hang) as scene:
        client = await scene.client()
        client.send(
            b"POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n"
        )
        await scene.until(lambda: Result.ALIVE in scene.results("a"))
        client.send(b"zz\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 400 ")
        assert (await scene.recorded()).ended == "RB"


async def test_client_that_leaves_is_recorded_and_its_far_connection_dropped() -> None:
    left = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.request()
        assert await visit.request() is None
        left.set()

    async with stage(script) as scene:
        client = await scene.client()
        client.send(GET)
        await scene.origins[0].asked.wait()
        client.close()
        assert (await scene.recorded()).ended == "CW"
        await left.wait()


async def test_slow_client_stops_the_far_side_and_loses_nothing() -> None:
    size = 20_000_000
    sent = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.request()
        visit.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            visit.writer.write(b"z" * 100_000)
            await visit.writer.drain()
        sent.set()
        await visit.request()

    async with stage(script) as scene:
        client = await scene.client()
        client.send(GET)
        await client.head()
        assert len(await client.exactly(1000)) == 1000
        assert not sent.is_set()
        assert await client.exactly(size - 1000) == b"z" * (size - 1000)
        assert (await scene.recorded()).sent == size


async def test_slow_far_side_stops_the_client_and_loses_nothing() -> None:
    size = 20_000_000
    go = asyncio.Event()

    async def script(visit: Visit) -> None:
        await go.wait()
        await visit.request()
        visit.writer.write(OK)

    async with stage(script) as scene:
        client = await scene.client()
        client.send(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n" % size)
        client.send(b"u" * size)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.writer.drain()
        go.set()
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert scene.origins[0].requests[0][1] == b"u" * size


async def test_early_answer_to_an_unfinished_request_closes_after_it() -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        visit.writer.write(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
        )
        await visit.reader.read()

    async with stage(script) as scene:
        client = await scene.client()
        client.send(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 100\r\n\r\nabc")
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 413 ")
        assert b"Connection: close" in head


async def test_webhook_keeps_host_and_path_and_names_its_client() -> None:
    async with stage(answering(OK), to_provider=False) as scene:
        client = await scene.client()
        await client.ask(
            b"POST /hook%2Fa?b=c%20d HTTP/1.1\r\nHost: public.test\r\n"
            b"X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_Proto: gopher\r\n"
            b"X-Twilio-Signature: abc=\r\nContent-Length: 1\r\n\r\nx"
        )
        request, _ = scene.origins[0].requests[0]
        headers = dict(request.headers)
        assert request.target == b"/hook%2Fa?b=c%20d"
        assert headers[b"host"] == b"public.test"
        assert headers[b"x-twilio-signature"] == b"abc="
        assert headers[b"x-forwarded-proto"] == b"http"
        assert b"6.6.6.6" not in headers[b"x-forwarded-for"]
        assert b"x_forwarded_proto" not in headers


async def test_answer_that_never_begins_becomes_504() -> None:
    async with stage(hang) as scene:
        client = await scene.client()
        client.send(POST)
        await scene.origins[0].asked.wait()
        scene.relay.look(asyncio.get_running_loop().time() + 31.0)
        assert (await client.head()).startswith(b"HTTP/1.1 504 ")
        assert (await scene.recorded()).ended == "RW"


async def test_answer_that_stops_coming_is_broken_off() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await visit.request()

    async with stage(script) as scene:
        client = await scene.client()
        client.send(GET)
        await client.head()
        await client.exactly(4)
        now = asyncio.get_running_loop().time()
        scene.relay.look(now)
        scene.relay.look(now + 59.0)
        scene.relay.look(now + 61.0)
        record = await scene.recorded()
        assert (record.ended, record.reason) == ("FD", "the answer stopped coming")


async def test_body_that_trickles_is_answered_408() -> None:
    async with stage(hang) as scene:
        client = await scene.client()
        client.send(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 9999\r\n\r\nabc")
        await scene.until(lambda: Result.ALIVE in scene.results("a"))
        now = asyncio.get_running_loop().time()
        scene.relay.look(now)
        scene.relay.look(now + 21.0)
        assert (await client.head()).startswith(b"HTTP/1.1 408 ")
        assert (await scene.recorded()).ended == "CB"


EXPECTING = (
    b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 9999\r\n"
    b"Expect: 100-continue\r\n\r\n"
)


async def test_far_side_that_never_asks_for_the_body_becomes_504() -> None:
    async with stage(hang, patience=0.1) as scene:
        client = await scene.client()
        client.send(EXPECTING)
        await scene.until(lambda: Result.SILENT in scene.results("a"))
        now = asyncio.get_running_loop().time()
        scene.relay.look(now)
        scene.relay.look(now + 29.0)
        assert scene.records == []
        scene.relay.look(now + 31.0)
        assert (await client.rest()).startswith(b"HTTP/1.1 504 ")
        assert (await scene.recorded()).ended == "RW"


@pytest.mark.parametrize("sent", [b"", b"abc"])
async def test_body_that_was_asked_for_or_came_unasked_must_come_in_time(
    sent: bytes,
) -> None:
    begun, come = asyncio.Event(), asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        begun.set()
        if not sent:
            visit.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await visit.reader.readexactly(len(sent))
        come.set()
        await visit.reader.read()

    async with stage(script) as scene:
        client = await scene.client()
        client.send(EXPECTING)
        await begun.wait()
        client.send(sent)
        if not sent:
            await client.head()
        await come.wait()
        now = asyncio.get_running_loop().time()
        scene.relay.look(now)
        scene.relay.look(now + 21.0)
        assert (await client.head()).startswith(b"HTTP/1.1 408 ")
        assert (await scene.recorded()).ended == "CB"


async def test_request_that_finds_no_connection_in_time_becomes_503() -> None:
    async with stage(answering(OK)) as scene:
        with blackhole() as target:
            scene.origins[0].target = target
            client = await scene.client()
            client.send(POST)
            await scene.until(lambda: scene.dials == 1)
            scene.relay.look(asyncio.get_running_loop().time() + 11.0)
            assert (await client.head()).startswith(b"HTTP/1.1 503 ")
            (attempt,) = scene.records[0].attempts
            assert attempt.detail == "still under way when the flow ended"


async def test_get_is_not_sent_again_where_retry_is_off() -> None:
    async with stage(leave, answering(OK), retry=False) as scene:
        client = await scene.client()
        assert (await client.ask(GET))[0] == 502
        assert scene.origins[1].requests == []


async def test_answer_whose_first_chunk_is_malformed_becomes_502() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    async with stage(answering(answer)) as scene:
        client = await scene.client()
        client.send(GET)
        assert (await client.head()).startswith(b"HTTP/1.1 502 ")
        record = await scene.recorded()
        assert (record.status, record.ended) == (502, "FW")


async def test_far_side_that_takes_no_more_of_the_body_is_given_up() -> None:
    go = asyncio.Event()

    async def script(visit: Visit) -> None:
        await go.wait()

    async with stage(script) as scene:
        client = await scene.client()
        size = 20_000_000
        client.send(b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n" % size)
        client.send(b"u" * size)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.writer.drain()
        now = asyncio.get_running_loop().time()
        scene.relay.look(now)
        scene.relay.look(now + 59.0)
        assert scene.records == []
        scene.relay.look(now + 61.0)
        record = await scene.recorded()
        assert (record.status, record.ended) == (504, "FB")
        go.set()


async def test_get_that_lost_its_first_winner_uses_the_one_that_came_later() -> None:
    late = asyncio.Event()

    async def script(visit: Visit) -> None:
        await visit.request()
        await late.wait()

    async with stage(script, answering(OK), patience=0.1) as scene:
        scene.dialling = asyncio.Event()
        client = await scene.client()
        client.send(GET)
        await scene.until(lambda: scene.dials == 2)
        scene.dialling.set()
        await scene.origins[0].asked.wait()
        await scene.origins[1].visited.wait()
        late.set()
        async with asyncio.timeout(5):
            assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert (await scene.recorded()).edge == "b"
