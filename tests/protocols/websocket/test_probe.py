"""The probe of a WebSocket target: by its service, where a path for that is known."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from websockets.asyncio import server as websockets
from websockets.http11 import Request, Response

from protocols.net.handshake import Contexts
from protocols.target import Outcome, Probe, Result, Target
from protocols.websocket.probe import websocket_probe


class Service:
    """A WebSocket service behind TLS."""

    def __init__(self) -> None:
        self.status = 0
        self.asked: list[Request] = []
        self.closed: asyncio.Queue[int | None] = asyncio.Queue()
        self.server: websockets.Server

    async def open(self, pair: tuple[Path, Path]) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        self.server = await websockets.serve(
            self._take, "127.0.0.1", 0, ssl=context, process_request=self._judge
        )
        port: int = next(iter(self.server.sockets)).getsockname()[1]
        return port

    def _judge(
        self, connection: websockets.ServerConnection, request: Request
    ) -> Response | None:
        self.asked.append(request)
        return connection.respond(self.status, "no\n") if self.status else None

    async def _take(self, connection: websockets.ServerConnection) -> None:
        await connection.wait_closed()
        self.closed.put_nowait(connection.close_code)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    running = Service()
    yield running
    running.server.close()
    await running.server.wait_closed()


async def greet(target: Target, timeout: float) -> Outcome:
    return Outcome(Result.ALIVE, detail="greeted")


@pytest.fixture
def probe(contexts: Contexts) -> Probe:
    return websocket_probe(greet, contexts, {"edge.test": "/health?a=b"})


async def test_service_that_agrees_is_alive_and_told_goodbye(
    service: Service,
    probe: Probe,
    pair: tuple[Path, Path],
    place: Callable[..., Target],
) -> None:
    port = await service.open(pair)
    outcome = await probe(place(port), 5.0)
    assert outcome.result is Result.ALIVE
    assert outcome.round_trip is not None
    assert await service.closed.get() == 1000
    (asked,) = service.asked
    assert asked.path == "/health?a=b"
    assert asked.headers["Host"] == f"edge.test:{port}"


@pytest.mark.parametrize(
    ("status", "result"),
    [(403, Result.ALIVE), (404, Result.ALIVE), (503, Result.SERVER_ERROR)],
)
async def test_service_that_declines_is_alive_unless_it_is_its_own_fault(
    status: int,
    result: Result,
    service: Service,
    probe: Probe,
    pair: tuple[Path, Path],
    place: Callable[..., Target],
) -> None:
    service.status = status
    outcome = await probe(place(await service.open(pair)), 5.0)
    assert outcome.result is result


async def test_target_without_a_path_is_greeted(
    probe: Probe, place: Callable[..., Target]
) -> None:
    outcome = await probe(place(1, host="other.test"), 5.0)
    assert outcome.detail == "greeted"


async def test_target_that_is_not_there_is_refused(
    probe: Probe, place: Callable[..., Target]
) -> None:
    assert (await probe(place(1), 5.0)).result is Result.REFUSED


async def test_target_that_says_nothing_is_given_up_in_time(
    probe: Probe, place: Callable[..., Target], serve: Callable[..., object]
) -> None:
    async with serve(None, asyncio.Protocol) as port:  # type: ignore[attr-defined]
        outcome = await probe(place(port), 0.1)
    assert outcome.result is Result.TIMEOUT
