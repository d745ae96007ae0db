"""A forward proxy's clients, on real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from protocols.http.forward import Forward
from protocols.http.tunnel import Tunnels
from protocols.net.tasks import Tasks
from protocols.record import FlowRecord
from protocols.target import Choose


class Scene:
    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.refusals: list[tuple[int, str]] = []
        self.records: list[FlowRecord] = []
        self.tasks = Tasks()
        self.tunnels = Tunnels(
            "proxy",
            "to_provider",
            report=lambda target, outcome: None,
            record=self.records.append,
            tasks=self.tasks,
        )

    def route(self, host: str, port: int) -> Choose | str:
        self.asked.append((host, port))
        if host != "api.test":
            return "no product of the provider has this name"
        return lambda tried: None

    async def connect(
        self, *, deadline: float = 10.0, linger: float = 2.0
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client's connection."""
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
        theirs.setblocking(False)
        await loop.connect_accepted_socket(
            lambda: Forward(
                self.tunnels,
                self.route,
                lambda client, status, reason: self.refusals.append((status, reason)),
                head=4096,
                deadline=deadline,
                linger=linger,
            ),
            theirs,
        )
        return await asyncio.open_connection(sock=ours)

    async def ask(self, data: bytes, *, deadline: float = 10.0) -> bytes:
        """All that comes back until the end."""
        reader, writer = await self.connect(deadline=deadline)
        for byte in (data[:7], data[7:]):
            writer.write(byte)
        answer = await reader.read()
        writer.close()
        return answer


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    scene.tunnels.close()
    await scene.tasks.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n", 405),
        (b"CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n", 403),
        (b"CONNECT api.test HTTP/1.1\r\nHost: api.test\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01 not HTTP \r\n\r\n", 400),
        (b"CONNECT api.test:443 HTTP/1.1\r\nX: " + b"y" * 5000, 431),
    ],
)
async def test_what_is_no_connect_to_the_provider_is_refused(
    scene: Scene, request_bytes: bytes, status: int
) -> None:
    assert (await scene.ask(request_bytes)).startswith(b"HTTP/1.1 %d " % status)
    ((refused, reason),) = scene.refusals
    (record,) = scene.records
    assert (refused, record.status) == (status, status)
    assert (record.protocol, record.ended) == ("connect", "RH")
    assert record.reason == reason


async def test_refused_connect_is_recorded_with_the_host_that_it_asked_for(
    scene: Scene,
) -> None:
    await scene.ask(b"CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n")
    (record,) = scene.records
    assert (record.method, record.host) == ("CONNECT", "other.test:443")
    assert record.client == "127.0.0.1"
    assert 0.0 <= record.total < 10.0


async def test_connect_without_a_living_target_is_answered_503(scene: Scene) -> None:
    answer = await scene.ask(
        b"CONNECT api.test:8443 HTTP/1.1\r\nHost: api.test:8443\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in answer
    assert scene.asked == [("api.test", 8443)]
    assert scene.records[0].status == 503


async def test_head_that_does_not_come_is_answered_408(scene: Scene) -> None:
    answer = await scene.ask(b"CONNECT api", deadline=0.05)
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_client_that_goes_on_sending_reads_why_it_was_refused(
    scene: Scene,
) -> None:
    reader, writer = await scene.connect()
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n" + bytes(4_000_000))
    await writer.drain()
    assert (await reader.read()).startswith(b"HTTP/1.1 405 ")
    assert len(scene.refusals) == 1
    writer.close()
    await writer.wait_closed()


async def test_refused_client_that_stays_is_cut(scene: Scene) -> None:
    reader, writer = await scene.connect(linger=0.05)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 405 ")

    async def send_on() -> None:
        while True:
            writer.write(b"still here")
            await writer.drain()
            await asyncio.sleep(0)

    with pytest.raises(ConnectionError):
        await send_on()
    writer.close()
