import asyncio
import socket
import struct
from pathlib import Path
from typing import cast

import pytest

from protocols.http.tunnel import Deadlines, Tunnels
from protocols.net.tls import client_context, server_context
from protocols.target import Result
from tests.protocols.http.tunnelling import (
    Alerts,
    Breaks,
    Pair,
    Place,
    Serve,
    Silent,
    Site,
    hear,
    hello,
    in_order,
    passing,
    talk,
)

EARLY_DATA = b"\0\x2a\0\0"


@pytest.mark.parametrize(
    ("bad", "result"), [(Silent, Result.SILENT), (Breaks, Result.RESET)]
)
async def test_hello_goes_to_the_next_target_when_the_first_is_silent_or_resets(
    bad: type[Silent],
    result: Result,
    serve: Serve,
    place: Place,
    pair: Pair,
    ca_file: Path,
    tunnels: Tunnels,
    site: Site,
) -> None:
    firsts: list[Silent] = []

    def first() -> Silent:
        firsts.append(bad())
        return firsts[-1]

    async with serve(factory=first) as dead, serve(server_context(*pair)) as port:
        choose = in_order(place(dead, patience=0.03), place(port, patience=5.0))
        async with serve(factory=passing(tunnels, choose)) as near:
            assert await talk(near, ca_file) == b"answer"
        record = await site.records.get()
    assert [one.result for one in record.attempts] == [result, None]
    assert site.reports == [(dead, result), (port, Result.ALIVE)]
    # What the dead one got is a ClientHello and nothing more.
    assert len(firsts) == 1
    assert firsts[0].heard.startswith(b"\x16\x03\x01")
    assert len(firsts[0].heard) < record.received


async def test_alert_pins_the_flow_and_proves_nothing(
    serve: Serve, place: Place, pair: Pair, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=Alerts) as bad, serve(server_context(*pair)) as port:
        choose = in_order(place(bad), place(port))
        async with serve(factory=passing(tunnels, choose)) as near:
            assert await hear(near, hello()) == b"\x15\x03\x03\0\x02\x02\x50"
        await site.records.get()
    assert site.reports == []


async def test_client_that_leaves_while_connecting_is_told_so(
    serve: Serve, place: Place, tunnels: Tunnels, site: Site
) -> None:
    # The client leaves before any deadline does the same to its flow.
    tunnels.deadlines = Deadlines(hello=60.0, connect=60.0, answer=60.0)
    heard = asyncio.Event()

    class Hears(Silent):
        def data_received(self, data: bytes) -> None:
            heard.set()

    async with serve(factory=Hears) as dead:
        factory = passing(tunnels, in_order(place(dead, patience=5.0)))
        async with serve(factory=factory) as near:
            _, writer = await asyncio.open_connection("127.0.0.1", near)
            writer.write(hello())
            await heard.wait()
            writer.transport.abort()
            record = await site.records.get()
            assert tunnels.open == set()
    assert (record.ended, record.reason) == ("CC", "the client left")


async def test_client_that_leaves_before_its_hello_is_told_so(
    serve: Serve, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=passing(tunnels, in_order())) as near:
        _, writer = await asyncio.open_connection("127.0.0.1", near)
        writer.close()
        record = await site.records.get()
    assert (record.ended, record.reason) == ("CH", "the client left")


async def test_stopping_cuts_tunnels_in_every_phase(
    serve: Serve, place: Place, pair: Pair, ca_file: Path, tunnels: Tunnels, site: Site
) -> None:
    async with serve(server_context(*pair)) as port:
        factory = passing(tunnels, in_order(place(port)))
        async with serve(factory=factory) as near:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                near,
                ssl=client_context(ca_file),
                server_hostname="edge.test",
            )
            writer.write(b"ask")
            await reader.readexactly(6)
            _, early = await asyncio.open_connection("127.0.0.1", near)
            while len(tunnels.open) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
            passed = [(flow.received, flow.sent) for flow in tunnels.under_way()]
            tunnels.close()
            records = [await site.records.get() for _ in range(2)]
            writer.transport.abort()
            early.transport.abort()
    assert {(record.ended, record.reason) for record in records} == {
        ("RD", "the router stops"),
        ("RH", "the router stops"),
    }
    assert sorted(passed) == sorted((one.received, one.sent) for one in records)
    assert max(passed) > (0, 0)


async def test_shutdown_of_the_tasks_breaks_an_opening_off(
    serve: Serve, tunnels: Tunnels, site: Site
) -> None:
    async with serve(factory=passing(tunnels, in_order())) as near:
        _, writer = await asyncio.open_connection("127.0.0.1", near)
        while not len(tunnels.tasks):  # noqa: ASYNC110
            await asyncio.sleep(0)
        await tunnels.tasks.close()
        record = await site.records.get()
        writer.close()
    assert (record.ended, record.reason) == ("RH", "opening it was broken off")


