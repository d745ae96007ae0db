"""How an edge is chosen: which home (`elect`), and in which order (`rank`).

Both are pure. Health decides whether an edge may be used, within seconds; preference
decides which of the healthy ones is liked best, within minutes.
"""

import dataclasses
from collections.abc import Mapping

from router.election import (
    Election,
    Switch,
    challenge,
    elect,
    is_pinned,
    ms,
    needed_gain,
    unusable,
)
from router.endpoint import Endpoint
from router.health import State
from router.order import electable, order, order_edges, tiers
from router.snapshot import Edge, Score, Service, Settings, Snapshot

__all__ = [
    "Election",
    "Ranking",
    "Reasons",
    "Settings",
    "Switch",
    "elect",
    "rank",
    "rank_edges",
]


@dataclasses.dataclass(frozen=True, slots=True)
class Reasons:
    """The arithmetic that placed an endpoint or an edge; times in seconds."""

    state: State
    "Health of the endpoint, or of the edge where the edge is ranked."
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
    lead: float
    "For how many seconds it has beaten home by the small gain."
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
            parts.append(f"gain {ms(self.gain)} of {ms(self.needed)}")
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


def rank(snapshot: Snapshot, product: str, *, now: float) -> Ranking:
    """The endpoints of a product from best to worst, each with its reasons.

    Raises KeyError for a product that the snapshot does not hold, and for a listener
    of the site: receivers are not ranked.
    """
    tier = tiers(snapshot)
    return tuple(
        Place(
            service.endpoint,
            _reasons(
                snapshot, snapshot.edges[service.endpoint.edge], service, tier, now
            ),
        )
        for service in order(snapshot, product)
    )


def rank_edges(snapshot: Snapshot, *, now: float) -> Mapping[str, Reasons]:
    """The edges from best to worst as a whole, each with its reasons."""
    tier = tiers(snapshot)
    ranked = [snapshot.edges[name] for name in order_edges(snapshot)]
    return {edge.name: _reasons(snapshot, edge, edge, tier, now) for edge in ranked}


def _reasons(
    snapshot: Snapshot,
    edge: Edge,
    judged: Edge | Service,
    tier: Mapping[str, int],
    now: float,
) -> Reasons:
    home = snapshot.home
    here = snapshot.edges.get(home.edge) if home.edge is not None else None
    is_home = edge.name == home.edge
    gain = None
    needed = snapshot.settings.min_gain
    if here is not None and here.score is not None:
        needed = needed_gain(snapshot.settings, here.score)
        if edge.score is not None and not is_home:
            gain = here.score.value - edge.score.value
    return Reasons(
        state=judged.state,
        age=now - judged.since,
        draining=edge.draining,
        home=is_home,
        tier=tier[edge.name],
        score=edge.score,
        window=snapshot.settings.window,
        gain=gain,
        needed=needed,
        lead=home.leads.get(edge.name, 0.0),
        verdict=_verdict(snapshot, edge, here, tier, now),
    )


def _unfit(edge: Edge) -> str:
    if edge.draining:
        return "draining"
    return "not measured" if edge.state is State.UP else str(edge.state)


def _verdict(
    snapshot: Snapshot,
    edge: Edge,
    here: Edge | None,
    tier: Mapping[str, int],
    now: float,
) -> str:
    if edge.barred:
        return "nothing is sent there"
    if here is None:
        return "no home yet"
    if edge.name == here.name:
        held = f"home for {now - snapshot.home.since:.0f} s"
        return f"{held}, pinned" if is_pinned(snapshot, edge.name, now) else held
    if snapshot.frozen:
        return "our uplink is in doubt: home stays"
    if not electable(edge):
        return f"not fit to be home: {_unfit(edge)}"
    if unusable(here):
        return "home is about to move"
    if is_pinned(snapshot, here.name, now):
        return "home is pinned"
    if is_pinned(snapshot, edge.name, now):
        return "home is about to move here: pinned"
    assert here.score is not None
    assert edge.score is not None
    slower = edge.score.value - here.score.value
    if slower >= 0 and tier[edge.name] >= tier[here.name]:
        return f"{ms(slower)} slower than home"
    return challenge(snapshot, here, edge, tier, now).reason


def _in_words(score: Score, window: float) -> str:
    if not score.fresh:
        return f"score {ms(score.value)}, old"
    return (
        f"score {ms(score.value)} = {ms(score.round_trip)} lower quartile of "
        f"{score.samples} in {window:.0f} s + {ms(score.penalty)} for "
        f"{score.lost} of {score.probes} lost"
    )
