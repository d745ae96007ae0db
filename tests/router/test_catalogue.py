import importlib.resources

import pytest

from router.catalogue import Catalogue, RegionSource, fill, read_catalogue
from router.document import parse
from router.endpoint import Kind, Protocol
from router.problem import ConfigError

BUNDLED = importlib.resources.files("router.catalogues")
EDGES = """\
version: 1
name: p
default_edge: north
edges:
  north: {kind: public, legacy_id: n1, sibling: north-ix}
  north-ix: {kind: private, networks: {sip_signalling: [10.1.0.0/30, 10.2.0.0/30]}}
"""
REGIONS = "default_region: here\nregions: {here: {home_edge: north}}\n"


def read(text: str) -> Catalogue:
    return read_catalogue(parse(text, "f"))


def product(text: str) -> str:
    return f"{EDGES}{REGIONS}products:\n  api: {{transports: {{tls: 443}}, {text}}}\n"


def complaints(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


@pytest.fixture(scope="module")
def twilio() -> Catalogue:
    text = (BUNDLED / "twilio.yaml").read_text("utf-8")
    return read_catalogue(parse(text, "twilio.yaml"))


def test_twilio_has_8_public_and_8_private_edges_each_with_a_sibling(
    twilio: Catalogue,
) -> None:
    assert len(twilio.public_edges()) == 8
    assert len(twilio.edges) == 16
    for name, edge in twilio.edges.items():
        assert edge.place
        assert edge.sibling is not None
        sibling = twilio.edges[edge.sibling]
        assert sibling.sibling == name
        assert sibling.kind is not edge.kind
        assert edge.networks.sip_signalling
        assert edge.networks.media


def test_twilio_recommends_private_edges_in_pairs(twilio: Catalogue) -> None:
    pairs = {name: edge.pair for name, edge in twilio.edges.items() if edge.pair}
    assert len(pairs) == 6
    assert all(pairs[other] == name for name, other in pairs.items())


def test_twilio_private_edge_is_not_called_after_its_public_sibling(
    twilio: Catalogue,
) -> None:
    assert twilio.edges["umatilla"].sibling == "san-jose-ix"
    assert twilio.edges["dublin"].sibling == "london-ix"


def test_twilio_has_the_three_regions_and_begins_at_ashburn(twilio: Catalogue) -> None:
    assert list(twilio.regions) == ["us1", "ie1", "au1"]
    assert (twilio.default_region, twilio.default_edge) == ("us1", "ashburn")


def test_twilio_rest_is_offered_everywhere_in_us1_and_at_one_edge_elsewhere(
    twilio: Catalogue,
) -> None:
    api = twilio.products["api"]
    offered = {
        r: [e for e in twilio.edges if api.offered(e, r)] for r in twilio.regions
    }
    assert offered == {"us1": [*twilio.edges], "ie1": ["dublin"], "au1": ["sydney"]}


def test_twilio_products_of_one_shape_come_out_under_their_names(
    twilio: Catalogue,
) -> None:
    assert twilio.products["trunking"] is twilio.products["api"]
    assert "rest" not in twilio.products
    assert twilio.products["pstn"].region_from is RegionSource.ACCOUNT
    assert twilio.products["pstn"].min_probe_interval == 15


def test_products_without_an_edge_in_their_names_are_known_by_that(
    twilio: Catalogue,
) -> None:
    bare = [name for name, product in twilio.products.items() if not product.has_edges]
    assert bare == ["eventgw", "video"]


def test_calls_from_twilio_may_come_from_every_edge(twilio: Catalogue) -> None:
    networks = [str(network) for network in twilio.source_networks(Protocol.SIP)]
    assert "54.172.60.0/30" in networks
    assert "159.183.255.70/32" in networks
    assert twilio.source_networks(Protocol.HTTPS) == ()


def test_sources_of_the_catalogue_come_before_those_of_the_edges() -> None:
    text = product("protocol: sip, host: s.example") + (
        "sources: {sip: [10.9.0.0/24, 10.1.0.0/30], https: [10.8.0.0/24]}\n"
    )
    catalogue = read(text)
    found = [str(network) for network in catalogue.source_networks(Protocol.SIP)]
    assert found == ["10.9.0.0/24", "10.1.0.0/30", "10.2.0.0/30"]
    assert [str(n) for n in catalogue.source_networks(Protocol.HTTPS)] == [
        "10.8.0.0/24"
    ]


def test_hosts_listed_by_edge_are_offered_there_only() -> None:
    listed = read(product("protocol: https, hosts: {north: n.example}")).products["api"]
    assert listed.has_edges
    assert listed.offered("north", "here")
    assert not listed.offered("north-ix", "here")


def test_next_hop_with_an_edge_makes_a_product_choosable() -> None:
    text = product("protocol: sip, host: s.example, next_hop: 's.{edge}.example'")
    assert read(text).products["api"].has_edges


def test_template_is_filled_with_names() -> None:
    template = "{tenant}.{product}.{edge}.{region}.{legacy_id}.example"
    names = {
        "product": "p",
        "edge": "e",
        "region": "r",
        "legacy_id": "l",
        "tenant": "t",
    }
    assert fill(template, **names) == "t.p.e.r.l.example"


def test_catalogue_of_the_least_size_is_read() -> None:
    catalogue = read(
        f"{EDGES}products: {{a: {{protocol: https, transports: {{tls: 1}}, "
        "host: a.example}}\n"
    )
    assert catalogue.default_region is None
    assert catalogue.edges["north"].kind is Kind.PUBLIC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("protocol: https", "products.api: found neither or both; expected host or"),
        (
            "protocol: https, host: a, hosts: {north: b}",
            "products.api: found neither or both; expected host or hosts",
        ),
        ("protocol: https, host: 'a b'", "expected a host name, with placeholders"),
        ("protocol: https, host: '{egde}.a'", "did you mean 'edge'?"),
        ("protocol: https, hosts: {noth: a}", "unknown edge 'noth'; expected an edge"),
        (
            "protocol: https, host: a, edges_in_region: {here: [noth]}",
            "products.api.edges_in_region.here[0]: unknown edge 'noth'",
        ),
        (
            "protocol: https, host: a, edges_in_region: {her: []}",
            "products.api.edges_in_region.her: unknown region 'her'; expected a region;"
            " did you mean 'here'?",
        ),
        (
            "protocol: https, host: '{legacy_id}.a'",
            "found {legacy_id}, which edge 'north-ix' lacks; expected a legacy_id for",
        ),
        ("protocol: https, host: '{tenant}.a'", "products.api.host: found {tenant}"),
        ("protocol: sip, host: 'a.{tenant}.b'", "expected {tenant} at the start of a"),
        ("protocol: sip, host: a, next_hop: '{tenant}.b'", "next_hop: found {tenant}"),
        ("protocol: https, host: a, also: ['{tenant}.b']", "also[0]: found {tenant}"),
        (
            "protocol: https, host: a, names: [x, x]",
            "product 'x' again (it is in 'api')",
        ),
        ("protocol: sip, host: a, failover: {final: ['5xy']}", "a code and perhaps"),
        ("protocol: sip, host: a, transports: {}", "transports"),
    ],
)
def test_product_that_makes_no_sense_is_refused(text: str, expected: str) -> None:
    assert expected in complaints(product(text))


