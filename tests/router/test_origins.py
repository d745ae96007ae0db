import importlib.resources
import ipaddress

import pytest

from router.addresses import IPAddress
from router.catalogue import Catalogue, read_catalogue
from router.document import parse
from router.links import Link
from router.origins import Arrival, Judgement, Origin, Origins, Verdict, mapped

TWILIO = importlib.resources.files("router.catalogues") / "twilio.yaml"
ONE = Link.model_validate(
    {
        "exchange": "A",
        "edges": ["ashburn-ix"],
        "sources": ["8.8.8.1"],
        "interface": "eth1",
        "prefixes": ["8.8.8.0/24"],
        "bandwidth": "1Mbit/s",
    }
)
PRIVATE, PUBLIC = "208.78.112.65", "54.172.60.1"
OTHER = """\
version: 1
name: other
default_edge: a
edges:
  a: {kind: public, networks: {sip_signalling: [8.0.0.0/16, 9.9.9.0/24, "2a00::/32"]}}
  b: {kind: public, networks: {sip_signalling: [8.0.1.0/24, 9.9.9.0/24, 8.0.1.0/24]}}
products: {api: {protocol: https, transports: {tls: 443}, host: "{edge}.example"}}
sources: {sip: [7.0.0.0/8]}
"""


@pytest.fixture(scope="module")
def twilio() -> Catalogue:
    return read_catalogue(parse(TWILIO.read_text("utf-8"), "twilio.yaml"))


def address(text: str | None) -> IPAddress | None:
    return ipaddress.ip_address(text) if text else None


def judged(
    origins: Origins,
    source: str,
    local: str | None = None,
    interface: str | None = None,
) -> Judgement:
    arrival = Arrival(ipaddress.ip_address(source), address(local), interface)
    return origins.judge(arrival)


@pytest.mark.parametrize(
    ("source", "edge"),
    [
        ("8.0.0.1", "a"),
        ("8.0.1.1", "b"),
        ("2a00::1", "a"),
        ("9.9.9.9", ""),
        ("7.1.1.1", ""),
        ("6.6.6.6", None),
        ("2b00::1", None),
    ],
)
def test_source_belongs_to_the_edge_of_the_smallest_network(
    source: str, edge: str | None
) -> None:
    origins = Origins(read_catalogue(parse(OTHER, "f")), {})
    found = origins.find(ipaddress.ip_address(source))
    assert found == (None if edge is None else Origin(edge))


def test_every_network_of_a_provider_leads_to_its_edge_and_link(
    twilio: Catalogue,
) -> None:
    origins = Origins(twilio, {"one": ONE})
    for name, edge in twilio.edges.items():
        for network in edge.networks.sip_signalling:
            found = origins.find(network.network_address)
            link = "one" if name == "ashburn-ix" else ""
            assert found == Origin(name, edge.kind == "private", link)
        for network in edge.networks.media:
            assert origins.find(network.network_address) is None


@pytest.mark.parametrize(
    ("source", "local", "interface", "reason"),
    [
        (PRIVATE, None, None, ""),
        (PRIVATE, "8.8.8.1", "eth1", ""),
        (PRIVATE, "::ffff:8.8.8.1", None, ""),
        (PRIVATE, "0.0.0.0", None, ""),
        (PRIVATE, "8.8.8.1", "eth0", "came in by eth0, link one is eth1"),
        (
            PRIVATE,
            "5.5.5.5",
            "eth1",
            "was sent to 5.5.5.5, which is not announced over link one",
        ),
        ("67.213.136.64", "5.5.5.5", "eth0", ""),  # no link is known for it
        (PUBLIC, "8.8.8.1", "eth1", ""),
        (PUBLIC, "5.5.5.5", "eth0", ""),
    ],
)
def test_private_source_is_taken_only_from_its_link(
    twilio: Catalogue, source: str, local: str, interface: str, reason: str
) -> None:
    found = judged(Origins(twilio, {"one": ONE}), source, local, interface)
    assert found.verdict is (Verdict.ASTRAY if reason else Verdict.TAKE)
    assert found.reason == reason


@pytest.mark.parametrize(
    "changed",
    [{"interface": None}, {"sources": ()}, {"interface": None, "sources": ()}],
)
def test_link_says_what_it_knows_and_nothing_else(
    twilio: Catalogue, changed: dict[str, object]
) -> None:
    origins = Origins(twilio, {"one": ONE.model_copy(update=changed)})
    beside = judged(origins, PRIVATE, "8.8.8.1", "eth0").reason
    elsewhere = judged(origins, PRIVATE, "5.5.5.5", "eth1").reason
    assert bool(beside) == ("interface" not in changed)
    assert bool(elsewhere) == ("sources" not in changed)


def test_source_that_nobody_lists_is_unlisted(twilio: Catalogue) -> None:
    origins = Origins(twilio, {"one": ONE})
    assert judged(origins, "6.6.6.6") == Judgement(Verdict.UNLISTED)
    assert judged(origins, "::ffff:54.172.60.1").origin == Origin("ashburn")


def test_mapped_address_is_what_it_maps() -> None:
    six = ipaddress.ip_address("::ffff:8.8.8.1")
    assert mapped(six) == ipaddress.ip_address("8.8.8.1")
    for text in ("8.8.8.1", "2a00::1"):
        assert mapped(ipaddress.ip_address(text)) == ipaddress.ip_address(text)
