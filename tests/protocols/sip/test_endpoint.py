import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.net.admission import Refusal
from protocols.net.handshake import Contexts
from protocols.net.tasks import Tasks
from protocols.net.tls import Certificates, client_context, server_context
from protocols.sip import endpoint
from protocols.sip.bound import Wanted, bind
from protocols.sip.endpoint import REASONS
from protocols.sip.guard import Drop, Guard, Pace
from protocols.sip.peers import Side
from protocols.sip.settings import Limits
from protocols.target import Result, Transport
from tests.protocols.sip.peers import (
    HERE,
    NOWHERE,
    TCP,
    TLS,
    UDP,
    Around,
    Line,
    Telephone,
    asking,
    at,
    calling,
    invite,
    serving,
    switch,
    telephone,
)
from tests.protocols.sip.stage import KEYS, back, response, within

Pair = tuple[Path, Path]


async def test_call_to_the_provider_is_answered_where_it_came_from() -> None:
    async with (
        telephone() as pbx,
        telephone() as edge,
        serving([at(edge.port)]) as around,
    ):
        pbx.say(invite(pbx), around.reach(Side.SITE))
        assert (await pbx.hear()).status == 100
        asked = await edge.hear()
        assert asked.method == b"INVITE"
        edge.say(response(bytes(asked), "486 Busy Here"))
        assert (await pbx.hear()).status == 486
        assert (await edge.hear()).method == b"ACK"
    assert [record.status for record in around.records] == [486]
    assert around.results() == [Result.ALIVE]
    assert pbx.source == around.reach(Side.SITE)
    assert edge.source == around.reach(Side.EDGE)


async def test_call_from_the_provider_reaches_the_pbx() -> None:
    async with (
        telephone() as pbx,
        telephone() as edge,
        serving(site=[at(pbx.port)]) as around,
    ):
        edge.say(invite(edge), around.reach(Side.EDGE))
        assert (await edge.hear()).status == 100
        asked = await pbx.hear()
        pbx.say(response(bytes(asked), "404 Not Found"))
        assert (await edge.hear()).status == 404
        assert pbx.source == around.reach(Side.SITE)


async def test_edge_whose_port_is_closed_is_left_at_once() -> None:
    async with telephone() as gone:
        closed = gone.port
    async with (
        telephone() as pbx,
        telephone() as edge,
        serving([at(closed), at(edge.port)]) as around,
    ):
        pbx.say(invite(pbx), around.reach(Side.SITE))
        async with asyncio.timeout(1):  # the silence would last 2 s
            assert (await edge.hear()).method == b"INVITE"
    assert around.results() == [Result.REFUSED]


async def test_calls_after_an_icmp_error_still_reach_the_living() -> None:
    async with telephone() as gone:
        closed = gone.port
    async with (
        telephone() as pbx,
        telephone() as edge,
        serving([at(closed), at(edge.port)]) as around,
    ):
        for _ in range(20):
            pbx.say(invite(pbx), around.reach(Side.SITE))
        async with asyncio.timeout(1):
            heard = {(await edge.hear()).first(b"call-id") for _ in range(20)}
    assert len(heard) == 20


async def test_edge_that_refuses_connections_is_left_at_once() -> None:
    async with switch() as gone:
        closed = gone.port
    async with telephone() as pbx, switch() as edge:
        targets = [at(closed, TCP), at(edge.port, TCP)]
        async with serving(targets) as around:
            pbx.say(invite(pbx), around.reach(Side.SITE))
            async with asyncio.timeout(1):
                line = await edge.line()
                assert (await line.hear()).method == b"INVITE"
            assert around.results() == [Result.REFUSED]


async def test_silent_edge_is_left_when_the_timer_says_so() -> None:
    limits = Limits(no_response=0.05, no_progress=1.0, seconds=2.0, attempts=2)
    async with telephone() as pbx, telephone() as silent, telephone() as edge:
        targets = [at(silent.port), at(edge.port)]
        async with serving(targets, to_edge=limits) as around:
            pbx.say(invite(pbx), around.reach(Side.SITE))
            first, second = await silent.hear(), await edge.hear()
    assert first.first(b"call-id") == second.first(b"call-id")
    assert around.results() == [Result.TIMEOUT]


