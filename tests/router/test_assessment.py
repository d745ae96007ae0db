"""The verdict and what it rests on: one line that says how it goes and why."""

import dataclasses
import datetime
from typing import Any

import pytest

from router.assessment import UNUSED, assess, moment
from router.changes import Flip, UplinkSuspect
from router.election import Switch
from router.endpoint import Kind, Protocol
from router.health import Health, State
from router.history import History
from router.location import Location
from router.snapshot import Address, Home, Pin, Service
from router.status import About, Condition, FlowCount, Listener, Status

NOW = 10_000.0
NOON = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC).timestamp()
"The Unix time of NOW."
UP, SUSPECT, DOWN = State.UP, State.SUSPECT, State.DOWN
LISTENER = Listener("api", "https", "to_provider", ("127.0.0.1:8443",), ("api",))
ABOUT = About("1.0", NOON - NOW, "x.yaml", NOON, "us1", "ashburn", (LISTENER,))
HOME = Home("ix", NOW - 3600.0)


def look(snapshot: Any, history: History | None = None) -> Status:
    past = history or History()
    return assess(snapshot, ABOUT, [], past, now=NOW, unix=NOON)


@pytest.fixture
def edges(make_edge: Any) -> Any:
    """Three edges, of which some are changed."""

    def make(**changed: Any) -> list[Any]:
        given: dict[str, Any] = {"ix": {}, "ashburn": {}, "dublin": {}} | changed
        kinds = {"ix": Kind.PRIVATE}
        return [
            make_edge(
                name, **({"score": 0.0041, "kind": kinds.get(name, Kind.PUBLIC)} | w)
            )
            for name, w in given.items()
        ]

    return make


def test_all_well_is_told_in_one_line(make_snapshot: Any, edges: Any) -> None:
    status = look(make_snapshot(edges(), HOME))
    assert status.condition is Condition.OK
    assert status.verdict == "ok: home is ix (private, 4.1 ms) since 11:00"
    assert status.troubles == ()
    assert [one.name for one in status.edges] == ["ix", "ashburn", "dublin"]
    assert (status.time, status.home_since) == (NOON, NOON - 3600.0)


def test_edge_that_nobody_needs_may_be_down(make_snapshot: Any, edges: Any) -> None:
    fallen = {"state": DOWN, "since": NOW - 1200.0}
    status = look(make_snapshot(edges(dublin=fallen), HOME))
    assert status.verdict == (
        "ok: home is ix (private, 4.1 ms) since 11:00; "
        "dublin is down since 11:40: not yet probed"
    )


@pytest.mark.parametrize(
    ("changed", "condition", "told"),
    [
        (
            {"ix": {"state": SUSPECT, "since": NOW}},
            Condition.DEGRADED,
            "ix is in doubt since 12:00",
        ),
        (
            {"ashburn": {"draining": True, "since": NOW - 60.0}},
            Condition.OK,
            "ashburn is drained since 11:59",
        ),
        (
            {"ix": {"draining": True, "since": NOW - 60.0}},
            Condition.DEGRADED,
            "ix is drained, but still home since 11:59",
        ),
        (
            {
                "ashburn": {"state": DOWN, "since": NOW - 120.0},
                "dublin": {"state": DOWN, "since": NOW - 60.0},
            },
            Condition.DEGRADED,
            "ix is the last edge that works since 11:59",
        ),
        (
            {
                name: {"state": DOWN, "since": NOW - 60.0}
                for name in ("ix", "ashburn", "dublin")
            },
            Condition.FAILED,
            "api has no way that works since 11:59: not yet probed",
        ),
    ],
)
def test_trouble_is_told_with_its_time_and_weight(
    make_snapshot: Any, edges: Any, changed: Any, condition: Condition, told: str
) -> None:
    status = look(make_snapshot(edges(**changed), HOME))
    assert status.condition is condition
    assert status.verdict.startswith(f"{condition}: home is ix")
    assert told in status.verdict


def test_what_is_dead_everywhere_is_told_once(make_snapshot: Any, edges: Any) -> None:
    fallen = {"state": DOWN, "since": NOW - 60.0}
    everywhere = dict.fromkeys(("ix", "ashburn", "dublin"), fallen)
    status = look(make_snapshot(edges(**everywhere), HOME))
    assert [one.subject for one in status.troubles] == ["api"]


def test_edges_that_nobody_needs_are_no_trouble(make_snapshot: Any, edges: Any) -> None:
    idle = {"state": SUSPECT, "score": None, "used": False}
    status = look(make_snapshot(edges(ashburn=idle, dublin=idle), HOME))
    assert status.verdict == "ok: home is ix (private, 4.1 ms) since 11:00"
    assert [one.reason for one in status.edges] == ["", UNUSED, UNUSED]


def test_site_that_only_receives_has_no_home_and_is_well(
    make_snapshot: Any, edges: Any
) -> None:
    idle = {"state": SUSPECT, "score": None, "used": False}
    every = dict.fromkeys(("ix", "ashburn", "dublin"), idle)
    snapshot = dataclasses.replace(make_snapshot(edges(**every), Home()), services={})
    assert look(snapshot).verdict == "ok: no listener sends flows to edges"


def test_no_home_yet_is_a_start(make_snapshot: Any, edges: Any) -> None:
    status = look(make_snapshot(edges(), Home()))
    assert status.verdict == "starting: no home yet, new flows go to ashburn"
    assert status.home_reason == ""


