"""WebSockets through the relay, with raw clients and origins."""

import asyncio

from tests.protocols.websocket.stage import (
    ACCEPTED,
    OPENING,
    accepting,
    closing,
    read_close,
    stage,
    text,
)


async def test_bytes_pass_both_ways_untouched() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        asked = scene.origins[0]
        assert asked.visits
        question, answer = text(b"question", masked=True), text(b"x" * 300, masked=False)
        client.send(question)
        assert await far.reader.readexactly(len(question)) == question
        far.writer.write(answer)
        assert await client.exactly(len(answer)) == answer
        client.send(closing(1000, masked=True))
        assert await read_close(far.reader) == 1000
        far.writer.write(closing(1000, masked=False))
        far.writer.close()
        assert await read_close(client.reader) == 1000
        assert await client.rest() == b""
        record = await scene.recorded()
    assert (record.ended, record.reason, record.close_code) == ("--", "", 1000)
    assert (record.received_messages, record.sent_messages) == (1, 1)
    assert record.received == len(question) + 8
    assert record.sent == len(answer) + 4
    assert (record.status, record.edge, record.path) == (101, "a", "/signal")
