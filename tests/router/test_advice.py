"""Advice, and whether the simulated provider's console takes it."""

import importlib.resources
import random
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from router.advice import ALL, Advice, advise, live
from router.advice import advised as best
from router.catalogue import Catalogue, read_catalogue
from router.crosscheck import settle
from router.document import parse
from router.fragment import Wishes
from router.settings import Config
from router.snapshot import Home
from router.validation import build
from simulator.console import (
    refused_environment,
    refused_fragment,
    refused_sdk_edges,
    refused_uris,
)
from simulator.overrides import split
from simulator.sip.origination import Uri, edge_of, in_order
from tests.router.conftest import edge_of as policy_edge
from tests.router.conftest import snapshot_of

TWILIO = importlib.resources.files("router.catalogues") / "twilio.yaml"
LINKS = """\
  links:
    one: {exchange: A, edges: [ashburn-ix], sources: [8.8.8.1],
          prefixes: [8.8.8.0/24], bandwidth: 1Mbit/s}
    two: {exchange: B, edges: [san-jose-ix], interface: eth1,
          prefixes: [9.9.9.0/24], bandwidth: 1Mbit/s}
"""
ONE_WATCHED = """\
  links:
    two: {exchange: B, edges: [san-jose-ix], interface: eth1,
          prefixes: [9.9.9.0/24], bandwidth: 1Mbit/s}
"""
TRUNK = """\
  trunk:
    protocol: sip
    product: pstn
    host: t.pstn.twilio.com
    site: {bind: [udp://10.0.0.2:5060], to: [sip:10.0.0.9], allow: [10.0.0.9]}
    edge: {bind: [BIND]}
"""
HOOKS = """\
  hooks:
    protocol: https
    direction: from_provider
    bind: ADDRESS:443
    tls: {certificate: a.pem, key: a.key}
    to: [http://10.0.0.20]
"""
API = """\
  api: {protocol: https, direction: to_provider, mode: connect,
        bind: "ADDRESS:3128", allow: [127.0.0.0/8]}
"""
VOICE = """\
  voice: {protocol: websocket, direction: to_provider, product: voice-js,
          bind: "127.0.0.1:1", allow: [127.0.0.0/8], tls: {certificate: a, key: b}}
"""
OTHER = """\
version: 1
name: other
default_edge: a
edges: {a: {kind: public}, b: {kind: public}}
products: {sip: {protocol: sip, transports: {tls: 5061}, hosts: {a: a.example}}}
"""
BIND = "'tls://8.8.8.1:5061', 'tls://9.9.9.5:5061', 'tls://5.5.5.5:5061'"


@pytest.fixture(scope="module")
def twilio() -> Catalogue:
    return read_catalogue(parse(TWILIO.read_text("utf-8"), "twilio.yaml"))


def advised(
    catalogue: Catalogue,
    listeners: str,
    provider: str = "",
    orders: Mapping[str, Sequence[str]] | None = None,
    wishes: Wishes = Wishes(),  # noqa: B008 - frozen
) -> Advice:
    text = f"version: 1\nprovider:\n  catalogue: p\n{provider}listeners:\n{listeners}"
    config, problems = build(Config, parse(text, "f"), Path())
    assert config is not None
    assert not problems
    found = advise(settle(config, catalogue), catalogue, orders or {}, wishes)
    _is_taken(found, catalogue)
    return found


def _is_taken(advice: Advice, catalogue: Catalogue) -> None:
    """Assert that the simulated provider refuses nothing of it."""
    edges = tuple(catalogue.edges)
    for trunk in advice.trunks:
        uris = [(one.uri, one.priority, one.weight) for one in trunk.uris]
        assert refused_uris(uris, edges) == []
        taken = in_order([Uri(*one) for one in uris], random.Random(1))
        assert [one.text for one in taken] == [text for text, _, _ in uris]
        assert {edge_of(one) for one in taken} <= {*edges}
    for webhook in advice.webhooks:
        url = f"https://x.example/{webhook.fragment}"
        assert refused_fragment(url, edges) == []
        assert f"e={','.join(split(url)[1].edges)}&" in webhook.fragment
    assert refused_sdk_edges(advice.sdk_edges, edges) == []
    assert refused_environment(advice.environment, edges) == []


