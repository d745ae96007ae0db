import importlib.resources
from pathlib import Path

import pytest

from router.catalogue import Catalogue, read_catalogue
from router.crosscheck import check_with, settle
from router.document import parse
from router.settings import Config
from router.validation import build

BUNDLED = importlib.resources.files("router.catalogues")
CONNECT = """\
listeners:
  api:
    protocol: https
    direction: to_provider
    mode: connect
    bind: 127.0.0.1:3128
    allow: [127.0.0.0/8]
"""
WEBHOOKS = """\
  lookups:
    protocol: https
    direction: from_provider
    bind: 127.0.0.1:8443
    tls: {certificate: a.pem, key: a.key}
    to: [http://10.0.0.20]
"""
TRUNK = """\
listeners:
  trunk:
    protocol: sip
    product: pstn
    host: t.pstn.twilio.com
    site: {bind: [udp://10.0.0.2:5060], to: [sip:10.0.0.9], allow: [10.0.0.9]}
    edge: {bind: [udp://203.0.113.5:5060]}
"""
PRIVATE_ONLY = """\
version: 1
name: p
default_edge: ix
edges: {ix: {kind: private}}
products: {api: {protocol: https, transports: {tls: 443}, host: "{edge}.example"}}
"""


@pytest.fixture(scope="module")
def twilio() -> Catalogue:
    text = (BUNDLED / "twilio.yaml").read_text("utf-8")
    return read_catalogue(parse(text, "twilio.yaml"))


def complaints(
    catalogue: Catalogue, provider: str = "", rest: str = CONNECT
) -> list[str]:
    """What is said about a provider section; without the position."""
    text = f"version: 1\nprovider: {{catalogue: p, {provider}}}\n{rest}"
    document = parse(text, "f")
    config, _ = build(Config, document, Path())
    assert config is not None
    found = check_with(config, catalogue, document)
    return [str(problem).split(": ", 1)[1] for problem in found]


def settled(catalogue: Catalogue, provider: str = "", rest: str = CONNECT) -> Config:
    text = f"version: 1\nprovider: {{catalogue: p, {provider}}}\n{rest}"
    config, _ = build(Config, parse(text, "f"), Path())
    assert config is not None
    return settle(config, catalogue)


def test_catalogue_fills_in_region_edges_and_default_edge(twilio: Catalogue) -> None:
    config = settled(twilio)
    assert config.provider.region == "us1"
    assert config.provider.edges == twilio.public_edges()
    assert config.policy.default_edge == "ashburn"


@pytest.mark.parametrize(
    ("provider", "default"),
    [
        ("region: ie1", "dublin"),
        ("region: ie1, edges: [tokyo, ashburn]", "ashburn"),
        ("edges: [tokyo, sydney]", "tokyo"),
    ],
)
def test_default_edge_is_home_of_the_region_else_of_the_catalogue_else_the_first(
    twilio: Catalogue, provider: str, default: str
) -> None:
    assert settled(twilio, provider).policy.default_edge == default


def test_what_is_written_is_kept(twilio: Catalogue) -> None:
    rest = f"policy: {{default_edge: tokyo}}\n{CONNECT}"
    config = settled(twilio, "region: us1, edges: [dublin, tokyo]", rest)
    assert config.policy.default_edge == "tokyo"
    assert config.provider.edges == ("dublin", "tokyo")


def test_catalogue_without_regions_and_public_edges_settles_to_nothing() -> None:
    catalogue = read_catalogue(parse(PRIVATE_ONLY, "f"))
    config = settled(catalogue)
    assert (config.provider.region, config.provider.edges) == ("", ())
    assert config.policy.default_edge == ""


LINKS = """\
links: {
  a: {exchange: A, edges: [ashburn-ix], prefixes: [8.8.8.0/24], bandwidth: 1Mbit/s,
      sources: [8.8.8.1, 8.8.8.2]},
  b: {exchange: B, edges: [london-ix], prefixes: [9.9.9.0/24], bandwidth: 1Mbit/s,
      interface: eth1}}"""


