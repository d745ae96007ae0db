import asyncio
import dataclasses
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from protocols.net.handshake import Contexts
from protocols.net.tasks import Tasks
from protocols.net.tls import server_context
from protocols.sip import probe as module
from protocols.sip.connection import Patience
from protocols.sip.peers import Side
from protocols.target import Outcome, Result, Target
from tests.protocols.sip.peers import (
    HERE,
    TCP,
    TLS,
    Around,
    at,
    serving,
    switch,
    telephone,
)
from tests.protocols.sip.stage import response

Pair = tuple[Path, Path]
Task = asyncio.Task[Outcome]


def probing(tasks: Tasks, around: Around, target: Target, timeout: float = 2.0) -> Task:
    asked: Coroutine[Any, Any, Outcome]
    asked = around.endpoint.probe(Side.EDGE, target, timeout)
    return tasks.start(asked, name="probe")


async def test_probe_is_an_options_from_the_socket_of_calls(tasks: Tasks) -> None:
    async with telephone() as edge, serving() as around:
        probe = probing(tasks, around, at(edge.port))
        asked = await edge.hear()
        assert edge.source == around.reach(Side.EDGE)
        port = edge.source[1]
        assert asked.start == b"OPTIONS sip:trunk.test SIP/2.0"
        assert asked.first(b"to") == b"<sip:trunk.test>"
        assert (asked.first(b"from") or b"").startswith(
            b"<sip:127.0.0.1:%d>;tag=" % port
        )
        assert (asked.first(b"via") or b"").startswith(
            b"SIP/2.0/UDP 127.0.0.1:%d;rport;branch=z9hG4bK" % port
        )
        assert asked.first(b"max-forwards") == b"70"
        edge.say(response(bytes(asked), "200 OK"))
        outcome = await probe
    assert outcome.result is Result.ALIVE
    assert outcome.detail == ""
    assert outcome.round_trip is not None
    assert 0 < outcome.round_trip < 0.5
    assert outcome.connect is None
    assert around.results() == []


async def test_pbx_is_asked_by_its_own_address(tasks: Tasks) -> None:
    async with telephone("::1") as pbx, serving(address="::1") as around:
        target = at(pbx.port, address="::1", host="sip:pbx")
        probe = around.endpoint.probe(Side.SITE, target, 2.0)
        task = tasks.start(probe, name="probe")
        asked = await pbx.hear()
        assert asked.uri == b"sip:[::1]:%d" % pbx.port
        pbx.say(response(bytes(asked), "200 OK"))
        assert (await task).result is Result.ALIVE


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("404 Not Found", Result.ALIVE),
        ("403 Forbidden", Result.ALIVE),
        ("504 Server Time-out", Result.ALIVE),
        ("503 Trunk CPS limit exceeded", Result.ALIVE),
        ("503 Service Unavailable", Result.SERVER_ERROR),
        ("500 Oops", Result.SERVER_ERROR),
    ],
)
async def test_answer_is_judged_as_that_to_a_call(
    tasks: Tasks, status: str, result: Result
) -> None:
    async with telephone() as edge, serving() as around:
        probe = probing(tasks, around, at(edge.port))
        asked = bytes(await edge.hear())
        edge.say(response(asked, "100 Trying"))
        edge.say(response(asked, status))
        edge.say(response(asked, status))
        outcome = await probe
        alive = result is Result.ALIVE
        assert outcome.result is result
        assert outcome.detail == ("" if alive else f"answered {status[:3]}")


async def test_lost_packet_is_sent_again_with_the_same_branch(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "T1", 0.05)
    async with telephone() as edge, serving() as around:
        probe = probing(tasks, around, at(edge.port))
        first, second = await edge.hear(), await edge.hear()
        assert bytes(first) == bytes(second)
        edge.say(response(bytes(second), "200 OK"))
        outcome = await probe
    assert outcome.result is Result.ALIVE
    assert outcome.round_trip is not None
    assert outcome.round_trip >= 0.045


