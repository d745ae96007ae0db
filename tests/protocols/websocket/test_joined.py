"""The ends of open WebSockets: closed, lost, broken, idle, slow, asked to leave."""

import asyncio
import contextlib
import socket

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER

from tests.protocols.http.stage import Client, Visit
from tests.protocols.websocket.stage import (
    ACCEPTED,
    MOST,
    Stage,
    accepting,
    closing,
    judge,
    read_close,
    read_frame,
    stage,
    text,
    turns,
)

HALF = 10
"Bytes of a frame that are sent before its side is lost."


async def test_closing_handshake_passes_and_the_connections_end() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        far.writer.write(closing(4000, masked=False))
        assert await read_close(client.reader) == 4000
        client.send(closing(4000, masked=True))
        assert await read_close(far.reader) == 4000
        far.writer.close()
        assert await client.rest() == b""
        record = await scene.recorded()
    assert (record.ended, record.reason, record.close_code) == ("--", "", 4000)
    assert record.closed_by == "far_side"


async def test_peers_that_never_hang_up_are_hung_up_on() -> None:
    async with stage(accepting, deadlines={"closing": 0.05}) as scene:
        client, far = await scene.open()
        client.send(closing(1000, masked=True))
        assert await read_close(far.reader) == 1000
        far.writer.write(closing(1000, masked=False))
        assert await read_close(client.reader) == 1000
        assert await client.rest() == b""
        assert await far.reader.read() == b""
        assert (await scene.recorded()).ended == "--"


async def test_answer_to_a_close_reaches_who_closed_its_half() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        client.send(closing(1000, masked=True))
        client.writer.write_eof()
        assert await read_close(far.reader) == 1000
        assert await far.reader.read() == b""
        far.writer.write(closing(1000, masked=False))
        far.writer.close()
        assert await read_close(client.reader) == 1000
        assert await client.rest() == b""
        assert (await scene.recorded()).ended == "--"


async def test_client_that_left_after_its_close_is_answered_no_more() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        client.send(closing(1001, masked=True))
        assert await read_close(far.reader) == 1001
        client.close()
        far.writer.write(text(b"too late", masked=False))
        far.writer.write(closing(1001, masked=False))
        assert await far.reader.read() == b""
        record = await scene.recorded()
    assert (record.ended, record.close_code) == ("--", 1001)
    assert record.closed_by == "client"


# ---- Loss ---------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [True, False], ids=["reset", "left"])
async def test_client_hears_of_a_lost_far_side_by_a_close(broken: bool) -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        far.writer.write(text(b"last words", masked=False))
        assert (await read_frame(client.reader)).data == b"last words"
        if broken:
            far.reset()
        else:
            far.writer.close()
        assert await read_close(client.reader) == 1014
        client.send(text(b"to nobody", masked=True))
        client.send(closing(1014, masked=True))
        assert await client.rest() == b""
        record = await scene.recorded()
    assert record.ended == "FD"
    why = "Connection reset by peer" if broken else "left without a Close"
    assert record.reason == why
    assert (record.close_code, record.closed_by) == (1014, "router")


async def test_far_side_hears_of_a_lost_client_by_a_masked_close() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        client.close()
        frame = await far.reader.readexactly(2)
        assert frame[1] & 0x80
        length = frame[1] & 0x7F
        mask = await far.reader.readexactly(4)
        payload = await far.reader.readexactly(length)
        assert bytes((payload[0] ^ mask[0], payload[1] ^ mask[1])) == b"\x03\xe9"
        far.writer.write(closing(1001, masked=False))
        assert await far.reader.read() == b""
        record = await scene.recorded()
    assert (record.ended, record.close_code) == ("CD", 1001)


async def test_who_does_not_answer_the_close_is_left_alone() -> None:
    async with stage(accepting, deadlines={"closing": 0.05}) as scene:
        client, far = await scene.open()
        far.reset()
        assert await read_close(client.reader) == 1014
        assert await client.rest() == b""
        assert (await scene.recorded()).ended == "FD"


async def test_client_within_a_frame_of_a_lost_far_side_is_reset() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        part = text(bytes(300), masked=False)[:HALF]
        far.writer.write(part)
        assert await client.exactly(HALF) == part
        far.writer.close()
        with pytest.raises(ConnectionResetError):
            await client.exactly(1)
        assert (await scene.recorded()).close_code == 0