def test_edges_of_links_are_used_first_from_the_first_source(twilio: Catalogue) -> None:
    assert complaints(twilio, LINKS) == []
    provider = settled(twilio, LINKS).provider
    assert provider.edges[:3] == ("ashburn-ix", "london-ix", "ashburn")
    assert {e: str(a) for e, a in provider.source_addresses.items()} == {
        "ashburn-ix": "8.8.8.1"
    }


def test_source_address_that_is_told_outweighs_that_of_the_link(
    twilio: Catalogue,
) -> None:
    told = f"source_addresses: {{ashburn-ix: 8.8.8.2}}, {LINKS}"
    assert complaints(twilio, told) == []
    assert str(settled(twilio, told).provider.source_addresses["ashburn-ix"]) == (
        "8.8.8.2"
    )


def test_link_that_cannot_be_read_is_no_missing_source(twilio: Catalogue) -> None:
    text = f"version: 1\nprovider: {{catalogue: p, edges: [ashburn-ix], {LINKS}}}\n"
    document = parse(text.replace("1Mbit", "0Mbit") + CONNECT, "f")
    config, problems = build(Config, document, Path())
    assert config is not None
    assert len(problems) == 2
    assert [str(p) for p in check_with(config, twilio, document)] == []


def test_unknown_edge_of_a_link_is_not_used(twilio: Catalogue) -> None:
    found, _ = complaints(twilio, LINKS.replace("london-ix", "londn-ix"))
    assert found.startswith("provider.links.b.edges[0]: unknown edge 'londn-ix'")


def test_sound_configuration_has_no_complaint(twilio: Catalogue) -> None:
    provider = "edges: [ashburn-ix, dublin], source_addresses: {ashburn-ix: 192.0.2.9}"
    assert complaints(twilio, provider) == []
    assert complaints(twilio, rest=CONNECT + WEBHOOKS.replace("lookups", "hooks")) == []


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        (
            "region: ie2",
            "provider.region: unknown region 'ie2'; expected us1, ie1 or au1; "
            "did you mean 'ie1'?",
        ),
        (
            "edges: [dubln, tokyo]",
            "provider.edges[0]: unknown edge 'dubln'; expected an edge of catalogue "
            "'twilio'; did you mean 'dublin'?",
        ),
        (
            "edges: [tokyo, tokyo]",
            "provider.edges[1]: 'tokyo' a second time; expected each edge once",
        ),
        (
            "edges: [tokyo, tokyo-ix]",
            "warning: provider.edges[1]: private edge 'tokyo-ix' without a source "
            "address; expected provider.source_addresses.tokyo-ix; a private edge "
            "answers announced addresses only",
        ),
        (
            "edges: [tokyo], source_addresses: {toyko: 192.0.2.9}",
            "provider.source_addresses.toyko: 'toyko' is not in use; expected tokyo; "
            "did you mean 'tokyo'?",
        ),
        (
            "edges: [tokyo], source_addresses: {tokyo: 0.0.0.0}",
            "provider.source_addresses.tokyo: found 0.0.0.0; expected an address of "
            "this machine",
        ),
        (
            "edges: [tokyo], source_addresses: {tokyo: 224.0.0.1}",
            "provider.source_addresses.tokyo: found 224.0.0.1; expected an address of "
            "this machine",
        ),
    ],
)
def test_provider_section_that_contradicts_the_catalogue_is_found(
    twilio: Catalogue, provider: str, expected: str
) -> None:
    assert complaints(twilio, provider) == [expected]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.1.2.3", "a private address (RFC 1918)"),
        ("172.31.0.1", "a private address (RFC 1918)"),
        ("192.168.1.1", "a private address (RFC 1918)"),
        ("100.64.0.1", "a carrier-grade NAT address (RFC 6598)"),
        ("127.0.0.1", "a loopback address"),
        ("169.254.1.1", "a link-local address"),
        ("'fe80::1'", "a link-local address"),
        ("'fd00::1'", "a unique local address (RFC 4193)"),
    ],
)
def test_private_edge_takes_no_source_address_that_is_not_unique(
    twilio: Catalogue, address: str, reason: str
) -> None:
    provider = f"edges: [tokyo-ix], source_addresses: {{tokyo-ix: {address}}}"
    (found,) = complaints(twilio, provider)
    assert f"{reason}; expected the globally unique address announced" in found


