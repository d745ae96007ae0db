"""The order of targets, prepared once per change so that a flow only picks one."""

import dataclasses

from protocols.target import Target
from router.location import rotation
from router.order import DOWN, grade, order
from router.snapshot import Address, Edge, Route, Snapshot

LAST_RESORT = 0.050
"Seconds that all the hopeless targets of a route may cost: a 503 is due after 0.1 s."

WARM = 4
"Addresses of one endpoint to keep warm connections to."


def patience(round_trip: float | None) -> float:
    """Seconds of silence after which a flow also tries the next target.

    Four round trips are a connection, a TLS handshake, a request and one to spare.
    """
    if round_trip is None:
        return 0.5
    return min(max(4 * round_trip + 0.060, 0.1), 1.0)


def prepare(snapshot: Snapshot, product: str) -> Route:
    """The route of a product by its ranking, or of a listener in configured order.

    Empty for a product while an operator wants flows to be refused.
    Raises KeyError for what the snapshot does not hold.
    """
    services = list(snapshot.services[product])
    if all(service.endpoint.edge in snapshot.edges for service in services):
        if snapshot.refusing:
            return Route()
        services = order(snapshot, product)
    graded: dict[tuple[int, int, int], list[Address]] = {}
    for place, service in enumerate(services):
        edge = snapshot.edges.get(service.endpoint.edge)
        for address in service.addresses:
            if address.health.barred:
                continue  # not even as a last resort
            key = _grade(address, edge), place, address.priority
            graded.setdefault(key, []).append(address)
    keys = sorted(graded)
    groups = _in_a_hurry([graded[key] for key in keys])
    usable = sum(grade < DOWN for grade, _, _ in keys)
    warm = _warm([place for _, place, _ in keys], groups)
    turns = (rotation(tuple(one.weight for one in graded[key])) for key in keys)
    rotated = (
        tuple(group[turn] for turn in them)
        for group, them in zip(groups, turns, strict=True)
    )
    return Route(tuple(rotated), usable, warm)


def alike(one: Route, other: Route) -> bool:
    """Whether two routes are the same, the advice on each target included."""
    return one == other and all(
        (here.patience, here.round_trip) == (there.patience, there.round_trip)
        for group, other_group in zip(one.groups, other.groups, strict=True)
        for here, there in zip(group, other_group, strict=True)
    )


def _grade(address: Address, edge: Edge | None) -> int:
    draining = edge is not None and edge.draining
    return grade(address.health.state, bool(address.health.good), draining)


def _in_a_hurry(groups: list[list[Address]]) -> tuple[tuple[Target, ...], ...]:
    """The targets of each group; the hopeless ones share little patience."""
    hopeless = sum(address.health.hopeless for group in groups for address in group)
    share = LAST_RESORT / max(1, hopeless)
    return tuple(
        tuple(
            dataclasses.replace(address.target, patience=share)
            if address.health.hopeless
            else address.target
            for address in group
        )
        for group in groups
    )


def _warm(
    places: list[int], groups: tuple[tuple[Target, ...], ...]
) -> tuple[Target, ...]:
    best_two = list(dict.fromkeys(places))[:2]
    warm: list[Target] = []
    for wanted in best_two:
        addresses = [
            target
            for place, group in zip(places, groups, strict=True)
            if place == wanted
            for target in group
        ]
        warm.extend(addresses[:WARM])
    return tuple(warm)
