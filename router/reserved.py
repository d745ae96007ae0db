"""Addresses that nobody can be reached at over a network of others.

From the IANA registries of special-purpose addresses (RFC 6890); a private edge answers
only addresses that are globally unique.
"""

import ipaddress

from router.addresses import IPAddress, IPNetwork

_RESERVED = {
    "0.0.0.0/8": "an address of no network (RFC 1122)",
    "10.0.0.0/8": "a private address (RFC 1918)",
    "100.64.0.0/10": "a carrier-grade NAT address (RFC 6598)",
    "127.0.0.0/8": "a loopback address",
    "169.254.0.0/16": "a link-local address",
    "172.16.0.0/12": "a private address (RFC 1918)",
    "192.0.0.0/24": "an address of protocols (RFC 6890)",
    "192.168.0.0/16": "a private address (RFC 1918)",
    "198.18.0.0/15": "an address for benchmarks (RFC 2544)",
    "224.0.0.0/4": "a multicast address",
    "240.0.0.0/4": "a reserved address (RFC 1112)",
    "::/128": "an address of no network",
    "::1/128": "a loopback address",
    "64:ff9b:1::/48": "an address of translators (RFC 8215)",
    "100::/64": "an address that is discarded (RFC 6666)",
    "2001::/23": "an address of protocols (RFC 2928)",
    "2002::/16": "a 6to4 address (RFC 3056)",
    "fc00::/7": "a unique local address (RFC 4193)",
    "fe80::/10": "a link-local address",
    "ff00::/8": "a multicast address",
}
_DOCUMENTATION = {
    "192.0.2.0/24": "an address for documentation (RFC 5737)",
    "198.51.100.0/24": "an address for documentation (RFC 5737)",
    "203.0.113.0/24": "an address for documentation (RFC 5737)",
    "2001:db8::/32": "an address for documentation (RFC 3849)",
    "3fff::/20": "an address for documentation (RFC 9637)",
}
_NETWORKS = {ipaddress.ip_network(text): why for text, why in _RESERVED.items()}
_EXAMPLES = {ipaddress.ip_network(text): why for text, why in _DOCUMENTATION.items()}


def not_unique(address: IPAddress) -> str:
    """What an address is that is not globally unique; empty if it is.

    Addresses for documentation pass: examples must be able to name some.
    """
    return next((why for net, why in _NETWORKS.items() if address in net), "")


def not_routable(network: IPNetwork) -> str:
    """The same of all addresses in a network, and no example passes either."""
    for reserved, why in (*_NETWORKS.items(), *_EXAMPLES.items()):
        if network.version != reserved.version or not network.overlaps(reserved):
            continue
        smaller = max(network, reserved, key=lambda net: net.prefixlen)
        first = smaller.network_address
        return why if network.num_addresses == 1 else f"where {first} is {why}"
    return ""
