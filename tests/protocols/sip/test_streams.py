import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest

from protocols.net.handshake import Contexts
from protocols.net.listen import bind
from protocols.net.tasks import Tasks
from protocols.net.tls import server_context
from protocols.sip import streams as module
from protocols.sip.connection import Connection, Patience
from protocols.sip.message import Message, MessageError
from protocols.sip.peers import Peer, Side
from protocols.sip.streams import Streams, dials_from
from protocols.sip.token import Hop
from protocols.target import Result, Transport
from tests.protocols.sip.peers import (
    HERE,
    TCP,
    TLS,
    UDP,
    Line,
    Switch,
    asking,
    at,
    calling,
    switch,
)

INVITE = b"INVITE sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"
Pair = tuple[Path, Path]
Failure = tuple[tuple[int, ...], Result, str]


class Listens:
    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[Message, Peer, bool]] = asyncio.Queue()
        self.failures: asyncio.Queue[Failure] = asyncio.Queue()
        self.errors: list[tuple[str, Message | None]] = []

    def received(self, message: Message, source: Peer, asked: bool) -> None:
        self.messages.put_nowait((message, source, asked))

    def garbled(
        self, source: Peer, error: MessageError, refused: Message | None
    ) -> bytes:
        self.errors.append((error.reason, refused))
        return b"SIP/2.0 400 Bad\r\nContent-Length: 0\r\n\r\n" if refused else b""

    def broken(self, attempts: Iterable[int], result: Result, detail: str) -> None:
        self.failures.put_nowait((tuple(attempts), result, detail))

    async def hear(self) -> tuple[Message, Peer, bool]:
        return await asyncio.wait_for(self.messages.get(), 2)

    async def failure(self) -> Failure:
        return await asyncio.wait_for(self.failures.get(), 2)


Make = Callable[..., Streams]


@pytest.fixture
def listens() -> Listens:
    return Listens()


@pytest.fixture
async def make(listens: Listens, ca_file: Path, tasks: Tasks) -> AsyncIterator[Make]:
    made: list[Streams] = []
    contexts = dict.fromkeys(Side, Contexts(ca_file, alpn=()))

    def build(patience: Patience | None = None, source: str = HERE) -> Streams:
        one = Streams(
            listens,
            contexts,
            dials_from([(Side.EDGE, TCP, source, None)]),
            tasks=tasks,
            loop=asyncio.get_running_loop(),
            patience=patience or Patience(),
        )
        made.append(one)
        return one

    yield build
    for one in made:
        one.close()
        one.look(1e9)


@pytest.fixture
async def streams(make: Make) -> Streams:
    return make()


@pytest.fixture
async def blackhole() -> AsyncIterator[int]:
    """A port of an address that answers no SYN: its queue of connections is full."""
    with socket.socket() as server:
        server.bind((HERE, 0))
        server.listen(0)
        port = server.getsockname()[1]
        first, second = socket.socket(), socket.socket()
        with first, second:
            first.connect((HERE, port))
            second.setblocking(False)
            second.connect_ex((HERE, port))
            yield port


async def serve(
    streams: Streams, side: Side, kind: Transport = TCP
) -> tuple[asyncio.Server, int]:
    """Accept connections on a side, that pass for those of a transport."""
    loop = asyncio.get_running_loop()
    (sock,) = bind([(HERE, 0)])
    server = await loop.create_server(streams.accepting(side, kind), sock=sock)
    return server, sock.getsockname()[1]


async def test_requests_to_one_target_share_one_connection(
    streams: Streams, listens: Listens
) -> None:
    async with switch() as edge:
        for attempt in (1, 2, 3):
            streams.send(Side.EDGE, at(edge.port, TCP), INVITE, attempt)
        line = await edge.line()
        for _ in range(3):
            await line.hear()
        streams.send(Side.EDGE, at(edge.port, TCP), INVITE, 4)
        await line.hear()
        assert len(edge.all) == 1
        assert len(streams) == 1
        line.say(asking("BYE", line, "TCP"))
        message, source, asked = await listens.hear()
        assert message.method == b"BYE"
        assert asked
        assert source.address == HERE
        assert source.port == edge.port


async def test_targets_that_verify_another_name_do_not_share(
    streams: Streams, pair: Pair
) -> None:
    async with switch(server_context(*pair, alpn=())) as edge:
        streams.send(Side.EDGE, at(edge.port, TLS), INVITE, 1)
        other = at(edge.port, TLS, verify_name="x.edges.test")
        streams.send(Side.EDGE, other, INVITE, 2)
        for _ in range(2):
            await (await edge.line()).hear()
        assert len(streams) == 2


