import math

from protocols.sip.timers import RESOLUTION, Timer, Timers


class Notes:
    """Notes what expired, and when; may cancel another one meanwhile."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []
        self.cancels: Timer | None = None

    def expired(self, kind: int, now: float) -> None:
        self.seen.append((kind, now))
        if self.cancels is not None:
            self.cancels.cancel()


def test_timers_of_several_lengths_expire_in_the_order_of_their_deadlines() -> None:
    timers, notes = Timers(), Notes()
    timers.set(4.0, notes, 1, 10.0)
    timers.set(0.5, notes, 2, 13.0)
    timers.set(0.5, notes, 3, 13.2)
    assert timers.next() == 13.5
    timers.expire(13.49)
    assert notes.seen == []
    timers.expire(20.0)
    assert notes.seen == [(2, 20.0), (3, 20.0), (1, 20.0)]
    assert len(timers) == 0


def test_timer_that_is_cancelled_passes_in_silence_and_is_forgotten() -> None:
    timers, notes = Timers(), Notes()
    first = timers.set(0.5, notes, 1, 0.0)
    timers.set(0.5, notes, 2, 0.2)
    first.cancel()
    assert len(timers) == 1
    timers.expire(0.1)
    assert timers.next() == 0.7
    timers.expire(0.7)
    assert notes.seen == [(2, 0.7)]


def test_timer_cancelled_by_one_that_expires_with_it_is_not_told() -> None:
    timers, notes = Timers(), Notes()
    timers.set(0.5, notes, 1, 0.0)
    notes.cancels = timers.set(1.0, notes, 2, 0.0)
    timers.expire(2.0)
    assert notes.seen == [(1, 2.0)]


def test_timers_are_looked_at_no_more_often_than_the_resolution_asks() -> None:
    timers, notes = Timers(), Notes()
    assert timers.next() == math.inf
    timers.expire(1.0)
    timers.set(0.001, notes, 1, 1.0)
    assert timers.next() == 1.0 + RESOLUTION
    timers.expire(1.0 + RESOLUTION)
    assert timers.next() == math.inf
