import ipaddress

import pytest

from router.reserved import not_routable, not_unique


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.1.2.3", "a private address (RFC 1918)"),
        ("172.31.255.255", "a private address (RFC 1918)"),
        ("172.32.0.0", ""),
        ("192.168.0.1", "a private address (RFC 1918)"),
        ("100.127.0.1", "a carrier-grade NAT address (RFC 6598)"),
        ("127.0.0.1", "a loopback address"),
        ("169.254.1.1", "a link-local address"),
        ("198.19.0.1", "an address for benchmarks (RFC 2544)"),
        ("255.255.255.255", "a reserved address (RFC 1112)"),
        ("203.0.113.10", ""),
        ("8.8.8.8", ""),
        ("::1", "a loopback address"),
        ("fd00::1", "a unique local address (RFC 4193)"),
        ("fe80::1", "a link-local address"),
        ("2a00::1", ""),
    ],
)
def test_address_that_is_not_unique_is_named(address: str, reason: str) -> None:
    assert not_unique(ipaddress.ip_address(address)) == reason


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("10.1.2.3/32", "a private address (RFC 1918)"),
        ("203.0.113.10/32", "an address for documentation (RFC 5737)"),
        ("198.51.100.0/25", "where 198.51.100.0 is an address for documentation"),
        ("11.0.0.0/8", ""),
        ("8.0.0.0/6", "where 10.0.0.0 is a private address (RFC 1918)"),
        ("0.0.0.0/0", "where 0.0.0.0 is an address of no network (RFC 1122)"),
        ("2001:db8:1::/48", "where 2001:db8:1:: is an address for documentation"),
        ("2a00::/16", ""),
    ],
)
def test_network_with_addresses_nobody_can_answer_is_named(
    network: str, reason: str
) -> None:
    found = not_routable(ipaddress.ip_network(network))
    assert found.startswith(reason)
    assert bool(found) == bool(reason)
