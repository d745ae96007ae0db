"""A provider as data: its edges, regions, products, and the names that they bear.

A catalogue is a YAML file; `router/catalogues/twilio.yaml` is one. Host templates know
the placeholders {product}, {edge}, {region}, {legacy_id} and {tenant}.
"""

import enum
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pydantic

from protocols.target import Transport
from router.addresses import IPNetwork, Network, is_host
from router.dialect import Dialect
from router.document import Document
from router.endpoint import Kind, Protocol
from router.problem import ConfigError, KeyPath, Problem, did_you_mean, one_of
from router.units import Seconds, between, wrong
from router.validation import Name, Section, Version, build

_PLACEHOLDERS = ("product", "edge", "region", "legacy_id", "tenant")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_ANSWER = re.compile(r"[1-6](?:[0-9]{2}|xx)(?: [ -~]{1,100})?")


def _template(text: str) -> str:
    unknown = [p for p in _PLACEHOLDER.findall(text) if p not in _PLACEHOLDERS]
    if unknown:
        hint = did_you_mean(unknown[0], _PLACEHOLDERS)
        raise wrong(f"placeholders {one_of(_PLACEHOLDERS)}", hint)
    if not is_host(_PLACEHOLDER.sub("x", text)):
        raise wrong("a host name, with placeholders in braces")
    return text


def _answer(text: str) -> str:
    if not _ANSWER.fullmatch(text):
        raise wrong(
            "a code and perhaps a reason, such as '503' or '503 Limit exceeded'"
        )
    return text


Template = Annotated[str, pydantic.AfterValidator(_template)]
"A host name with placeholders in braces."
Answers = tuple[Annotated[str, pydantic.AfterValidator(_answer)], ...]
"Answers: a code, `5xx` for a class, or a code and the start of its reason phrase."
_Port = Annotated[int, pydantic.Strict(), pydantic.Field(ge=1, le=65535)]
_PATH = pydantic.Field(pattern=r"^/[!-~]*$")
_Networks = tuple[Network, ...]


class RegionSource(enum.StrEnum):
    """What decides the region of a flow."""

    LABEL = "label"
    "The host name; one without a region means the default region."
    ACCOUNT = "account"
    "A setting of the trunk or domain at the provider; the host name does not matter."
    TOKEN = "token"
    "What the client sends."


class Networks(Section):
    """The provider's networks at one edge."""

    sip_signalling: _Networks = ()
    "SIP over UDP, TCP and TLS; calls from the provider come from here."
    sdk_signalling: _Networks = ()
    "WebSockets of client SDKs."
    media: _Networks = ()
    "Voice and video."


class Edge(Section):
    """A named entry point of the provider."""

    kind: Kind
    "Reached over the Internet (public) or over a direct link (private)."
    place: str = ""
    "Where it is, for people."
    sibling: Name | None = None
    "The edge of the other kind at the same place, or nearest to it."
    legacy_id: Name | None = None
    "Older name, which some host names still use."
    pair: Name | None = None
    "The private edge elsewhere that the provider recommends to have beside this one."
    networks: Networks = Networks()
    "The provider's networks there."


class Region(Section):
    """A place where the provider processes data."""

    place: str = ""
    "Where it is, for people."
    home_edge: Name
    "The edge nearest to it."


class Failover(Section):
    """What the provider's failing answers mean for the choice of an edge."""

    advance: Answers = ()
    "The edge's fault: the next target may do better."
    final: Answers = ()
    "The far side's word: pass it on, try nowhere else."
    account: Answers = ()
    "A limit or setting of the account, the same at every edge: pass it on."


