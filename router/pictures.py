"""Small pictures of an edge's last hour, as SVG within a page."""

from collections.abc import Iterator, Sequence

from router.health import State
from router.history import INTERVAL, SAMPLES, Sample

WIDTH = 240
"Units across; a picture is as wide as its place allows."

HEIGHT = 32
"Units from top to bottom of the round trips."

BAND = 6
"Units from top to bottom of the states."

HOUR = INTERVAL * SAMPLES
"Seconds that a picture shows."

_GAP = 2.5 * INTERVAL  # seconds without a sample that break the line
_ROOM = 1.6  # so that a steady line is neither at the top nor at the bottom
_LEAST = 0.010  # seconds that the scale reaches at least, so that noise stays flat


def picture(samples: Sequence[Sample], now: float, name: str) -> str:
    """Round trips as a line, and below it the states; `name` is for those who listen.

    The right end is `now`, in the seconds of the samples.
    """
    total = HEIGHT + BAND + 2
    return "".join(
        (
            f'<svg viewBox="0 0 {WIDTH} {total}" preserveAspectRatio="none" ',
            f'role="img" aria-label="{name}">',
            *_lines(samples, now),
            *_states(samples, now),
            "</svg>",
        )
    )


def _lines(samples: Sequence[Sample], now: float) -> Iterator[str]:
    """The round trips, broken where there was none."""
    seen = [one.round_trip for one in samples if one.round_trip is not None]
    top = max([_LEAST, *seen]) * _ROOM
    points: list[str] = []
    last = 0.0
    for sample in samples:
        broken = sample.round_trip is None or sample.time - last > _GAP
        if broken and points:
            yield _line(points)
            points = []
        if sample.round_trip is not None:
            height = HEIGHT * (1 - sample.round_trip / top)
            points.append(f"{_across(sample.time, now):.1f},{height:.1f}")
        last = sample.time
    if points:
        yield _line(points)


def _line(points: Sequence[str]) -> str:
    # A line of one point would not be seen.
    both = [*points, *points] if len(points) == 1 else points
    return f'<polyline class="trip" points="{" ".join(both)}"/>'


def _states(samples: Sequence[Sample], now: float) -> Iterator[str]:
    """One bar for each time in one state."""
    begun: Sample | None = None
    last: Sample | None = None
    for sample in samples:
        if begun is None or last is None:
            begun = sample
        elif sample.state is not begun.state or sample.time - last.time > _GAP:
            yield _bar(begun.state, begun.time, _end(last, sample), now)
            begun = sample
        last = sample
    if begun is not None and last is not None:
        yield _bar(begun.state, begun.time, min(now, last.time + INTERVAL), now)


def _end(last: Sample, following: Sample) -> float:
    """Until when a state lasted, of which the next sample is another."""
    return min(following.time, last.time + _GAP)


def _bar(state: State, since: float, until: float, now: float) -> str:
    left, right = _across(since, now), _across(until, now)
    return (
        f'<rect class="{state.value}" x="{left:.1f}" y="{HEIGHT + 2}" '
        f'width="{max(right - left, 0.5):.1f}" height="{BAND}"/>'
    )


def _across(time: float, now: float) -> float:
    return min(max(WIDTH * (1 - (now - time) / HOUR), 0.0), float(WIDTH))
