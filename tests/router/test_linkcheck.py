"""What is said about links; tests/router/wrong/links.yaml has most of it at once."""

import importlib.resources
from collections.abc import Collection
from pathlib import Path

import pytest

from router.catalogue import Catalogue, read_catalogue
from router.document import parse
from router.linkcheck import check_links
from router.settings import Config
from router.validation import build

TWILIO = importlib.resources.files("router.catalogues") / "twilio.yaml"
ONE = "exchange: A, edges: [ashburn-ix], bandwidth: 1Mbit/s"
TWO = "exchange: B, edges: [san-jose-ix], bandwidth: 1Mbit/s"
REST = """\
listeners:
  api: {protocol: https, direction: to_provider, mode: connect,
        bind: "127.0.0.1:3128", allow: [127.0.0.0/8]}
"""
TRUNK = """\
  trunk:
    protocol: sip
    product: pstn
    host: t.pstn.twilio.com
    site: {bind: [udp://10.0.0.2:5060], to: [sip:10.0.0.9], allow: [10.0.0.9]}
    edge: {bind: [BIND], transport: udp}
"""
OTHERS = """\
version: 1
name: other
simulated: SIMULATED
default_edge: a
edges: {a: {kind: public}, EDGES}
products: {api: {protocol: https, transports: {tls: 443}, host: "{edge}.example"}}
"""


@pytest.fixture(scope="module")
def twilio() -> Catalogue:
    return read_catalogue(parse(TWILIO.read_text("utf-8"), "twilio.yaml"))


def complaints(
    catalogue: Catalogue,
    *links: str,
    more: str = "",
    unused: Collection[str] = (),
    trunk: str = "",
) -> list[str]:
    """What is said about links l0, l1...; without the position."""
    written = "".join(f"    l{n}: {{{link}}}\n" for n, link in enumerate(links))
    text = (
        f"version: 1\nprovider:\n  catalogue: p\n{more}  links:\n{written}{REST}{trunk}"
    )
    document = parse(text, "f")
    config, problems = build(Config, document, Path())
    assert config is not None
    assert not problems
    used = {*catalogue.edges} - {*unused}
    found = check_links(config, catalogue, document, used)
    return [
        str(problem).split(": ", 1)[1].removeprefix("provider.links.")
        for problem in found
    ]


def test_two_links_of_a_pair_have_no_complaint(twilio: Catalogue) -> None:
    one = f"{ONE}, sources: [8.8.8.1], prefixes: [8.8.8.0/25]"
    two = f"{TWO}, interface: eth1, prefixes: [8.8.8.128/25, '2a00::/32']"
    assert complaints(twilio, one, two) == []


def test_configuration_without_links_has_no_complaint(twilio: Catalogue) -> None:
    document = parse(f"version: 1\nprovider: {{catalogue: p}}\n{REST}", "f")
    config, _ = build(Config, document, Path())
    assert config is not None
    assert not list(check_links(config, twilio, document, ()))


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (
            f"{TWO}, prefixes: [9.9.9.0/24]",
            "l1: found neither sources nor an interface; expected one of them, or "
            "both; nothing tells flows over the link from others",
        ),
        (
            f"{TWO}, sources: [9.9.8.1], prefixes: [9.9.9.0/24]",
            "l1.sources[0]: found 9.9.8.1, which is in none of the prefixes announced; "
            "expected an address in 9.9.9.0/24; answers would not find their way back",
        ),
        (
            f"{TWO}, sources: [9.9.9.1, 9.9.9.1], prefixes: [9.9.9.0/24]",
            "l1.sources[1]: 9.9.9.1 a second time; expected each once",
        ),
        (
            f"{TWO}, sources: [100.64.0.1], prefixes: [100.64.0.1]",
            "l1.sources[0]: found 100.64.0.1, a carrier-grade NAT address (RFC 6598); "
            "expected a globally unique one, which is announced to the provider",
        ),
        (
            f"{TWO}, interface: e, prefixes: [8.8.8.128/25]",
            "l1.prefixes[0]: found 8.8.8.128/25, which overlaps 8.8.8.0/24 of "
            "provider.links.l0.prefixes[0]; expected prefixes without an address in "
            "common",
        ),
        (
            f"{TWO.replace('san-jose', 'san-jos')}, interface: e, prefixes: [9.9.9.9]",
            "l1.edges[0]: unknown edge 'san-jos-ix'; expected ashburn-ix, san-jose-ix, "
            "london-ix, frankfurt-ix, singapore-ix, tokyo-ix, sydney-ix or "
            "sao-paulo-ix; did you mean 'san-jose-ix'?",
        ),
        (
            f"{TWO.replace('san-jose-ix', 'umatilla')}, interface: e, "
            "prefixes: [9.9.9.9]",
            "l1.edges[0]: 'umatilla' is public; expected a private edge; the private "
            "edge beside it is 'san-jose-ix'",
        ),
        (
            f"{TWO.replace('[', '[ashburn-ix, ')}, interface: e, prefixes: [9.9.9.9]",
            "l1.edges[0]: 'ashburn-ix' again (it is in provider.links.l0.edges[0]); "
            "expected each edge behind one link",
        ),
    ],
)
def test_impossible_link_is_told_where_and_why(
    twilio: Catalogue, link: str, expected: str
) -> None:
    one = f"{ONE}, interface: e, prefixes: [8.8.8.0/24]"
    assert expected in complaints(twilio, one, link)


def test_edge_of_a_link_that_is_not_in_use_is_refused(twilio: Catalogue) -> None:
    one = f"{ONE}, interface: e, prefixes: [8.8.8.0/24]"
    two = f"{TWO}, interface: f, prefixes: [9.9.9.0/24]"
    assert complaints(twilio, one, two, unused=["san-jose-ix"]) == [
        "l1.edges[0]: 'san-jose-ix' is not in use; expected an edge of provider.edges"
    ]