async def test_far_side_within_a_frame_of_a_lost_client_is_reset() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        client.send(text(bytes(300), masked=True)[:HALF])
        await far.reader.readexactly(HALF)
        client.close()
        with pytest.raises(ConnectionResetError):
            await far.reader.readexactly(1)
        assert (await scene.recorded()).ended == "CD"


# ---- Broken streams -----------------------------------------------------------------


async def test_breach_is_left_to_the_judgement_of_its_receiver() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        client.send(text(b"honest", masked=True) + b"\x83\x80abcd")
        assert (await read_frame(far.reader)).data == b"honest"
        assert await far.reader.readexactly(6) == b"\x83\x80abcd"
        far.writer.write(closing(1002, masked=False))
        far.writer.close()
        assert await read_close(client.reader) == 1002
        assert await client.rest() == b""
        record = await scene.recorded()
    assert (record.ended, record.close_code) == ("CD", 1002)
    assert record.reason == "the client sent a reserved opcode"


Frames = list[tuple[int, bytes]]

BREACHES: dict[str, tuple[int, str, Frames]] = {
    "reserved opcode": (1002, "a reserved opcode", [(0x83, b"")]),
    "reserved control opcode": (1002, "a reserved opcode", [(0x8B, b"")]),
    "fragmented ping": (1002, "a fragmented control frame", [(0x09, b"")]),
    "fragmented close": (1002, "a fragmented control frame", [(0x08, b"")]),
    "long ping": (1002, "a control frame of more than 125 bytes", [(0x89, bytes(126))]),
    "long close": (
        1002,
        "a control frame of more than 125 bytes",
        [(0x88, bytes(126))],
    ),
    "continuation": (1002, "a continuation of no message", [(0x80, b"")]),
    "message within another": (
        1002,
        "a new message within a fragmented one",
        [(0x01, b"a"), (0x81, b"b")],
    ),
    "bit of an extension": (1002, "", [(0xC1, b"")]),
    "half a code": (1002, "", [(0x88, b"\x03")]),
    "code that is none": (1002, "", [(0x88, b"\x03\xed")]),
    "code without UTF-8": (1007, "", [(0x88, b"\x03\xe8\xff")]),
    "too much": (1009, "", [(0x82, bytes(MOST + 1))]),
}
"By what is wrong: the code that its receiver names, what the router saw, the frames."


def raw(frames: Frames, *, masked: bool) -> bytes:
    """Frames as told, be they right or wrong; the masking key is of zeros."""
    data = b""
    for first, payload in frames:
        size = len(payload)
        length = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2)
        if masked:
            length = bytes((length[0] | 0x80,)) + length[1:] + bytes(4)
        data += bytes((first,)) + length + payload
    return data


async def assert_judged(data: bytes, code: int, seen: str, *, by_client: bool) -> None:
    """What comes behind an honest message is answered by its receiver's own code."""

    async def far_side(visit: Visit) -> None:
        await visit.reader.readuntil(b"\r\n\r\n")
        visit.writer.write(ACCEPTED)
        if by_client:
            await judge(SERVER, visit.reader, visit.writer)
            return
        visit.writer.write(text(b"honest", masked=False) + data)
        told.append(await read_close(visit.reader))

    told: list[int] = []
    async with stage(far_side) as scene:
        client, _ = await scene.open()
        if by_client:
            client.send(text(b"honest", masked=True) + data)
            told.append(await read_close(client.reader))
            client.writer.write_eof()
        else:
            await judge(CLIENT, client.reader, client.writer)
        record = await scene.recorded()
        assert len(scene.records) == 1
    who = "client" if by_client else "far side"
    assert told == [code]
    if seen:
        assert record.reason == f"the {who} sent {seen}"
        assert record.close_code == code
    assert (record.received_messages, record.sent_messages)[not by_client] >= 1


@pytest.mark.parametrize("by_client", [True, False], ids=["client", "far side"])
@pytest.mark.parametrize(("code", "seen", "frames"), BREACHES.values(), ids=BREACHES)
async def test_breach_is_answered_by_its_receiver_and_recorded_once(
    code: int, seen: str, frames: Frames, by_client: bool
) -> None:
    data = raw(frames, masked=by_client)
    await assert_judged(data, code, seen, by_client=by_client)


