import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from protocols.http.probe import https_probe
from protocols.net.handshake import Contexts
from protocols.net.tls import server_context
from protocols.target import Probe, Result, Target, Transport

Serve = Callable[..., AbstractAsyncContextManager[int]]
Place = Callable[..., Target]
Pair = tuple[Path, Path]


@pytest.fixture
def probe(contexts: Contexts) -> Probe:
    return https_probe(contexts, {})


async def test_living_edge_gives_a_round_trip_each_time(
    serve: Serve, place: Place, pair: Pair, probe: Probe
) -> None:
    context = server_context(*pair)
    seen: list[bool] = []
    context.sni_callback = lambda connection, name, initial: seen.append(
        bool(connection.session_reused)
    )
    async with serve(context) as port:
        for _ in range(3):
            outcome = await probe(place(port), 2.0)
            assert outcome.result is Result.ALIVE
            assert outcome.round_trip is not None
            assert outcome.connect is not None
            assert 0 < outcome.round_trip < 1
            assert 0 < outcome.connect < 1
    assert seen == [False, False, False]


async def test_target_may_have_authorities_of_its_own(
    serve: Serve, place: Place, pair: Pair, contexts: Contexts
) -> None:
    probe = https_probe(Contexts(), {"receiver": contexts})
    async with serve(server_context(*pair)) as port:
        own = await probe(place(port, label="receiver"), 2.0)
        assert own.result is Result.ALIVE
        other = await probe(place(port, label="edge"), 2.0)
        assert other.result is Result.CERTIFICATE


async def test_probe_leaves_with_a_close_notify(
    serve: Serve, place: Place, pair: Pair, probe: Probe, client: Callable[[], Any]
) -> None:
    ends: list[Any] = []

    def end() -> Any:
        ends.append(client())
        return ends[-1]

    async with serve(server_context(*pair), end) as port:
        await probe(place(port), 2.0)
        assert await ends[0].lost is None
        assert ends[0].heard == b""


async def test_plain_receiver_is_connected_to_and_no_more(
    serve: Serve, place: Place, probe: Probe
) -> None:
    async with serve() as port:
        outcome = await probe(place(port, transport=Transport.TCP), 2.0)
    assert outcome.result is Result.ALIVE
    assert outcome.round_trip == outcome.connect


async def test_refused_edge_is_told_with_its_cause(place: Place, probe: Probe) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        outcome = await probe(place(free.getsockname()[1]), 2.0)
    assert outcome.result is Result.REFUSED
    assert outcome.detail == "Connection refused"
    assert outcome.round_trip is None


async def test_certificate_for_another_name_is_told(
    serve: Serve, place: Place, pair: Pair, probe: Probe
) -> None:
    async with serve(server_context(*pair)) as port:
        target = place(port, server_name="else.test", verify_name="else.test")
        outcome = await probe(target, 2.0)
    assert outcome.result is Result.CERTIFICATE


async def test_edge_that_accepts_and_falls_silent_is_a_timeout(
    serve: Serve, place: Place, probe: Probe
) -> None:
    async with serve(factory=asyncio.Protocol) as port:
        outcome = await probe(place(port), 0.05)
    assert outcome.result is Result.TIMEOUT
    assert "0.05 s" in outcome.detail
