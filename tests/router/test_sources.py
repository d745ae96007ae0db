import importlib.resources
from pathlib import Path

import pytest

from router.catalogue import Catalogue, read_catalogue
from router.crosscheck import settle
from router.document import parse
from router.settings import Config
from router.sources import sources
from router.validation import build

TWILIO = importlib.resources.files("router.catalogues") / "twilio.yaml"
CONFIG = """\
version: 1
provider:
  catalogue: p
  edges: [ashburn-ix, san-jose-ix, london-ix, ashburn, dublin]
  source_addresses: {london-ix: 9.9.8.1, dublin: 9.9.7.1}
  links:
    one: {exchange: A, edges: [ashburn-ix], sources: [8.8.8.1, 8.8.8.2],
          prefixes: [8.8.8.0/24], bandwidth: 1Mbit/s}
    two: {exchange: B, edges: [san-jose-ix], interface: eth1,
          prefixes: [9.9.9.0/25, 9.9.9.128/25], bandwidth: 1Mbit/s}
    three: {exchange: C, edges: [london-ix], interface: eth2,
            prefixes: [9.9.8.0/24], bandwidth: 1Mbit/s}
listeners:
  trunk:
    protocol: sip
    product: pstn
    host: t.pstn.twilio.com
    site: {bind: [udp://10.0.0.2:5060], to: [sip:10.0.0.9], allow: [10.0.0.9]}
    edge: {transport: udp, bind: BIND}
  api: {protocol: https, direction: to_provider, mode: connect,
        bind: "127.0.0.1:3128", allow: [127.0.0.0/8]}
"""


@pytest.fixture(scope="module")
def twilio() -> Catalogue:
    return read_catalogue(parse(TWILIO.read_text("utf-8"), "twilio.yaml"))


def listed(catalogue: Catalogue, bind: str, changed: str = "") -> list[str]:
    text = CONFIG.replace("BIND", bind)
    if changed:
        text = text.replace("edges: [ashburn-ix, san-jose-ix, london-ix, ", changed)
    config, problems = build(Config, parse(text, "f"), Path())
    assert config is not None
    assert not problems
    found = sources(settle(config, catalogue), catalogue)
    assert {(s.listener, s.host) for s in found} == {("trunk", "t.pstn.twilio.com")}
    return [str(source) for source in found]


def test_every_source_of_every_edge_is_listed(twilio: Catalogue) -> None:
    assert listed(twilio, "[udp://5.5.5.5:5060]") == [
        "8.8.8.1: source of link one, to ashburn-ix",
        "8.8.8.2: source of link one, to ashburn-ix",
        "9.9.9.0/25: prefix of link two, which has no source of its own, to "
        "san-jose-ix",
        "9.9.9.128/25: prefix of link two, which has no source of its own, to "
        "san-jose-ix",
        "9.9.8.1: source address of the edge, to london-ix",
        "5.5.5.5: edge.bind, to ashburn",
        "9.9.7.1: source address of the edge, to dublin",
    ]


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        (
            "['udp://5.5.5.5:5060', 'udp://[2a00::1]:5060', 'tcp://6.6.6.6:5060']",
            ["5.5.5.5: edge.bind, to ashburn", "2a00::1: edge.bind, to ashburn"],
        ),
        (
            "['tls://5.5.5.5:5061', 'tcp://6.6.6.6:5060']",
            ["6.6.6.6: edge.bind, to ashburn"],
        ),
        (
            "['udp://10.0.0.2:5060'], advertise: 5.5.5.5",
            ["5.5.5.5: edge.advertise, to ashburn"],
        ),
        (
            "['udp://10.0.0.2:5060']",
            [
                "10.0.0.2: edge.bind, a private address (RFC 1918): list what your NAT "
                "makes of it, to ashburn"
            ],
        ),
    ],
)
def test_edges_without_a_source_of_their_own_see_what_is_bound(
    twilio: Catalogue, bind: str, expected: list[str]
) -> None:
    assert listed(twilio, bind, "edges: [")[:-1] == expected


def test_edge_that_lacks_the_product_needs_no_entry() -> None:
    text = """\
version: 1
name: p
default_edge: a
edges: {a: {kind: public}, b: {kind: public}}
products: {pstn: {protocol: sip, transports: {udp: 5060}, hosts: {a: a.example}}}
"""
    catalogue = read_catalogue(parse(text, "f"))
    config, _ = build(
        Config,
        parse(
            f"""\
version: 1
provider: {{catalogue: p}}
{CONFIG[CONFIG.index("listeners") :].replace("BIND", "[udp://5.5.5.5:5060]")}""",
            "f",
        ),
        Path(),
    )
    assert config is not None
    (source,) = sources(settle(config, catalogue), catalogue)
    assert source.edges == ("a",)


def test_what_is_bound_for_a_link_with_an_interface_is_for_that_alone(
    twilio: Catalogue,
) -> None:
    bind = "[udp://9.9.9.1:5060, udp://5.5.5.5:5060]"
    assert "5.5.5.5: edge.bind, to ashburn" in listed(twilio, bind)
    private = listed(twilio, f"{bind}}}\n    privacy: required\n    no_response: 2s #")
    assert private == [
        "9.9.9.0/25: prefix of link two, which has no source of its own, to "
        "san-jose-ix",
        "9.9.9.128/25: prefix of link two, which has no source of its own, to "
        "san-jose-ix",
        "9.9.8.1: source address of the edge, to london-ix",
    ]