class Product(Section):
    """What a host name is for."""

    names: tuple[Name, ...] = ()
    """Several products of one shape: the names that {product} stands for. Omitted: the
    key of this entry alone."""
    protocol: Protocol
    "What is spoken with it."
    transports: Annotated[dict[Transport, _Port], pydantic.Field(min_length=1)]
    "What it can be reached by, and the port of each; for SIP, where no SRV has one."
    host: Template | None = None
    "Name by which the far side knows itself: the HTTP Host, the SIP domain."
    hosts: dict[Name, Template] = pydantic.Field(default_factory=dict)
    "The same for each edge, where no template fits all."
    next_hop: Template | None = None
    "Name or IP address to connect to. Omitted: the host."
    server_name: Template | None = None
    "TLS server name to indicate. Omitted: the host."
    verify_name: Template | None = None
    "Name that the certificate must bear. Omitted: the server name."
    region_from: RegionSource = RegionSource.LABEL
    "What decides the region."
    edges_in_region: dict[Name, tuple[Name, ...]] = pydantic.Field(default_factory=dict)
    "Regions in which only some edges offer the product. Others: every edge."
    also: tuple[Template, ...] = ()
    "Further names that clients may ask for in the modes passthrough and connect."
    min_probe_interval: Annotated[Seconds, between("0s", "1h")] = 0.0
    "Least time between two probes of one address."
    probe_path: Annotated[str, pydantic.Strict(), _PATH] | None = None
    """Of a WebSocket product: path at which probes open one, without credentials.
    Omitted: probes are TLS handshakes."""
    failover: Failover = Failover()
    "What its failing answers mean."

    @property
    def has_edges(self) -> bool:
        """Whether its names differ by edge, so that there is an edge to choose."""
        names = (self.host or "", self.next_hop or "")
        return bool(self.hosts) or any("{edge}" in n or "{leg" in n for n in names)

    def offered(self, edge: str, region: str) -> bool:
        """Whether the provider has the product at this edge for this region."""
        if self.host is None and edge not in self.hosts:
            return False
        return edge in self.edges_in_region.get(region, (edge,))


class Catalogue(Section):
    """A provider."""

    version: Version
    "Version of this format: 1."
    name: Name
    "Name of the provider."
    simulated: Annotated[bool, pydantic.Strict()] = False
    "Whether this is a provider on loopback, whose private edges may be met from there."
    default_edge: Name
    "The edge to start with."
    default_region: Name | None = None
    "The region of names without one. Needed if there are regions."
    edges: Annotated[dict[Name, Edge], pydantic.Field(min_length=1)]
    "The entry points."
    regions: dict[Name, Region] = pydantic.Field(default_factory=dict)
    "Where data is processed. Omitted: the provider has no such choice."
    products: Annotated[dict[Name, Product], pydantic.Field(min_length=1)]
    "What host names are for."
    sources: dict[Protocol, _Networks] = pydantic.Field(default_factory=dict)
    "Networks of provider-initiated traffic beside those of the edges."
    dialect: Dialect = Dialect()
    "How the provider is told which edges to use."

    def source_networks(self, protocol: Protocol) -> tuple[IPNetwork, ...]:
        """Where traffic from the provider may come from; empty if it has not said.

        Any edge may send to any site: what a flow to the provider chose binds nothing.
        """
        listed = self.sources.get(protocol, ())
        if protocol is not Protocol.SIP:
            return listed
        edges = (n for e in self.edges.values() for n in e.networks.sip_signalling)
        return tuple(dict.fromkeys((*listed, *edges)))

    def public_edges(self) -> tuple[str, ...]:
        """Names of the edges that the Internet reaches, in the order of the file."""
        return tuple(n for n, e in self.edges.items() if e.kind is Kind.PUBLIC)


def fill(
    template: str, *, product: str, edge: str, region: str, legacy_id: str, tenant: str
) -> str:
    """Put names into the placeholders of a template."""
    names = {"product": product, "edge": edge, "region": region}
    names |= {"legacy_id": legacy_id, "tenant": tenant}
    return _PLACEHOLDER.sub(lambda found: names[found[1]], template)


def read_catalogue(document: Document) -> Catalogue:
    """Check a catalogue document; products of one shape come out under their names.

    Raises ConfigError with all that is wrong with it.
    """
    catalogue, problems = build(Catalogue, document, Path())
    problems += document.problems
    if catalogue is not None and not problems:
        problems += _references(catalogue, document)
        problems += _templates(catalogue, document)
    if catalogue is None or problems:
        raise ConfigError(problems)
    products = {
        name: product
        for key, product in catalogue.products.items()
        for name in product.names or (key,)
    }
    return catalogue.model_copy(update={"products": products})


