"""How the status follows from snapshot, configuration, counts of flows and history."""

import dataclasses
import datetime
from collections.abc import Callable, Iterable, Iterator

from router.changes import Flip
from router.election import Switch, ms
from router.health import State
from router.history import History, in_words
from router.policy import rank_edges
from router.snapshot import Address, Edge, Service, Snapshot
from router.status import (
    About,
    AddressStatus,
    Condition,
    EdgeStatus,
    FlowCount,
    LinkStatus,
    Past,
    Pinned,
    ServiceStatus,
    Status,
    Trouble,
)

UNUSED = "not asked: no flow of any listener may go there"
"Why nothing is known of an edge that nobody needs."

SHOWN_TROUBLES = 3
"Troubles in the first line; the others are counted there."


def assess(
    snapshot: Snapshot,
    about: About,
    flows: Iterable[FlowCount],
    history: History,
    links: Iterable[LinkStatus] = (),
    *,
    now: float,
    unix: float,
    zone: datetime.tzinfo = datetime.UTC,
) -> Status:
    """The status at `now` in monotonic seconds, which is `unix` in Unix seconds.

    `zone` is the time zone of the times in sentences.
    """
    offset = unix - now
    home, pin = snapshot.home, snapshot.pin
    edges = tuple(_edges(snapshot, history, now, offset))
    sites = tuple(
        _service(one, offset)
        for services in snapshot.services.values()
        for one in services
        if one.endpoint.edge not in snapshot.edges
    )
    pinned = Pinned(pin.edge, pin.until + offset) if pin is not None else None
    used = tuple(one for one in edges if snapshot.edges[one.name].used)
    suspect = history.suspect_since + offset if snapshot.frozen else None
    found = (
        *_troubles(used, sites, suspect),
        *(_refused(edges) if snapshot.refusing else _drained(edges)),
    )
    troubles = tuple(sorted(found, key=lambda one: _GRAVITY[one.condition]))
    status = Status(
        time=unix,
        condition=_condition(home.edge, used, troubles),
        verdict="",
        about=about,
        home=home.edge,
        home_since=home.since + offset,
        home_reason=history.why_home(home.edge),
        pinned=pinned,
        uplink_suspect=snapshot.frozen,
        troubles=troubles,
        edges=edges,
        receivers=sites,
        links=tuple(links),
        flows=tuple(flows),
        past=tuple(_past(history, offset)),
    )
    return dataclasses.replace(status, verdict=_verdict(status, zone))


_GRAVITY = {
    Condition.FAILED: 0,
    Condition.DEGRADED: 1,
    Condition.STARTING: 2,
    Condition.OK: 3,
}


def _condition(
    home: str | None, used: tuple[EdgeStatus, ...], troubles: tuple[Trouble, ...]
) -> Condition:
    gravest = troubles[0].condition if troubles else Condition.OK
    if gravest is not Condition.FAILED and home is None and used:
        return Condition.STARTING
    return gravest


# ---- Edges and receivers -----------------------------------------------------------


def _edges(
    snapshot: Snapshot, history: History, now: float, offset: float
) -> Iterator[EdgeStatus]:
    services: dict[str, list[ServiceStatus]] = {}
    for found in snapshot.services.values():
        for one in found:
            services.setdefault(one.endpoint.edge, []).append(_service(one, offset))
    for name, reasons in rank_edges(snapshot, now=now).items():
        edge = snapshot.edges[name]
        here = tuple(services.get(name, ()))
        yield EdgeStatus(
            name=name,
            kind=edge.kind,
            state=edge.state,
            since=edge.since + offset,
            reason=_why_edge(edge, here),
            drained=edge.drained + offset if edge.drained is not None else None,
            flips=edge.flips,
            reasons=reasons,
            services=here,
            samples=tuple(
                dataclasses.replace(one, time=one.time + offset)
                for one in history.samples(name)
            ),
        )


def _why_edge(edge: Edge, services: Iterable[ServiceStatus]) -> str:
    """What the worst of its products suffers from."""
    if edge.state is State.UP:
        return ""
    if not edge.used:
        return UNUSED
    reasons = (one.reason for one in services if one.state is edge.state)
    return next(filter(None, reasons), "")


def _service(service: Service, offset: float) -> ServiceStatus:
    reason = ""
    if service.state is not State.UP:
        reasons = (a.health.reason for a in service.addresses)
        reason = next(reasons, "its name has no address")
    return ServiceStatus(
        product=service.endpoint.product,
        protocol=service.endpoint.protocol.value,
        place=service.endpoint.edge,
        state=service.state,
        since=service.since + offset,
        reason=reason,
        addresses=tuple(_address(one, offset) for one in service.addresses),
    )


def _address(address: Address, offset: float) -> AddressStatus:
    target, health = address.target, address.health
    return AddressStatus(
        address=target.address,
        port=target.port,
        transport=target.transport.value,
        state=health.state,
        since=health.since + offset,
        reason=health.reason,
        round_trip=target.round_trip,
    )


# ---- What is broken ----------------------------------------------------------------


def _troubles(
    edges: tuple[EdgeStatus, ...],
    sites: tuple[ServiceStatus, ...],
    suspect: float | None,
) -> Iterator[Trouble]:
    dead_ends = tuple(_dead_ends(edges, sites))
    yield from dead_ends
    if suspect is not None:
        yield Trouble(
            "our own uplink", "is in doubt", suspect, "home stays", Condition.DEGRADED
        )
    yield from _lone(edges)
    told = {one.subject for one in dead_ends}
    for edge in edges:
        if {one.product for one in edge.services} - told or not edge.services:
            yield from _of_edge(edge, told)
    for site in sites:
        if site.state is State.DOWN and site.product not in told:
            yield _trouble(_named(site), site, Condition.DEGRADED)


