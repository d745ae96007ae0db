import itertools

import pytest

from simulator.sip.framing import LARGEST, PING, Framer

ONE = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc"
TWO = b"BYE sip:a SIP/2.0\r\nl : 0\r\n\r\n"


def test_every_split_gives_the_same_messages() -> None:
    data = b"\r\n" + ONE + PING + TWO + b"\r\n" + ONE

    for first, second in itertools.combinations(range(len(data) + 1), 2):
        framer = Framer()
        parts = (data[:first], data[first:second], data[second:])
        found = [one for part in parts for one in framer.feed(part)]
        assert found == [ONE, PING, TWO, ONE], (first, second)


@pytest.mark.parametrize(
    "data",
    [
        b"OPTIONS sip:a SIP/2.0\r\n\r\n",
        ONE.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n"),
        b"x" * (LARGEST + 1),
        ONE.replace(b"3", b"70000"),
        ONE.replace(b"3", b"-3"),
    ],
)
def test_what_never_becomes_a_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"Content-Length|end|long"):
        Framer().feed(data)
