"""Where a configuration and its catalogue contradict each other."""

from collections.abc import Iterable, Iterator, Mapping

from router.catalogue import Catalogue
from router.document import Document
from router.endpoint import Kind, Protocol
from router.endpoints import ANYWHERE, endpoints, is_required, products_of
from router.hosts import Refusal, host_names, match_host
from router.linkcheck import check_links
from router.links import Link
from router.listeners import Demand, FromProvider, HttpsConnect, Listener, Sip
from router.privacycheck import check_privacy
from router.problem import KeyPath, Problem, Severity, did_you_mean, one_of
from router.reserved import not_unique
from router.settings import Config, Provider
from router.units import duration

_WARNING = Severity.WARNING


def settle(config: Config, catalogue: Catalogue) -> Config:
    """Fill in what the catalogue decides: the region, the edges, the default edge.

    To the edges of a link one connects from its first source, unless told otherwise.
    """
    region = config.provider.region or catalogue.default_region or ""
    linked = _linked(config.provider)
    edges = config.provider.edges or (*linked, *catalogue.public_edges())
    sources = {edge: link.sources[0] for edge, link in linked.items() if link.sources}
    sources |= config.provider.source_addresses
    place = catalogue.regions.get(region)
    wanted = [place.home_edge] if place is not None else []
    wanted += [catalogue.default_edge, *edges]
    first = next((edge for edge in wanted if edge in edges), "")
    default = config.policy.default_edge or first
    provider = config.provider.model_copy(
        update={"region": region, "edges": edges, "source_addresses": sources}
    )
    policy = config.policy.model_copy(update={"default_edge": default})
    listeners = {
        name: _demanding(listener, policy.prefer_private.allow_public)
        for name, listener in config.listeners.items()
    }
    update = {"provider": provider, "policy": policy, "listeners": listeners}
    return config.model_copy(update=update)


def _demanding(listener: Listener, allow_public: bool) -> Listener:
    """The listener with the privacy that it demands, if it leads to the provider."""
    if isinstance(listener, FromProvider) or listener.privacy is not None:
        return listener
    demand = Demand.PREFERRED if allow_public else Demand.REQUIRED
    return listener.model_copy(update={"privacy": demand})


def check_with(
    config: Config, catalogue: Catalogue, document: Document
) -> Iterator[Problem]:
    """Yield every problem; `config` is as it was read, before `settle`."""
    problems = [
        *_region(config, catalogue, document),
        *_edges(config, catalogue, document),
        *_sources(config, catalogue, document),
        *check_links(
            config, catalogue, document, _used_edges(config, catalogue, document)
        ),
        *_default_edge(config, catalogue, document),
        *_products(config, catalogue, document),
    ]
    yield from problems
    if not any(problem.severity is Severity.ERROR for problem in problems):
        settled = settle(config, catalogue)
        yield from _reach(settled, catalogue, document)
        yield from check_privacy(settled, catalogue, document)


def _region(
    config: Config, catalogue: Catalogue, document: Document
) -> Iterator[Problem]:
    region = config.provider.region
    if region and region not in catalogue.regions:
        path = ("provider", "region")
        meant = _meant(region, catalogue.regions)
        yield document.problem(path, f"unknown region '{region}'", *meant)


def _edges(
    config: Config, catalogue: Catalogue, document: Document
) -> Iterator[Problem]:
    edges = config.provider.edges
    for index, edge in enumerate(edges):
        path: KeyPath = ("provider", "edges", index)
        if edge not in catalogue.edges:
            hint = _edge_meant(edge, catalogue)
            expected = f"an edge of catalogue '{catalogue.name}'"
            yield document.problem(path, f"unknown edge '{edge}'", expected, hint)
        elif edge in edges[:index]:
            yield document.problem(path, f"'{edge}' a second time", "each edge once")
        elif _is_private(edge, catalogue) and not _has_source(edge, config, document):
            found = f"private edge '{edge}' without a source address"
            expected = f"provider.source_addresses.{edge}"
            hint = "a private edge answers announced addresses only"
            yield document.problem(path, found, expected, hint, severity=_WARNING)
    if not edges and not catalogue.public_edges():
        found = f"catalogue '{catalogue.name}' has no public edge"
        yield document.problem(("provider", "edges"), found, "the edges to use")