@pytest.mark.parametrize("name", ["edge.test", "a.edges.test"])
async def test_edge_is_verified_by_its_name_or_a_wildcard(
    streams: Streams, pair: Pair, name: str
) -> None:
    async with switch(server_context(*pair, alpn=())) as edge:
        target = at(edge.port, TLS, server_name="else.test", verify_name=name)
        streams.send(Side.EDGE, target, INVITE, 1)
        await (await edge.line()).hear()


async def test_edge_that_is_somebody_else_gets_no_message(
    streams: Streams, pair: Pair, listens: Listens
) -> None:
    async with switch(server_context(*pair, alpn=())) as edge:
        target = at(edge.port, TLS, verify_name="other.test")
        streams.send(Side.EDGE, target, INVITE, 1)
        streams.send(Side.EDGE, target, INVITE, 2)
        attempts, result, detail = await listens.failure()
        assert attempts == (1, 2)
        assert result is Result.CERTIFICATE
        assert "other.test" in detail
        assert len(streams) == 0


async def test_tls_without_a_name_to_verify_is_not_tried(
    streams: Streams, listens: Listens
) -> None:
    target = at(5061, TLS, verify_name="")
    streams.send(Side.EDGE, target, INVITE, 1)
    assert await listens.failure() == ((1,), Result.TIMEOUT, "no name to verify")


async def test_refused_connection_fails_all_that_waited(
    streams: Streams, listens: Listens
) -> None:
    async with switch() as edge:
        target = at(edge.port, TCP)
    streams.send(Side.EDGE, target, INVITE, 1)
    streams.send(Side.EDGE, target, INVITE, 0)
    streams.send(Side.EDGE, target, INVITE, 2)
    assert await listens.failure() == ((1, 2), Result.REFUSED, "Connection refused")


async def test_dead_target_delays_nobody_else(
    make: Make, listens: Listens, blackhole: int
) -> None:
    streams = make(Patience(connect=0.25))
    async with switch() as edge:
        for number in range(30):
            target = at(blackhole, TCP, label=f"dead{number}")
            streams.send(Side.EDGE, target, INVITE, 1 + number)
        streams.send(Side.EDGE, at(edge.port, TCP), INVITE, 99)
        await (await edge.line()).hear()
        assert listens.failures.empty()
        failures = [await listens.failure() for _ in range(30)]
    assert {attempt for (attempt,), _, _ in failures} == {*range(1, 31)}
    assert {result for _, result, _ in failures} == {Result.TIMEOUT}
    assert failures[0][2] == "no connection within 0.25 s"


async def test_edges_that_shake_no_hands_delay_nobody_else(
    make: Make, listens: Listens, pair: Pair
) -> None:
    streams = make(Patience(connect=0.25))
    context = server_context(*pair, alpn=())
    with socket.socket() as mute:
        mute.bind((HERE, 0))
        mute.listen(50)  # connected by the system, and nobody reads
        async with switch(context) as edge:
            for number in range(25):
                dead = at(mute.getsockname()[1], TLS, label=f"dead{number}")
                streams.send(Side.EDGE, dead, INVITE, 1 + number)
            streams.send(Side.EDGE, at(edge.port, TLS), INVITE, 99)
            assert (await (await edge.line()).hear()).method == b"INVITE"
            assert listens.failures.empty()
            failures = [await listens.failure() for _ in range(25)]
    assert {attempt for (attempt,), _, _ in failures} == {*range(1, 26)}
    assert {result for _, result, _ in failures} == {Result.TIMEOUT}


async def test_queue_of_a_target_is_bounded(
    make: Make, listens: Listens, blackhole: int
) -> None:
    streams = make(Patience(connect=0.1, queue=2 * len(INVITE)))
    for attempt in (1, 2, 3):
        streams.send(Side.EDGE, at(blackhole, TCP), INVITE, attempt)
    words = "too much waits for the connection"
    assert await listens.failure() == ((3,), Result.TIMEOUT, words)
    assert (await listens.failure())[0] == (1, 2)


async def test_dialled_connections_are_bounded(
    make: Make,
    listens: Listens,
    blackhole: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "DIALLED", 2)
    streams = make(Patience(connect=0.05))
    for number in (1, 2, 3):
        target = at(blackhole, TCP, label=f"dead{number}")
        streams.send(Side.EDGE, target, INVITE, number)
    words = "too many connections"
    assert await listens.failure() == ((3,), Result.TIMEOUT, words)
    for _ in range(2):
        await listens.failure()