async def test_connection_that_breaks_moves_its_calls() -> None:
    async with (
        telephone() as pbx,
        switch() as broken,
        telephone() as edge,
        serving([at(broken.port, TCP), at(edge.port)]) as around,
    ):
        pbx.say(invite(pbx), around.reach(Side.SITE))
        line = await broken.line()
        await line.hear()
        line.transport.abort()
        assert (await edge.hear()).method == b"INVITE"
    assert around.results() == [Result.RESET]


async def test_answer_goes_back_on_the_connection_of_its_request() -> None:
    async with (
        telephone() as edge,
        serving([at(edge.port)]) as around,
        calling(around.ports[Side.SITE, TCP]) as pbx,
    ):
        pbx.say(invite(pbx, "TCP"))
        edge.say(response(bytes(await edge.hear()), "486 Busy"), edge.source)
        assert (await pbx.hear()).status == 100
        assert (await pbx.hear()).status == 486


async def test_answer_whose_connection_is_gone_is_brought_to_sent_by() -> None:
    async with (
        telephone() as edge,
        switch() as home,
        serving([at(edge.port)]) as around,
    ):
        async with calling(around.ports[Side.SITE, TCP]) as pbx:
            asked = invite(pbx, "TCP").replace(
                b"TCP 127.0.0.1:%d" % pbx.port, b"TCP 127.0.0.1:%d" % home.port
            )
            pbx.say(asked)
            heard = await edge.hear()
        edge.say(response(bytes(heard), "486 Busy"), edge.source)
        assert (await (await home.line()).hear()).status == 486


async def test_stranger_is_dropped_without_a_word() -> None:
    async with telephone() as stranger, serving(networks=NOWHERE) as around:
        stranger.say(invite(stranger), around.reach(Side.SITE))
        stranger.say(asking("OPTIONS", stranger), around.reach(Side.EDGE))
        async with calling(around.ports[Side.SITE, TCP]) as line:
            await asyncio.wait_for(line.lost, 2)
        assert (HERE, "not_allowed", "") in await around.turned_away(3)
        assert around.endpoint.dropped == {Drop.NOT_ALLOWED: 3}
        assert stranger.waiting == 0


async def test_answer_from_where_a_request_went_needs_no_network(
    tasks: Tasks,
) -> None:
    async with telephone() as edge, serving(networks=NOWHERE) as around:
        probing = around.endpoint.probe(Side.EDGE, at(edge.port), 1.0)
        probe = tasks.start(probing, name="probe")
        asked = await edge.hear()
        edge.say(response(bytes(asked), "200 OK"))
        edge.say(asking("OPTIONS", edge))
        assert (await probe).result is Result.ALIVE
        await around.turned_away(1)
        assert around.endpoint.dropped == {Drop.NOT_ALLOWED: 1}


async def test_scanner_is_dropped_without_a_word() -> None:
    async with telephone() as pbx, serving() as around:
        agent = ["User-Agent: friendly-scanner"]
        pbx.say(asking("OPTIONS", pbx, more=agent), around.reach(Side.SITE))
        await around.turned_away(1)
        assert around.endpoint.dropped == {Drop.SCANNER: 1}
        assert pbx.waiting == 0


async def test_flood_is_dropped_and_what_ends_calls_is_not() -> None:
    pace = Pace(rate=0.001, burst=4)
    async with telephone() as pbx, serving(pace=pace) as around:
        for _ in range(5):
            pbx.say(asking("OPTIONS", pbx), around.reach(Side.SITE))
        pbx.say(asking("BYE", pbx), around.reach(Side.SITE))
        await around.turned_away(2)
        assert around.endpoint.dropped == {Drop.FLOOD: 2}
        assert [(await pbx.hear()).first(b"cseq") for _ in range(4)][3] == b"1 BYE"


