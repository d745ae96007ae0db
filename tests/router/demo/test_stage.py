"""Provider, receiver, daemon and client, together."""

from pathlib import Path

import pytest

from router.demo.stage import EDGES, HOME, SIP, Stage
from simulator.catalogue import catalogue
from simulator.plan import addresses
from simulator.zone import build

ROOT = Path(__file__).parents[3]


def test_catalogue_in_examples_is_the_one_of_the_simulator() -> None:
    written = (ROOT / "examples/catalogues/simulated.yaml").read_text()
    body = "".join(line for line in written.splitlines(keepends=True) if line[0] != "#")
    zone = build(EDGES, addresses(EDGES))
    zone.ports = {"udp": 30060, "tcp": 30060, "tls": 30061}
    assert body == catalogue(zone, EDGES, 20443, SIP.options_period)


@pytest.mark.asyncio(loop_scope="module")
async def test_request_is_answered_by_an_edge_and_noted(stage: Stage) -> None:
    one = await stage.send(stage.request("terminate", "POST"))
    assert stage.sent == [one]
    assert one.reply.status == 201
    assert stage.answers() == {one.request.marker: 1}
    assert stage.edges()[one.request.marker] in {plan.name for plan in EDGES}


@pytest.mark.asyncio(loop_scope="module")
async def test_webhook_passes_the_daemon_with_its_signature(stage: Stage) -> None:
    one = await stage.deliver()
    assert stage.webhooks == [one]
    assert stage.receiver.genuine == [one.request.marker]


@pytest.mark.asyncio(loop_scope="module")
async def test_call_counts_once_it_was_hung_up(stage: Stage) -> None:
    out = stage.dial()
    sent = await stage.answered(out)
    back, received = await stage.called("dublin")
    assert [sent.reply.status, received.reply.status] == [200, 200]
    assert 0 < sent.reply.seconds < 20
    assert stage.calls == [sent, received]
    assert stage.edge_of(sent) in {plan.name for plan in EDGES}
    assert stage.edge_of(received) == "dublin"
    calls = [one.request.marker for one in stage.calls]
    assert stage.rings() == dict.fromkeys(calls, 1)
    assert stage.talks() == {}
    assert [await stage.hang_up(one) for one in (out, back)] == [200, 200]
    assert stage.talks() == dict.fromkeys(calls, 1)


def test_home_is_one_of_the_edges_and_private() -> None:
    assert [plan.private for plan in EDGES if plan.name == HOME] == [True]