async def test_connection_that_breaks_fails_its_requests(
    streams: Streams, listens: Listens
) -> None:
    async with switch() as edge:
        target = at(edge.port, TCP)
        streams.send(Side.EDGE, target, INVITE, 1)
        line = await edge.line()
        await line.hear()
        line.transport.abort()
        attempts, result, _ = await listens.failure()
        assert (attempts, result) == ((1,), Result.RESET)
        assert streams.find(Side.EDGE, target) is None
        streams.send(Side.EDGE, target, INVITE, 2)
        await (await edge.line()).hear()


async def test_connection_that_is_closing_is_not_used(
    streams: Streams, listens: Listens
) -> None:
    async with switch() as edge:
        target = at(edge.port, TCP)
        streams.send(Side.EDGE, target, INVITE, 1)
        await (await edge.line()).hear()
        connection = streams.find(Side.EDGE, target)
        assert connection is not None
        connection.close()
        streams.send(Side.EDGE, target, INVITE, 2)
        assert (await listens.failure())[0] == (1,)
        await (await edge.line()).hear()


async def test_dialling_is_done_from_the_address_that_is_bound(make: Make) -> None:
    streams = make(source="127.0.0.3")
    async with switch() as edge:
        streams.send(Side.EDGE, at(edge.port, TCP), INVITE, 1)
        line = await edge.line()
        assert line.transport.get_extra_info("peername")[0] == "127.0.0.3"
        own = at(edge.port, TCP, source="127.0.0.4")
        streams.send(Side.EDGE, own, INVITE, 2)
        line = await edge.line()
        assert line.transport.get_extra_info("peername")[0] == "127.0.0.4"


def test_dialling_is_done_from_the_first_address_of_its_transport_and_family() -> None:
    sources = dials_from(
        [
            (Side.EDGE, TLS, "192.0.2.9", "link1"),
            (Side.EDGE, UDP, "192.0.2.1", None),
            (Side.EDGE, TLS, "192.0.2.2", None),
            (Side.EDGE, TLS, "192.0.2.3", None),
            (Side.SITE, TCP, "2001:db8::1", None),
        ]
    )
    assert sources(Side.EDGE, at(1, TLS)) == "192.0.2.2"
    assert sources(Side.EDGE, at(1, TCP)) == "192.0.2.1"
    assert sources(Side.EDGE, at(1, TLS, address="::1")) is None
    assert sources(Side.SITE, at(1, TLS, address="::1")) == "2001:db8::1"
    assert sources(Side.SITE, at(1, TCP)) is None
    assert sources(Side.EDGE, at(1, TLS, device="link1")) == "192.0.2.9"
    assert sources(Side.EDGE, at(1, TLS, device="link2")) is None


async def test_target_of_a_family_that_is_not_bound_is_not_dialled(
    streams: Streams, listens: Listens
) -> None:
    streams.send(Side.EDGE, at(5061, TLS, address="::1"), INVITE, 1)
    words = "no address of its family is bound"
    assert await listens.failure() == ((1,), Result.REFUSED, words)


async def test_answer_goes_back_on_its_connection_or_not_at_all(
    streams: Streams, listens: Listens
) -> None:
    server, port = await serve(streams, Side.EDGE)
    async with server, calling(port) as pbx:
        pbx.say(asking("OPTIONS", pbx, "TCP"))
        _, source, asked = await listens.hear()
        assert not asked
        assert streams.answer(source, b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert (await pbx.hear()).status == 200
        streams.look(asyncio.get_running_loop().time() + 601)
        assert not streams.answer(source, b"SIP/2.0 200 OK\r\n\r\n")
        await asyncio.wait_for(pbx.lost, 2)


async def test_handshake_that_fails_leaves_nothing_behind(
    streams: Streams, pair: Pair, listens: Listens
) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        streams.accepting(Side.SITE, TLS), HERE, 0, ssl=server_context(*pair, alpn=())
    )
    port = server.sockets[0].getsockname()[1]
    async with server, calling(port) as stranger:
        stranger.say(b"no handshake at all\r\n\r\n")
        await asyncio.wait_for(stranger.lost, 2)
    assert len(streams) == 0