async def test_bare_line_ends_and_rubbish_get_no_answer() -> None:
    async with telephone() as pbx, serving() as around:
        for data in (b"\r\n\r\n", b"\0\0\0\0", b"", b"rubbish", b"\xff" * 60_000):
            pbx.say(data, around.reach(Side.SITE))
        pbx.say(asking("OPTIONS", pbx), around.reach(Side.SITE))
        assert (await pbx.hear()).first(b"cseq") == b"1 OPTIONS"
        assert sum(around.endpoint.dropped.values()) == 2


async def test_stream_that_cannot_be_framed_is_answered_and_closed() -> None:
    async with serving() as around:
        async with calling(around.ports[Side.SITE, TCP]) as pbx:
            asked = asking("OPTIONS", pbx, "TCP")
            pbx.say(asked.replace(b"Content-Length: 0\r\n", b""))
            assert (await pbx.hear()).status == 400
            await asyncio.wait_for(pbx.lost, 2)
        assert around.endpoint.dropped == {"no Content-Length on a stream": 1}


async def test_client_is_told_of_with_what_was_refused_or_dropped() -> None:
    async with telephone() as pbx, serving() as around:
        foreign = asking("BYE", pbx, more=["Route: <sip:203.0.113.9;lr>"])
        pbx.say(foreign, around.reach(Side.SITE))
        refusal = (await pbx.hear()).status
        ((client, status, reason),) = around.turned_down
        assert (client, status) == (HERE, refusal)
        assert reason
        pbx.say(response(foreign, "200 OK"), around.reach(Side.SITE))
        assert await around.turned_away(1) == [(HERE, "response to nothing", "")]


async def test_reasons_are_counted_in_a_bounded_table() -> None:
    async with serving() as around:
        for number in range(REASONS + 10):
            around.endpoint._drop("", f"reason {number}")
        assert len(around.endpoint.dropped) == REASONS + 1
        assert around.endpoint.dropped["others"] == 10


async def test_draining_listener_takes_no_call_and_ends_those_under_way(
    tasks: Tasks,
) -> None:
    async with (
        telephone() as edge,
        serving([at(edge.port)]) as around,
        calling(around.ports[Side.SITE, TCP]) as pbx,
    ):
        pbx.say(asking("MESSAGE", pbx, "TCP"))
        heard = await edge.hear()
        draining = tasks.start(around.endpoint.drain(2.0), name="drain")
        await asyncio.sleep(0)
        pbx.say(invite(pbx, "TCP"))
        assert (await pbx.hear()).status == 503
        edge.say(response(bytes(heard), "200 OK"), edge.source)
        assert (await pbx.hear()).status == 200
        assert await draining == 0
        await asyncio.wait_for(pbx.lost, 2)


async def test_call_that_was_just_answered_gets_its_ack_before_the_end(
    tasks: Tasks,
) -> None:
    async with (
        telephone() as edge,
        serving([at(edge.port)]) as around,
        calling(around.ports[Side.SITE, TCP]) as pbx,
    ):
        pbx.say(invite(pbx, "TCP"))
        edge.say(response(bytes(await edge.hear()), "200 OK"), edge.source)
        while (ok := await pbx.hear()).status != 200:
            pass
        draining = tasks.start(around.endpoint.drain(5.0), name="drain")
        await asyncio.sleep(0)
        pbx.say(within("ACK", bytes(ok), cseq=1))
        assert (await edge.hear()).method == b"ACK"
        async with asyncio.timeout(2):
            assert await draining == 0
        assert around.endpoint.pending == 1


async def test_drain_cuts_what_takes_too_long() -> None:
    async with (
        telephone() as pbx,
        telephone() as edge,
        serving([at(edge.port)]) as around,
    ):
        pbx.say(invite(pbx), around.reach(Side.SITE))
        await edge.hear()
        assert around.endpoint.pending == 1
        assert await around.endpoint.drain(0.01) == 1


