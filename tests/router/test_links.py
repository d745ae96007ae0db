import ipaddress
from typing import Any

import pydantic
import pytest

from router.links import Bgp, Link, behind, device_at, device_to

LEAST: dict[str, Any] = {
    "exchange": "A",
    "edges": ["ashburn-ix"],
    "prefixes": ["8.8.8.0/24"],
    "bandwidth": "1Mbit/s",
}


def test_least_link_is_read() -> None:
    link = Link.model_validate(LEAST)
    assert (link.bandwidth, link.reserve) == (125_000, 0.1)
    assert (link.sources, link.interface) == ((), None)


@pytest.mark.parametrize("name", ["eth1", "bond0.100", "ix-ashburn", "wg@x", "e" * 15])
def test_name_of_an_interface_is_read(name: str) -> None:
    assert Link.model_validate(LEAST | {"interface": name}).interface == name


@pytest.mark.parametrize("name", ["", "a b", "eth/1", "eth0:1", "e" * 16, ".", "..", 1])
def test_what_is_no_name_of_an_interface_is_refused(name: object) -> None:
    with pytest.raises(pydantic.ValidationError, match="network interface"):
        Link.model_validate(LEAST | {"interface": name})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("edges", []),
        ("edges", ["a"] * 17),
        ("prefixes", []),
        ("prefixes", ["8.8.8.0/24"] * 65),
        ("sources", ["8.8.8.8"] * 17),
        ("bandwidth", "0Mbit/s"),
        ("reserve", 1.0),
        ("reserve", -0.1),
        ("exchange", ""),
    ],
)
def test_value_out_of_bounds_is_refused(key: str, value: object) -> None:
    with pytest.raises(pydantic.ValidationError):
        Link.model_validate(LEAST | {key: value})


@pytest.mark.parametrize(
    ("more", "address", "holds"),
    [
        ({}, "8.8.8.9", True),
        ({}, "8.8.9.9", False),
        ({"sources": ["8.8.8.1"]}, "8.8.8.1", True),
        ({"sources": ["8.8.8.1"]}, "8.8.8.9", False),
    ],
)
def test_address_is_of_the_link_as_its_source_or_else_as_announced(
    more: dict[str, Any], address: str, holds: bool
) -> None:
    link = Link.model_validate(LEAST | {"interface": "link1"} | more)
    links = {"other": Link.model_validate(LEAST | {"prefixes": ["9.9.9.9"]}), "a": link}
    found = ipaddress.ip_address(address)
    assert link.holds(found) is holds
    assert device_at(links, found) == ("link1" if holds else None)


def test_packets_to_an_edge_leave_by_the_interface_of_its_link() -> None:
    link = Link.model_validate(LEAST | {"interface": "link1"})
    assert device_to({"a": link}, "ashburn-ix") == "link1"
    assert device_to({"a": link}, "ashburn") is None
    assert device_to({"a": Link.model_validate(LEAST)}, "ashburn-ix") is None


def test_each_edge_is_behind_its_link() -> None:
    pair = Link.model_validate(LEAST | {"edges": ["ashburn-ix", "london-ix"]})
    other = Link.model_validate(LEAST | {"edges": ["san-jose-ix"]})
    assert behind({"a": pair, "b": other}) == {
        "ashburn-ix": "a",
        "london-ix": "a",
        "san-jose-ix": "b",
    }


def test_session_of_bird_is_read_with_its_usual_socket() -> None:
    link = Link.model_validate(LEAST | {"bgp": {"session": "ix_1"}})
    assert link.bgp == Bgp(session="ix_1")
    assert str(link.bgp.socket) == "/run/bird/bird.ctl"
    with pytest.raises(pydantic.ValidationError, match="name of a protocol"):
        Link.model_validate(LEAST | {"bgp": {"session": 'a"; down'}})