async def alias_of(
    streams: Streams, listens: Listens, side: Side, via: str
) -> Connection | None:
    """What a request takes to the port that a peer which connected has in its Via."""
    server, port = await serve(streams, side)
    async with server, calling(port) as line:
        asked = asking("OPTIONS", line, "TCP", via=via)
        line.say(asked.replace(b":%d;branch" % line.port, b":9;branch"))
        await listens.hear()
        return streams.find(side, at(9, TCP))


async def test_pbx_that_asks_for_it_is_sent_requests_on_its_own_connection(
    streams: Streams, listens: Listens
) -> None:
    server, port = await serve(streams, Side.SITE)
    async with server, calling(port) as pbx:
        pbx.say(asking("OPTIONS", pbx, "TCP", via=";alias"))
        await listens.hear()
        streams.send(Side.SITE, at(pbx.port, TCP), INVITE, 1)
        assert (await pbx.hear()).method == b"INVITE"
    assert (await listens.failure())[0] == (1,)
    assert streams.find(Side.SITE, at(pbx.port, TCP)) is None


@pytest.mark.parametrize(
    ("way", "verified", "serves"),
    [(TCP, "", True), (TLS, "", True), (TLS, "edge.test", False)],
)
async def test_connection_serves_for_where_it_comes_from_unless_that_is_verified(
    streams: Streams, listens: Listens, way: Transport, verified: str, serves: bool
) -> None:
    server, port = await serve(streams, Side.SITE, way)
    async with server, calling(port) as pbx:
        pbx.say(asking("OPTIONS", pbx, "TCP"))
        await listens.hear()
        found = streams.find(Side.SITE, at(pbx.port, way, verify_name=verified))
        assert (found is not None) is serves


@pytest.mark.parametrize(
    ("host", "named"), [(HERE, True), ("10.0.0.10", False), ("x;alias", True)]
)
async def test_connection_stands_for_its_own_port_and_for_that_of_its_via(
    streams: Streams, listens: Listens, host: str, named: bool
) -> None:
    """A Via of another address comes from behind a NAT, as that of others there may."""
    server, port = await serve(streams, Side.SITE)
    async with server, calling(port) as pbx:
        name, _, alias = host.partition(";")
        asked = asking("OPTIONS", pbx, "TCP", via=alias and f";{alias}")
        own = f"{HERE}:{pbx.port};branch".encode()
        pbx.say(asked.replace(own, f"{name}:9;branch".encode()))
        await listens.hear()
        assert streams.standing(Hop(TCP, HERE, 9, "", pbx.port)) == pbx.port
        assert streams.standing(Hop(TCP, HERE, 9)) == (pbx.port if named else 0)
        assert streams.standing(Hop(TLS, HERE, 9, "", pbx.port)) == 0


