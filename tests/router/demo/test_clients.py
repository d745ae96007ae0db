"""Stock clients, each way through the real daemon to the simulator."""

import dataclasses
import shutil
from collections.abc import Callable

import pytest

from router.demo.clients import API, WAYS, Client, Curl, Doors, Python
from router.demo.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

Kind = Callable[[Doors], Client]


@pytest.fixture(params=[Curl, Python])
def kind(request: pytest.FixtureRequest) -> Kind:
    """A client that shall be let in by given doors."""
    if request.param is Curl and shutil.which("curl") is None:
        pytest.skip("needs curl")
    made: Kind = request.param
    return made


async def test_client_reaches_the_provider_by_every_way(
    kind: Kind, stage: Stage
) -> None:
    client = kind(stage.doors)
    markers = []
    for way in WAYS:
        get, post = stage.request(way, "GET"), stage.request(way, "POST")
        got, posted = await client.send(get), await client.send(post)
        assert (got.status, posted.status) == (200, 201), way
        assert 0 < got.seconds < 20
        markers += [get.marker, post.marker]
    answers = stage.answers()
    assert [answers[marker] for marker in markers] == [1] * 2 * len(WAYS)


async def test_client_that_gets_no_answer_has_no_status(
    kind: Kind, stage: Stage
) -> None:
    client = kind(dataclasses.replace(stage.doors, ports=dict.fromkeys(WAYS, 1)))
    for way in WAYS:
        assert (await client.send(stage.request(way, "GET"))).status == 0


async def test_command_shows_how_to_go_that_way(stage: Stage) -> None:
    curl, ports = Curl(stage.doors), stage.doors.ports
    assert curl.shown("terminate") == f"curl https://127.0.0.1:{ports['terminate']}/..."
    proxy = f"http://127.0.0.1:{ports['connect']}"
    assert curl.shown("connect") == f"curl --proxy {proxy} https://{API}/..."
    place = f"{API}:443:127.0.0.1:{ports['passthrough']}"
    expected = f"curl --connect-to {place} https://{API}/..."
    assert curl.shown("passthrough") == expected
