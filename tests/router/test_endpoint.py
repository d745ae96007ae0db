"""What an endpoint's targets take over from it."""

import dataclasses
from typing import Any

from protocols.target import Target, Transport
from router.endpoint import Endpoint, Protocol
from router.location import Location


def test_target_has_the_names_of_its_endpoint_and_the_advice_given() -> None:
    endpoint = Endpoint(
        product="api",
        edge="ashburn-ix",
        protocol=Protocol.HTTPS,
        transport=Transport.TLS,
        resolve="api.ashburn-ix.us1.example.com",
        port=8443,
        host="api.example.com",
        server_name="sni.example.com",
        verify_name="verify.example.com",
        source="203.0.113.10",
        device="link1",
    )
    assert endpoint.target(Location("192.0.2.1", 5070)).port == 5070
    target = endpoint.target(Location("192.0.2.1"), patience=0.2, round_trip=0.03)
    assert target == Target(
        "192.0.2.1",
        8443,
        Transport.TLS,
        "api.example.com",
        "sni.example.com",
        "verify.example.com",
        "203.0.113.10",
        "link1",
        "ashburn-ix",
    )
    assert (target.patience, target.round_trip) == (0.2, 0.03)


def test_source_is_of_the_version_of_ip_that_it_is_for(provider: Any) -> None:
    endpoint = dataclasses.replace(provider.endpoint("a"), source="203.0.113.10")
    assert endpoint.target(Location("192.0.2.1")).source == "203.0.113.10"
    assert endpoint.target(Location("2001:db8::1")).source is None
