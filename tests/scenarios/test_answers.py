"""What passes through the relay: every kind of answer and of body."""

import h11
import pytest

from simulator.provider import Provider
from tests.stage import HUSH, NAME, Daemon, Site
from tests.wire import BrokenError, Caller, connected, read_answer, tell

pytestmark = pytest.mark.asyncio(loop_scope="module")


def client(daemon: Daemon, site: Site) -> Caller:
    return Caller(daemon.ports["api"], site.trust())


async def test_target_reaches_the_edge_byte_for_byte_and_its_query_no_log(
    daemon: Daemon, site: Site, provider: Provider
) -> None:
    target = f"/a%2Fb//c;d/%7e?q={HUSH}%20+&r=%C3%A9&&s"
    async with client(daemon, site) as caller:
        answer = await caller.ask("GET", target)
    assert answer.status == 200
    (request,) = provider.ledger.requests(target=target)
    assert request.host == f"api.ashburn.us1.twilio.com:{provider.port}"
    assert request.server_name == "api.ashburn.us1.twilio.com"
    ended = await daemon.wait("flow.ended", path="/a%2Fb//c;d/%7e")
    assert (ended["host"], ended["edge"], ended["ended"]) == (NAME, "ashburn", "--")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("HEAD", "/simulator/bytes/5000"),
        ("HEAD", "/simulator/bytes/5000?chunked=1"),
        ("GET", "/simulator/status/204"),
        ("GET", "/simulator/status/304"),
        ("GET", "/simulator/bytes/0"),
    ],
)
async def test_answer_without_a_body_leaves_the_connection_usable(
    daemon: Daemon, site: Site, method: str, target: str
) -> None:
    async with client(daemon, site) as caller:
        for _ in range(3):
            assert (await caller.ask(method, target)).body == b""
        reader = caller.reader
        assert (await caller.ask("GET", "/after")).status == 200
        assert caller.reader is reader


@pytest.mark.parametrize("target", ["/simulator/bytes/300000", "/simulator/bytes/1"])
@pytest.mark.parametrize("query", ["", "?chunked=1"])
async def test_body_arrives_whole_whatever_its_framing(
    daemon: Daemon, site: Site, target: str, query: str
) -> None:
    async with client(daemon, site) as caller:
        answer = await caller.ask("GET", target + query)
    wanted = int(target.rpartition("/")[2])
    assert answer.body == (b"0123456789abcdef" * 20_000)[:wanted]


async def test_trailers_of_an_answer_arrive(daemon: Daemon, site: Site) -> None:
    async with client(daemon, site) as caller:
        answer = await caller.ask("GET", "/simulator/trailers")
    assert answer.body == b"hello world"
    assert answer.trailers == {"digest": "none", "server-timing": "total;dur=1"}


async def test_answer_until_close_ends_the_connection_after_the_whole_body(
    daemon: Daemon, site: Site
) -> None:
    async with client(daemon, site) as caller:
        answer = await caller.ask("GET", "/simulator/until-close")
    assert answer.body == b"this body ends when the connection does"
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("after", [0, 1, 500])
async def test_answer_cut_short_at_the_edge_never_looks_whole(
    daemon: Daemon, site: Site, after: int
) -> None:
    seen = len(daemon.records)
    async with client(daemon, site) as caller:
        with pytest.raises(BrokenError):
            await caller.ask("GET", f"/simulator/cut?length=1000&after={after}")
    ended = await daemon.wait("flow.ended", after=seen, path="/simulator/cut")
    assert (ended["ended"], ended["sent_bytes"]) == ("FD", after)
    assert "broke off" in ended["reason"]


async def test_upload_in_chunks_with_trailers_arrives_whole_and_once(
    daemon: Daemon, site: Site, provider: Provider
) -> None:
    wire = (
        f"POST /upload HTTP/1.1\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\n"
        "Idempotency-Key: upload\r\nTrailer: Checked\r\n\r\n"
        "5;note=odd\r\nhello\r\n00006\r\n world\r\n0\r\nChecked: yes\r\n\r\n"
    ).encode()
    async with connected(daemon.ports["api"], site.trust()) as (reader, writer):
        for at in range(0, len(wire), 7):
            writer.write(wire[at : at + 7])
            await writer.drain()
        answer = await read_answer(reader, _waiting("POST"))
    assert answer.status == 200
    (done,) = provider.ledger.events("answered", marker="upload")
    assert done.size == len("hello world")


def _waiting(method: str) -> h11.Connection:
    """A client's state after it has sent its request."""
    state = h11.Connection(h11.CLIENT)
    state.send(h11.Request(method=method, target="/", headers=[("Host", NAME)]))
    state.send(h11.EndOfMessage())
    return state


async def test_client_that_awaits_a_100_gets_the_edges_own(
    daemon: Daemon, site: Site
) -> None:
    head = (
        f"POST /patient HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 5\r\n"
        "Expect: 100-continue\r\n\r\n"
    ).encode()
    async with connected(daemon.ports["api"], site.trust()) as (reader, writer):
        writer.write(head)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"hello")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_client_of_http_1_0_gets_an_unchunked_answer_and_the_end(
    daemon: Daemon, site: Site
) -> None:
    wire = b"GET /simulator/bytes/1000?chunked=1 HTTP/1.0\r\n\r\n"
    heard = await tell(daemon.ports["api"], site.trust(), wire)
    head, _, body = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"chunked" not in head.lower()
    assert len(body) == 1000


async def test_pipelined_requests_are_answered_in_their_order(
    daemon: Daemon, site: Site
) -> None:
    wire = b"".join(
        f"GET /simulator/{what} HTTP/1.1\r\nHost: {NAME}\r\n{more}\r\n".encode()
        for what, more in (
            ("slow?first=0.2&every=0.01&parts=1", ""),
            ("bytes/70000", ""),
            ("status/404", ""),
            ("bytes/7", "Connection: close\r\n"),
        )
    )
    heard = await tell(daemon.ports["api"], site.trust(), wire)
    places = [
        heard.index(b"part 0\n"),
        heard.index(b"0123456789abcdef" * 4375),
        heard.index(b"HTTP/1.1 404"),
        heard.index(b"0123456\r\n") if b"0123456\r\n" in heard else len(heard) - 7,
    ]
    assert places == sorted(places)
    assert heard.count(b"HTTP/1.1 ") == 4
    assert heard.endswith(b"0123456")


async def test_client_that_leaves_within_the_answer_frees_the_edge(
    daemon: Daemon, site: Site, provider: Provider
) -> None:
    head = f"GET /simulator/slow?every=0.05&parts=1000 HTTP/1.1\r\nHost: {NAME}\r\n\r\n"
    async with connected(daemon.ports["api"], site.trust()) as (reader, writer):
        writer.write(head.encode())
        await reader.readuntil(b"part 1")
    ended = await daemon.wait("flow.ended", path="/simulator/slow", ended="CD")
    assert ended["reason"] == "the client left"
    await provider.ledger.wait("aborted")
