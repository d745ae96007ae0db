"""Lines of header fields that come again with other calls."""

import pytest

from protocols.sip.fields import REMEMBERED, SHORT, cseq_in, one_hop_less
from protocols.sip.headers import CSeq
from protocols.sip.message import MessageError


@pytest.mark.parametrize("line", [b"CSeq: 7 BYE", b"cseq :7\r\n BYE "])
def test_cseq_is_read_from_its_line(line: bytes) -> None:
    assert cseq_in(line) == cseq_in(line) == CSeq(7, b"BYE")


@pytest.mark.parametrize("spaces", [0, SHORT])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"70", b"Max-Forwards: 69"),
        (b"255", b"Max-Forwards: 254"),
        (b"001", b"Max-Forwards: 0"),
        (b"0", b""),
    ],
)
def test_line_of_max_forwards_is_forwarded_with_one_hop_less(
    value: bytes, expected: bytes, spaces: int
) -> None:
    assert one_hop_less(b"Max-Forwards:" + b" " * spaces + value) == expected


@pytest.mark.parametrize("value", [b"", b"256", b"-1", b"7 0", b"0" * 21, b"\xb2"])
def test_what_is_no_number_of_hops_is_refused_each_time(value: bytes) -> None:
    for _ in range(2):
        with pytest.raises(MessageError) as error:
            one_hop_less(b"Max-Forwards: " + value)
        assert error.value.status == 400


def test_lines_are_read_right_after_more_than_are_remembered() -> None:
    for number in (*range(REMEMBERED + 10), 0):
        assert cseq_in(b"CSeq: %d INVITE" % number) == CSeq(number, b"INVITE")