async def test_calls_cut_by_the_end_tell_nothing_of_their_edges() -> None:
    async with (
        telephone() as pbx,
        switch() as edge,
        serving([at(edge.port, TCP)]) as around,
    ):
        pbx.say(invite(pbx), around.reach(Side.SITE))
        line = await edge.line()
        await line.hear()
        around.endpoint.close()
        await asyncio.wait_for(line.lost, 2)
        await asyncio.sleep(0)
        assert around.results() == []


async def test_idle_listener_drains_at_once() -> None:
    async with serving() as around:
        assert await around.endpoint.drain(5.0) == 0


async def test_call_over_tls_on_both_sides(pair: Pair, ca_file: Path) -> None:
    trusting = client_context(ca_file, alpn=())
    async with (
        switch(server_context(*pair, alpn=())) as edge,
        serving(
            [at(edge.port, TLS)],
            contexts=Contexts(ca_file, alpn=()),
            certificates=Certificates(*pair, alpn=()),
        ) as around,
        calling(around.ports[Side.SITE, TLS], trusting) as pbx,
    ):
        pbx.say(invite(pbx, "TLS"))
        assert (await pbx.hear()).status == 100
        line = await edge.line()
        asked = await line.hear()
        assert (asked.first(b"via") or b"").startswith(b"SIP/2.0/TLS 127.0.0.1:")
        line.say(response(bytes(asked), "486 Busy Here"))
        assert (await pbx.hear()).status == 486
        assert (await line.hear()).method == b"ACK"
        assert around.endpoint.dropped == {}


async def test_answer_to_a_tls_peer_of_unknown_name_is_not_sent_elsewhere(
    pair: Pair, ca_file: Path
) -> None:
    trusting = client_context(ca_file, alpn=())
    async with (
        telephone() as edge,
        serving([at(edge.port)], certificates=Certificates(*pair, alpn=())) as around,
    ):
        async with calling(around.ports[Side.SITE, TLS], trusting) as pbx:
            pbx.say(invite(pbx, "TLS"))
            asked = await edge.hear()
            assert (await pbx.hear()).status == 100
            pbx.transport.close()
            await pbx.lost  # once the router has said its close_notify, too
        edge.say(response(bytes(asked), "486 Busy Here"), edge.source)
        told = await around.turned_away(1)
        assert told == [(HERE, "answer could not be sent", "")]


# A machine of the site that is in no list of targets, and cannot be dialled: a second
# PBX or a telephone that has connected from any port.


@contextlib.asynccontextmanager
async def by_connection(
    way: Transport, pair: Pair, ca_file: Path
) -> AsyncIterator[tuple[Around, Telephone, Line]]:
    """A listener, an edge, and a telephone of nobody's knowledge on a connection."""
    trusting = client_context(ca_file, alpn=()) if way is TLS else None
    certificates = Certificates(*pair, alpn=())
    async with (
        telephone() as edge,
        serving([at(edge.port)], certificates=certificates) as around,
        calling(around.ports[Side.SITE, way], trusting) as phone,
    ):
        yield around, edge, phone


def named(asked: bytes, port: int) -> bytes:
    """A request whose Via names another port than that of its connection."""
    before, via, after = asked.partition(b";branch=")
    return before.rpartition(b":")[0] + b":%d" % port + via + after


async def set_up(edge: Telephone, phone: Line, asked: bytes) -> bytes:
    """Have a call answered; returns its INVITE as the edge got it."""
    phone.say(asked)
    heard = bytes(await edge.hear())
    edge.say(response(heard, "200 OK"))
    while (await phone.hear()).status != 200:
        pass
    return heard


def of_the_edge(edge: Telephone, method: str, heard: bytes, cseq: int = 1) -> bytes:
    """A request of the edge in a dialog, which says where it really is."""
    own = b"%s:%d" % (HERE.encode(), edge.port)
    return back(method, heard, cseq=cseq).replace(b"192.0.2.1:5060", own)