def _dead_ends(
    edges: tuple[EdgeStatus, ...], sites: tuple[ServiceStatus, ...]
) -> Iterator[Trouble]:
    """Products and listeners of which nothing is left that works."""
    every: dict[str, list[ServiceStatus]] = {}
    for one in (*(s for edge in edges for s in edge.services), *sites):
        every.setdefault(one.product, []).append(one)
    for product, services in every.items():
        if all(one.state is State.DOWN for one in services):
            last = max(services, key=lambda one: one.since)
            yield Trouble(
                product,
                "has no way that works",
                last.since,
                last.reason,
                Condition.FAILED,
            )


def _lone(edges: tuple[EdgeStatus, ...]) -> Iterator[Trouble]:
    """The last edge that is left, where there are several."""
    fallen = [one for one in edges if one.state is State.DOWN]
    if len(edges) > 1 and len(fallen) == len(edges) - 1:
        left = next(one for one in edges if one.state is not State.DOWN)
        since = max(one.since for one in fallen)
        yield Trouble(
            left.name, "is the last edge that works", since, "", Condition.DEGRADED
        )


def _of_edge(edge: EdgeStatus, told: set[str]) -> Iterator[Trouble]:
    """What is wrong there: what concerns home is grave, all else is told.

    The products `told` are dead everywhere, which has been said.
    """
    grave = Condition.DEGRADED if edge.reasons.home else Condition.OK
    if edge.state is not State.UP:
        yield _trouble(edge.name, edge, grave)
        return
    for service in edge.services:
        if service.state is not State.UP and service.product not in told:
            yield _trouble(f"{service.product} at {edge.name}", service, grave)


def _drained(edges: tuple[EdgeStatus, ...]) -> Iterator[Trouble]:
    """What an operator has taken out of use, if he has not taken all."""
    for edge in edges:
        if edge.drained is not None:
            home = edge.reasons.home
            state = "is drained, but still home" if home else "is drained"
            grave = Condition.DEGRADED if home else Condition.OK
            yield Trouble(edge.name, state, edge.drained, "", grave)


def _refused(edges: tuple[EdgeStatus, ...]) -> Iterator[Trouble]:
    """That an operator wants no new flows at all."""
    since = max(edge.drained or 0.0 for edge in edges)
    state = "are drained, new flows to the provider refused,"
    yield Trouble("all edges", state, since, "", Condition.FAILED)


def _named(site: ServiceStatus) -> str:
    return f"{site.place} for {site.product}"


def _trouble(
    name: str, of: EdgeStatus | ServiceStatus, condition: Condition
) -> Trouble:
    state = "is down" if of.state is State.DOWN else "is in doubt"
    return Trouble(name, state, of.since, of.reason, condition)


# ---- The first line ----------------------------------------------------------------


def _verdict(status: Status, zone: datetime.tzinfo) -> str:
    def when(unix: float) -> str:
        return moment(unix, status.time, zone)

    parts = [_home(status, when)]
    parts += [_sentence(one, when) for one in status.troubles[:SHOWN_TROUBLES]]
    more = len(status.troubles) - SHOWN_TROUBLES
    if more > 0:
        parts.append(f"and {more} more")
    return f"{status.condition}: {'; '.join(parts)}"


def _home(status: Status, when: Callable[[float], str]) -> str:
    edge = next((one for one in status.edges if one.name == status.home), None)
    if edge is None and all(one.reason == UNUSED for one in status.edges):
        return "no listener sends flows to edges"
    if edge is None:
        return f"no home yet, new flows go to {status.about.default_edge}"
    about: list[str] = [edge.kind.value]
    if edge.reasons.score is not None:
        about.append(ms(edge.reasons.score.value))
    line = f"home is {edge.name} ({', '.join(about)}) since {when(status.home_since)}"
    pinned = status.pinned
    if pinned is not None and pinned.edge == edge.name:
        line += f", pinned until {when(pinned.until)}"
    elif pinned is not None:
        line += f", while the pinned {pinned.edge} is unfit"
    return line


def _sentence(trouble: Trouble, when: Callable[[float], str]) -> str:
    line = f"{trouble.subject} {trouble.state} since {when(trouble.since)}"
    return f"{line}: {trouble.reason}" if trouble.reason else line


def moment(unix: float, now: float, zone: datetime.tzinfo) -> str:
    """A time of today as `12:03`, an earlier or later one with its day."""
    then = datetime.datetime.fromtimestamp(unix, zone)
    today = datetime.datetime.fromtimestamp(now, zone).date()
    return f"{then:%H:%M}" if then.date() == today else f"{then:%d %b %H:%M}"


# ---- What changed ------------------------------------------------------------------


def _past(history: History, offset: float) -> Iterator[Past]:
    for happening in history.happenings():
        change = happening.change
        kind, edge, state = type(change).__name__.lower(), "", ""
        if isinstance(change, Switch):
            edge, state = change.to, "home"
        elif isinstance(change, Flip):
            kind = _level(change)
            edge, state = change.edge, change.to.value
        yield Past(happening.time + offset, kind, edge, state, in_words(change))


def _level(flip: Flip) -> str:
    """What flipped: an address, a product there, or the edge as a whole."""
    if flip.targets:
        return "address"
    return "product" if flip.product else "edge"