@pytest.mark.parametrize("address", ["203.0.113.10", "'2001:db8::1'", "100.128.0.1"])
def test_private_edge_takes_a_unique_source_address(
    twilio: Catalogue, address: str
) -> None:
    provider = f"edges: [tokyo-ix], source_addresses: {{tokyo-ix: {address}}}"
    assert complaints(twilio, provider) == []


def test_public_edge_takes_a_private_source_address(twilio: Catalogue) -> None:
    assert complaints(twilio, "source_addresses: {tokyo: 10.0.0.2}") == []


def test_simulated_private_edge_takes_a_loopback_source_address() -> None:
    catalogue = read_catalogue(parse(f"{PRIVATE_ONLY}simulated: true\n", "f"))
    provider = "edges: [ix], source_addresses: {ix: 127.0.0.2}"
    assert complaints(catalogue, provider) == []


def test_catalogue_without_public_edges_needs_edges_to_be_named() -> None:
    catalogue = read_catalogue(parse(PRIVATE_ONLY, "f"))
    rest = f"policy: {{default_edge: ix}}\n{CONNECT}"
    assert complaints(catalogue, "region: us1", rest) == [
        "provider.region: unknown region 'us1'; expected none",
        "provider.edges: catalogue 'p' has no public edge; expected the edges to use",
        "policy.default_edge: 'ix' is not in use; expected none",
    ]


def test_default_edge_must_be_in_use(twilio: Catalogue) -> None:
    rest = f"policy: {{default_edge: dublin}}\n{CONNECT}"
    assert complaints(twilio, "edges: [tokyo, sydney]", rest) == [
        "policy.default_edge: 'dublin' is not in use; expected tokyo or sydney"
    ]


def test_edges_that_cannot_be_read_cause_no_further_complaint(
    twilio: Catalogue,
) -> None:
    rest = f"policy: {{default_edge: tokyo-ix}}\n{CONNECT}"
    provider = "edges: [tokyo-ix, 5], source_addresses: {tokyo-ix: 192.0.2.9}"
    assert complaints(twilio, provider, rest) == []


@pytest.mark.parametrize(
    ("products", "expected"),
    [
        ("apo", "unknown product 'apo'; expected api, conversations, "),
        ("pstn", "listeners.api.products[0]: product 'pstn' speaks sip; expected one"),
    ],
)
def test_product_of_the_catalogue_and_the_protocol_is_needed(
    twilio: Catalogue, products: str, expected: str
) -> None:
    (found,) = complaints(twilio, rest=f"{CONNECT}    products: [{products}]\n")
    assert expected in found


def test_product_that_no_edge_offers_in_the_region_is_refused(
    twilio: Catalogue,
) -> None:
    rest = f"{CONNECT}    products: [api]\n"
    assert complaints(twilio, "region: ie1, edges: [tokyo]", rest) == [
        "listeners.api: no edge in use offers api in region 'ie1'; "
        "expected another region, or among the edges: dublin"
    ]


def test_products_that_lack_an_edge_in_the_region_are_told_together(
    twilio: Catalogue,
) -> None:
    rest = f"{CONNECT}    products: [api, lookups, eventgw]\n"
    assert complaints(twilio, "region: au1, edges: [tokyo]", rest) == [
        "listeners.api: no edge in use offers api, lookups in region 'au1'; "
        "expected another region, or among the edges: sydney"
    ]


def test_product_that_no_edge_at_all_offers_in_the_region_is_refused() -> None:
    text = """\
version: 1
name: p
default_edge: north
default_region: here
edges: {north: {kind: public}}
regions: {here: {home_edge: north}}
products:
  api:
    protocol: https
    transports: {tls: 443}
    host: "{edge}.{region}.example"
    edges_in_region: {here: []}
"""
    (found,) = complaints(read_catalogue(parse(text, "f")))
    assert found.endswith("expected another region, or among the edges: none")


