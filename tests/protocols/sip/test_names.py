"""Names of header fields, however they are spelled."""

import pytest

from protocols.sip.names import KNOWN, SPELLINGS, learn, spelled


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (b"Via", b"via"),
        (b"vIA \t ", b"via"),
        (b"V", b"via"),
        (b"l ", b"content-length"),
        (b"X-Odd.!%*_+`'~", b"x-odd.!%*_+`'~"),
        (b"z", b"z"),
        (b"n" * 128 + b" " * 128, b"n" * 128),
    ],
)
def test_name_is_told_in_any_spelling_and_remembered(field: bytes, name: bytes) -> None:
    assert learn(field) == name
    assert KNOWN[field] == name


@pytest.mark.parametrize(
    "field",
    [
        *(b"", b" ", b" Via", b"Vi a", b"Via\x00", b"Via\x0b", b"Via\r\n ", b"V(a"),
        *(b"\xc3\xa9", b"n" * 129, b"Via" + b" " * 129),
    ],
)
def test_what_is_no_name_is_told_and_not_remembered(field: bytes) -> None:
    assert learn(field) == b""
    assert field not in KNOWN


def test_spellings_are_forgotten_before_they_fill_the_memory() -> None:
    for number in range(SPELLINGS + 10):
        assert learn(b"X-%d" % number) == b"x-%d" % number
        assert 0 < len(KNOWN) <= SPELLINGS


@pytest.mark.parametrize(
    "name",
    [
        b"Via",
        b"Record-Route",
        b"Call-ID",
        b"CSeq",
        b"Max-Forwards",
        b"To",
        b"X-Of-Here",
    ],
)
def test_canonical_name_is_written_as_usual(name: bytes) -> None:
    assert spelled(name.lower()) == name
