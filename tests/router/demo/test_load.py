"""The stream of requests that an edge dies under."""

import pytest

from router.demo.load import SLOW, Load
from router.demo.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_load_is_of_every_kind_and_answered_to_the_last(stage: Stage) -> None:
    async with Load(stage):
        await stage.provider.ledger.wait("webhook")
    assert [one.reply.status for one in stage.webhooks] == [204]
    methods = {one.request.method for one in stage.sent}
    assert methods == {"GET", "POST"}
    assert all(one.reply.status in (200, 201) for one in stage.sent)


async def test_paused_load_leaves_slow_requests_at_an_edge(stage: Stage) -> None:
    async with Load(stage) as load:
        slow = await load.have_waiting()
        assert len(slow) == SLOW
        markers = {request.marker for request in slow}
        assert not markers & stage.edges().keys()
        received = {e.marker for e in stage.provider.ledger.requests()}
        assert markers <= received
        load.resume()
    assert markers <= stage.edges().keys()
