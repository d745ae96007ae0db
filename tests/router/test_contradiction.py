import pytest

from router.contradiction import (
    SETTLED,
    SPAN,
    WINDOW,
    Arrivals,
    Contradicted,
    Followed,
)

PACE = SPAN / (WINDOW - 1) + 0.01
"Seconds between two calls, so that a window of them is just long enough."

Said = Contradicted | Followed


class Site:
    """A trunk that is told to expect calls from ashburn-ix."""

    def __init__(self) -> None:
        self.arrivals = Arrivals()
        self.arrivals.advise("trunk", "ashburn-ix", 0.0)
        self.now = SETTLED

    def calls(self, edge: str, count: int, pace: float = PACE) -> list[Said]:
        """Take calls from an edge; what is said about them."""
        said = []
        for _ in range(count):
            self.now += pace
            found = self.arrivals.arrived("trunk", edge, self.now)
            said += [found] if found else []
        return said


@pytest.fixture
def site() -> Site:
    return Site()


def test_calls_that_keep_coming_from_elsewhere_are_said_once(site: Site) -> None:
    assert site.calls("ashburn", WINDOW - 1) == []
    expected = Contradicted("trunk", "ashburn-ix", "ashburn", WINDOW, WINDOW)
    assert site.calls("ashburn", 1) == [expected]
    assert site.calls("ashburn", 10 * WINDOW) == []


def test_calls_from_the_advised_edge_say_nothing(site: Site) -> None:
    assert site.calls("ashburn-ix", 10 * WINDOW) == []


def test_few_calls_from_elsewhere_say_nothing(site: Site) -> None:
    for _ in range(WINDOW):
        assert site.calls("ashburn", 2) + site.calls("ashburn-ix", 2) == []


def test_edge_that_most_calls_come_from_is_named(site: Site) -> None:
    assert site.calls("dublin", 3) + site.calls("ashburn-ix", 3) == []
    (found,) = site.calls("ashburn", WINDOW)
    assert found == Contradicted("trunk", "ashburn-ix", "ashburn", 17, WINDOW)


def test_advice_that_is_followed_again_is_said_once_and_may_be_contradicted_again(
    site: Site,
) -> None:
    site.calls("ashburn", WINDOW)
    assert site.calls("ashburn-ix", 2 * WINDOW) == [Followed("trunk", "ashburn-ix")]
    (again,) = site.calls("ashburn", 2 * WINDOW)
    assert isinstance(again, Contradicted)


def test_burst_says_nothing(site: Site) -> None:
    assert site.calls("ashburn", 10 * WINDOW, pace=0.001) == []


def test_new_advice_has_time_to_be_followed(site: Site) -> None:
    site.calls("ashburn", WINDOW - 1)
    site.arrivals.advise("trunk", "dublin", site.now)
    assert site.calls("ashburn", WINDOW, pace=SETTLED / WINDOW / 2) == []
    site.now += SETTLED
    assert len(site.calls("ashburn", WINDOW)) == 1


def test_same_advice_again_changes_nothing(site: Site) -> None:
    site.calls("ashburn", WINDOW - 1)
    site.arrivals.advise("trunk", "ashburn-ix", site.now)
    assert len(site.calls("ashburn", 1)) == 1


def test_what_is_said_outlives_a_change_of_the_advice(site: Site) -> None:
    """Else a home that moves to and fro would say it again and again."""
    site.calls("ashburn", WINDOW)
    site.arrivals.advise("trunk", "dublin", site.now)
    site.now += SETTLED
    assert site.calls("ashburn", 5 * WINDOW) == []


def test_flow_without_an_edge_or_without_advice_is_not_counted(site: Site) -> None:
    assert site.calls("", 2 * WINDOW) == []
    site.arrivals.advise("trunk", "", site.now)
    site.now += SETTLED
    assert site.calls("ashburn", 2 * WINDOW) == []


def test_listener_that_is_unknown_or_gone_is_not_counted(site: Site) -> None:
    assert site.arrivals.arrived("other", "ashburn", site.now) is None
    site.arrivals.forget("trunk")
    site.arrivals.forget("trunk")
    assert site.calls("ashburn", 2 * WINDOW) == []
