"""Home: stay, unless health forbids it or a gain is worth the move."""

from typing import Any

import pytest

from router.election import elect, needed_gain, probation
from router.endpoint import Kind
from router.health import State
from router.snapshot import Home, Pin, Score, Settings

NOW = 10_000.0
HOME = Home("home", 0.0, counted=NOW - 2.0)


@pytest.fixture
def elected(make_snapshot: Any, make_edge: Any) -> Any:
    """Elects between home at 50 ms and a challenger."""

    def run(
        home: Any = None, other: Any = None, state: Home = HOME, **rest: Any
    ) -> Any:
        edges = [
            make_edge("home", **({"score": 0.050} | (home or {}))),
            make_edge("other", **({"score": 0.020} | (other or {}))),
        ]
        return elect(make_snapshot(edges, state, **rest), now=NOW)

    return run


def test_large_gain_moves_home(elected: Any) -> None:
    election = elected()
    assert election.home.edge == "other"
    assert election.home.since == NOW
    switch = election.switch
    assert (switch.from_, switch.to) == ("home", "other")
    assert switch.reason == "gains 30.0 ms"
    assert switch.gain == pytest.approx(0.030)
    assert switch.needed == pytest.approx(0.010)
    assert (switch.from_score, switch.to_score) == (0.050, 0.020)
    assert (switch.window, switch.held) == (120.0, NOW)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"since": NOW - 59}, "not healthy long enough"),
        ({"since": NOW - 100, "flips": 2}, "flapped"),
        ({"samples": 29}, "fewer samples"),
        ({"state": State.SUSPECT}, "suspect"),
        ({"state": State.DOWN}, "down"),
        ({"draining": True}, "draining"),
        ({"score": None}, "unmeasured"),
        ({"samples": 0}, "old score"),
        ({"score": 0.0401}, "gain below 10 ms"),
        ({"score": 0.050}, "no gain"),
    ],
)
def test_unfit_challenger_does_not_move_home(
    elected: Any, other: Any, reason: str
) -> None:
    election = elected(other=other)
    assert election.switch is None, reason
    assert election.home.edge == "home"


def test_home_is_held_for_a_while(elected: Any) -> None:
    assert elected(state=Home("home", NOW - 59, NOW)).switch is None
    assert elected(state=Home("home", NOW - 60, NOW)).switch is not None


@pytest.mark.parametrize(
    ("home", "reason"),
    [
        ({"state": State.DOWN}, "home is down"),
        ({"draining": True}, "home is draining"),
        ({"score": None}, "home is not measured"),
        ({"samples": 0}, "home is not measured"),
    ],
)
def test_unusable_home_is_left_at_once(elected: Any, home: Any, reason: str) -> None:
    state = Home("home", NOW - 1, NOW)
    election = elected(home=home, other={"since": NOW - 1, "score": 0.9}, state=state)
    assert election.home.edge == "other"
    assert election.switch.reason == reason
    assert election.home.fallen == ("home" if reason == "home is down" else None)


def test_home_that_is_gone_is_replaced(elected: Any) -> None:
    election = elected(state=Home("vanished", 0.0, NOW))
    assert election.home.edge == "other"
    assert election.switch.reason == "home is gone"
    assert election.switch.gain is None


def test_unusable_home_stays_while_nothing_is_better(elected: Any) -> None:
    for state in (State.SUSPECT, State.DOWN):
        election = elected(home={"state": State.DOWN}, other={"state": state})
        assert election.home is HOME


def test_suspected_uplink_freezes_home(elected: Any) -> None:
    election = elected(home={"state": State.DOWN}, frozen=True)
    assert election.home is HOME


def test_suspect_home_stays(elected: Any) -> None:
    election = elected(home={"state": State.SUSPECT}, other={"score": 0.045})
    assert election.home.edge == "home"


def test_best_of_several_challengers_wins(make_snapshot: Any, make_edge: Any) -> None:
    edges = [
        make_edge("home", 0.100),
        make_edge("good", 0.050),
        make_edge("best", 0.020),
        make_edge("new", 0.010, since=NOW - 5),
    ]
    assert elect(make_snapshot(edges, HOME), now=NOW).home.edge == "best"


def test_private_edge_of_the_better_tier_takes_over_without_a_gain(
    elected: Any,
) -> None:
    election = elected(other={"score": 0.080, "kind": Kind.PRIVATE})
    assert election.switch.reason == "of a better tier"


def test_public_edge_does_not_take_over_from_the_better_tier(elected: Any) -> None:
    assert elected(home={"kind": Kind.PRIVATE}).switch is None


def lead(elected: Any, state: Home, seconds: float, score: float = 0.045) -> Any:
    """The election after a challenger has led for so long, counted every 2 s."""
    election = None
    for _ in range(int(seconds / 2)):
        election = elected(other={"score": score}, state=_at(state, counted=NOW - 2.0))
        state = election.home
        if election.switch:
            break
    return election


def _at(home: Home, counted: float) -> Home:
    return Home(home.edge, 0.0, counted, home.leads, home.fallen, home.moves)


def test_small_gain_moves_home_when_it_lasts(elected: Any) -> None:
    assert lead(elected, HOME, 1198).switch is None
    election = lead(elected, HOME, 1202)
    assert election.switch.reason == "has led for 1200 s, by 5.0 ms now"
    assert election.switch.needed == pytest.approx(0.002)
    assert election.home.moves == (NOW,)