def test_region_that_leaves_one_edge_of_several_is_a_warning(twilio: Catalogue) -> None:
    rest = f"{CONNECT}    products: [api, eventgw]\n"
    assert complaints(twilio, "region: ie1", rest) == [
        "warning: listeners.api: only 'dublin' offers api in region 'ie1'; "
        "when it fails, no other edge can take over"
    ]
    assert complaints(twilio, "region: ie1, edges: [dublin]", rest) == []
    assert complaints(twilio, "", rest) == []


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("dublin-ix", "the private edge beside 'dublin' is 'london-ix'"),
        ("umatilla-x", "the private edge beside 'umatilla' is 'san-jose-ix'"),
        ("sao-paolo", "did you mean 'sao-paulo'?"),
        ("zz", "expected an edge of catalogue 'twilio'"),
    ],
)
def test_unknown_edge_is_told_with_what_was_meant(
    twilio: Catalogue, written: str, hint: str
) -> None:
    (found,) = complaints(twilio, f"edges: [ashburn, {written}]")
    assert found.endswith(hint)


def test_listener_from_the_provider_must_not_bear_the_name_of_a_product(
    twilio: Catalogue,
) -> None:
    assert complaints(twilio, rest=CONNECT + WEBHOOKS) == [
        "listeners.lookups: a listener called 'lookups', like a product in use; "
        "expected another name"
    ]


def test_trunk_that_fits_has_no_complaint(twilio: Catalogue) -> None:
    assert complaints(twilio, rest=TRUNK) == []


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (
            TRUNK.replace("t.pstn.", "t.sip."),
            "listeners.trunk.host: found 't.sip.twilio.com'; "
            "expected a name like {tenant}.pstn.twilio.com",
        ),
        (
            "health: {sip_options_interval: 5s}\n" + TRUNK,
            "health.sip_options_interval: found 5s; expected 15s or more for pstn; "
            "the provider bans faster senders",
        ),
    ],
)
def test_trunk_that_contradicts_the_catalogue_is_refused(
    twilio: Catalogue, rest: str, expected: str
) -> None:
    assert complaints(twilio, rest=rest) == [expected]


@pytest.mark.parametrize(
    ("source", "more", "refused"),
    [
        ("203.0.113.5", "", False),
        ("203.0.113.9", ", 'tls://203.0.113.9:5071'", False),
        ("203.0.113.9", ", 'udp://203.0.113.9:5060'", True),
        ("203.0.113.9", "", True),
        ("2001:db8::9", ", 'tls://[2001:db8::9]:5061'", False),
    ],
)
def test_source_address_of_an_edge_must_be_bound_by_its_trunk(
    twilio: Catalogue, source: str, more: str, refused: bool
) -> None:
    provider = f"edges: [ashburn], source_addresses: {{ashburn: '{source}'}}"
    bind = f"'tls://203.0.113.5:5061'{more}"
    rest = TRUNK.replace("udp://203.0.113.5:5060", bind)
    assert complaints(twilio, provider, rest) == refused * [
        f"listeners.trunk.edge.bind: nothing bound at tls://{source}; expected the "
        "source address of 'ashburn'; calls to 'ashburn' leave from there, and come "
        "back to it"
    ]


def test_transport_that_a_product_lacks_is_refused() -> None:
    text = """\
version: 1
name: p
default_edge: north
edges: {north: {kind: public}}
products: {pstn: {protocol: sip, transports: {tls: 5061}, hosts: {north: n.example}}}
"""
    catalogue = read_catalogue(parse(text, "f"))
    rest = TRUNK.replace("5060]}\n", "5060], transport: udp}\n")
    assert "listeners.trunk.edge.transport: found 'udp'; expected tls" in (
        complaints(catalogue, rest=rest)
    )