@pytest.mark.parametrize("by_client", [True, False], ids=["client", "far side"])
async def test_wrong_masking_is_answered_by_its_receiver(by_client: bool) -> None:
    data = raw([(0x81, b"")], masked=not by_client)
    seen = f"{'no mask' if by_client else 'a mask'} on a frame"
    await assert_judged(data, 1002, seen, by_client=by_client)


@pytest.mark.parametrize("by_client", [True, False], ids=["client", "far side"])
async def test_length_of_64_bits_is_answered_by_its_receiver(by_client: bool) -> None:
    """RFC 6455 names 1002; the library, which has a limit, 1009."""
    data = bytes((0x82, 0xFF if by_client else 0x7F)) + b"\xff" * 8 + bytes(4)
    seen = "a length of more than 63 bits"
    await assert_judged(data, 1009, seen, by_client=by_client)


async def test_breach_that_nobody_minds_ends_the_connection_all_the_same() -> None:
    async with stage(accepting, deadlines={"closing": 0.05}) as scene:
        client, far = await scene.open()
        far.writer.write(text(b"", masked=True))
        await client.exactly(6)
        with pytest.raises(ConnectionResetError):
            await client.rest()
        assert await read_close(far.reader) == 1002
        record = await scene.recorded()
    assert (record.ended, record.close_code) == ("FD", 1002)
    assert record.reason == "the far side sent a mask on a frame"


# ---- Slowness and silence -----------------------------------------------------------


async def fill(visit: Visit) -> int:
    """Send messages until nothing more is taken; how many bytes went out."""
    sock: socket.socket = visit.writer.get_extra_info("socket")
    block = text(bytes(60_000), masked=False)
    sent = 0
    while True:
        visit.writer.write(block)
        sent += len(block)
        try:
            async with asyncio.timeout(0.1):
                await visit.writer.drain()
        except TimeoutError:
            assert sock.fileno() > 0
            return sent
        assert sent < 64 * 1024 * 1024


async def slow(scene: Stage) -> tuple[Client, Visit, int]:
    """An open WebSocket whose client has stopped reading, with all buffers full."""
    client, far = await scene.open()
    client.transport.pause_reading()
    return client, far, await fill(far)