def uris(advice: Advice) -> list[str]:
    (trunk,) = advice.trunks
    priorities = [one.priority for one in trunk.uris]
    assert priorities == [10 * n for n in range(1, len(priorities) + 1)]
    return [one.uri for one in trunk.uris]


def uri(address: str, edge: str) -> str:
    return f"sip:{address};transport=tls;edge={edge}"


def test_uris_are_in_the_order_of_the_configuration_without_a_daemon(
    twilio: Catalogue,
) -> None:
    provider = f"  edges: [dublin, ashburn-ix, ashburn, san-jose-ix]\n{LINKS}"
    advice = advised(twilio, TRUNK.replace("BIND", BIND), provider)
    assert uris(advice) == [
        uri("8.8.8.1:5061", "ashburn-ix"),
        uri("9.9.9.5:5061", "san-jose-ix"),
        uri("8.8.8.1:5061", "ashburn"),
        uri("8.8.8.1:5061", "dublin"),
    ]
    assert advice.notes == ()
    (trunk,) = advice.trunks
    assert [source.network for source in trunk.access] == [
        "8.8.8.1",
        "8.8.8.1",
        "9.9.9.0/24",
    ]


def test_uris_are_in_the_live_order_as_far_as_it_goes(twilio: Catalogue) -> None:
    provider = "  edges: [dublin, ashburn, tokyo]\n"
    live = {"pstn": ["tokyo", "sydney", "dublin"]}
    listeners = TRUNK.replace("BIND", "'tls://[2a00::5]:5061'")
    assert uris(advised(twilio, listeners, provider, live)) == [
        uri("[2a00::5]:5061", edge) for edge in ("tokyo", "dublin", "ashburn")
    ]


def test_uris_are_no_more_than_the_provider_takes(twilio: Catalogue) -> None:
    dialect = twilio.dialect.model_copy(update={"uris": 2})
    strict = twilio.model_copy(update={"dialect": dialect})
    advice = advised(strict, TRUNK.replace("BIND", "tls://5.5.5.5:5061"))
    assert len(uris(advice)) == 2
    assert advice.notes == ("trunk: twilio takes 2 URIs at most",)


def test_uri_has_the_address_that_a_nat_shows(twilio: Catalogue) -> None:
    bind = TRUNK.replace("[BIND]", "['tls://10.0.0.2:5061'], advertise: 5.5.5.5")
    assert uris(advised(twilio, bind, "  edges: [ashburn]\n")) == [
        uri("5.5.5.5:5061", "ashburn")
    ]


def test_address_that_a_nat_hides_is_noted_once(twilio: Catalogue) -> None:
    advice = advised(twilio, TRUNK.replace("BIND", "tls://10.0.0.2:5061"))
    assert advice.notes == (
        "trunk: 10.0.0.2 is a private address (RFC 1918): put what your NAT makes of "
        "it there",
    )


def test_simulated_provider_is_told_of_loopback(twilio: Catalogue) -> None:
    simulated = twilio.model_copy(update={"simulated": True})
    advice = advised(simulated, TRUNK.replace("BIND", "tls://127.0.0.1:5061"))
    assert advice.notes == ()


@pytest.mark.parametrize(
    ("bind", "note"),
    [
        ("'tls://5.5.5.5:5061'", "no address of the link is in edge.bind"),
        (
            "'tls://9.9.9.5:0'",
            "edge.bind has no tls:// address with a port",
        ),
    ],
)
def test_edge_for_which_nothing_is_bound_has_no_uri(
    twilio: Catalogue, bind: str, note: str
) -> None:
    provider = f"  edges: [san-jose-ix]\n{LINKS}"
    advice = advised(twilio, TRUNK.replace("BIND", bind), provider)
    assert uris(advice) == []
    assert advice.notes == (f"trunk: no URI for san-jose-ix: {note}",)


