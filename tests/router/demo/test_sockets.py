"""The voice client and the receiver of sound, through the real daemon."""

import asyncio

import pytest

from router.demo.sockets import Phone
from router.demo.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_phone_comes_back_from_a_drained_edge(stage: Stage) -> None:
    phone: Phone = stage.phone
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(phone.run())
        first = await phone.reach(visits=0)
        stage.drain(first)
        second = await phone.reach(visits=1, but=first)
        phone.leave()
    assert second != first
    assert [(one.edge, one.code) for one in phone.visits] == [
        (first, 1001),
        (second, 1006),  # it left by itself
    ]
    assert phone.sent == phone.acknowledged


async def test_sound_arrives_once_and_in_its_turn(stage: Stage) -> None:
    ended = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        streaming = group.create_task(stage.stream(ended))
        await stage.provider.ledger.wait("stream", status=101)
        ended.set()
    assert streaming.result() == 1000
    assert stage.sounded == stage.sound.received > 1
    assert stage.sound.repeated == 0
