"""The ends of WebSockets under load, against an independent implementation."""

from collections.abc import Generator

import pytest
from websockets.frames import Frame
from websockets.streams import StreamReader
from websockets.utils import accept_key

from benchmarks import upgraded


def parsed(data: bytes, *, mask: bool) -> Frame:
    reader = StreamReader()
    reader.feed_data(data)
    parsing: Generator[None, None, Frame] = Frame.parse(reader.read_exact, mask=mask)
    with pytest.raises(StopIteration) as stop:
        next(parsing)
    found = stop.value.value
    assert isinstance(found, Frame)
    return found


@pytest.mark.parametrize("size", [0, 1, 125, 126, 160, 4_000])
@pytest.mark.parametrize("mask", [b"", bytes(4), b"\x01\x80\xff\x00"])
def test_frame_is_read_as_it_was_meant(size: int, mask: bytes) -> None:
    payload = bytes(place % 256 for place in range(size))
    found = parsed(upgraded.frame(payload, mask=mask), mask=bool(mask))
    assert (found.fin, found.opcode, found.data) == (True, 2, payload)


def test_answer_proves_that_the_key_was_read() -> None:
    head = b"GET / HTTP/1.1\r\nSEC-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    proof = accept_key("dGhlIHNhbXBsZSBub25jZQ==").encode()
    assert b"\r\nSec-WebSocket-Accept: " + proof + b"\r\n\r\n" in upgraded.accepted(
        head
    )