async def test_connection_stands_by_its_own_port_alone_without_a_via(
    streams: Streams, listens: Listens
) -> None:
    server, port = await serve(streams, Side.SITE)
    async with server, calling(port) as pbx:
        pbx.say(b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
        await listens.hear()
        assert streams.standing(Hop(TCP, HERE, 5060, "", pbx.port)) == pbx.port
        assert streams.standing(Hop(TCP, HERE, 5060)) == 0


async def test_connection_of_a_far_side_that_sends_no_more_does_not_stand(
    streams: Streams, listens: Listens
) -> None:
    server, port = await serve(streams, Side.SITE)
    async with server, calling(port) as pbx:
        pbx.say(asking("OPTIONS", pbx, "TCP"))
        await listens.hear()
        pbx.transport.write_eof()
        await asyncio.wait_for(pbx.lost, 2)
        assert streams.standing(Hop(TCP, HERE, pbx.port)) == 0


async def test_later_connection_of_a_pbx_takes_the_place_of_the_earlier(
    streams: Streams, listens: Listens
) -> None:
    server, port = await serve(streams, Side.SITE)
    async with server, calling(port) as second:
        target = at(second.port, TCP)
        async with calling(port) as first:
            first.say(asking("OPTIONS", second, "TCP", via=";alias"))
            await listens.hear()
            streams.send(Side.SITE, target, INVITE, 1)
            await first.hear()
            second.say(asking("OPTIONS", second, "TCP", via=";alias"))
            _, source, _ = await listens.hear()
        assert (await listens.failure())[0] == (1,)
        found = streams.find(Side.SITE, target)
        assert found is not None
        assert found.peer == source


@pytest.mark.parametrize(
    ("side", "via"),
    [
        (Side.SITE, ""),
        (Side.SITE, ";x=alias"),
        (Side.SITE, ";alias;="),
        (Side.EDGE, ";alias"),
    ],
)
async def test_accepted_connection_is_not_for_requests_otherwise(
    streams: Streams, listens: Listens, side: Side, via: str
) -> None:
    assert await alias_of(streams, listens, side, via) is None


@pytest.mark.parametrize(
    ("data", "answered"),
    [(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n", True), (b"rubbish\r\n\r\n", False)],
)
async def test_garbled_stream_is_answered_if_it_can_be_and_forgotten(
    streams: Streams, listens: Listens, data: bytes, answered: bool
) -> None:
    server, port = await serve(streams, Side.EDGE)
    async with server, calling(port) as line:
        line.say(data)
        await asyncio.wait_for(line.lost, 2)
        assert len(streams) == 0
        ((_, refused),) = listens.errors
        assert (refused is not None) is answered
        assert line.waiting == answered


async def test_who_answered_a_ping_must_do_so_on_the_next_connection(
    streams: Streams, listens: Listens
) -> None:
    now = asyncio.get_running_loop().time()
    async with switch() as edge:
        target = at(edge.port, TCP)
        line = await opened(streams, edge, 1)
        streams.look(now + 121)
        await asyncio.wait_for(line.blanks.get(), 2)
        line.say(b"\r\n" + asking("OPTIONS", line, "TCP"))
        await listens.hear()
        streams.look(now + 122)
        line.transport.abort()
        await listens.failure()
        await opened(streams, edge, 2)
        streams.look(now + 300)
        streams.look(now + 311)
        words = "no answer to a ping"
        assert await listens.failure() == ((2,), Result.RESET, words)
        assert streams.find(Side.EDGE, target) is None


async def opened(streams: Streams, edge: Switch, attempt: int) -> Line:
    """A connection to an edge, with one request on it."""
    streams.send(Side.EDGE, at(edge.port, TCP), INVITE, attempt)
    line = await edge.line()
    await line.hear()
    return line


async def test_closed_streams_dial_no_more(streams: Streams, listens: Listens) -> None:
    async with switch() as edge:
        line = await opened(streams, edge, 1)
        streams.send(Side.EDGE, at(edge.port, TCP, label="late"), INVITE, 2)
        streams.close()
        await asyncio.wait_for(line.lost, 2)
        streams.send(Side.EDGE, at(edge.port, TCP, label="later"), INVITE, 3)
        failed = {(await listens.failure())[0] for _ in range(3)}
        assert failed == {(1,), (2,), (3,)}


async def test_connection_that_comes_after_the_end_is_closed(streams: Streams) -> None:
    server, port = await serve(streams, Side.SITE)
    streams.close()
    async with calling(port) as late:
        await asyncio.wait_for(late.lost, 2)
    server.close()


async def test_change_dials_the_next_connection_from_elsewhere(
    streams: Streams, ca_file: Path
) -> None:
    async with switch() as edge:
        first = await opened(streams, edge, 1)
        contexts = dict.fromkeys(Side, Contexts(ca_file, alpn=()))
        streams.change(contexts, dials_from([(Side.EDGE, TCP, "127.0.0.9", None)]))
        assert streams.send(Side.EDGE, at(edge.port, TCP), INVITE, 2)
        await first.hear()  # the connection that stands is used on
        assert streams.send(Side.EDGE, at(edge.port, TCP, label="b"), INVITE, 3)
        second = await edge.line()
        await second.hear()
        assert second.transport.get_extra_info("peername")[0] == "127.0.0.9"


async def test_connection_for_which_nothing_is_bound_any_more_is_ended(
    streams: Streams, listens: Listens, ca_file: Path
) -> None:
    # As those to public edges are, once a listener demands privacy.
    async with switch() as edge:
        line = await opened(streams, edge, 1)
        waiting = at(edge.port, TCP, label="b")
        streams.send(Side.EDGE, waiting, INVITE, 2)
        contexts = dict.fromkeys(Side, Contexts(ca_file, alpn=()))
        linked = [(Side.EDGE, TCP, "127.0.0.9", "ix1")]
        streams.change(contexts, dials_from(linked))
        streams.look(0.0)
        assert (await listens.failure())[0] == (1,)
        await asyncio.wait_for(line.lost, 2)
        assert not streams.send(Side.EDGE, at(edge.port, TCP), INVITE, 3)
        # What was being dialled follows.
        late = await edge.line()
        await late.hear()
        streams.look(0.0)
        await asyncio.wait_for(late.lost, 2)
        assert len(streams) == 0
