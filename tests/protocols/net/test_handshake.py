import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from protocols.net import handshake
from protocols.net.dial import Dialled, dial
from protocols.net.handshake import Contexts
from protocols.net.tls import TLSFileError, server_context
from protocols.target import Target

Serve = Callable[..., AbstractAsyncContextManager[int]]
Place = Callable[..., Target]
Pair = tuple[Path, Path]
Make = Callable[[], Any]


async def visit(
    target: Target, client: Make, contexts: Contexts, resume: bool = True
) -> Dialled:
    """Connect, ask, hear the answer, leave."""
    dialled = await dial(
        target,
        client,
        contexts=contexts,
        connect_timeout=2.0,
        tls_timeout=2.0,
        resume=resume,
    )
    dialled.transport.write(b"ask")
    protocol: Any = dialled.protocol
    await protocol.arrived.wait()
    dialled.transport.abort()
    await protocol.lost
    return dialled


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_second_connection_to_a_place_resumes_the_session(
    version: str,
    serve: Serve,
    place: Place,
    pair: Pair,
    client: Make,
    contexts: Contexts,
) -> None:
    """In TLS 1.3 the ticket comes after the handshake."""
    context = server_context(*pair)
    context.maximum_version = ssl.TLSVersion[version]
    async with serve(context) as port:
        resumed = [
            (await visit(place(port), client, contexts)).resumed for _ in range(3)
        ]
    assert resumed == [False, True, True]


async def test_session_is_kept_while_its_connection_lives(
    serve: Serve,
    place: Place,
    pair: Pair,
    client: Make,
    contexts: Contexts,
) -> None:
    async with serve(server_context(*pair)) as port:
        first = await dial(
            place(port),
            client,
            contexts=contexts,
            connect_timeout=2.0,
            tls_timeout=2.0,
        )
        first.transport.write(b"ask")
        protocol: Any = first.protocol
        await protocol.arrived.wait()
        assert (await visit(place(port), client, contexts)).resumed
        first.transport.abort()


async def test_session_fits_its_place_and_names_only(
    serve: Serve,
    place: Place,
    pair: Pair,
    client: Make,
    contexts: Contexts,
) -> None:
    async with serve(server_context(*pair)) as port:
        await visit(place(port), client, contexts)
        for other in (
            place(port, server_name="a.edges.test", verify_name="a.edges.test"),
            place(port, verify_name="a.edges.test"),
        ):
            assert not (await visit(other, client, contexts)).resumed
            assert (await visit(other, client, contexts)).resumed
    async with serve(server_context(*pair)) as port:
        assert not (await visit(place(port), client, contexts)).resumed


async def test_resumption_can_be_declined(
    serve: Serve,
    place: Place,
    pair: Pair,
    client: Make,
    contexts: Contexts,
) -> None:
    async with serve(server_context(*pair)) as port:
        await visit(place(port), client, contexts)
        assert not (await visit(place(port), client, contexts, resume=False)).resumed


async def test_server_without_tickets_is_asked_no_more_after_some_reads(
    serve: Serve,
    place: Place,
    pair: Pair,
    client: Make,
    contexts: Contexts,
) -> None:
    context = server_context(*pair)
    context.num_tickets = 0
    async with serve(context) as port:
        dialled = await dial(
            place(port),
            client,
            contexts=contexts,
            connect_timeout=2.0,
            tls_timeout=2.0,
        )
        connection = dialled.transport.get_extra_info("ssl_object")
        protocol: Any = dialled.protocol
        for _ in range(8):
            assert connection.handshake is not None
            protocol.arrived.clear()
            dialled.transport.write(b"ask")
            await protocol.arrived.wait()
        assert connection.handshake is None
        dialled.transport.abort()
        assert not (await visit(place(port), client, contexts)).resumed


async def test_least_recently_used_session_goes_first(
    serve: Serve,
    place: Place,
    pair: Pair,
    client: Make,
    contexts: Contexts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handshake, "SESSIONS", 2)
    async with serve(server_context(*pair)) as port:
        one, two, three = (
            place(port, server_name=f"{name}.edges.test", verify_name="edge.test")
            for name in "abc"
        )
        for target in (one, two, one, three):
            await visit(target, client, contexts)
        assert (await visit(one, client, contexts)).resumed
        assert not (await visit(two, client, contexts)).resumed


async def test_other_name_is_verified_on_a_resumed_session_too(
    serve: Serve,
    place: Place,
    pair: Pair,
    client: Make,
    contexts: Contexts,
) -> None:
    async with serve(server_context(*pair)) as port:
        target = place(port, server_name="sni.test", verify_name="b.edges.test")
        await visit(target, client, contexts)
        assert (await visit(target, client, contexts)).resumed


def test_target_without_a_name_to_verify_is_a_bug(
    place: Place, contexts: Contexts
) -> None:
    with pytest.raises(AssertionError, match="no name to verify"):
        contexts.handshake(place(443, verify_name=""))


def test_handshake_not_begun_has_no_round_trip(
    place: Place, contexts: Contexts
) -> None:
    assert contexts.handshake(place(443)).round_trip is None


async def test_authorities_read_again_resume_no_session_from_before(
    serve: Serve, place: Place, pair: Pair, client: Make, contexts: Contexts
) -> None:
    async with serve(server_context(*pair)) as port:
        await visit(place(port), client, contexts)
        assert (await visit(place(port), client, contexts)).resumed
        under_way = contexts.handshake(place(port))
        contexts.reload()
        assert not (await visit(place(port), client, contexts)).resumed
        assert (await visit(place(port), client, contexts)).resumed
        # A dial that had begun keeps what it began with.
        assert under_way._context is not contexts.handshake(place(port))._context
        assert under_way._sessions is not contexts._sessions


def test_authorities_that_are_gone_stay_trusted(
    tmp_path: Path, ca_file: Path, place: Place
) -> None:
    copy = tmp_path / "ca.pem"
    copy.write_bytes(ca_file.read_bytes())
    contexts = Contexts(copy)
    before = contexts.handshake(place(1))._context
    copy.unlink()
    with pytest.raises(TLSFileError, match=r"ca\.pem"):
        contexts.reload()
    assert contexts.handshake(place(1))._context is before
