import asyncio
import contextlib
import dataclasses
import gc
import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import cast

import pytest

from protocols.net.dial import DialError, Dialled, dial
from protocols.net.handshake import Contexts
from protocols.net.tls import server_context
from protocols.target import Result, Target, Transport

Serve = Callable[..., AbstractAsyncContextManager[int]]
Place = Callable[..., Target]
Dial = Callable[..., Awaitable[Dialled]]
Pair = tuple[Path, Path]


class Quiet(asyncio.Protocol):
    pass


@pytest.fixture
def connect(contexts: Contexts) -> Dial:
    async def connect(target: Target, **fields: float) -> Dialled:
        limits = {"connect_timeout": 2.0, "tls_timeout": 2.0, **fields}
        return await dial(
            target,
            Quiet,
            contexts=contexts,
            connect_timeout=limits["connect_timeout"],
            tls_timeout=limits["tls_timeout"],
        )

    return connect


async def fails(awaitable: Awaitable[Dialled]) -> DialError:
    with pytest.raises(DialError) as caught:
        await awaitable
    return caught.value


async def test_tls_target_is_connected_with_its_times(
    serve: Serve, place: Place, pair: Pair, connect: Dial
) -> None:
    async with serve(server_context(*pair)) as port:
        dialled = await connect(place(port))
        assert isinstance(dialled.protocol, Quiet)
        assert dialled.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert dialled.tls_seconds is not None
        assert dialled.round_trip is not None
        assert 0 < dialled.round_trip < dialled.tls_seconds < 2
        assert 0 < dialled.connect_seconds < 2
        assert not dialled.resumed
        dialled.transport.abort()


async def test_tcp_target_takes_the_connect_time_for_its_round_trip(
    serve: Serve, place: Place, connect: Dial
) -> None:
    async with serve() as port:
        dialled = await connect(place(port, transport=Transport.TCP))
        assert dialled.tls_seconds is None
        assert dialled.round_trip == dialled.connect_seconds
        sock = dialled.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        dialled.transport.abort()


async def test_source_address_is_the_local_end(
    serve: Serve, place: Place, connect: Dial
) -> None:
    async with serve() as port:
        target = place(port, transport=Transport.TCP, source="127.0.0.9")
        dialled = await connect(target)
        assert dialled.transport.get_extra_info("sockname")[0] == "127.0.0.9"
        dialled.transport.abort()


async def test_closed_port_is_refused(place: Place, connect: Dial) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = await fails(connect(place(free.getsockname()[1])))
    assert (error.result, error.phase) == (Result.REFUSED, "connect")
    assert error.detail == "Connection refused"


async def test_foreign_source_address_is_refused(place: Place, connect: Dial) -> None:
    error = await fails(connect(place(9, source="192.0.2.1")))
    assert error.result is Result.REFUSED
    assert error.detail == "Cannot assign requested address"


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port whose backlog is full: further connections get no answer."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(
            socket.create_server(("127.0.0.1", 0), backlog=0)
        )
        port = listener.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


async def test_silence_of_tcp_is_a_timeout(place: Place, connect: Dial) -> None:
    with full_listener() as port:
        error = await fails(connect(place(port), connect_timeout=0.1))
    assert (error.result, error.phase) == (Result.TIMEOUT, "connect")
    assert error.detail == "no connection within 0.1 s"


async def test_silence_of_tls_is_a_timeout_of_its_own(
    serve: Serve, place: Place, connect: Dial
) -> None:
    async with serve(factory=Quiet) as port:
        error = await fails(connect(place(port), tls_timeout=0.1))
    assert (error.result, error.phase) == (Result.TIMEOUT, "tls")
    assert error.detail == "no TLS handshake within 0.1 s"