@pytest.mark.long
def test_gain_within_the_noise_never_moves_home(elected: Any) -> None:
    election = lead(elected, HOME, 9000, score=0.0485)
    assert election.switch is None
    assert election.home.leads == {}


def test_lapse_costs_three_times_its_length(elected: Any) -> None:
    state = lead(elected, HOME, 100).home
    election = elected(other={"score": 0.050}, state=_at(state, NOW - 10.0))
    assert election.home.leads == {"other": pytest.approx(70.0)}
    for _ in range(4):
        state = elected(other={"score": 0.050}, state=_at(state, NOW - 9.0)).home
    assert state.leads == {}


def test_lead_is_not_counted_over_a_long_freeze(elected: Any) -> None:
    election = elected(other={"score": 0.045}, state=_at(HOME, NOW - 9000.0))
    assert election.home.leads == {"other": 10.0}


def test_long_lead_that_is_over_moves_nothing(elected: Any) -> None:
    state = Home("home", 0.0, NOW - 2.0, {"other": 1500.0})
    assert elected(other={"score": 0.0495}, state=state).switch is None
    assert elected(other={"score": 0.045}, state=state).switch is not None


@pytest.mark.long
def test_each_move_for_a_small_gain_doubles_the_time_to_the_next(
    elected: Any,
) -> None:
    state = Home("home", 0.0, NOW, moves=(NOW - 90_000.0, NOW - 5000.0, NOW - 9000.0))
    assert lead(elected, state, 4796).switch is None
    election = lead(elected, state, 4802)
    assert election.home.moves == (NOW - 5000.0, NOW - 9000.0, NOW)


def test_moves_remembered_are_bounded(elected: Any) -> None:
    moves = tuple(NOW - 86_000 - number for number in range(8))
    state = Home("home", 0.0, NOW, {"other": 1e9}, moves=moves)
    assert len(elected(other={"score": 0.045}, state=state).home.moves) == 8


def test_fallen_home_comes_back_without_doubling(elected: Any) -> None:
    state = Home("home", 0.0, NOW, fallen="other", moves=(NOW - 50.0, NOW - 60.0))
    election = lead(elected, state, 1202)
    assert election.home.edge == "other"
    assert election.home.fallen is None
    assert election.home.moves == state.moves


def test_lead_of_a_lower_tier_does_not_count(elected: Any) -> None:
    state = Home("home", 0.0, NOW - 2.0, {"other": 5000.0})
    election = elected(home={"kind": Kind.PRIVATE}, other={"score": 0.045}, state=state)
    assert election.home.leads == {}


def test_first_home_waits_until_everything_was_measured(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [make_edge("slow", 0.2), make_edge("fast", 0.02)]
    early = elect(make_snapshot(edges, Home(None, NOW - 4.9)), now=NOW)
    assert early.home.edge is None
    election = elect(make_snapshot(edges, Home(None, NOW - 5.0)), now=NOW)
    assert election.home.edge == "fast"
    assert election.switch is not None
    assert (election.switch.from_, election.switch.gain) == (None, None)


def test_first_home_must_be_fit(make_snapshot: Any, make_edge: Any) -> None:
    nothing = [make_edge("a", None), make_edge("b", 0.02, State.DOWN)]
    assert elect(make_snapshot(nothing, Home()), now=NOW).home.edge is None
    frozen = make_snapshot([make_edge("a")], Home(), frozen=True)
    assert elect(frozen, now=NOW).home.edge is None


def test_needed_gain_is_the_greater_of_time_and_share() -> None:
    assert needed_gain(Settings(), Score(0.020, 0.020)) == 0.010
    assert needed_gain(Settings(), Score(0.200, 0.200)) == pytest.approx(0.040)


def test_probation_doubles_with_each_further_flip_up_to_an_hour() -> None:
    owed = [probation(Settings(), flips) for flips in range(9)]
    assert owed == [60.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]


def pinned(edge: str, until: float = NOW + 1.0) -> dict[str, Any]:
    return {"pin": Pin(edge, until)}


def test_pinned_edge_becomes_home_at_once(elected: Any) -> None:
    state = Home("home", NOW - 1.0, NOW)
    slow = {"score": 0.9, "since": NOW - 1.0}
    election = elected(other=slow, state=state, **pinned("other"))
    assert election.home.edge == "other"
    assert election.switch.reason == "pinned by an operator"


@pytest.mark.parametrize(
    "unfit", [{"state": State.DOWN}, {"draining": True}, {"score": None}]
)
def test_pinned_edge_that_is_unfit_waits(elected: Any, unfit: Any) -> None:
    assert elected(other=unfit, **pinned("other")).home.edge == "home"


def test_pinned_home_stays_whatever_others_gain(elected: Any) -> None:
    election = elected(**pinned("home"))
    assert election.home is HOME
    assert election.switch is None
    assert elected(**pinned("home", until=NOW)).home.edge == "other"


def test_pinned_home_that_is_down_is_left(elected: Any) -> None:
    election = elected(home={"state": State.DOWN}, **pinned("home"))
    assert election.switch.reason == "home is down"


def test_pin_makes_the_first_home_before_all_is_measured(elected: Any) -> None:
    assert elected(state=Home(None, NOW)).home.edge is None
    assert elected(state=Home(None, NOW), **pinned("home")).home.edge == "home"
    frozen = elected(state=Home(None, NOW), frozen=True, **pinned("home"))
    assert frozen.home.edge is None
