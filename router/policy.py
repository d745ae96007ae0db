"""How an edge is chosen: which home (`elect`), and in which order (`rank`).

Both are pure. Health decides whether an edge may be used, within seconds; preference
decides which of the healthy ones is liked best, within minutes.
"""

import dataclasses
import math
from collections.abc import Mapping

from router.endpoint import Endpoint, Kind
from router.health import State
from router.snapshot import Edge, Home, Score, Service, Settings, Snapshot

__all__ = ["Election", "Ranking", "Reasons", "Settings", "Switch", "elect", "rank"]


@dataclasses.dataclass(frozen=True, slots=True)
class Switch:
    """A change of home, with the arithmetic behind it; times in seconds."""

    from_: str | None
    "The edge left; None for the first home."
    to: str
    "The edge that is home now."
    reason: str
    "Why, in words."
    from_score: float | None = None
    "Score of the edge left, if it had one."
    to_score: float | None = None
    "Score of the new home, if it had one."
    gain: float | None = None
    "Difference of the scores."
    needed: float | None = None
    "The gain that was asked for; None where none was."
    window: float = 0.0
    "Over which both scores were taken."
    held: float = 0.0
    "For how long the edge left had been home."


@dataclasses.dataclass(frozen=True, slots=True)
class Election:
    """Which edge is home now."""

    home: Home
    "The home, changed or not."
    switch: Switch | None = None
    "The change, if there was one."


@dataclasses.dataclass(frozen=True, slots=True)
class Reasons:
    """The arithmetic that placed one endpoint; times in seconds."""

    state: State
    "Health of the endpoint."
    age: float
    "For how long that has been so."
    draining: bool
    "Whether the edge is being drained."
    home: bool
    "Whether the edge is home."
    tier: int
    "0 for a private edge that is fast enough, 1 otherwise."
    score: Score | None
    "Score of the edge."
    window: float
    "Over which its round trips were taken."
    gain: float | None
    "By how much it beats home; negative if it does not; None where unknown."
    needed: float
    "The gain for which home moves soon."
    ahead: float | None
    "For how long it has beaten home by the small gain."
    verdict: str
    "Why it is home, or not."

    def __str__(self) -> str:
        """All of it in one line."""
        parts = [f"{self.state} for {self.age:.0f} s", f"tier {self.tier}"]
        if self.draining:
            parts.append("draining")
        if self.score is not None:
            parts.append(_in_words(self.score, self.window))
        if self.gain is not None:
            parts.append(f"gain {_ms(self.gain)} of {_ms(self.needed)}")
        return "; ".join([*parts, self.verdict])


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """One endpoint in a ranking."""

    endpoint: Endpoint
    "The product at the edge."
    reasons: Reasons
    "What placed it there."


Ranking = tuple[Place, ...]
"Endpoints from best to worst."

RETAIN = 0.010
"Seconds beyond `private_max_extra` that a private home keeps its tier, against flapping."


def rank(snapshot: Snapshot, product: str, *, now: float) -> Ranking:
    """The endpoints of a product from best to worst, each with its reasons.

    Raises KeyError for a product that the snapshot does not hold.
    """
    tiers = _tiers(snapshot)
    return tuple(
        Place(service.endpoint, _reasons(snapshot, service, tiers, now))
        for service in order(snapshot, product)
    )


def order(snapshot: Snapshot, product: str) -> list[Service]:
    """The services of a product from best to worst.

    Usable before unusable, measured before unmeasured, home before others; among the
    rest tier before score. Raises KeyError for a product that is unknown.
    """
    tiers = _tiers(snapshot)
    preferred = _preference(snapshot, tiers)

    def key(service: Service) -> tuple[object, ...]:
        edge = snapshot.edges[service.endpoint.edge]
        usable = grade(service.state, service.answering, edge.draining)
        return usable, preferred[edge.name]

    return sorted(snapshot.services[product], key=key)


def order_edges(snapshot: Snapshot) -> list[str]:
    """The edges from best to worst: which ones deserve frequent probes."""
    preferred = _preference(snapshot, _tiers(snapshot))

    def key(name: str) -> tuple[object, ...]:
        edge = snapshot.edges[name]
        return grade(edge.state, False, edge.draining), preferred[name]

    return sorted(snapshot.edges, key=key)


_GRADES = {State.UP: 0, State.SUSPECT: 1}

DOWN = 4
"Grade from which on nothing should be used while anything else is left."


