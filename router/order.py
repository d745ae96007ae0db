"""The order of edges and of endpoints, as a pure function of a snapshot."""

import math
from collections.abc import Mapping

from router.endpoint import Kind
from router.health import State
from router.snapshot import Edge, Service, Snapshot

RETAIN = 0.010
"Seconds beyond `private_max_extra` for which a private home keeps its tier."


def order(snapshot: Snapshot, product: str) -> list[Service]:
    """The services of a product from best to worst.

    Usable before unusable, measured before unmeasured, home before others; among the
    rest tier before score. Raises KeyError for a product that is unknown.
    """
    preferred = preference(snapshot, tiers(snapshot))

    def key(service: Service) -> tuple[object, ...]:
        edge = snapshot.edges[service.endpoint.edge]
        usable = grade(service.state, service.answering, edge.draining)
        return usable, preferred[edge.name]

    return sorted(snapshot.services[product], key=key)


def order_edges(snapshot: Snapshot) -> list[str]:
    """The edges from best to worst: which ones deserve frequent probes."""
    preferred = preference(snapshot, tiers(snapshot))

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


def electable(edge: Edge) -> bool:
    """Whether an edge is fit to be home: UP, measured lately, and not drained."""
    return (
        edge.state is State.UP
        and not edge.draining
        and edge.score is not None
        and edge.score.fresh
    )


def tiers(snapshot: Snapshot) -> dict[str, int]:
    """Tier before score: a private edge wins while it is not too much slower."""
    best = min(
        (
            edge.score.value
            for edge in snapshot.edges.values()
            if edge.kind is Kind.PUBLIC and electable(edge) and edge.score is not None
        ),
        default=math.inf,
    )
    limit = best + snapshot.settings.private_max_extra
    found = {}
    for edge in snapshot.edges.values():
        allowed = limit + (RETAIN if edge.name == snapshot.home.edge else 0.0)
        private = edge.kind is Kind.PRIVATE and edge.score is not None
        found[edge.name] = (
            0 if private and edge.score and edge.score.value <= allowed else 1
        )
    return found


def preference(
    snapshot: Snapshot, tier: Mapping[str, int]
) -> dict[str, tuple[int, bool, int, float, bool]]:
    """A sort key for each edge, health aside; ties keep the configured order."""
    keys = {}
    for edge in snapshot.edges.values():
        score = edge.score
        known = 2 if score is None else 0 if score.fresh else 1
        keys[edge.name] = (
            known,
            edge.name != snapshot.home.edge,
            tier[edge.name],
            math.inf if score is None else score.value,
            edge.name != snapshot.settings.default_edge,
        )
    return keys
