from protocols.sip.pins import SECONDS, Pins
from tests.protocols.sip.stage import edge


def test_pin_leads_back_for_32_seconds() -> None:
    pins = Pins(10)
    pins.pin(b"call", edge(1), 100.0)
    assert pins.find(b"call", 100.0 + SECONDS - 0.1) == edge(1)
    assert pins.find(b"call", 100.0 + SECONDS) is None
    assert pins.find(b"other", 100.0) is None


def test_latest_challenge_counts() -> None:
    pins = Pins(10)
    pins.pin(b"call", edge(1), 0.0)
    pins.pin(b"call", edge(2), 1.0)
    assert pins.find(b"call", 2.0) == edge(2)
    assert len(pins) == 1


def test_full_table_forgets_the_oldest() -> None:
    pins = Pins(2)
    for number in range(5):
        pins.pin(b"%d" % number, edge(number), 0.0)
    assert len(pins) == 2
    assert pins.find(b"3", 1.0) == edge(3)
    assert pins.find(b"2", 1.0) is None


def test_stale_pins_make_room_without_being_asked_for() -> None:
    pins = Pins(100)
    for number in range(5):
        pins.pin(b"%d" % number, edge(number), 0.0)
    pins.pin(b"new", edge(9), SECONDS)
    assert len(pins) == 1


def test_table_of_no_size_holds_nothing() -> None:
    pins = Pins(0)
    pins.pin(b"call", edge(1), 0.0)
    assert pins.find(b"call", 0.0) is None
