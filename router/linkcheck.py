"""Direct links that cannot be as they are described."""

import ipaddress
import itertools
from collections.abc import Collection, Iterable, Iterator

from router.addresses import IPNetwork
from router.catalogue import Catalogue
from router.document import Document
from router.endpoint import Kind
from router.links import Link, behind, device_at
from router.listeners import Sip
from router.problem import KeyPath, Problem, Severity, did_you_mean, key_text, one_of
from router.reserved import not_routable
from router.settings import Config

_LINKS: KeyPath = ("provider", "links")
_ANNOUNCED = "a globally unique one, which is announced to the provider"

Placed = tuple[KeyPath, IPNetwork]
"A network, and where it is written."


def check_links(
    config: Config, catalogue: Catalogue, document: Document, used: Collection[str]
) -> Iterator[Problem]:
    """Yield every problem of the links; `used` are the edges in use."""
    links = config.provider.links
    seen: dict[str, KeyPath] = {}
    for name, link in links.items():
        path = (*_LINKS, name)
        yield from _way(path, link, document)
        for index, edge in enumerate(link.edges):
            place = (*path, "edges", index)
            if edge in seen:
                found = f"'{edge}' again (it is in {key_text(seen[edge])})"
                yield document.problem(place, found, "each edge behind one link")
            else:
                yield from _edge(place, edge, catalogue, document, used)
            seen.setdefault(edge, place)
        if not catalogue.simulated:
            yield from _unique(path, link, document)
        yield from _inside(path, link, document)
    yield from _sources_told_twice(config, document)
    yield from _sources_borrowed(config, document)
    yield from _overlapping(_prefixes(links.items()), document)
    yield from _alone(config, catalogue, document)
    if any(e in used for e in catalogue.public_edges()):
        yield from _borrowed(config, document)


def _way(path: KeyPath, link: Link, document: Document) -> Iterator[Problem]:
    if not link.sources and link.interface is None:
        found = "found neither sources nor an interface"
        hint = "nothing tells flows over the link from others"
        yield document.problem(path, found, "one of them, or both", hint)


def _edge(
    path: KeyPath,
    edge: str,
    catalogue: Catalogue,
    document: Document,
    used: Collection[str],
) -> Iterator[Problem]:
    private = [n for n, e in catalogue.edges.items() if e.kind is Kind.PRIVATE]
    if edge not in catalogue.edges:
        expected = one_of(private or ["none: the catalogue has no private edge"])
        hint = did_you_mean(edge, private)
        yield document.problem(path, f"unknown edge '{edge}'", expected, hint)
    elif edge not in private:
        sibling = catalogue.edges[edge].sibling
        hint = f"the private edge beside it is '{sibling}'" if sibling else ""
        yield document.problem(path, f"'{edge}' is public", "a private edge", hint)
    elif edge not in used:
        yield document.problem(
            path, f"'{edge}' is not in use", "an edge of provider.edges"
        )


def _unique(path: KeyPath, link: Link, document: Document) -> Iterator[Problem]:
    """Addresses that the provider has no way back to."""
    for key, written in (("sources", link.sources), ("prefixes", link.prefixes)):
        for index, one in enumerate(written):
            reason = not_routable(ipaddress.ip_network(one))
            if reason:
                place = (*path, key, index)
                yield document.problem(place, f"found {one}, {reason}", _ANNOUNCED)


def _inside(path: KeyPath, link: Link, document: Document) -> Iterator[Problem]:
    """Sources that are not announced; the same one twice."""
    for index, source in enumerate(link.sources):
        place = (*path, "sources", index)
        if source in link.sources[:index]:
            yield document.problem(place, f"{source} a second time", "each once")
        elif not any(source in prefix for prefix in link.prefixes):
            found = f"found {source}, which is in none of the prefixes announced"
            expected = f"an address in {one_of(map(str, link.prefixes))}"
            yield document.problem(
                place, found, expected, "answers would not find their way back"
            )