@pytest.mark.parametrize("way", [TCP, TLS])
@pytest.mark.parametrize("contact", [b"10.0.0.10:5060", b"127.0.0.1:9", b"pbx.test"])
async def test_requests_of_the_provider_take_the_connection_of_the_pbx(
    way: Transport, contact: bytes, pair: Pair, ca_file: Path
) -> None:
    async with by_connection(way, pair, ca_file) as (_, edge, phone):
        heard = await set_up(edge, phone, named(invite(phone, way.upper()), 9))
        for cseq, method in enumerate(("INVITE", "BYE"), 1):
            asked = of_the_edge(edge, method, heard, cseq=cseq)
            edge.say(asked.replace(b"10.0.0.10:5060", contact))
            assert (await phone.hear()).first(b"cseq") == b"%d %s" % (
                cseq,
                method.encode(),
            )


@pytest.mark.parametrize("way", [TCP, TLS])
async def test_pbx_that_has_connected_again_gets_them_there(
    way: Transport, pair: Pair, ca_file: Path
) -> None:
    async with by_connection(way, pair, ca_file) as (around, edge, phone):
        heard = await set_up(edge, phone, named(invite(phone, way.upper()), 9))
        phone.transport.close()
        await phone.lost
        trusting = client_context(ca_file, alpn=()) if way is TLS else None
        async with calling(around.ports[Side.SITE, way], trusting) as again:
            again.say(named(asking("MESSAGE", again, way.upper()), 9))
            await edge.hear()
            edge.say(of_the_edge(edge, "BYE", heard))
            assert (await again.hear()).method == b"BYE"


async def test_request_for_a_tls_peer_that_has_left_is_refused(
    pair: Pair, ca_file: Path
) -> None:
    async with by_connection(TLS, pair, ca_file) as (_, edge, phone):
        heard = await set_up(edge, phone, invite(phone, "TLS"))
        phone.transport.close()
        await phone.lost
        edge.say(of_the_edge(edge, "BYE", heard))
        assert (await edge.hear()).status == 430


async def test_connection_of_the_site_outlives_a_long_call(
    pair: Pair, ca_file: Path
) -> None:
    async with by_connection(TCP, pair, ca_file) as (around, edge, phone):
        heard = await set_up(edge, phone, invite(phone, "TCP"))
        now = asyncio.get_running_loop().time()
        around.endpoint.look(now + 3 * 3600)
        edge.say(of_the_edge(edge, "BYE", heard))
        assert (await phone.hear()).method == b"BYE"
        around.endpoint.look(now + 5 * 3600)
        await asyncio.wait_for(phone.lost, 2)


async def test_call_of_the_provider_goes_on_over_the_connection_it_was_set_up_on() -> (
    None
):
    async with (
        telephone() as edge,
        switch() as pbx,
        serving(site=[at(pbx.port, TCP)]) as around,
    ):
        edge.say(invite(edge), around.reach(Side.EDGE))
        line = await pbx.line()
        heard = await line.hear()
        line.say(response(bytes(heard), "200 OK", contact=f"<sip:{HERE}:{pbx.port}>"))
        while (answer := await edge.hear()).status != 200:
            pass
        edge.say(onwards("BYE", bytes(answer), edge, pbx.port))
        assert (await line.hear()).method == b"BYE"
        assert len(pbx.all) == 1


def onwards(method: str, answer: bytes, edge: Telephone, port: int) -> bytes:
    """What an edge that has called sends in the dialog, once it was answered."""
    asked = within(method, answer, uri=f"sip:{HERE}:{port}")
    return asked.replace(b"10.0.0.10:5060", b"%s:%d" % (HERE.encode(), edge.port))