def _edge_meant(word: str, catalogue: Catalogue) -> str:
    """What an unknown edge was meant to be: private ones have names of their own."""
    public, dash, _ = word.rpartition("-")
    edge = catalogue.edges.get(public)
    if dash and edge is not None and edge.sibling:
        return f"the private edge beside '{public}' is '{edge.sibling}'"
    return did_you_mean(word, catalogue.edges)


def _is_private(edge: str, catalogue: Catalogue) -> bool:
    return catalogue.edges[edge].kind is Kind.PRIVATE


def _has_source(edge: str, config: Config, document: Document) -> bool:
    provider = config.provider
    if "links" in document.tree["provider"] and not provider.links:
        return True  # they cannot be read
    return edge in provider.source_addresses or edge in _linked(provider)


def _linked(provider: Provider) -> dict[str, Link]:
    """The edges behind links, with the link of each."""
    return {edge: link for link in provider.links.values() for edge in link.edges}


def _sources(
    config: Config, catalogue: Catalogue, document: Document
) -> Iterator[Problem]:
    used = _used_edges(config, catalogue, document)
    for edge, address in config.provider.source_addresses.items():
        path: KeyPath = ("provider", "source_addresses", edge)
        if edge not in used:
            yield document.problem(path, f"'{edge}' is not in use", *_meant(edge, used))
        elif address.is_unspecified or address.is_multicast:
            yield document.problem(
                path, f"found {address}", "an address of this machine"
            )
        elif _is_private(edge, catalogue) and not catalogue.simulated:
            reason = not_unique(address)
            if reason:
                expected = "the globally unique address announced to the provider"
                yield document.problem(path, f"found {address}, {reason}", expected)


def _used_edges(
    config: Config, catalogue: Catalogue, document: Document
) -> tuple[str, ...]:
    """The edges in use; if those that are listed cannot be read, any edge may be."""
    if config.provider.edges:
        return tuple(e for e in config.provider.edges if e in catalogue.edges)
    if "edges" in document.tree["provider"]:
        return tuple(catalogue.edges)  # they cannot be read
    linked = [e for e in _linked(config.provider) if e in catalogue.edges]
    return (*linked, *catalogue.public_edges())


def _default_edge(
    config: Config, catalogue: Catalogue, document: Document
) -> Iterator[Problem]:
    used = _used_edges(config, catalogue, document)
    edge = config.policy.default_edge
    if edge and edge not in used:
        path = ("policy", "default_edge")
        yield document.problem(path, f"'{edge}' is not in use", *_meant(edge, used))


def _meant(word: str, known: Iterable[str]) -> tuple[str, str]:
    """What was expected in place of an unknown name, and which was meant."""
    names = dict.fromkeys(known)
    return one_of(names) if names else "none", did_you_mean(word, names)


def _products(
    config: Config, catalogue: Catalogue, document: Document
) -> Iterator[Problem]:
    for name, listener in config.listeners.items():
        for path, product in _named_products(name, listener):
            if product not in catalogue.products:
                meant = _meant(product, _speaking(listener.protocol, catalogue))
                yield document.problem(path, f"unknown product '{product}'", *meant)
                continue
            protocol = catalogue.products[product].protocol
            if protocol is not listener.protocol:
                found = f"product '{product}' speaks {protocol}"
                expected = f"one that speaks {listener.protocol}"
                yield document.problem(path, found, expected)
        if isinstance(listener, Sip):
            yield from _transport(("listeners", name), listener, catalogue, document)


def _transport(
    path: KeyPath, listener: Sip, catalogue: Catalogue, document: Document
) -> Iterator[Problem]:
    product = catalogue.products.get(listener.product)
    transport = listener.edge.transport
    if product is not None and transport not in product.transports:
        found, known = f"found '{transport}'", one_of(product.transports)
        yield document.problem((*path, "edge", "transport"), found, known)


def _speaking(protocol: Protocol, catalogue: Catalogue) -> list[str]:
    return [n for n, p in catalogue.products.items() if p.protocol is protocol]


def _named_products(name: str, listener: Listener) -> Iterator[tuple[KeyPath, str]]:
    path: KeyPath = ("listeners", name)
    if isinstance(listener, HttpsConnect):
        for index, product in enumerate(listener.products or ()):
            yield (*path, "products", index), product
    elif not isinstance(listener, FromProvider):
        yield (*path, "product"), listener.product


