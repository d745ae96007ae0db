import importlib.resources
from pathlib import Path

import pytest

from protocols.target import Transport
from router.catalogue import Catalogue, read_catalogue
from router.crosscheck import settle
from router.document import parse
from router.endpoint import Endpoint, Protocol
from router.endpoints import (
    ANYWHERE,
    endpoints,
    is_required,
    products_of,
    receivers,
)
from router.settings import Config
from router.validation import build

BUNDLED = importlib.resources.files("router.catalogues")
HEAD = """\
version: 1
provider:
  catalogue: twilio
  edges: [ashburn-ix, umatilla]
  source_addresses: {ashburn-ix: 203.0.113.10}
listeners:
"""
TERMINATE = """\
  api:
    protocol: https
    direction: to_provider
    product: api
    bind: 127.0.0.1:8443
    tls: {certificate: a.pem, key: a.key}
    allow: [10.0.0.0/8]
"""
CONNECT = """\
  proxy:
    protocol: https
    direction: to_provider
    mode: connect
    bind: 127.0.0.1:3128
    allow: [10.0.0.0/8]
"""
WEBHOOKS = """\
  webhooks:
    protocol: https
    direction: from_provider
    bind: 127.0.0.1:8444
    tls: {certificate: a.pem, key: a.key}
    to: [http://10.0.0.20:8080, https://app.example]
"""
TRUNK = """\
  trunk:
    protocol: sip
    product: pstn
    host: a.b.pstn.twilio.com
    site: {bind: [udp://10.0.0.2:5060], to: [sip:10.0.0.10], allow: [10.0.0.10]}
    edge: {bind: [udp://203.0.113.5:5060], transport: TRANSPORT}
"""


@pytest.fixture(scope="module")
def twilio() -> Catalogue:
    text = (BUNDLED / "twilio.yaml").read_text("utf-8")
    return read_catalogue(parse(text, "twilio.yaml"))


def read(listeners: str, catalogue: Catalogue, head: str = HEAD) -> Config:
    config, problems = build(Config, parse(head + listeners, "f"), Path())
    assert config is not None
    assert problems == []
    return settle(config, catalogue)


def test_product_has_an_endpoint_at_each_edge_in_use(twilio: Catalogue) -> None:
    private, public = endpoints(twilio, read(TERMINATE, twilio))
    host = "api.ashburn-ix.us1.twilio.com"
    assert private == Endpoint(
        product="api",
        edge="ashburn-ix",
        protocol=Protocol.HTTPS,
        transport=Transport.TLS,
        resolve=host,
        port=443,
        host=host,
        server_name=host,
        verify_name=host,
        source="203.0.113.10",
    )
    assert (public.edge, public.source) == ("umatilla", None)


def test_endpoint_shared_by_two_listeners_comes_once(twilio: Catalogue) -> None:
    found = endpoints(twilio, read(TERMINATE + CONNECT, twilio))
    assert len(found) == len(set(found)) == 2 * 8


def test_connect_reaches_every_https_product_with_edges_unless_told(
    twilio: Catalogue,
) -> None:
    listener = read(CONNECT, twilio).listeners["proxy"]
    assert "api" in products_of(listener, twilio)
    assert "eventgw" not in products_of(listener, twilio)
    config = read(f"{CONNECT}    products: [lookups]\n", twilio)
    assert products_of(config.listeners["proxy"], twilio) == ("lookups",)
    assert {e.product for e in endpoints(twilio, config)} == {"lookups"}


def test_product_without_edges_has_one_endpoint_anywhere(twilio: Catalogue) -> None:
    config = read(f"{CONNECT}    products: [eventgw]\n", twilio)
    (found,) = endpoints(twilio, config)
    assert (found.edge, found.host) == (ANYWHERE, "eventgw.twilio.com")


def test_edge_that_does_not_offer_a_product_in_the_region_is_left_out(
    twilio: Catalogue,
) -> None:
    head = "version: 1\nprovider: {catalogue: twilio, region: ie1}\nlisteners:\n"
    found = endpoints(twilio, read(TERMINATE, twilio, head))
    assert [endpoint.host for endpoint in found] == ["api.dublin.ie1.twilio.com"]


def test_trunk_keeps_its_name_and_is_steered_by_the_next_hop(twilio: Catalogue) -> None:
    config = read(TRUNK.replace("TRANSPORT", "tls"), twilio)
    _, public = endpoints(twilio, config)
    assert (public.resolve, public.port) == (
        "_sips._tcp.pstn.umatilla.twilio.com",
        5061,
    )
    assert public.host == "a.b.pstn.twilio.com"
    assert public.server_name == public.verify_name == "pstn.umatilla.twilio.com"


def test_trunk_over_udp_has_no_tls_names(twilio: Catalogue) -> None:
    config = read(TRUNK.replace("TRANSPORT", "udp"), twilio)
    found = endpoints(twilio, config)[0]
    assert (found.transport, found.port) == (Transport.UDP, 5060)
    assert (found.server_name, found.verify_name) == ("", "")


def test_pbx_without_a_port_is_looked_up_as_a_service(twilio: Catalogue) -> None:
    pbxs = "sip:pbx.example, sip:pbx.example:5070, sip:10.0.0.9, sips:safe.example"
    text = TRUNK.replace("TRANSPORT", "udp").replace("sip:10.0.0.10]", f"{pbxs}]", 1)
    found = receivers(read(text, twilio))
    assert [(one.resolve, one.port) for one in found] == [
        ("_sip._udp.pbx.example", 5060),
        ("pbx.example", 5070),
        ("10.0.0.9", 5060),
        ("_sips._tcp.safe.example", 5061),
    ]
    assert found[0].host == "pbx.example:5060"


