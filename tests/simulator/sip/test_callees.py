import pytest

from simulator.sip.callees import Callee, callee, valid


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+4930123456", Callee()),
        ("+155520001500", Callee(after=1.5)),
        ("+155520000000020", Callee(hangs_up=2.0)),
        ("+155518300100", Callee(first=183, after=0.1)),
        ("+155518000000", Callee(final=0)),
        ("+155510000000", Callee(first=0, final=0)),
        ("+155500000000", Callee(first=0, final=0, silent=True)),
        ("+155548600000", Callee(first=0, final=486)),
        ("+155560300250", Callee(final=603, after=0.25)),
        ("+155570000000", Callee()),
    ],
)
def test_number_says_what_becomes_of_the_call(number: str, expected: Callee) -> None:
    assert callee(number) == expected


@pytest.mark.parametrize(
    ("number", "good"),
    [
        ("+15551234567", True),
        ("15551234567", False),
        ("+05551234567", False),
        ("+1555123456789012", False),
        ("+1555", False),
        ("+1555abc4567", False),
        ("", False),
    ],
)
def test_number_is_e164_with_its_plus(number: str, good: bool) -> None:
    assert valid(number) is good
