"""What is said of listeners that demand privacy, and of trunks with links."""

import importlib.resources
from pathlib import Path

import pytest

from router.catalogue import read_catalogue
from router.crosscheck import settle
from router.document import parse
from router.privacycheck import check_privacy
from router.settings import Config
from router.validation import build

CATALOGUE = importlib.resources.files("router.catalogues") / "twilio.yaml"
HEAD = """\
version: 1
provider:
  catalogue: twilio
  edges: [ashburn-ix, umatilla]
  links:
    a: {exchange: A, edges: [ashburn-ix], INTERFACE prefixes: [8.8.8.0/28],
        SOURCES bandwidth: 1Mbit/s}
"""
API = """\
listeners:
  api:
    protocol: https
    direction: to_provider
    mode: connect
    products: [PRODUCT]
    bind: 127.0.0.1:8443
    allow: [10.0.0.0/8]
    privacy: required
"""
TRUNK = """\
listeners:
  trunk:
    protocol: sip
    product: pstn
    host: t.pstn.twilio.com
    site: {bind: [udp://10.0.0.2:5060], to: [sip:10.0.0.9], allow: [10.0.0.9]}
    edge: {bind: [BIND], transport: udp}
    privacy: PRIVACY
"""
INNER, OUTER = "'udp://8.8.8.1:5060'", "'udp://192.0.2.1:5060'"


def complaints(
    listeners: str, interface: str = "interface: link1,", sources: str = ""
) -> list[str]:
    """What is said, without the position."""
    catalogue = read_catalogue(parse(CATALOGUE.read_text("utf-8"), "twilio.yaml"))
    head = HEAD.replace("INTERFACE", interface).replace("SOURCES", sources)
    document = parse(head + listeners, "f")
    config, problems = build(Config, document, Path())
    assert config is not None
    assert not problems
    found = check_privacy(settle(config, catalogue), catalogue, document)
    return [str(problem).split(": ", 1)[1] for problem in found]


def trunk(bind: str, privacy: str = "preferred") -> str:
    return TRUNK.replace("BIND", bind).replace("PRIVACY", privacy)


def test_private_listener_with_an_edge_behind_a_link_has_no_complaint() -> None:
    assert complaints(API.replace("PRODUCT", "api")) == []


@pytest.mark.parametrize(
    ("interface", "product"),
    [("sources: [8.8.8.1],", "api"), ("interface: e,", "eventgw")],
)
def test_private_listener_to_which_no_link_leads_is_impossible(
    interface: str, product: str
) -> None:
    assert complaints(API.replace("PRODUCT", product), interface) == [
        "listeners.api.privacy: no edge behind a link with an interface offers "
        f"{product}; expected one under provider.links, or privacy: preferred; "
        "without its interface nobody can see whether a link is used"
    ]


@pytest.mark.parametrize(
    ("bind", "privacy"),
    [(f"{INNER}, {OUTER}", "preferred"), (INNER, "required")],
)
@pytest.mark.parametrize("sources", ["", "sources: [8.8.8.1],"])
def test_trunk_that_is_bound_for_all_it_may_reach_has_no_complaint(
    bind: str, privacy: str, sources: str
) -> None:
    assert complaints(trunk(bind, privacy), sources=sources) == []


def test_private_trunk_is_bound_at_links_alone() -> None:
    assert complaints(trunk(f"{INNER}, {OUTER}", "required")) == [
        "listeners.trunk.edge.bind[1]: found 192.0.2.1:5060, no address of a link with "
        "an interface; expected one of provider.links.*.sources; a listener that "
        "demands privacy has nothing to do there"
    ]


@pytest.mark.parametrize(
    ("bind", "edge", "expected"),
    [
        (INNER, "umatilla", "one that is no link's"),
        (OUTER, "ashburn-ix", "one of the link by link1"),
    ],
)
def test_trunk_without_a_socket_for_some_edges_is_impossible(
    bind: str, edge: str, expected: str
) -> None:
    assert complaints(trunk(bind)) == [
        f"listeners.trunk.edge.bind: no udp:// address from which '{edge}' may be "
        f"called; expected {expected}; what is bound for a link sends by its interface "
        "alone"
    ]


def test_trunk_that_speaks_otherwise_than_it_is_bound_is_told_elsewhere() -> None:
    assert complaints(trunk("'tcp://192.0.2.1:5060'")) == []