def _sources_told_twice(config: Config, document: Document) -> Iterator[Problem]:
    """Edges of a link with an address of their own that is none of the link's."""
    told = config.provider.source_addresses
    for name, link in config.provider.links.items():
        for edge in link.edges:
            source = told.get(edge)
            if source is not None and link.sources and source not in link.sources:
                yield document.problem(
                    ("provider", "source_addresses", edge),
                    f"found {source}, which is not in provider.links.{name}.sources",
                    f"{one_of(map(str, link.sources))}, or nothing",
                )


def _sources_borrowed(config: Config, document: Document) -> Iterator[Problem]:
    """Edges behind no link with the source of one, whose packets take it alone."""
    links = config.provider.links
    linked = behind(links)
    for edge, source in config.provider.source_addresses.items():
        device = device_at(links, source)
        if edge not in linked and device is not None:
            yield document.problem(
                ("provider", "source_addresses", edge),
                f"found {source}, which is a link's, by {device}",
                "an address of no link",
                f"'{edge}' is behind none",
            )


def _prefixes(links: Iterable[tuple[str, Link]]) -> Iterator[Placed]:
    for name, link in links:
        for index, prefix in enumerate(link.prefixes):
            yield (*_LINKS, name, "prefixes", index), prefix


def _overlapping(prefixes: Iterable[Placed], document: Document) -> Iterator[Problem]:
    """Prefixes with addresses in common: nobody could say to which link they belong.

    In the order of their addresses, a prefix overlaps the one before it, or the one
    that holds that, or none.
    """
    ordered = sorted(
        prefixes,
        key=lambda p: (p[1].version, int(p[1].network_address), p[1].prefixlen),
    )
    for _, family in itertools.groupby(ordered, lambda p: p[1].version):
        (where, widest), *others = family
        for path, prefix in others:
            if prefix.network_address in widest:
                found = f"found {prefix}, which overlaps {widest} of {key_text(where)}"
                expected = "prefixes without an address in common"
                yield document.problem(path, found, expected)
            else:
                where, widest = path, prefix


def _alone(
    config: Config, catalogue: Catalogue, document: Document
) -> Iterator[Problem]:
    """Links that one fault can end: all at one exchange, or all at one place."""
    links = config.provider.links.values()
    known = [e for link in links for e in link.edges if e in catalogue.edges]
    edges = {edge: catalogue.edges[edge] for edge in known}
    exchanges = {link.exchange.casefold() for link in links}
    places = {entry.place or edge for edge, entry in edges.items()}
    if not edges or (len(exchanges) > 1 and len(places) > 1):
        return
    same = "exchange" if len(exchanges) == 1 else "place"
    pairs = [f"{edge} with {entry.pair}" for edge, entry in edges.items() if entry.pair]
    hint = f"{catalogue.name} recommends {one_of(pairs)}" if pairs else ""
    yield document.problem(
        _LINKS,
        f"found links to one {same} only",
        "links to two exchanges far from each other",
        hint,
        severity=Severity.WARNING,
    )


def _borrowed(config: Config, document: Document) -> Iterator[Problem]:
    """Trunks whose first address is a link's: public edges are called from that one.

    With an interface they are not: what is bound for a link sends nothing elsewhere.
    """
    links = config.provider.links
    for name, listener in config.listeners.items():
        if not isinstance(listener, Sip):
            continue
        transport, seen = listener.edge.transport, set()
        for index, bind in enumerate(listener.edge.bind):
            version = bind.address.version
            others = bind.transport is not transport or version in seen
            if others or device_at(links, bind.address) is not None:
                continue
            seen.add(version)
            for link, other in links.items():
                if any(bind.address in prefix for prefix in other.prefixes):
                    yield document.problem(
                        ("listeners", name, "edge", "bind", index),
                        f"found {bind}, which link {link} announces, first",
                        f"a {transport}:// address for public edges before it",
                        "calls to them would come from it, and depend on the link",
                        severity=Severity.WARNING,
                    )
