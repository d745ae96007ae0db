"""Stock clients, each way through the real daemon to the simulator."""

import shutil
from collections.abc import Callable

import pytest

from router.demo.clients import API, WAYS, Client, Curl, Doors, Python
from router.demo.stage import Stage

CLIENTS: dict[str, Callable[[Doors], Client]] = {"curl": Curl, "python": Python}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, stage: Stage) -> Client:
    if request.param == "curl" and shutil.which("curl") is None:
        pytest.skip("needs curl")
    return CLIENTS[request.param](stage.doors)


async def test_client_reaches_the_provider_by_every_way(
    client: Client, stage: Stage
) -> None:
    for way in WAYS:
        got = await client.send(stage.request(way, "GET"))
        posted = await client.send(stage.request(way, "POST"))
        assert (got.status, posted.status) == (200, 201), way
        assert 0 < got.seconds < 20
    assert sorted(stage.answers().values()) == [1] * 2 * len(WAYS)


async def test_client_that_gets_no_answer_has_no_status(
    client: Client, stage: Stage
) -> None:
    for way in WAYS:
        stage.doors.ports[way] = 1
        assert (await client.send(stage.request(way, "GET"))).status == 0


async def test_command_shows_how_to_go_that_way(stage: Stage) -> None:
    curl, ports = Curl(stage.doors), stage.doors.ports
    assert curl.shown("terminate") == f"curl https://127.0.0.1:{ports['terminate']}/..."
    proxy = f"http://127.0.0.1:{ports['connect']}"
    assert curl.shown("connect") == f"curl --proxy {proxy} https://{API}/..."
    place = f"{API}:443:127.0.0.1:{ports['passthrough']}"
    expected = f"curl --connect-to {place} https://{API}/..."
    assert curl.shown("passthrough") == expected