def test_source_address_beside_those_of_the_link_is_refused(twilio: Catalogue) -> None:
    one = f"{ONE}, sources: [8.8.8.1, 8.8.8.2], prefixes: [8.8.8.0/24]"
    two = f"{TWO}, interface: f, prefixes: [9.9.9.0/24]"
    told = "  source_addresses: {ashburn-ix: ADDRESS, san-jose-ix: 9.9.9.7}\n"
    assert complaints(twilio, one, two, more=told.replace("ADDRESS", "8.8.8.2")) == []
    (found,) = complaints(twilio, one, two, more=told.replace("ADDRESS", "8.8.8.3"))
    assert found == (
        "provider.source_addresses.ashburn-ix: found 8.8.8.3, which is not in "
        "provider.links.l0.sources; expected 8.8.8.1 or 8.8.8.2, or nothing"
    )


def test_source_of_a_link_for_an_edge_behind_none_is_refused(
    twilio: Catalogue,
) -> None:
    told = (
        "  source_addresses: {ashburn: 8.8.8.1, dublin: 5.5.5.5, umatilla: 9.9.9.1}\n"
    )
    one = f"{ONE}, sources: [8.8.8.1], interface: eth1, prefixes: [8.8.8.0/24]"
    two = f"{TWO}, sources: [9.9.9.1], prefixes: [9.9.9.0/24]"
    assert complaints(twilio, one, two, more=told) == [
        "provider.source_addresses.ashburn: found 8.8.8.1, which is a link's, by eth1; "
        "expected an address of no link; 'ashburn' is behind none"
    ]


@pytest.mark.parametrize(
    ("second", "same"),
    [
        (None, "exchange"),
        (TWO.replace("B", "a"), "exchange"),
        (TWO.replace("san-jose-ix", "nowhere-ix"), "place"),
    ],
)
def test_links_that_one_fault_can_end_are_a_warning_with_the_pairs_of_the_provider(
    twilio: Catalogue, second: str | None, same: str
) -> None:
    links = [f"{ONE}, interface: e, prefixes: [8.8.8.0/24]"]
    if second is not None:
        links.append(f"{second}, interface: f, prefixes: [9.9.9.0/24]")
    found = complaints(twilio, *links)[-1]
    assert found.startswith(
        f"warning: provider.links: found links to one {same} only; expected links to "
        "two exchanges far from each other; twilio recommends ashburn-ix with "
        "san-jose-ix"
    )


def test_catalogue_without_pairs_recommends_none() -> None:
    edges = "x: {kind: private}"
    text = OTHERS.replace("EDGES", edges).replace("SIMULATED", "false")
    link = (
        "exchange: A, edges: [x], bandwidth: 1Mbit/s, interface: e, prefixes: [8.8.8.8]"
    )
    assert complaints(read_catalogue(parse(text, "f")), link) == [
        "warning: provider.links: found links to one exchange only; expected links to "
        "two exchanges far from each other"
    ]


def test_catalogue_without_private_edges_has_none_for_a_link() -> None:
    text = OTHERS.replace(", EDGES", "").replace("SIMULATED", "false")
    link = (
        "exchange: A, edges: [a], bandwidth: 1Mbit/s, interface: e, prefixes: [8.8.8.8]"
    )
    catalogue = read_catalogue(parse(text, "f"))
    assert (
        complaints(catalogue, link)[0]
        == "l0.edges[0]: 'a' is public; expected a private edge"
    )
    assert complaints(catalogue, link.replace("[a]", "[b]")) == [
        "l0.edges[0]: unknown edge 'b'; expected none: the catalogue has no private "
        "edge"
    ]


def test_simulated_provider_has_links_on_loopback() -> None:
    edges = "x: {kind: private, place: X}, y: {kind: private, place: Y}"
    text = OTHERS.replace("EDGES", edges).replace("SIMULATED", "true")
    one, two = (
        f"exchange: {n}, edges: [{n}], bandwidth: 1Mbit/s, sources: [127.9.0.{d}], "
        f"prefixes: [127.9.0.{d}]"
        for n, d in (("x", 1), ("y", 2))
    )
    assert complaints(read_catalogue(parse(text, "f")), one, two) == []


@pytest.mark.parametrize(
    ("bind", "warned"),
    [
        ("'udp://8.8.8.1:5060', 'udp://5.5.5.5:5060'", [0]),
        ("'udp://5.5.5.5:5060', 'udp://8.8.8.1:5060'", []),
        ("'udp://5.5.5.5:5060', 'udp://[2a00::1]:5060'", [1]),
        ("'tcp://8.8.8.1:5060', 'udp://5.5.5.5:5060'", []),
    ],
)
def test_trunk_whose_first_address_is_a_links_is_a_warning(
    twilio: Catalogue, bind: str, warned: list[int]
) -> None:
    one = f"{ONE}, sources: [8.8.8.1], prefixes: [8.8.8.0/25, '2a00::/32']"
    two = f"{TWO}, interface: eth1, prefixes: [8.8.8.128/25]"
    trunk = TRUNK.replace("BIND", bind)
    found = complaints(twilio, one, two, trunk=trunk)
    assert [text.partition(": found ")[0] for text in found] == [
        f"warning: listeners.trunk.edge.bind[{index}]" for index in warned
    ]
    assert all(
        text.endswith(
            "which link l0 announces, first; expected a udp:// address for public "
            "edges before it; calls to them would come from it, and depend on the link"
        )
        for text in found
    )
    private = [*twilio.public_edges()]
    assert complaints(twilio, one, two, trunk=trunk, unused=private) == []
