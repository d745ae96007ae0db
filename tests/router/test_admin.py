"""The status over HTTP: what is answered to whom."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from protocols.net.admission import Refusal
from protocols.net.listen import bind
from protocols.net.tasks import Tasks
from router.admin import LIMITS, Admin, is_ours
from router.metrics import Counts, Lines, Metrics
from router.page import POLICY
from router.status import SCHEMA
from tests.router.story import told


class Site:
    """Where it answers, and whom it turned away."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.at = f"http://127.0.0.1:{port}"
        self.refused: list[Refusal] = []
        self.status = told()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    tasks = Tasks()
    (sock,) = bind([("127.0.0.1", 0)])
    running = Site(sock.getsockname()[1])
    metrics = Metrics(
        lambda: running.status, Counts(), lambda: Lines(1, 0), lambda: 0.0
    )
    admin = Admin(
        lambda: running.status,
        metrics,
        lambda client, reason, detail: running.refused.append(reason),
        tasks,
    )
    admin.start(sock)
    yield running
    await admin.close()
    await tasks.close()


async def test_page_comes_with_a_policy_that_lets_it_load_nothing(site: Site) -> None:
    async with aiohttp.ClientSession() as session, session.get(site.at) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Cache-Control"] == "no-store"
        assert "sydney is down" in await answer.text()


async def test_programs_get_the_same_as_json_and_as_metrics(site: Site) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{site.at}/status.json") as answer:
            found = json.loads(await answer.text())
            assert found["schema"] == SCHEMA
            assert found["verdict"] == site.status.verdict
        async with session.get(f"{site.at}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            assert 'edge_router_edge_home{edge="ashburn"' in await answer.text()


async def test_readiness_is_lost_without_a_way_and_health_is_not(site: Site) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{site.at}/readyz") as answer:
            assert (answer.status, await answer.text()) == (
                200,
                site.status.verdict + "\n",
            )
        site.status = told(at=0.0)
        async with session.get(f"{site.at}/readyz") as answer:
            assert answer.status == 503
            assert (await answer.text()).startswith("starting: ")
        async with session.get(f"{site.at}/healthz") as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        ("GET", "/secret", "localhost", 404),
        ("GET", "/../etc/passwd", "localhost", 404),
        ("POST", "/", "localhost", 405),
        ("GET", "/", "evil.example", 421),
        ("GET", "/", "127.0.0.1.evil.example:9090", 421),
    ],
)
async def test_all_else_is_refused_in_words(
    method: str, path: str, host: str, status: int, site: Site
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(
        f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        "Content-Length: 0\r\n\r\n".encode()
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Traceback" not in answer


async def test_client_with_too_many_connections_is_turned_away(site: Site) -> None:
    many = [
        socket.create_connection(("127.0.0.1", site.port))
        for _ in range(LIMITS.per_client + 1)
    ]
    try:
        last = many[-1]
        last.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(last, 1) == b""
        assert site.refused == [Refusal.CLIENT_LIMIT]
    finally:
        for one in many:
            one.close()


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("LOCALHOST:9090", True),
        ("127.0.0.1:9090", True),
        ("[::1]:9090", True),
        ("[::1]", True),
        ("10.0.0.2", True),
        ("", False),
        ("router.example:9090", False),
        ("localhost.example", False),
    ],
)
def test_host_is_ours_by_address_or_as_localhost(host: str, ours: bool) -> None:
    assert is_ours(host) is ours