class Breaks(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.abort()


async def test_close_amid_the_handshake_is_a_reset(
    serve: Serve, place: Place, connect: Dial
) -> None:
    async with serve(factory=Breaks) as port:
        error = await fails(connect(place(port)))
    assert (error.result, error.phase) == (Result.RESET, "tls")
    assert error.detail


async def test_answer_that_is_not_tls_is_a_tls_failure(
    serve: Serve, place: Place, connect: Dial
) -> None:
    async with serve() as port:
        error = await fails(connect(place(port)))
    assert (error.result, error.phase) == (Result.TLS, "tls")
    assert error.detail == "WRONG_VERSION_NUMBER"


async def test_certificate_of_another_authority_is_refused(
    serve: Serve, place: Place, pair: Pair
) -> None:
    async with serve(server_context(*pair)) as port:
        error = await fails(
            dial(
                place(port),
                Quiet,
                contexts=Contexts(),
                connect_timeout=2.0,
                tls_timeout=2.0,
            )
        )
    assert (error.result, error.phase) == (Result.CERTIFICATE, "tls")
    assert "issuer certificate" in error.detail


async def test_certificate_of_another_name_is_refused(
    serve: Serve, place: Place, pair: Pair, connect: Dial
) -> None:
    async with serve(server_context(*pair)) as port:
        target = place(port, server_name="else.test", verify_name="else.test")
        error = await fails(connect(target))
    assert error.result is Result.CERTIFICATE
    assert "else.test" in error.detail


async def test_verified_name_may_differ_from_the_indicated_one(
    serve: Serve, place: Place, pair: Pair, connect: Dial
) -> None:
    seen: list[str | None] = []
    context = server_context(*pair)
    context.sni_callback = lambda connection, name, initial: seen.append(name)
    async with serve(context) as port:
        for verify_name in ("a.edges.test", "127.0.0.1"):
            target = place(port, server_name="sni.test", verify_name=verify_name)
            (await connect(target)).transport.abort()
        bad = place(port, server_name="sni.test", verify_name="a.b.edges.test")
        error = await fails(connect(bad))
        without = place(port, server_name="")
        (await connect(without)).transport.abort()
    assert seen == ["sni.test", "sni.test", "sni.test", None]
    assert error.result is Result.CERTIFICATE
    assert error.detail == "certificate is not valid for 'a.b.edges.test'"


async def test_cancelled_dials_leave_no_descriptor_behind(
    serve: Serve, place: Place, connect: Dial
) -> None:
    async with serve(factory=Quiet) as port:
        with full_listener() as deaf:
            before = len(os.listdir("/proc/self/fd"))
            for target in (place(port), place(deaf)):
                for _ in range(20):
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(connect(target), 0.01)
            # The server's ends go when its loop has read the closing.
            while len(os.listdir("/proc/self/fd")) > before:  # noqa: ASYNC110
                await asyncio.sleep(0)


async def test_failed_dials_leave_no_descriptor_behind(
    serve: Serve, place: Place, connect: Dial
) -> None:
    async with serve() as port:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            await fails(connect(place(port)))
        while len(os.listdir("/proc/self/fd")) > before:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_dialling_ipv6_literal_connects(place: Place, connect: Dial) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Quiet, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    target = place(port, address="::1", transport=Transport.TCP)
    (await connect(target)).transport.abort()
    server.close()


async def test_shortage_of_descriptors_does_not_condemn_the_target(
    place: Place, connect: Dial
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        error = await fails(connect(place(9)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (error.result, error.phase) == (Result.TIMEOUT, "connect")
    assert error.detail == "Too many open files"


async def test_tls_target_without_contexts_is_a_bug(place: Place) -> None:
    with pytest.raises(AssertionError, match="wants TLS"):
        await dial(place(9), Quiet, contexts=None, connect_timeout=2.0, tls_timeout=2.0)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (OSError(104, "Connection reset by peer"), Result.RESET),
        (OSError(113, "No route to host"), Result.REFUSED),
        (OSError(110, "Connection timed out"), Result.TIMEOUT),
    ],
)
async def test_error_of_the_system_is_mapped(
    error: OSError,
    result: Result,
    place: Place,
    connect: Dial,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def sock_connect(self: object, sock: object, address: object) -> None:
        raise error

    monkeypatch.setattr(type(asyncio.get_running_loop()), "sock_connect", sock_connect)
    caught = await fails(connect(place(9)))
    assert caught.result is result
    assert caught.phase == "connect"


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.TCP])
async def test_reset_while_the_loop_takes_over_closes_no_other_descriptor(
    place: Place, contexts: Contexts, transport: Transport
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def reset_by_peer() -> asyncio.Protocol:
        accepted, _ = listener.accept()
        linger_not = struct.pack("ii", 1, 0)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
        accepted.close()
        return Writer()

    target = place(listener.getsockname()[1], transport=transport)
    with listener, contextlib.suppress(DialError):
        await dial(
            target, reset_by_peer, contexts=contexts, connect_timeout=2, tls_timeout=2
        )
    # Descriptors are numbered anew from below: these get the number of the one that
    # was closed, and lose it again if it is closed once more.
    others = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    for descriptor in others:
        os.close(descriptor)


class Holder(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)


class Writer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(b"first words")


async def test_dial_cancelled_in_the_turn_in_which_its_handshake_ends_is_no_error(
    place: Place, contexts: Contexts, pair: Pair
) -> None:
    loop = asyncio.get_running_loop()
    troubles: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: troubles.append(context))
    listener = socket.create_server(("127.0.0.1", 0))
    server = threading.Thread(target=shake_hands, args=(listener, pair))
    server.start()
    made: list[Holder] = []

    def factory() -> asyncio.Protocol:
        made.append(Holder())
        return made[0]

    def block_and_cancel() -> None:
        # Meanwhile the answer to the ClientHello arrives. It is read before the dial
        # goes on, which then finds itself cancelled.
        time.sleep(0.2)
        task.cancel()

    def look() -> None:
        # Called between two turns: after the one in which the loop took over the
        # connection, and before the one in which the ClientHello is sent.
        if made:
            loop.remove_reader(always)
            loop.call_soon(block_and_cancel)

    always, writer = os.pipe()
    os.write(writer, b"x")
    loop.add_reader(always, look)
    task = loop.create_task(
        dial(
            place(listener.getsockname()[1]),
            factory,
            contexts=contexts,
            connect_timeout=2,
            tls_timeout=2,
        )
    )
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    made[0].transport.abort()
    await loop.run_in_executor(None, server.join)
    os.close(always)
    os.close(writer)
    assert not troubles


def shake_hands(listener: socket.socket, pair: Pair) -> None:
    """Answer one client as a server of TLS does, and wait until it has gone."""
    with listener:
        accepted, _ = listener.accept()
    with contextlib.suppress(OSError):
        server_context(*pair).wrap_socket(accepted, server_side=True).close()
    accepted.close()


async def test_target_behind_an_interface_is_dialled_by_it_or_not_at_all(
    serve: Serve, place: Place, connect: Dial
) -> None:
    async with serve() as port:
        target = place(port, transport=Transport.TCP, device="lo")
        dialled = await connect(target)
        sock = dialled.transport.get_extra_info("socket")
        found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
        assert found.rstrip(b"\0") == b"lo"
        dialled.transport.abort()
        error = await fails(connect(dataclasses.replace(target, device="no-such")))
    assert (error.result, error.phase) == (Result.REFUSED, "connect")
    assert error.detail == "No such device"