def _references(catalogue: Catalogue, document: Document) -> Iterator[Problem]:
    """Names that refer to an edge or a region that the catalogue lacks."""
    for path, edge in _edge_references(catalogue):
        if edge not in catalogue.edges:
            hint = did_you_mean(edge, catalogue.edges)
            yield document.problem(path, f"unknown edge '{edge}'", "an edge", hint)
    for path, region in _region_references(catalogue):
        if region not in catalogue.regions:
            hint = did_you_mean(region, catalogue.regions)
            yield document.problem(path, f"unknown region '{region}'", "a region", hint)
    if catalogue.regions and catalogue.default_region is None:
        expected = "one of the regions"
        yield document.problem(("default_region",), "the key is missing", expected)


def _edge_references(catalogue: Catalogue) -> Iterator[tuple[KeyPath, str]]:
    yield ("default_edge",), catalogue.default_edge
    for name, edge in catalogue.edges.items():
        if edge.sibling is not None:
            yield ("edges", name, "sibling"), edge.sibling
        if edge.pair is not None:
            yield ("edges", name, "pair"), edge.pair
    for name, region in catalogue.regions.items():
        yield ("regions", name, "home_edge"), region.home_edge
    for index, edge_name in enumerate(catalogue.dialect.webhook_edges):
        yield ("dialect", "webhook_edges", index), edge_name
    for name, product in catalogue.products.items():
        for edge_name in product.hosts:
            yield ("products", name, "hosts", edge_name), edge_name
        for region_name, edges in product.edges_in_region.items():
            for index, edge_name in enumerate(edges):
                path = ("products", name, "edges_in_region", region_name, index)
                yield path, edge_name


def _region_references(catalogue: Catalogue) -> Iterator[tuple[KeyPath, str]]:
    if catalogue.default_region is not None:
        yield ("default_region",), catalogue.default_region
    for name, product in catalogue.products.items():
        for region in product.edges_in_region:
            yield ("products", name, "edges_in_region", region), region


def _templates(catalogue: Catalogue, document: Document) -> Iterator[Problem]:
    """Templates that cannot be filled."""
    seen: dict[str, str] = {}
    for key, product in catalogue.products.items():
        path: KeyPath = ("products", key)
        if (product.host is None) == (not product.hosts):
            yield document.problem(path, "found neither or both", "host or hosts")
        for name in product.names or (key,):
            if name in seen:
                found = f"product '{name}' again (it is in '{seen[name]}')"
                yield document.problem(path, found, "each product once")
            seen[name] = key
        yield from _placeholders(catalogue, product, path, document)


def _placeholders(
    catalogue: Catalogue, product: Product, path: KeyPath, document: Document
) -> Iterator[Problem]:
    bare = [name for name, edge in catalogue.edges.items() if edge.legacy_id is None]
    for inner, text in _written(product):
        used = _PLACEHOLDER.findall(text)
        place = (*path, *inner)
        if "region" in used and not catalogue.regions:
            yield document.problem(place, "found {region}", "regions to put there")
        if "legacy_id" in used and bare:
            found = f"found {{legacy_id}}, which edge '{bare[0]}' lacks"
            yield document.problem(place, found, "a legacy_id for every edge")
        if "tenant" in used and not _may_have_tenant(product, inner, text):
            expected = "{tenant} at the start of a name of a SIP product"
            yield document.problem(place, "found {tenant}", expected)


def _written(product: Product) -> Iterator[tuple[KeyPath, str]]:
    """All templates of a product, and where they stand in it."""
    for key in ("host", "next_hop", "server_name", "verify_name"):
        text = getattr(product, key)
        if text is not None:
            yield (key,), text
    yield from ((("hosts", edge), text) for edge, text in product.hosts.items())
    yield from ((("also", i), text) for i, text in enumerate(product.also))


def _may_have_tenant(product: Product, inner: KeyPath, text: str) -> bool:
    named = inner[0] in ("host", "hosts", "also")
    return product.protocol is Protocol.SIP and named and text.startswith("{tenant}.")