def test_edge_that_was_never_measured_has_no_round_trip(
    make_snapshot: Any, edges: Any
) -> None:
    status = look(make_snapshot(edges(ix={"score": None}), HOME))
    assert status.verdict.startswith("ok: home is ix (private) since")


def test_troubles_beyond_three_are_counted(make_snapshot: Any, make_edge: Any) -> None:
    dead = [make_edge(f"e{n}", None, DOWN, since=NOW) for n in range(5)]
    edges = [make_edge("ix"), make_edge("other"), *dead]
    status = look(make_snapshot(edges, HOME))
    assert len(status.troubles) == 5
    assert status.verdict.endswith("; and 2 more")


def test_doubt_in_the_uplink_is_told(make_snapshot: Any, edges: Any) -> None:
    history = History()
    history.note(UplinkSuspect(("a",), 2), NOW - 60.0)
    status = look(make_snapshot(edges(), HOME, frozen=True), history)
    assert status.uplink_suspect
    assert "our own uplink is in doubt since 11:59: home stays" in status.verdict
    assert status.condition is Condition.DEGRADED
    (past,) = status.past
    assert (past.kind, past.time) == ("uplinksuspect", NOON - 60.0)


def test_all_edges_drained_by_an_operator_refuse_flows(
    make_snapshot: Any, edges: Any
) -> None:
    drained = {"draining": True, "since": NOW - 60.0}
    changed = dict.fromkeys(("ix", "ashburn", "dublin"), drained)
    snapshot = make_snapshot(edges(**changed), HOME, refusing=True)
    status = look(snapshot)
    assert status.condition is Condition.FAILED
    assert status.verdict.endswith(
        "all edges are drained, new flows to the provider refused, since 11:59"
    )


@pytest.mark.parametrize(
    ("edge", "told"),
    [
        ("ix", " since 11:00, pinned until 13:00"),
        ("dublin", " since 11:00, while the pinned dublin is unfit"),
    ],
)
def test_pin_is_told(make_snapshot: Any, edges: Any, edge: str, told: str) -> None:
    snapshot = make_snapshot(edges(), HOME, pin=Pin(edge, NOW + 3600.0))
    status = look(snapshot)
    assert status.verdict.endswith(told)
    assert status.pinned is not None
    assert status.pinned.until == NOON + 3600.0


def test_reason_of_home_and_past_come_from_the_history(
    make_snapshot: Any, edges: Any, make_edge: Any
) -> None:
    history = History()
    history.note(Switch(None, "ix", "the first home"), NOW - 3600.0)
    history.sample(make_snapshot(edges()), NOW - 10.0)
    status = look(make_snapshot(edges(), HOME), history)
    assert status.home_reason == "the first home"
    (past,) = status.past
    assert (past.kind, past.edge, past.state) == ("switch", "ix", "home")
    (sample,) = status.edges[0].samples
    assert (sample.time, sample.round_trip) == (NOON - 10.0, 0.0041)


def service(
    provider: Any, edge: str, state: State, product: str = "api", reason: str = ""
) -> Service:
    endpoint = provider.endpoint(edge, product, Protocol.HTTPS)
    health = Health(state, since=NOW - 60.0, reason=reason)
    addresses = (Address(endpoint.target(Location("192.0.2.9")), health),)
    return Service(endpoint, state, NOW - 60.0, addresses if reason else ())


def test_products_and_receivers_are_told_by_name(
    make_snapshot: Any, edges: Any, provider: Any
) -> None:
    services = {
        "api": (
            service(provider, "ix", DOWN, reason="refused"),
            service(provider, "ashburn", UP, reason="answered"),
        ),
        "hooks": (
            service(provider, "10.0.0.20:80", DOWN, "hooks"),
            service(provider, "10.0.0.21:80", UP, "hooks", "answered"),
        ),
    }
    status = look(make_snapshot(edges(), HOME, services=services))
    assert status.condition is Condition.DEGRADED
    assert status.verdict.endswith(
        "; api at ix is down since 11:59: refused"
        "; 10.0.0.20:80 for hooks is down since 11:59: its name has no address"
    )
    assert [one.place for one in status.receivers] == ["10.0.0.20:80", "10.0.0.21:80"]


def test_flows_are_passed_on(make_snapshot: Any, edges: Any) -> None:
    flows = [FlowCount("api", "https", "ix", 3, 9)]
    snapshot = make_snapshot(edges(), HOME)
    status = assess(snapshot, ABOUT, flows, History(), now=NOW, unix=NOON)
    assert status.flows == tuple(flows)


def test_moment_of_another_day_has_its_date() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=1))
    assert moment(NOON, NOON, zone) == "13:00"
    assert moment(NOON - 86_400.0, NOON, zone) == "21 Nov 13:00"


def test_flips_are_told_apart_by_what_flipped(
    make_snapshot: Any, edges: Any, provider: Any
) -> None:
    target = provider.endpoint("ix").target(Location("192.0.2.9"))
    history = History()
    for product, targets in (("", ()), ("api", ()), ("api", (target,))):
        flip = Flip("ix", product, targets, UP, DOWN, "refused", None, 9.0)
        history.note(flip, NOW)
    past = look(make_snapshot(edges(), HOME), history).past
    assert [one.kind for one in past] == ["address", "product", "edge"]
    assert {(one.edge, one.state) for one in past} == {("ix", "down")}
