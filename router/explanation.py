"""Why new flows go where they go: the arithmetic of the policy, for a person to check.

It prints what `rank` and `elect` have computed, and beside it what would have to change
for home to move.
"""

import math
from collections.abc import Iterator
from typing import Any

from router.election import (
    hold,
    is_pinned,
    ms,
    needed_gain,
    probation,
    small_gain,
    unusable,
)
from router.endpoint import Protocol
from router.order import electable, tiers
from router.policy import Place, Reasons, rank, rank_edges
from router.snapshot import Edge, Settings, Snapshot
from router.status import plain

SCHEMA = "edge-router/explanation/1"
"Version of what `explain` gives."


def explain(
    snapshot: Snapshot, *, now: float, protocol: Protocol | None = None
) -> dict[str, Any]:
    """The arithmetic as data that JSON can hold; of one protocol, or of all."""
    ranked = rank_edges(snapshot, now=now)
    return {
        "schema": SCHEMA,
        "home": snapshot.home.edge,
        "rules": list(_rules(snapshot.settings)),
        "edges": [
            {
                "edge": name,
                "kind": snapshot.edges[name].kind.value,
                **plain(reasons),
                "sum": str(reasons),
                "moves": moves(snapshot, snapshot.edges[name], reasons, now),
            }
            for name, reasons in ranked.items()
        ],
        "products": list(_products(snapshot, protocol, now)),
    }


def _rules(settings: Settings) -> Iterator[str]:
    yield (
        f"score = lower quartile of the round trips of {settings.window:.0f} s + "
        f"{ms(settings.loss_cost)} x lost share of the probes of "
        f"{settings.loss_window:.0f} s"
    )
    yield (
        "a private edge is of tier 0 while it is at most "
        f"{ms(settings.private_max_extra)} slower than the best public one"
    )
    yield (
        f"home moves for {ms(settings.min_gain)} and "
        f"{settings.min_gain_ratio:.0%} of its score at least, or for "
        f"{settings.small_gain_ratio:.0%} that last; to an edge that has been healthy "
        f"for {settings.dwell:.0f} s, from one that was home for {settings.dwell:.0f} s"
    )
    yield "home that is down, drained or not measured is left at once"


def _products(
    snapshot: Snapshot, protocol: Protocol | None, now: float
) -> Iterator[dict[str, Any]]:
    for product, services in snapshot.services.items():
        if any(one.endpoint.edge not in snapshot.edges for one in services):
            continue
        spoken = services[0].endpoint.protocol
        if protocol in (None, spoken):
            places = rank(snapshot, product, now=now)
            yield {
                "product": product,
                "protocol": spoken.value,
                "why": _why(snapshot, places),
                "edges": [
                    {
                        "edge": place.endpoint.edge,
                        "state": place.reasons.state.value,
                        "age_s": round(place.reasons.age, 1),
                    }
                    for place in places
                ],
            }


def _why(snapshot: Snapshot, places: tuple[Place, ...]) -> str:
    """Where new flows of a product go, and why they do not go home if they do not."""
    if snapshot.refusing:
        return "new flows are refused: all edges are drained"
    first, home = places[0].endpoint.edge, snapshot.home.edge
    if snapshot.edges[first].barred:  # a barred one is the last of them
        return f"new flows are refused: {first} is barred, and no other edge is left"
    if home is None:
        return f"new flows go to {first}: there is no home yet"
    if first == home:
        return f"new flows go to {first}: it is home"
    here = next((one.reasons for one in places if one.endpoint.edge == home), None)
    if here is None:
        return f"new flows go to {first}: it is not offered at home"
    return f"new flows go to {first}: at home it is {here.state}"


def moves(snapshot: Snapshot, edge: Edge, reasons: Reasons, now: float) -> str:
    """What would have to happen for home to move to an edge, or away from it."""
    home = snapshot.home.edge
    here = snapshot.edges.get(home) if home is not None else None
    if edge.barred:
        return f"is used again once this is over: {edge.barred}"
    if here is None:
        return "the best edge becomes home once all are measured"
    if snapshot.frozen:
        return "nothing moves home while our uplink is in doubt"
    if edge is here:
        return _leaves(snapshot, here, now)
    wants = _unfit(edge)
    if wants:
        return f"becomes home only once it is {wants}"
    if unusable(here) or is_pinned(snapshot, edge.name, now):
        return "may become home at once"
    if is_pinned(snapshot, here.name, now):
        return "becomes home at the earliest when the pin ends, or home fails"
    return _gains(snapshot, here, edge, reasons, now)


def _leaves(snapshot: Snapshot, here: Edge, now: float) -> str:
    if is_pinned(snapshot, here.name, now):
        assert snapshot.pin is not None
        left = snapshot.pin.until - now
        return f"stays home for {left:.0f} s more, unless it is down or drained"
    return "stays home until it is down or drained, or another one gains enough"


def _unfit(edge: Edge) -> str:
    """What an edge lacks to be home; empty if nothing."""
    if electable(edge):
        return ""
    if edge.draining:
        return "undrained"
    return "measured" if edge.score is None or not edge.score.fresh else "up"


def _gains(
    snapshot: Snapshot, here: Edge, edge: Edge, reasons: Reasons, now: float
) -> str:
    """The score at which an edge takes over, and what it must wait for."""
    settings, score = snapshot.settings, edge.score
    assert here.score is not None
    assert score is not None
    owed = probation(settings, edge.flips) - (now - edge.since)
    held = settings.dwell - (now - snapshot.home.since)
    wait = max(owed, held)
    after = f", in {math.ceil(wait)} s at the earliest" if wait > 0 else ""
    tier = tiers(snapshot)[here.name]
    if reasons.tier < tier:
        return f"becomes home since its tier is better{after}"
    if reasons.tier > tier:
        return f"becomes home only once its tier is as good as home's{after}"
    soon = here.score.value - needed_gain(settings, here.score)
    late = here.score.value - small_gain(settings, here.score)
    lasts = hold(snapshot, edge, now)
    slowly = f"below {ms(late)} for {lasts:.0f} s ({reasons.lead:.0f} s so far)"
    if soon <= 0:  # nothing is as near as that
        return f"becomes home {slowly}"
    return f"becomes home below {ms(soon)}{after}, or {slowly}"