def test_two_trunks_of_one_product_have_endpoints_of_their_own(
    twilio: Catalogue,
) -> None:
    one = TRUNK.replace("TRANSPORT", "tls")
    other = one.replace("trunk:", "second:").replace("a.b.", "c.")
    found = endpoints(twilio, read(one + other, twilio))
    assert len(found) == 4
    assert len({(e.edge, e.host) for e in found}) == 4


def test_product_without_tls_is_spoken_to_over_tcp() -> None:
    text = """\
version: 1
name: p
default_edge: north
edges: {north: {kind: public}}
products:
  api:
    protocol: https
    transports: {tcp: 80}
    hosts: {north: n.example}
    next_hop: 192.0.2.1
    verify_name: v.example
"""
    catalogue = read_catalogue(parse(text, "f"))
    head = "version: 1\nprovider: {catalogue: p}\nlisteners:\n"
    (found,) = endpoints(catalogue, read(TERMINATE, catalogue, head))
    assert (found.transport, found.port) == (Transport.TCP, 80)
    assert (found.resolve, found.host) == ("192.0.2.1", "n.example")
    assert found.verify_name == ""


@pytest.mark.parametrize(
    ("to", "bind", "transport", "edge"),
    [
        ("sip:pbx", "udp://10.0.0.2:1", Transport.UDP, "pbx:5060"),
        ("sip:pbx", "tls://10.0.0.2:1, tcp://10.0.0.2:2", Transport.TCP, "pbx:5060"),
        (
            "sip:pbx;transport=tcp",
            "udp://10.0.0.2:1",
            Transport.TCP,
            "pbx:5060;transport=tcp",
        ),
        ("sips:pbx", "udp://10.0.0.2:1", Transport.TLS, "pbx:5061"),
    ],
)
def test_pbx_is_spoken_to_as_is_said_or_as_the_router_is_bound(
    to: str, bind: str, transport: Transport, edge: str, twilio: Catalogue
) -> None:
    text = TRUNK.replace("TRANSPORT", "udp").replace("sip:10.0.0.10", f"'{to}'")
    config = read(CONNECT + text.replace("udp://10.0.0.2:5060", bind), twilio)
    (pbx,) = receivers(config)
    assert (pbx.transport, pbx.edge, pbx.host) == (transport, edge, edge)
    assert (pbx.verify_name == "pbx") is (transport is Transport.TLS)


def test_receivers_of_the_site_are_endpoints_of_their_listener(
    twilio: Catalogue,
) -> None:
    config = read(WEBHOOKS + CONNECT, twilio)
    plain, encrypted = receivers(config)
    assert plain == Endpoint(
        product="webhooks",
        edge="10.0.0.20:8080",
        protocol=Protocol.HTTPS,
        transport=Transport.TCP,
        resolve="10.0.0.20",
        port=8080,
        host="10.0.0.20:8080",
    )
    assert (encrypted.transport, encrypted.port) == (Transport.TLS, 443)
    assert encrypted.server_name == encrypted.verify_name == "app.example"
    assert products_of(config.listeners["webhooks"], twilio) == ()


LINKED = """\
version: 1
provider:
  catalogue: twilio
  edges: [ashburn-ix, san-jose-ix, umatilla]
  links:
    a: {exchange: A, edges: [ashburn-ix], interface: link1, sources: [8.8.8.1],
        prefixes: [8.8.8.0/28], bandwidth: 1Mbit/s}
    b: {exchange: B, edges: [san-jose-ix], sources: [9.9.9.1],
        prefixes: [9.9.9.0/28], bandwidth: 1Mbit/s}
listeners:
"""
SECRET = TERMINATE.replace("api:", "secret:", 1) + "    privacy: required\n"


def places(catalogue: Catalogue, listeners: str) -> dict[str, str | None]:
    """The interface to each edge that has an endpoint."""
    found = endpoints(catalogue, read(listeners, catalogue, LINKED))
    return {endpoint.edge: endpoint.device for endpoint in found}


def test_edge_behind_a_link_is_reached_by_its_interface_alone(
    twilio: Catalogue,
) -> None:
    every = {"ashburn-ix": "link1", "san-jose-ix": None, "umatilla": None}
    assert places(twilio, TERMINATE) == every


def test_product_of_private_listeners_alone_has_no_endpoint_but_behind_links(
    twilio: Catalogue,
) -> None:
    assert places(twilio, SECRET) == {"ashburn-ix": "link1"}
    assert len(places(twilio, SECRET + TERMINATE)) == 3


def test_privacy_is_as_the_policy_says_where_a_listener_says_nothing(
    twilio: Catalogue,
) -> None:
    head = f"policy: {{prefer_private: {{allow_public: false}}}}\n{LINKED}"
    listeners = f"{TERMINATE}{WEBHOOKS}{SECRET.replace('required', 'preferred')}"
    found = read(listeners, twilio, head).listeners
    assert is_required(found["api"])
    assert not is_required(found["secret"])
    assert not is_required(found["webhooks"])
    assert not is_required(read(TERMINATE, twilio, LINKED).listeners["api"])