def grade(state: State, answering: bool, draining: bool) -> int:
    """How usable an address or a service is; lower is better.

    Among those that are DOWN, one that answers again comes first: it must not stay
    unused for the whole recovery while nothing else is better.
    """
    if state is State.DOWN:
        return DOWN if answering else DOWN + 1
    return _GRADES[state] + (2 if draining else 0)


def elect(snapshot: Snapshot, *, now: float) -> Election:
    """Which edge is home from now on. Only health overrules the wish to stay."""
    home = snapshot.home
    if home.edge is None:
        return _first_home(snapshot, now)
    if snapshot.frozen:
        return Election(home)
    here = snapshot.edges.get(home.edge)
    tiers = _tiers(snapshot)
    usable = sorted(
        (
            (tiers[edge.name], edge.score.value, edge)
            for edge in snapshot.edges.values()
            if _electable(edge) and edge.score is not None and edge.name != home.edge
        ),
        key=lambda item: item[:2],
    )
    forced = _unusable(here)
    if forced:
        if not usable:
            return Election(home)
        return _move(snapshot, usable[0][2], forced, now)
    assert here is not None
    assert here.score is not None
    ahead = _ahead(snapshot, here, tiers, now)
    if ahead != home.ahead:
        snapshot = dataclasses.replace(
            snapshot, home=dataclasses.replace(home, ahead=ahead)
        )
    for _, _, edge in usable:
        verdict = _challenge(snapshot, here, edge, tiers, now)
        if verdict.moves:
            return _move(snapshot, edge, verdict.reason, now, needed=verdict.needed)
    return Election(snapshot.home)


def needed_gain(settings: Settings, score: Score) -> float:
    """Seconds that an edge must gain over home's score for home to move soon."""
    return max(settings.min_gain, settings.min_gain_ratio * score.value)


def probation(settings: Settings, flips: int) -> float:
    """Seconds that an edge must have been healthy before it may become home."""
    doubled: float = settings.dwell * 2 ** max(0, flips - 1)
    return min(doubled, settings.max_probation)


@dataclasses.dataclass(frozen=True, slots=True)
class _Verdict:
    """Whether home moves to a challenger, and why."""

    moves: bool
    reason: str
    needed: float | None = None


def _challenge(
    snapshot: Snapshot, here: Edge, edge: Edge, tiers: Mapping[str, int], now: float
) -> _Verdict:
    """Whether home moves from `here` to `edge`; both UP and measured."""
    settings = snapshot.settings
    assert here.score is not None
    assert edge.score is not None
    held = now - snapshot.home.since
    owed = probation(settings, edge.flips)
    gain = here.score.value - edge.score.value
    needed = needed_gain(settings, here.score)
    better_tier = tiers[edge.name] < tiers[here.name]
    lasted = now - snapshot.home.ahead.get(edge.name, now)
    if now - edge.since < owed:
        return _Verdict(False, f"healthy for {now - edge.since:.0f} s of {owed:.0f} s")
    if held < settings.dwell:
        return _Verdict(False, f"home is held for {held:.0f} s of {settings.dwell:.0f}")
    if 2 * edge.score.samples < here.score.samples:
        return _Verdict(False, "too few samples to compare")
    if tiers[edge.name] > tiers[here.name]:
        return _Verdict(False, "home is of a better tier")
    if better_tier:
        return _Verdict(True, "of a better tier")
    if gain >= needed:
        return _Verdict(True, f"gains {_ms(gain)}", needed)
    if lasted >= settings.small_gain_hold:
        small = _small_gain(settings, here.score)
        return _Verdict(True, f"has led for {lasted:.0f} s, by {_ms(gain)}", small)
    if edge.name in snapshot.home.ahead:
        hold = settings.small_gain_hold
        return _Verdict(False, f"leads for {lasted:.0f} s of {hold:.0f} s")
    return _Verdict(False, "no gain worth a move")


def _small_gain(settings: Settings, score: Score) -> float:
    return max(settings.small_gain, settings.small_gain_ratio * score.value)


def _ahead(
    snapshot: Snapshot, here: Edge, tiers: Mapping[str, int], now: float
) -> dict[str, float]:
    """Since when each edge has led home by the small gain, without a break."""
    assert here.score is not None
    limit = here.score.value - _small_gain(snapshot.settings, here.score)
    return {
        edge.name: snapshot.home.ahead.get(edge.name, now)
        for edge in snapshot.edges.values()
        if edge.score is not None
        and edge.score.fresh
        and edge.score.value <= limit
        and edge.state is not State.DOWN
        and tiers[edge.name] <= tiers[here.name]
    }


def _electable(edge: Edge) -> bool:
    return (
        edge.state is State.UP
        and not edge.draining
        and edge.score is not None
        and edge.score.fresh
    )


