import pytest

from simulator.faults import Active, Fault, Place, Region, at_work, make, parse
from simulator.ledger import Ledger


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refuse", Active(Fault.REFUSE)),
        ("unknown-ca", Active(Fault.UNKNOWN_CA)),
        ("status", Active(Fault.STATUS, 503)),
        ("status=429", Active(Fault.STATUS, 429)),
        ("slow-body=200ms", Active(Fault.SLOW_BODY, 0.2)),
        ("slow-first-byte", Active(Fault.SLOW_FIRST_BYTE, 1)),
    ],
)
def test_fault_is_read_with_its_value(text: str, expected: Active) -> None:
    assert parse(text) == expected


def test_fault_says_its_value() -> None:
    assert str(make(Fault.STATUS)) == "status=503"
    assert str(make(Fault.REFUSE)) == "refuse"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("explode", "no fault 'explode'; there are refuse, reset"),
        ("refuse=1s", "refuse takes no value"),
        ("status=99", "not a final HTTP status: 99"),
        ("status=1e3", "not an HTTP status"),
        ("status=²", "not an HTTP status"),
        ("slow-body=5", "not a time"),
        ("slow-body=0s", "more than 0 s"),
        ("slow-body=3601s", "at most an hour"),
    ],
)
def test_fault_that_makes_no_sense_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


def test_place_has_one_fault_at_a_time() -> None:
    seen: list[Active | None] = []
    ledger = Ledger(lambda: 0.0)

    class Watched(Place):
        def changed(self) -> None:
            seen.append(self.active)

    place = Watched("ashburn", ledger)
    for order in (place.refuse, place.reset, place.kill, place.blackhole):
        order()
    place.freeze()
    place.heal()

    assert seen == [
        Active(Fault.REFUSE),
        Active(Fault.RESET),
        Active(Fault.KILL),
        Active(Fault.BLACKHOLE),
        Active(Fault.FREEZE),
        None,
    ]
    details = [event.detail for event in ledger.events("fault")]
    assert details[-2:] == ["ashburn freeze", "ashburn healed"]


def test_region_has_faults_of_the_answer_only() -> None:
    region = Region("us1", Ledger(lambda: 0.0))

    region.fail(Fault.STATUS)
    with pytest.raises(ValueError, match="no network of its own"):
        region.refuse()

    assert region.active == Active(Fault.STATUS, 503)


def test_watcher_is_told_of_a_fault_and_of_its_end() -> None:
    place = Place("somewhere", Ledger(lambda: 0.0))
    seen: list[Active | None] = []
    place.watchers.add(lambda: seen.append(place.active))
    place.fail(Fault.DRAIN)
    place.heal()
    assert seen == [Active(Fault.DRAIN), None]


def test_fault_of_the_first_place_that_has_one_is_at_work() -> None:
    address, edge = (Place(name, Ledger(lambda: 0.0)) for name in ("address", "edge"))
    places, kinds = (address, edge), (Fault.HUSH, Fault.SEVER)
    assert at_work(places, kinds) is None
    edge.fail(Fault.SEVER)
    address.fail(Fault.REFUSE)
    assert at_work(places, kinds) == Active(Fault.SEVER)
    address.fail(Fault.HUSH)
    assert at_work(places, kinds) == Active(Fault.HUSH)