def test_source_that_is_not_bound_has_no_uri(twilio: Catalogue) -> None:
    provider = "  edges: [ashburn]\n  source_addresses: {ashburn: 6.6.6.6}\n"
    advice = advised(twilio, TRUNK.replace("BIND", "tls://5.5.5.5:5061"), provider)
    assert uris(advice) == []


def test_public_edges_call_where_they_are_heard(twilio: Catalogue) -> None:
    provider = f"  edges: [dublin, san-jose-ix]\n{ONE_WATCHED}"
    bind = "'tls://9.9.9.5:5061', 'tls://5.5.5.5:5061'"
    assert uris(advised(twilio, TRUNK.replace("BIND", bind), provider)) == [
        uri("9.9.9.5:5061", "san-jose-ix"),
        uri("5.5.5.5:5061", "dublin"),
    ]
    # Bound for the link alone, it hears no public edge.
    lonely = advised(twilio, TRUNK.replace("BIND", "'tls://9.9.9.5:5061'"), provider)
    assert uris(lonely) == [uri("9.9.9.5:5061", "san-jose-ix")]
    assert lonely.notes == (
        "trunk: no URI for dublin: edge.bind has no tls:// address with a port",
    )


def test_trunk_that_demands_privacy_is_called_by_private_edges_alone(
    twilio: Catalogue,
) -> None:
    provider = f"  edges: [dublin, san-jose-ix]\n{ONE_WATCHED}"
    trunk = TRUNK.replace("BIND", "'tls://9.9.9.5:5061'") + "    privacy: required\n"
    advice = advised(twilio, trunk, provider, {"pstn": ["dublin"]})
    assert uris(advice) == [uri("9.9.9.5:5061", "san-jose-ix")]
    assert advice.notes == ()


@pytest.mark.parametrize(
    ("address", "fragment"),
    [
        ("0.0.0.0", "e=ashburn-ix,san-jose-ix,tokyo,ashburn&rc=3&rp=ct&ct=2500"),
        ("9.9.9.9", "e=san-jose-ix,tokyo,ashburn&rc=2&rp=ct&ct=3333"),
        ("10.0.0.2", "e=tokyo,ashburn&rc=1&rp=ct&ct=5000"),
    ],
)
def test_webhooks_come_from_private_edges_only_where_a_link_leads(
    twilio: Catalogue, address: str, fragment: str
) -> None:
    provider = (
        "  edges: [ashburn-ix, san-jose-ix, tokyo-ix, ashburn, tokyo]\n"
        "  source_addresses: {tokyo-ix: 7.7.7.7}\n" + LINKS
    )
    live = {ALL: ["ashburn-ix", "san-jose-ix", "tokyo", "ashburn"]}
    listeners = HOOKS.replace("ADDRESS", address)
    advice = advised(twilio, listeners, provider, live)
    (webhook,) = advice.webhooks
    assert webhook.fragment == f"#{fragment}"
    assert len(advice.notes) == ("ix" in fragment)


def test_wishes_for_webhooks_are_fulfilled_or_refused(twilio: Catalogue) -> None:
    listeners = HOOKS.replace("ADDRESS", "10.0.0.2")
    advice = advised(twilio, listeners, wishes=Wishes(0, ("all",), 1.0))
    (webhook,) = advice.webhooks
    fragment = urllib.parse.parse_qs(webhook.fragment[1:])
    assert fragment == {"e": ["ashburn"], "rc": ["0"], "rp": ["all"], "ct": ["1000"]}
    with pytest.raises(ValueError, match="retries"):
        advised(twilio, listeners, wishes=Wishes(9))


def test_product_of_which_no_daemon_tells_has_the_order_of_all_edges(
    twilio: Catalogue,
) -> None:
    provider = "  edges: [ashburn, tokyo]\n"
    advice = advised(twilio, VOICE, provider, {ALL: ["tokyo", "ashburn"]})
    assert advice.sdk_edges == ("tokyo", "ashburn", "roaming")
    assert advice.environment["TWILIO_EDGE"] == "tokyo"