@pytest.mark.parametrize(("site", "outside"), [(HERE, "::1"), ("::1", HERE)])
async def test_call_between_ipv4_and_ipv6_is_routed_by_two_lines_both_ways(
    site: str, outside: str
) -> None:
    async with (
        telephone(site) as pbx,
        telephone(outside) as edge,
        serving(
            [at(edge.port, address=outside)], address=site, outside=outside
        ) as around,
    ):
        near = in_uri(site, around.ports[Side.SITE, UDP])
        far = in_uri(outside, around.ports[Side.EDGE, UDP])
        own = b"127.0.0.1:%d" % pbx.port
        asked = invite(pbx, via=";rport").replace(own, in_uri(site, pbx.port))
        pbx.say(asked, (site, around.ports[Side.SITE, UDP]))
        heard = await edge.hear()
        above, below = heard.all(b"record-route")
        assert above.startswith(b"<sip:" + far + b";lr;er=")
        assert below == b"<sip:" + near + b";lr>"
        topmost, first = heard.all(b"via")
        assert topmost.startswith(b"SIP/2.0/UDP " + far + b";")
        assert first.endswith(b";rport=%d;received=%s" % (pbx.port, site.encode()))
        edge.say(response(bytes(heard), "200 OK"))
        while (answer := await pbx.hear()).status != 200:
            pass
        pbx.say(within("BYE", bytes(answer)))
        assert (await edge.hear()).method == b"BYE"
        edge.say(back("BYE", bytes(heard)))
        assert (await pbx.hear()).method == b"BYE"


def in_uri(address: str, port: int) -> bytes:
    """An address as Via and URIs have it."""
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{port}".encode()


@pytest.mark.parametrize("way", [TCP, TLS])
async def test_call_to_a_registered_telephone_takes_its_connection(
    way: Transport, pair: Pair, ca_file: Path
) -> None:
    """By the Path of its REGISTER (RFC 3327): from then on every call goes there."""
    async with by_connection(way, pair, ca_file) as (_, edge, phone):
        more = ["Supported: path"]
        phone.say(asking("REGISTER", phone, way.upper(), more=more))
        registered = await edge.hear()
        paths = [path.decode() for path in registered.all(b"path")]
        edge.say(invite(edge, more=[f"Route: {path}" for path in paths]))
        assert (await phone.hear()).method == b"INVITE"


# ---- Other terms while calls pass ---------------------------------------------------


async def test_call_goes_on_while_its_listener_gets_other_terms() -> None:
    async with (
        telephone() as pbx,
        telephone() as edge,
        serving([at(edge.port)]) as around,
    ):
        pbx.say(invite(pbx), around.reach(Side.SITE))
        asked = bytes(await edge.hear())
        settings = dataclasses.replace(
            around.terms.settings, host="other.test", keys=(b"n" * 32, *KEYS)
        )
        around.endpoint.change(dataclasses.replace(around.terms, settings=settings))
        edge.say(response(asked, "200 OK"))
        while (answer := await pbx.hear()).status != 200:
            pass
        # By a Route that the key of then has signed.
        pbx.say(within("BYE", bytes(answer)))
        assert (await edge.hear()).method == b"BYE"
        edge.say(back("BYE", asked))
        assert (await pbx.hear()).method == b"BYE"
        again = asking("INVITE", pbx).replace(b"@trunk.test SIP", b"@127.0.0.1 SIP")
        pbx.say(again, around.reach(Side.SITE))
        while (heard := await edge.hear()).method != b"INVITE":
            pass
        assert heard.uri == b"sip:+15551234567@other.test"


async def test_socket_added_and_socket_removed_serve_the_same_proxy() -> None:
    async with (
        telephone() as pbx,
        telephone() as edge,
        serving([at(edge.port)]) as around,
        calling(around.ports[Side.SITE, TCP]) as standing,
    ):
        pbx.say(invite(pbx), around.reach(Side.SITE))
        asked = bytes(await edge.hear())
        kept = [one for one in around.terms.bound if one.side is Side.EDGE]
        added = bind([Wanted(Side.SITE, kind, HERE, 0) for kind in (UDP, TCP)])
        around.endpoint.change(dataclasses.replace(around.terms, bound=[*kept, *added]))
        # Over UDP what was under way is answered where it came; over TCP a connection
        # outlives its listener, and nobody connects there any more.
        edge.say(response(asked, "486 Busy Here"))
        while (await pbx.hear()).status != 486:
            pass
        assert pbx.source == around.reach(Side.SITE)
        await passes(standing, edge)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(around.reach(Side.SITE, TCP), 2)
        places = [one.sock.getsockname() for one in added]
        assert {*places} < {*around.endpoint.open}
        async with calling(places[1][1]) as line:
            await passes(line, edge)
        pbx.say(asking("MESSAGE", pbx), places[0])
        while (heard := await edge.hear()).method != b"MESSAGE":
            pass
        edge.say(response(bytes(heard), "202 Accepted"))
        assert (await pbx.hear()).status == 202
        assert pbx.source == places[0]