async def test_reader_that_stops_stops_the_writer_and_loses_nothing() -> None:
    async with stage(accepting) as scene:
        client, far, sent = await slow(scene)
        client.transport.resume_reading()
        taken = await client.exactly(sent)
        assert taken == text(bytes(60_000), masked=False) * (sent // 60_004)
        far.writer.close()
        assert await read_close(client.reader) == 1014


async def test_slow_client_of_a_lost_far_side_is_told_once_it_reads_on() -> None:
    async with stage(accepting, deadlines={"closing": 0.05}) as scene:
        client, far, sent = await slow(scene)
        far.reset()
        client.transport.resume_reading()
        with contextlib.suppress(ConnectionResetError):
            assert len(await client.rest()) <= sent + 4
        assert (await scene.recorded()).ended == "FD"


async def test_slow_client_is_asked_to_leave_behind_what_waits_for_it() -> None:
    async with stage(accepting) as scene:
        client, far, _ = await slow(scene)
        scene.ask_to_leave()
        client.transport.resume_reading()
        taken = bytearray()
        while not taken.endswith(b"the router stops"):
            taken += await client.reader.read(65_536)
        assert len(taken) % 60_004 == 2 + 2 + len(b"the router stops")
        client.send(closing(1012, masked=True))
        assert await read_close(far.reader) == 1012
        far.writer.transport.abort()
        assert (await scene.recorded()).ended == "RD"


async def test_frame_that_has_to_end_first_is_not_kept_for_a_slow_client() -> None:
    async with stage(accepting, deadlines={"closing": 0.2}) as scene:
        client, far = await scene.open()
        far.writer.write(Frame(Opcode.BINARY, bytes(2**26)).serialize(mask=False))
        await client.exactly(10)
        client.transport.pause_reading()
        (near,) = scene.relay._nears
        assert near.joined is not None
        while near.joined.far.transport.is_reading():  # until all buffers are full
            await turns(1)
        scene.ask_to_leave()
        record = await scene.recorded()
    assert record.ended == "RD"
    assert record.sent < 2**24  # what the kernel takes, and no more


async def test_far_side_that_does_not_read_its_close_is_cut() -> None:
    async with stage(accepting, deadlines={"closing": 0.05}) as scene:
        client, far = await scene.open()
        far.writer.transport.pause_reading()  # type: ignore[attr-defined]
        (near,) = scene.relay._nears
        assert near.joined is not None
        message = text(bytes(16_000), masked=True)
        sent = 0
        while near.joined.near.transport.is_reading():
            client.send(message)
            sent += len(message)
            while near.joined.near.count < sent:
                await turns(1)
        scene.ask_to_leave()
        assert (await scene.recorded()).ended == "RD"


async def test_silence_both_ways_is_told_to_both() -> None:
    async with stage(accepting, deadlines={"idle": 0.05, "closing": 1.0}) as scene:
        client, far = await scene.open()
        assert await read_close(client.reader) == 1001
        assert await read_close(far.reader) == 1001
        client.send(closing(1001, masked=True))
        far.writer.write(closing(1001, masked=False))
        far.writer.close()
        assert await client.rest() == b""
        record = await scene.recorded()
    assert (record.ended, record.close_code) == ("RD", 1001)
    assert record.reason == "no byte either way for 0.05 s"


# ---- Asked to leave -----------------------------------------------------------------


async def test_client_asked_to_come_back_takes_its_leave_of_the_far_side() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        leaving = scene.tasks.start(scene.relay.drain(), name="drain")
        assert await read_close(client.reader) == 1012
        far.writer.write(text(b"said too late", masked=False))
        client.send(text(b"not lost", masked=True))
        client.send(closing(1012, masked=True))
        assert (await read_frame(far.reader)).data == b"not lost"
        assert await read_close(far.reader) == 1012
        far.writer.write(closing(1012, masked=False))
        far.writer.close()
        assert await client.rest() == b""
        assert await leaving == 0
        record = await scene.recorded()
    assert (record.ended, record.close_code) == ("RD", 1012)
    assert record.reason == "the router stops"


async def test_request_to_leave_waits_for_the_end_of_a_frame() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        message = Frame(Opcode.BINARY, bytes(300)).serialize(mask=False)
        far.writer.write(message[:1])
        assert await client.exactly(1) == message[:1]
        scene.ask_to_leave()
        far.writer.write(message[1:HALF])
        assert await client.exactly(HALF - 1) == message[1:HALF]
        far.writer.write(message[HALF:] + text(b"behind it", masked=False))
        assert await client.exactly(300 + 4 - HALF) == message[HALF:]
        assert await read_close(client.reader) == 1012
        client.close()
        assert await read_close(far.reader) == 1001
        far.writer.close()
        assert (await scene.recorded()).ended == "RD"


async def test_far_side_that_closes_first_needs_no_request_to_leave() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        far.writer.write(closing(1000, masked=False)[:1])
        assert await client.exactly(1)
        scene.ask_to_leave()
        far.writer.write(closing(1000, masked=False)[1:])
        assert await client.exactly(3) == b"\x02\x03\xe8"
        client.send(closing(1000, masked=True))
        assert await read_close(far.reader) == 1000
        far.writer.close()
        assert await client.rest() == b""
        assert (await scene.recorded()).ended == "RD"


async def test_client_that_does_not_leave_is_left() -> None:
    async with stage(accepting, deadlines={"closing": 0.05}) as scene:
        client, far = await scene.open()
        scene.ask_to_leave()
        assert await read_close(client.reader) == 1012
        assert await read_close(far.reader) == 1001
        assert await client.rest() == b""
        assert (await scene.recorded()).ended == "RD"


async def test_message_that_does_not_end_does_not_keep_the_router() -> None:
    async with stage(accepting, deadlines={"closing": 0.05}) as scene:
        client, far = await scene.open()
        part = text(bytes(300), masked=False)[:HALF]
        far.writer.write(part)
        assert await client.exactly(HALF) == part
        scene.ask_to_leave()
        with pytest.raises(ConnectionResetError):
            await client.exactly(1)
        assert await read_close(far.reader) == 1001
        assert (await scene.recorded()).ended == "RD"


async def test_cut_breaks_both_sides() -> None:
    async with stage(accepting) as scene:
        client, far = await scene.open()
        scene.relay.close()
        with pytest.raises(ConnectionResetError):
            await client.exactly(1)
        with pytest.raises(ConnectionResetError):
            await far.reader.readexactly(1)
        record = await scene.recorded()
    assert (record.ended, record.reason) == ("RD", "the router stops")