def _reach(
    config: Config, catalogue: Catalogue, document: Document
) -> Iterator[Problem]:
    """Whether every listener has somewhere to go, once all names are known."""
    at: dict[str, set[str]] = {}
    for endpoint in endpoints(catalogue, config):
        at.setdefault(endpoint.product, set()).add(endpoint.edge)
    for name, listener in config.listeners.items():
        path: KeyPath = ("listeners", name)
        if name in at and isinstance(listener, FromProvider | Sip):
            # Its receivers would be taken for endpoints of the product.
            found = f"a listener called '{name}', like a product in use"
            yield document.problem(path, found, "another name")
        products = products_of(listener, catalogue)
        if not is_required(listener):
            yield from _edges_left(path, products, at, config, catalogue, document)
        if isinstance(listener, Sip):
            yield from _trunk(path, listener, catalogue, document)
            yield from _unbound_sources(path, listener, config, catalogue, document)
    yield from _ban(config, catalogue, at, document)


def _edges_left(
    path: KeyPath,
    products: Iterable[str],
    at: Mapping[str, set[str]],
    config: Config,
    catalogue: Catalogue,
    document: Document,
) -> Iterator[Problem]:
    """Products of a listener for which the region leaves no edge, or no second one."""
    region = config.provider.region
    none: dict[str, list[str]] = {}
    one: dict[str, list[str]] = {}
    for product in products:
        edges = at.get(product, set())
        offered = catalogue.products[product].offered
        if not edges:
            there = [edge for edge in catalogue.edges if offered(edge, region)]
            none.setdefault(one_of(there or ["none"]), []).append(product)
        elif len(edges) == 1 < len(config.provider.edges) and ANYWHERE not in edges:
            one.setdefault(min(edges), []).append(product)
    for others, names in none.items():
        found = f"no edge in use offers {', '.join(names)} in region '{region}'"
        expected = f"another region, or among the edges: {others}"
        yield document.problem(path, found, expected)
    for edge, names in one.items():
        found = f"only '{edge}' offers {', '.join(names)} in region '{region}'"
        hint = "when it fails, no other edge can take over"
        yield document.problem(path, found, hint=hint, severity=_WARNING)


def _ban(
    config: Config, catalogue: Catalogue, used: Iterable[str], document: Document
) -> Iterator[Problem]:
    """Probes faster than a provider bears."""
    spacing = {
        name: catalogue.products[name].min_probe_interval
        for name in used
        if catalogue.products[name].protocol is Protocol.SIP
    }
    name = max(spacing, key=lambda name: spacing[name], default="")
    if name and config.health.sip_options_interval < spacing[name]:
        found = f"found {duration(config.health.sip_options_interval)}"
        expected = f"{duration(spacing[name])} or more for {name}"
        path = ("health", "sip_options_interval")
        yield document.problem(
            path, found, expected, "the provider bans faster senders"
        )


def _trunk(
    path: KeyPath, listener: Sip, catalogue: Catalogue, document: Document
) -> Iterator[Problem]:
    product = catalogue.products[listener.product]
    names = host_names(catalogue, (listener.product,))
    port = product.transports[listener.edge.transport]
    if isinstance(match_host(names, listener.host, port, None), Refusal):
        found = f"found '{listener.host}'"
        hosts = [*filter(None, (product.host,)), *product.hosts.values()]
        yield document.problem((*path, "host"), found, f"a name like {one_of(hosts)}")


def _unbound_sources(
    path: KeyPath,
    listener: Sip,
    config: Config,
    catalogue: Catalogue,
    document: Document,
) -> Iterator[Problem]:
    """Source addresses of edges that nothing listens to: no request would come back."""
    transport = listener.edge.transport
    bound = {str(b.address) for b in listener.edge.bind if b.transport is transport}
    for endpoint in endpoints(catalogue, config):
        source = endpoint.source
        if endpoint.product != listener.product or source is None or source in bound:
            continue
        bound.add(source)
        place = f"{transport}://{f'[{source}]' if ':' in source else source}"
        yield document.problem(
            (*path, "edge", "bind"),
            f"nothing bound at {place}",
            f"the source address of '{endpoint.edge}'",
            f"calls to '{endpoint.edge}' leave from there, and come back to it",
        )
