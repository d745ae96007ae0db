from collections.abc import Sequence

import pytest

from simulator.messages import Messages


def sum_of(messages: Sequence[str | bytes]) -> Messages:
    made = Messages()
    for message in messages:
        made.add(message)
    return made


def test_equal_messages_have_an_equal_sum() -> None:
    one, other = sum_of(["h\u00e9", b"\x00\x01"]), sum_of(["h\u00e9", b"\x00\x01"])
    assert one.digest == other.digest
    assert (one.count, one.size) == (2, 5)


@pytest.mark.parametrize(
    "other",
    [
        ["one"],
        ["one", "two", "two"],
        ["two", "one"],
        ["onet", "wo"],
        ["onetwo"],
        ["one", b"two"],
        ["one", "twO"],
        ["one", "", "two"],
    ],
)
def test_lost_doubled_moved_split_or_altered_message_is_seen(
    other: list[str | bytes],
) -> None:
    assert sum_of(other).digest != sum_of(["one", "two"]).digest