def _unusable(here: Edge | None) -> str:
    """Why home must be left, whatever it costs; empty while it need not."""
    if here is None:
        return "home is gone"
    if here.state is State.DOWN:
        return "home is down"
    if here.draining:
        return "home is draining"
    if here.score is None or not here.score.fresh:
        return "home is not measured"
    return ""


def _first_home(snapshot: Snapshot, now: float) -> Election:
    if snapshot.frozen or now - snapshot.home.since < snapshot.settings.settle:
        return Election(snapshot.home)
    for name in order_edges(snapshot):
        if _electable(snapshot.edges[name]):
            return _move(snapshot, snapshot.edges[name], "the first home", now)
    return Election(snapshot.home)


def _move(
    snapshot: Snapshot, to: Edge, reason: str, now: float, needed: float | None = None
) -> Election:
    home = snapshot.home
    left = snapshot.edges.get(home.edge) if home.edge is not None else None
    before = left.score.value if left is not None and left.score is not None else None
    after = to.score.value if to.score is not None else None
    switch = Switch(
        from_=home.edge,
        to=to.name,
        reason=reason,
        from_score=before,
        to_score=after,
        gain=before - after if before is not None and after is not None else None,
        needed=needed,
        window=snapshot.settings.window,
        held=now - home.since,
    )
    return Election(Home(to.name, now), switch)


def _tiers(snapshot: Snapshot) -> dict[str, int]:
    """Tier before score: a private edge wins while it is not too much slower."""
    best = min(
        (
            edge.score.value
            for edge in snapshot.edges.values()
            if edge.kind is Kind.PUBLIC and _electable(edge) and edge.score is not None
        ),
        default=math.inf,
    )
    limit = best + snapshot.settings.private_max_extra
    tiers = {}
    for edge in snapshot.edges.values():
        allowed = limit + (RETAIN if edge.name == snapshot.home.edge else 0.0)
        private = edge.kind is Kind.PRIVATE and edge.score is not None
        tiers[edge.name] = (
            0 if private and edge.score and edge.score.value <= allowed else 1
        )
    return tiers


def _preference(
    snapshot: Snapshot, tiers: Mapping[str, int]
) -> dict[str, tuple[int, bool, int, float, bool]]:
    """A sort key for each edge, health aside; ties keep the configured order."""
    keys = {}
    for edge in snapshot.edges.values():
        score = edge.score
        known = 2 if score is None else 0 if score.fresh else 1
        keys[edge.name] = (
            known,
            edge.name != snapshot.home.edge,
            tiers[edge.name],
            math.inf if score is None else score.value,
            edge.name != snapshot.settings.default_edge,
        )
    return keys


def _reasons(
    snapshot: Snapshot, service: Service, tiers: Mapping[str, int], now: float
) -> Reasons:
    edge = snapshot.edges[service.endpoint.edge]
    home = snapshot.home
    here = snapshot.edges.get(home.edge) if home.edge is not None else None
    is_home = edge.name == home.edge
    gain = None
    needed = snapshot.settings.min_gain
    if here is not None and here.score is not None:
        needed = needed_gain(snapshot.settings, here.score)
        if edge.score is not None and not is_home:
            gain = here.score.value - edge.score.value
    since = home.ahead.get(edge.name)
    return Reasons(
        state=service.state,
        age=now - service.since,
        draining=edge.draining,
        home=is_home,
        tier=tiers[edge.name],
        score=edge.score,
        window=snapshot.settings.window,
        gain=gain,
        needed=needed,
        ahead=None if since is None else now - since,
        verdict=_verdict(snapshot, edge, here, tiers, now),
    )


def _verdict(
    snapshot: Snapshot,
    edge: Edge,
    here: Edge | None,
    tiers: Mapping[str, int],
    now: float,
) -> str:
    if here is None:
        return "no home yet"
    if edge.name == here.name:
        return f"home for {now - snapshot.home.since:.0f} s"
    if snapshot.frozen:
        return "our uplink is in doubt: home stays"
    if not _electable(edge):
        return "not fit to be home"
    if _unusable(here):
        return "home is about to move"
    return _challenge(snapshot, here, edge, tiers, now).reason


def _in_words(score: Score, window: float) -> str:
    if not score.fresh:
        return f"score {_ms(score.value)}, old"
    return (
        f"score {_ms(score.value)} = {_ms(score.round_trip)} lower quartile of "
        f"{score.samples} in {window:.0f} s + {_ms(score.penalty)} for "
        f"{score.lost} of {score.probes} lost"
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