def test_sdks_get_edges_and_the_last_resort(twilio: Catalogue) -> None:
    provider = "  edges: [ashburn, tokyo]\n"
    live = {"voice-js": ["tokyo", "ashburn"], "voice-mobile": ["ashburn"]}
    advice = advised(twilio, VOICE, provider, live)
    assert advice.sdk_edges == ("tokyo", "ashburn", "roaming")


@pytest.mark.parametrize(
    ("address", "more"),
    [("127.0.0.1", {"HTTPS_PROXY": "http://127.0.0.1:3128"}), ("0.0.0.0", {})],
)
def test_server_sdks_get_the_best_edge_in_the_region_and_the_proxy(
    twilio: Catalogue, address: str, more: dict[str, str]
) -> None:
    listeners = API.replace("ADDRESS", address)
    advice = advised(twilio, listeners, "  region: ie1\n", {"api": ["tokyo"]})
    expected = {"TWILIO_EDGE": "dublin", "TWILIO_REGION": "ie1"} | more
    assert advice.environment == expected


def test_region_without_an_edge_in_use_has_no_environment(twilio: Catalogue) -> None:
    provider = "  region: ie1\n  edges: [tokyo]\n"
    advice = advised(twilio, HOOKS.replace("ADDRESS", "10.0.0.2"), provider)
    assert advice.environment == {}


def test_provider_that_can_be_told_nothing_is_told_nothing() -> None:
    catalogue = read_catalogue(parse(OTHER, "f"))
    listeners = TRUNK.replace("BIND", "tls://5.5.5.5:5061").replace("pstn\n", "sip\n")
    advice = advised(catalogue, listeners + HOOKS.replace("ADDRESS", "10.0.0.2"))
    assert uris(advice) == []
    assert [source.network for source in advice.trunks[0].access] == ["5.5.5.5"]
    nothing = (advice.webhooks, advice.sdk_edges, advice.networks, advice.notes)
    assert nothing == ((), (), (), ())
    assert advice.environment == {}


def first(catalogue: Catalogue, listeners: str, **given: Any) -> dict[str, str]:
    """The edge that comes first in the advice for each listener."""
    text = f"version: 1\nprovider:\n  catalogue: p\n{LINKS}listeners:\n{listeners}"
    config, problems = build(Config, parse(text, "f"), Path())
    assert config is not None
    assert not problems
    return best(settle(config, catalogue), catalogue, given.get("orders", {}))


def test_edge_that_comes_first_in_the_advice_is_the_one_that_is_waited_for(
    twilio: Catalogue,
) -> None:
    listeners = TRUNK.replace("BIND", BIND) + HOOKS.replace("ADDRESS", "5.5.5.5")
    found = first(twilio, listeners)
    assert found == {"trunk": "ashburn-ix", "hooks": "ashburn"}
    orders = {ALL: ["dublin"], "pstn": ["umatilla"]}
    found = first(twilio, listeners, orders=orders)
    assert found == {"trunk": "umatilla", "hooks": "dublin"}


def test_listener_that_no_edge_can_be_told_of_is_advised_nothing(
    twilio: Catalogue,
) -> None:
    assert first(twilio, API.replace("ADDRESS", "10.0.0.2")) == {}
    nowhere = TRUNK.replace("BIND", "'tls://5.5.5.5:0'")
    assert first(twilio, nowhere) == {}
    text = OTHER.replace("hosts: {a: a.example}", "hosts: {a: a.example, b: b.example}")
    other = read_catalogue(parse(text, "f"))
    listeners = TRUNK.replace("BIND", "'tls://5.5.5.5:5061'") + HOOKS
    listeners = listeners.replace("product: pstn", "product: sip")
    found = f"version: 1\nprovider: {{catalogue: p}}\nlisteners:\n{listeners}"
    config, _ = build(Config, parse(found.replace("ADDRESS", "5.5.5.5"), "f"), Path())
    assert config is not None
    assert best(settle(config, other), other, {}) == {}


def test_order_of_the_policy_is_that_of_its_snapshot() -> None:
    near, far = policy_edge("near", 0.01), policy_edge("far", 0.05)
    orders = live(snapshot_of([far, near], Home("near")), now=10_000.0)
    assert orders == {"api": ["near", "far"], ALL: ["near", "far"]}
