"""A SIP listener as its proxy wants it."""

import dataclasses
import ipaddress
from typing import Any

import pytest

from protocols.sip.peers import Side
from protocols.sip.settings import Place
from protocols.target import Target, Transport
from router.catalogue import Catalogue
from router.endpoint import Endpoint, Protocol
from router.health import Health, State
from router.listeners import Sip
from router.location import plain
from router.snapshot import Address, Home, Service, Snapshot
from router.trunk import Belongs, PlaceNames, settings_of

LISTENER = {
    "protocol": "sip",
    "product": "pstn",
    "host": "example.pstn.twilio.com",
    "site": {
        "bind": ["udp://10.0.0.2:5060", "tcp://10.0.0.2:5060"],
        "to": ["sip:10.0.0.10:5060"],
        "allow": ["10.0.0.10/32"],
    },
    "edge": {"bind": ["udp://203.0.113.5:5060"], "transport": "udp"},
    "no_response": "3s",
    "site_no_response": "3s",
}
CATALOGUE = {
    "version": 1,
    "name": "provider",
    "default_edge": "near",
    "edges": {
        "near": {"kind": "public", "networks": {"sip_signalling": ["192.0.2.0/30"]}},
        "far": {"kind": "public", "networks": {"sip_signalling": ["192.0.2.4/30"]}},
        "bare": {"kind": "public"},
    },
    "products": {
        "pstn": {
            "protocol": "sip",
            "transports": {"udp": 5060},
            "host": "{tenant}.pstn.twilio.com",
            "next_hop": "pstn.{edge}.twilio.com",
        }
    },
}


@pytest.fixture
def listener() -> Sip:
    return Sip.model_validate(LISTENER, context={})


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.model_validate(CATALOGUE)


class Source:
    """Holds a snapshot, as the checker does."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot


def service(product: str, edge: str, *addresses: str, verify_name: str = "") -> Service:
    endpoint = Endpoint(
        product,
        edge,
        Protocol.SIP,
        Transport.UDP,
        f"{edge}.test",
        5060,
        "example.pstn.twilio.com",
        verify_name=verify_name,
    )
    known = tuple(Address(endpoint.target(one), Health()) for one in plain(addresses))
    return Service(endpoint, State.UP, 0.0, known)


@pytest.fixture
def source(make_snapshot: Any) -> Source:
    settings = make_snapshot([]).settings
    services = {
        "pstn": (service("pstn", "near"), service("pstn", "bare", "198.51.100.7")),
        "trunk": (
            service("trunk", "pbx:5060", "10.0.0.10", "10.0.0.11"),
            service("trunk", "pbx:5061", "10.0.0.11", verify_name="pbx"),
        ),
    }
    return Source(Snapshot(0.0, settings, Home(), False, {}, services, {}))


@pytest.fixture
def names(catalogue: Catalogue, listener: Sip, source: Source) -> PlaceNames:
    return PlaceNames("trunk", listener, catalogue, source)


def test_proxy_is_told_addresses_networks_and_clocks(
    listener: Sip, catalogue: Catalogue
) -> None:
    places = (Place(Side.SITE, Transport.UDP, "10.0.0.2", 5060),)
    networks = catalogue.source_networks(Protocol.SIP)
    settings = settings_of(
        listener, networks, places, (b"k",), frozenset({"203.0.113.9"})
    )
    assert (settings.places, settings.keys) == (places, (b"k",))
    assert settings.names == {"203.0.113.9"}
    assert settings.host == "example.pstn.twilio.com"
    assert settings.networks[Side.SITE] == (ipaddress.ip_network("10.0.0.10/32"),)
    assert ipaddress.ip_network("192.0.2.4/30") in settings.networks[Side.EDGE]
    assert settings.to_edge.no_response == 3.0
    assert (settings.to_site.no_response, settings.to_site.seconds) == (1.5, 3.0)


@pytest.mark.parametrize(
    ("side", "address", "label"),
    [
        (Side.EDGE, "192.0.2.5", "far"),
        (Side.EDGE, "198.51.100.7", "bare"),
        (Side.EDGE, "198.51.100.8", ""),
        (Side.SITE, "10.0.0.10", "pbx:5060"),
        (Side.SITE, "10.0.0.11", "pbx:5061"),
        (Side.SITE, "192.0.2.5", ""),
    ],
)
def test_address_belongs_to_the_edge_of_its_network_or_to_whoever_has_it(
    names: PlaceNames, side: Side, address: str, label: str
) -> None:
    assert names.label(side, address) == label


def test_place_has_a_target_while_its_address_is_known(names: PlaceNames) -> None:
    found = names.target(Side.EDGE, "bare")
    assert isinstance(found, Target)
    assert found.address == "198.51.100.7"
    assert names.target(Side.EDGE, "near") is None
    assert names.target(Side.SITE, "unknown") is None


def test_place_whose_address_changes_has_the_new_target(
    names: PlaceNames, source: Source
) -> None:
    assert names.target(Side.EDGE, "bare") is not None
    services = {"pstn": (service("pstn", "bare", "198.51.100.9"),)}
    source.snapshot = dataclasses.replace(source.snapshot, services=services)
    found = names.target(Side.EDGE, "bare")
    assert found is not None
    assert found.address == "198.51.100.9"


@pytest.mark.parametrize(
    ("host", "transport", "ours"),
    [
        ("example.pstn.twilio.com", Transport.UDP, True),
        ("example.pstn.twilio.com", Transport.TLS, False),
        ("other.pstn.twilio.com", Transport.UDP, False),
    ],
)
def test_endpoint_of_another_listener_of_the_product_is_not_ours(
    host: str, transport: Transport, ours: bool, listener: Sip
) -> None:
    target = Target("192.0.2.1", 5060, transport, host)
    assert Belongs(listener)(target) is ours


def test_place_that_is_gone_is_known_by_its_last_target(
    listener: Sip, catalogue: Catalogue, make_snapshot: Any
) -> None:
    """A dialog goes on at an edge that is not used for new calls any more."""
    near, far = (
        service("pstn", "near", "192.0.2.1"),
        service("pstn", "far", "192.0.2.5"),
    )
    settings = make_snapshot([]).settings

    def known(*services: Service) -> Snapshot:
        return Snapshot(0.0, settings, Home(), False, {}, {"pstn": services}, {})

    source = Source(known(near, far))
    names = PlaceNames("trunk", listener, catalogue, source)
    before = names.target(Side.EDGE, "near")
    assert before is not None
    source.snapshot = known(far)
    assert names.target(Side.EDGE, "near") == before
    assert names.target(Side.EDGE, "bare") is None
    source.snapshot = known(service("pstn", "near", "192.0.2.2"))
    moved = names.target(Side.EDGE, "near")
    assert moved is not None
    assert moved.address == "192.0.2.2"
