"""What a configuration amounts to, in a few lines for its author."""

import dataclasses

from router.access import Place
from router.config import Loaded
from router.endpoints import products_of, receivers_of
from router.links import behind
from router.listeners import Listener, Sip
from router.settings import Health
from router.units import duration


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """One listener, and how long a failure can hold up its flows."""

    name: str
    "Name of the listener."
    binds: tuple[str, ...]
    "Addresses that it listens on."
    leads_to: tuple[str, ...]
    "Products, and receivers of the site."
    next_target: float
    "Most seconds before a flow that met a dead target turns to the next one."
    out_of_use: float
    "Most seconds before an address that falls silent is down for all new flows."

    def __str__(self) -> str:
        return (
            f"{self.name}: {', '.join(self.binds)} to {', '.join(self.leads_to)}; "
            f"a silent target delays a flow by at most {duration(self.next_target)} "
            f"and is out of use after at most {duration(self.out_of_use)}"
        )


def summarise(loaded: Loaded) -> tuple[Summary, ...]:
    """One summary for each listener, in the order of the file."""
    until_down = _until_down(loaded.config.health)
    return tuple(
        Summary(
            name=name,
            binds=_binds(listener),
            leads_to=_leads_to(listener, loaded),
            next_target=_until_next(listener),
            out_of_use=until_down,
        )
        for name, listener in loaded.config.listeners.items()
    )


def edge_places(loaded: Loaded) -> dict[str, Place]:
    """What records say of the edges that served."""
    provider, edges = loaded.config.provider, loaded.catalogue.edges
    links = behind(provider.links)
    return {
        name: Place(provider.region, edges[name].kind.value, links.get(name, ""))
        for name in provider.edges
    }


def _until_down(health: Health) -> float:
    """The worst case: the last answer came just before the silence."""
    first = health.interval + health.timeout
    return first + (health.fall - 1) * (health.fast_interval + health.timeout)


def _until_next(listener: Listener) -> float:
    """The worst case: connected at the last moment, then no answer to the TLS hello."""
    if isinstance(listener, Sip):
        return listener.no_response
    return listener.deadlines.connect + listener.deadlines.tls


def _binds(listener: Listener) -> tuple[str, ...]:
    if isinstance(listener, Sip):
        binds = (*listener.site.bind, *listener.edge.bind)
        return tuple(f"{bind.transport}://{bind}" for bind in binds)
    return (str(listener.bind),)


def _leads_to(listener: Listener, loaded: Loaded) -> tuple[str, ...]:
    products = products_of(listener, loaded.catalogue)
    return (*products, *map(str, receivers_of(listener)))