def with_early_data(stream: bytes) -> bytes:
    """The same ClientHello with the early_data extension at its end."""
    body = bytearray(stream[9:])
    place = 34 + 1 + body[34]
    place += 2 + int.from_bytes(body[place : place + 2])
    place += 1 + body[place]
    size = int.from_bytes(body[place : place + 2]) + len(EARLY_DATA)
    body[place : place + 2] = size.to_bytes(2)
    body += EARLY_DATA
    message = b"\x01" + len(body).to_bytes(3) + bytes(body)
    return b"\x16\x03\x01" + len(message).to_bytes(2) + message


async def test_hello_with_early_data_is_sent_to_one_target_only(
    serve: Serve, place: Place, tunnels: Tunnels, site: Site
) -> None:
    silent: list[Silent] = []
    heard = asyncio.Event()

    class Hears(Silent):
        def __init__(self) -> None:
            super().__init__()
            silent.append(self)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            heard.set()

    stream = with_early_data(hello())
    async with serve(factory=Hears) as one, serve(factory=Hears) as two:
        choose = in_order(place(9), place(one, patience=0.02), place(two))
        async with serve(factory=passing(tunnels, choose)) as near:
            _, writer = await asyncio.open_connection("127.0.0.1", near)
            writer.write(stream + b"early")
            await heard.wait()
            tunnels.close()
            record = await site.records.get()
            writer.transport.abort()
    assert [one.heard for one in silent] == [stream + b"early"]
    assert [one.result for one in record.attempts] == [Result.REFUSED, None]


async def test_bytes_after_the_hello_are_bounded_and_passed_on(
    serve: Serve, place: Place, tunnels: Tunnels, site: Site
) -> None:
    """A client need not wait; what it may send ahead is limited all the same."""
    go = asyncio.Event()
    heard = bytearray()
    enough = asyncio.Event()
    hello_bytes = hello()
    stream = hello_bytes + bytes(20_000_000)

    class Late(asyncio.Protocol):
        """Answers the ClientHello when told to, then takes all."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)
            self.waits = tasks.start(self.answer(), name="answer")

        async def answer(self) -> None:
            await go.wait()
            self.transport.write(b"\x16")

        def data_received(self, data: bytes) -> None:
            heard.extend(data)
            if len(heard) == len(stream):
                enough.set()

    tasks = tunnels.tasks
    async with serve(factory=Late) as port:
        factory = passing(tunnels, in_order(place(port, patience=5.0)))
        async with serve(factory=factory) as near:
            _, writer = await asyncio.open_connection("127.0.0.1", near)
            writer.write(stream)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.1)
            assert heard == hello_bytes
            go.set()
            await enough.wait()
            assert heard == stream
            writer.transport.abort()
            record = await site.records.get()
    assert record.received == len(stream)


async def test_client_that_reset_before_it_was_accepted_leaves_only_a_record(
    tunnels: Tunnels, site: Site
) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = socket.create_connection(listener.getsockname())
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        theirs, _ = listener.accept()
    theirs.setblocking(False)
    await loop.connect_accepted_socket(passing(tunnels, in_order()), theirs)
    record = await site.records.get()
    assert (record.client, record.ended) == ("", "CH")
    assert not tunnels.open


async def test_tunnel_that_ends_while_draining_is_not_cut(
    tunnels: Tunnels, site: Site, serve: Serve
) -> None:
    async with serve(factory=passing(tunnels, in_order())) as near:
        _, writer = await asyncio.open_connection("127.0.0.1", near)
        while not tunnels.open:  # noqa: ASYNC110
            await asyncio.sleep(0)
        draining = asyncio.gather(tunnels.drain(10.0))
        await asyncio.sleep(0)
        writer.transport.abort()
        (cut,) = await draining
        assert cut == 0
        assert site.records.get_nowait().ended == "CH"


async def test_tunnel_that_outlasts_draining_is_cut_and_recorded(
    tunnels: Tunnels, site: Site, serve: Serve
) -> None:
    async with serve(factory=passing(tunnels, in_order())) as near:
        _, writer = await asyncio.open_connection("127.0.0.1", near)
        while not tunnels.open:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert await tunnels.drain(0.05) == 1
        record = site.records.get_nowait()
        assert (record.ended, record.reason) == ("RH", "the router stops")
        writer.transport.abort()


async def test_nothing_open_is_drained_at_once(tunnels: Tunnels) -> None:
    assert await tunnels.drain(0.0) == 0


async def test_tunnels_that_retire_end_by_themselves(
    serve: Serve, place: Place, pair: Pair, ca_file: Path, tunnels: Tunnels
) -> None:
    async with (
        serve(server_context(*pair)) as port,
        serve(factory=passing(tunnels, in_order(place(port)))) as near,
    ):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            near,
            ssl=client_context(ca_file),
            server_hostname="edge.test",
        )
        retiring = asyncio.gather(tunnels.retire())
        await asyncio.sleep(0)
        writer.write(b"ask")
        assert await reader.readexactly(6) == b"answer"
        assert not retiring.done()
        writer.transport.abort()
        await retiring
    await tunnels.retire()