async def test_silence_is_a_timeout(tasks: Tasks) -> None:
    async with telephone() as edge, serving() as around:
        outcome = await probing(tasks, around, at(edge.port), 0.05)
        assert outcome.result is Result.TIMEOUT
        assert "0.05 s" in outcome.detail
        edge.say(response(bytes(await edge.hear()), "200 OK"))
        told = await around.turned_away(1)
        assert told == [(HERE, "response to nothing", "")]


async def test_closed_port_is_told_at_once(tasks: Tasks) -> None:
    async with telephone() as gone:
        target = at(gone.port)
    async with serving() as around:
        outcome = await probing(tasks, around, target)
    assert outcome == Outcome(Result.REFUSED, detail="Connection refused")


async def test_answer_that_is_for_no_probe_is_not_taken(tasks: Tasks) -> None:
    async with telephone() as edge, serving() as around:
        probe = probing(tasks, around, at(edge.port))
        asked = bytes(await edge.hear())
        edge.say(response(asked.replace(b"branch=z9hG4bK", b"branch=z9hG4bKx"), "200"))
        edge.say(response(asked.replace(b";branch", b";other"), "200 OK"))
        await around.turned_away(2)
        assert not probe.done()
        edge.say(response(asked, "200 OK"))
        assert (await probe).result is Result.ALIVE


async def test_stream_is_dialled_and_kept_for_the_next_probe(
    tasks: Tasks, pair: Pair, ca_file: Path
) -> None:
    contexts = Contexts(ca_file, alpn=())
    context = server_context(*pair, alpn=())
    async with switch(context) as edge, serving(contexts=contexts) as around:
        target = at(edge.port, TLS)
        probe = probing(tasks, around, target)
        line = await edge.line()
        asked = await line.hear()
        assert (asked.first(b"via") or b"").startswith(b"SIP/2.0/TLS ")
        line.say(response(bytes(asked), "200 OK"))
        first = await probe
        probe = probing(tasks, around, target)
        line.say(response(bytes(await line.hear()), "200 OK"))
        second = await probe
        assert len(edge.all) == 1
    assert first.result is second.result is Result.ALIVE
    assert first.connect is not None
    assert second.connect is None
    assert first.round_trip is not None
    assert 0 < first.round_trip < 0.5


async def test_connection_that_does_not_come_about_is_told(
    tasks: Tasks, pair: Pair
) -> None:
    context = server_context(*pair, alpn=())
    async with switch(context) as edge, serving() as around:
        outcome = await probing(tasks, around, at(edge.port, TLS))
        assert outcome.result is Result.CERTIFICATE
    async with serving(patience=Patience(connect=1.0)) as around:
        outcome = await probing(tasks, around, at(edge.port, TCP))
        assert outcome.result is Result.REFUSED


async def test_round_trip_counts_from_the_moment_the_connection_stood(
    tasks: Tasks,
) -> None:
    async with switch() as edge, serving() as around:
        began = asyncio.get_running_loop().time()
        probe = probing(tasks, around, at(edge.port, TCP))
        line = await edge.line()
        line.say(response(bytes(await line.hear()), "200 OK"))
        outcome = await probe
        took = asyncio.get_running_loop().time() - began
    assert outcome.round_trip is not None
    assert outcome.connect is not None
    assert outcome.round_trip + outcome.connect <= took + 0.002


async def test_change_names_the_router_anew(tasks: Tasks) -> None:
    async with telephone() as edge, serving() as around:
        before = probing(tasks, around, at(edge.port))
        asked = bytes(await edge.hear())
        settings = around.terms.settings
        places = tuple(
            dataclasses.replace(place, named="203.0.113.7") for place in settings.places
        )
        settings = dataclasses.replace(settings, places=places)
        around.endpoint.change(dataclasses.replace(around.terms, settings=settings))
        edge.say(response(asked, "200 OK"))
        assert (await before).result is Result.ALIVE
        after = probing(tasks, around, at(edge.port))
        heard = await edge.hear()
        assert b" 203.0.113.7:" in (heard.first(b"via") or b"")
        edge.say(response(bytes(heard), "200 OK"))
        assert (await after).result is Result.ALIVE
