"""Pictures of an edge's last hour: where lines begin, end and break."""

import re
import xml.etree.ElementTree as ET

from router.health import State
from router.history import INTERVAL, Sample
from router.pictures import HEIGHT, HOUR, WIDTH, picture

NOW = 10_000.0


def samples(*states: State | None, step: float = INTERVAL) -> list[Sample]:
    """One of each, the last one now; None is a sample that is missing."""
    first = NOW - step * (len(states) - 1)
    return [
        Sample(first + number * step, state, None if state is State.DOWN else 0.02)
        for number, state in enumerate(states)
        if state is not None
    ]


def drawn(given: list[Sample]) -> ET.Element:
    return ET.fromstring(picture(given, NOW, "a &amp; b"))


def bars(given: list[Sample]) -> list[tuple[str, float, float]]:
    return [
        (bar.attrib["class"], float(bar.attrib["x"]), float(bar.attrib["width"]))
        for bar in drawn(given).iter("rect")
    ]


def test_nothing_measured_is_an_empty_picture_with_its_name() -> None:
    image = drawn([])
    assert image.attrib["aria-label"] == "a & b"
    assert not list(image)


def test_line_ends_at_the_right_and_breaks_where_the_edge_was_down() -> None:
    up, down = State.UP, State.DOWN
    image = drawn(samples(up, up, down, up))
    lines = [line.attrib["points"].split() for line in image.iter("polyline")]
    assert [len(points) for points in lines] == [2, 2]  # a lone point is drawn twice
    assert lines[1][0] == lines[1][1]
    across, height = map(float, lines[1][0].split(","))
    assert across == WIDTH
    assert 0 < height < HEIGHT


def test_states_are_bars_one_after_the_other() -> None:
    up, suspect, down = State.UP, State.SUSPECT, State.DOWN
    found = bars(samples(up, up, suspect, down))
    one = WIDTH * INTERVAL / HOUR
    assert [name for name, _, _ in found] == ["up", "suspect", "down"]
    assert abs(found[0][2] - 2 * one) < 0.1
    assert abs(found[1][1] - (found[0][1] + found[0][2])) < 0.1


def test_time_without_samples_has_no_bar_and_no_line() -> None:
    missing = [None] * 6
    given = samples(State.UP, State.UP, *missing, State.UP, State.UP)
    (_, first, width), (_, second, _) = bars(given)
    assert second - (first + width) > 3 * WIDTH * INTERVAL / HOUR
    assert len(list(drawn(given).iter("polyline"))) == 2


def test_what_is_older_than_the_hour_is_at_the_left_edge() -> None:
    given = samples(*[State.UP] * 3, step=HOUR)
    numbers = re.findall(r"[\d.]+,", picture(given, NOW, "x"))
    assert min(float(number[:-1]) for number in numbers) == 0.0