async def passes(line: Line, edge: Telephone) -> None:
    """A request of a peer is answered by an edge."""
    line.say(asking("MESSAGE", line, "TCP"))
    while (heard := await edge.hear()).method != b"MESSAGE":
        pass
    edge.say(response(bytes(heard), "200 OK"), edge.source)
    assert (await line.hear()).status == 200


async def test_socket_that_was_removed_is_closed_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoint, "REMOVED", 0.02)
    async with serving() as around:
        udp = next(one for one in around.terms.bound if one.transport is UDP)
        others = [one for one in around.terms.bound if one is not udp]
        around.endpoint.change(dataclasses.replace(around.terms, bound=others))
        assert udp.sock.getsockname() in around.endpoint.open
        while udp.sock.fileno() >= 0:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        assert len(around.endpoint.open) == len(others)


async def test_networks_of_new_terms_count_at_once() -> None:
    async with (
        telephone() as pbx,
        telephone() as edge,
        serving([at(edge.port)]) as around,
    ):
        closed = Guard(NOWHERE)
        guards = {Side.SITE: closed, Side.EDGE: closed}
        around.endpoint.change(dataclasses.replace(around.terms, guards=guards))
        pbx.say(invite(pbx), around.reach(Side.SITE))
        assert (await around.turned_away(1))[0][1] == Drop.NOT_ALLOWED
        around.endpoint.change(around.terms)
        pbx.say(invite(pbx), around.reach(Side.SITE))
        assert (await edge.hear()).method == b"INVITE"


async def test_what_the_provider_begins_beside_its_way_is_dropped_without_a_word() -> (
    None
):
    ways: list[tuple[str, str, str]] = []

    def strays(source: str, local: str, interface: str) -> str:
        ways.append((source, local, interface))
        return "not by the link"

    async with telephone() as edge, telephone() as pbx, serving() as around:
        around.endpoint.change(dataclasses.replace(around.terms, strays=strays))
        edge.say(asking("OPTIONS", edge), around.reach(Side.EDGE))
        assert (await around.turned_away(1))[0][1:] == (Drop.ASTRAY, "not by the link")
        assert ways == [(HERE, HERE, "")]
        pbx.say(asking("OPTIONS", pbx), around.reach(Side.SITE))
        await pbx.hear()
        assert (edge.waiting, len(ways)) == (0, 1)


async def test_call_that_stands_goes_on_beside_its_way() -> None:
    async with (
        telephone() as pbx,
        telephone() as edge,
        serving([at(edge.port)]) as around,
    ):
        pbx.say(invite(pbx), around.reach(Side.SITE))
        asked = bytes(await edge.hear())
        strays = dataclasses.replace(around.terms, strays=lambda *_: "astray")
        around.endpoint.change(strays)
        edge.say(response(asked, "200 OK"))
        assert (await pbx.hear()).status == 100
        assert (await pbx.hear()).status == 200
        edge.say(back("BYE", asked))
        assert (await pbx.hear()).method == b"BYE"


async def test_connection_that_came_astray_is_not_served() -> None:
    async with serving() as around:
        strays = dataclasses.replace(around.terms, strays=lambda *_: "astray")
        around.endpoint.change(strays)
        async with calling(around.ports[Side.EDGE, TCP]) as line:
            await asyncio.wait_for(line.lost, 2)
        assert (await around.turned_away(1))[0][1] == Refusal.ASTRAY