def test_region_placeholder_needs_regions() -> None:
    text = f"{EDGES}products:\n  a: {{protocol: https, transports: {{tls: 1}}, "
    found = complaints(text + "host: '{region}.a'}\n")
    assert "f:8:52: products.a.host: found {region}; expected regions" in found


def test_names_of_edges_and_regions_that_are_not_there_are_refused_together() -> None:
    text = (
        EDGES.replace("sibling: north-ix", "sibling: nowhere").replace(
            "default_edge: north", "default_edge: nroth"
        )
        + "regions: {here: {home_edge: south}}\n"
        + "products: {a: {protocol: https, transports: {tls: 1}, host: a.example}}\n"
    )
    assert complaints(text).splitlines() == [
        "f:3:15: default_edge: unknown edge 'nroth'; expected an edge; "
        "did you mean 'north'?",
        "f:5:49: edges.north.sibling: unknown edge 'nowhere'; expected an edge",
        "f:7:29: regions.here.home_edge: unknown edge 'south'; expected an edge; "
        "did you mean 'north'?",
        "f:1:1: default_region: the key is missing; expected one of the regions",
    ]
    wrong = text.replace("name: p", "name: p\ndefault_region: her")
    assert "unknown region 'her'; expected a region; did you mean 'here'?" in (
        complaints(wrong)
    )


def test_document_problems_are_told_with_those_of_the_catalogue() -> None:
    assert complaints(f"{EDGES}name: q\nnaem: r\n").count("\n") == 2


def test_duplicate_key_alone_refuses_a_catalogue() -> None:
    text = product("protocol: https, host: a.example")
    assert "a second time" in complaints(f"{text}name: q\n")
