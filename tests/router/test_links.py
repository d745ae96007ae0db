from typing import Any

import pydantic
import pytest

from router.links import Link

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
