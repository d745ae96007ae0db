"""Signed parameters that are known by heart."""

import pytest

from protocols.sip import seals
from protocols.sip.seals import Seals
from protocols.sip.token import Hop, Hops, Kind, seal
from tests.protocols.sip.stage import KEYS, UDP

HOPS = Hops(Hop(UDP, "10.0.0.10", 5060), Hop(UDP, "192.0.2.1", 5060, "edge1"))


def test_seal_is_known_to_its_maker_and_read_by_another_with_the_key() -> None:
    maker = Seals(KEYS)
    value = maker.seal(HOPS, Kind.DIALOG, b"call")
    assert value == seal(HOPS, Kind.DIALOG, b"call", KEYS)
    assert len(maker) == 1
    assert maker.unseal(value, b"call") == Seals(KEYS).unseal(value, b"call") == HOPS


def test_seal_that_was_read_is_known_from_then_on() -> None:
    reader = Seals(KEYS)
    value = seal(HOPS, Kind.DIALOG, b"call", KEYS)
    assert reader.unseal(value, b"call") == HOPS
    assert len(reader) == 1
    assert reader.unseal(value, b"call") == HOPS


def test_seal_of_another_key_or_call_is_refused_and_not_remembered() -> None:
    reader = Seals(KEYS)
    value = reader.seal(HOPS, Kind.DIALOG, b"call")
    assert reader.unseal(value, b"other") is None
    assert Seals((b"x" * 32,)).unseal(value, b"call") is None
    assert len(reader) == 1


def test_seals_known_by_heart_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "REMEMBERED", 2)
    maker = Seals(KEYS)
    for number in range(5):
        maker.seal(HOPS, Kind.DIALOG, b"call%d" % number)
        assert len(maker) <= 2
