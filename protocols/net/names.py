"""Does a certificate bear a name? RFC 9525, for names other than the one indicated.

Python compares a certificate only with the server name sent. A target may need
another: an edge that is reached by one name and proves itself by a second.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any


def bears(certificate: Mapping[str, Any], name: str) -> bool:
    """Whether `certificate`, as `SSLObject.getpeercert` gives it, is for `name`.

    Only subjectAltName counts. RFC 9525 section 2: "The Common Name RDN ... MUST NOT
    be used to identify a service".
    """
    identifiers = certificate.get("subjectAltName", ())
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        labels = _labels(name)
        return any(
            kind == "DNS" and _matches(_labels(value), labels)
            for kind, value in identifiers
        )
    return any(
        kind == "IP Address" and _is_address(value, address)
        for kind, value in identifiers
    )


def _labels(name: str) -> list[str]:
    return name.lower().removesuffix(".").split(".")


def _matches(pattern: list[str], labels: list[str]) -> bool:
    # RFC 9525 section 6.3: a wildcard is the complete left-most label and stands for
    # exactly one. Stricter than that: at least two labels must follow it.
    if pattern[0] == "*":
        return len(pattern) > 2 and bool(labels[0]) and pattern[1:] == labels[1:]
    return pattern == labels and "*" not in ".".join(pattern) and all(labels)


def _is_address(
    value: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> bool:
    try:
        return ipaddress.ip_address(value) == address
    except ValueError:  # OpenSSL shows malformed ones as "<invalid>"
        return False
