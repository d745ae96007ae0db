"""Which target a flow takes: the `Choose` of the relays."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Protocol

from protocols.target import Target
from router.snapshot import Route, Snapshot

ADDRESSES_PER_ENDPOINT = 2
"Addresses of one endpoint that a flow tries before it goes to the next endpoint."


WITHOUT_LINK = "no private edge can be reached, and the listener demands privacy"
"Why a flow is refused that may go by direct links only."


def by_link(target: Target) -> bool:
    """Whether a target is reached by a direct link, and by nothing else."""
    return target.device is not None


class HoldsSnapshot(Protocol):
    """Whoever holds the snapshot of the moment."""

    @property
    def snapshot(self) -> Snapshot:
        """The latest one."""


class Choice:
    """Chooses among the targets of one product, or the receivers of one listener.

    The state is whose turn it is: addresses of a group are used in rotation.
    """

    def __init__(
        self,
        source: HoldsSnapshot,
        product: str,
        *,
        only: Callable[[Target], bool] | None = None,
    ) -> None:
        """`only` are the endpoints to choose from, told by any target of theirs."""
        self._source = source
        self._product = product
        self._only = only
        self._whole = self._narrowed = Route()
        self._turn = self._again = -1

    def __call__(self, tried: Collection[Target] = ()) -> Target | None:
        """The next target for a flow that has tried these; None after the last."""
        route = self._source.snapshot.routes.get(self._product)
        if route is None:
            return None
        if self._only is not None:
            route = self._narrow(route, self._only)
        if tried:
            # A count of its own: retries must not take turns from first choices.
            self._again = turn = self._again + 1
            usable, rest = route.groups[: route.usable], route.groups[route.usable :]
            return _next(usable, tried, turn) or _next(rest, tried, turn)
        self._turn = turn = self._turn + 1
        first = route.first
        return first[turn % len(first)] if first else None

    def _narrow(self, route: Route, only: Callable[[Target], bool]) -> Route:
        """The route with those endpoints alone, made anew when the route changes."""
        if route is not self._whole:
            kept = [number for number, one in enumerate(route.groups) if only(one[0])]
            self._narrowed = Route(
                tuple(route.groups[number] for number in kept),
                sum(number < route.usable for number in kept),
            )
            self._whole = route
        return self._narrowed


def _next(
    groups: tuple[tuple[Target, ...], ...], tried: Collection[Target], turn: int
) -> Target | None:
    """The first target not tried, of an endpoint not tried twice while there is one."""
    attempts = Counter(target.label for target in tried)
    spare = None
    for group in groups:
        left = [target for target in group if target not in tried]
        if not left:
            continue
        target = left[turn % len(left)]
        if attempts[target.label] < ADDRESSES_PER_ENDPOINT:
            return target
        spare = spare or target
    return spare
