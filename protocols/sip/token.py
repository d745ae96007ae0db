"""The Record-Route parameter that spares a table of dialogs.

Record-Route returns as Route in every request of a dialog. What the router has to know
to route those is in a parameter of it, signed: whoever has not been given one by a
router with the key can make it send nowhere. So calls outlive a restart, and any router
at the site with the same key carries them on.

Layout before base64url: kind (1 byte), the hop of the site, the hop of the edge, and
HMAC-SHA256 over it and the Call-ID, cut to 10 bytes. A hop is transport and family (1
byte), address (4 or 16), port (2), port of its connection (2, if it made one), length
of its label (1) and label.
"""

import base64
import binascii
import enum
import functools
import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from protocols.target import Transport

MAC_BYTES = 10
"Enough that nobody guesses one: 2**80 tries, each of them a message to the router."
_TRANSPORTS = (Transport.UDP, Transport.TCP, Transport.TLS)
_IPV6 = 0x80
_FLOW = 0x40
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class Kind(enum.IntEnum):
    """What a token is good for."""

    DIALOG = 1
    "Requests with the Call-ID that it was made for."
    PATH = 2
    "Requests to what was registered (RFC 3327), of any Call-ID."


class Hop(NamedTuple):
    """A peer on one side of a dialog, as far as routing needs it."""

    transport: Transport
    "What it speaks."
    address: str
    "IP address, as a literal."
    port: int
    "Port to send to."
    label: str = ""
    "Name of its place; with it go the names for TLS."
    flow: int = 0
    "Port that it connected from: requests take that connection while it stands."


class Hops(NamedTuple):
    """The peers of a dialog on either side; indexed by `Side`."""

    site: Hop
    "The PBX, or what stands before it."
    edge: Hop
    "The provider's edge."


def seal(hops: Hops, kind: Kind, call_id: bytes, keys: Sequence[bytes]) -> bytes:
    """The parameter's value, signed with the first key."""
    body = bytes((kind,)) + _packed(hops.site) + _packed(hops.edge)
    signed = body + _mac(keys[0], body, kind, call_id)
    return base64.urlsafe_b64encode(signed).rstrip(b"=")


def unseal(value: bytes, call_id: bytes, keys: Sequence[bytes]) -> Hops | None:
    """What was sealed; None for what none of the keys has signed for this call."""
    try:
        signed = base64.b64decode(value + b"=" * (-len(value) % 4), b"-_", True)
    except (binascii.Error, ValueError):
        return None
    body, mac = signed[:-MAC_BYTES], signed[-MAC_BYTES:]
    if not body:
        return None
    for key in keys:
        if hmac.compare_digest(mac, _mac(key, body, body[0], call_id)):
            return _unpacked(body)
    return None


def _mac(key: bytes, body: bytes, kind: int, call_id: bytes) -> bytes:
    if kind == Kind.DIALOG:
        body += call_id
    # HMAC as RFC 2104 defines it, with the key hashed once and not per call: the
    # library's own takes three times as long.
    inner, outer = _prepared(key)
    inner, outer = inner.copy(), outer.copy()
    inner.update(body)
    outer.update(inner.digest())
    return outer.digest()[:MAC_BYTES]


@functools.lru_cache(maxsize=16)
def _prepared(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    key = key.ljust(64, b"\0")
    return hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))


@functools.lru_cache(maxsize=1_024)
def _packed(hop: Hop) -> bytes:
    address = ipaddress.ip_address(hop.address)
    family = _IPV6 if address.version == 6 else 0
    flow = _FLOW if hop.flow else 0
    label = hop.label.encode()[:255]
    return b"".join(
        (
            bytes((_TRANSPORTS.index(hop.transport) | family | flow,)),
            address.packed,
            hop.port.to_bytes(2, "big"),
            hop.flow.to_bytes(2, "big") if flow else b"",
            bytes((len(label),)),
            label,
        )
    )


@functools.lru_cache(maxsize=1_024)
def _unpacked(body: bytes) -> Hops:
    """Read what has been verified: it is well-formed, since we made it."""
    site, rest = _first_hop(body[1:])
    edge, _ = _first_hop(rest)
    return Hops(site, edge)


def _first_hop(packed: bytes) -> tuple[Hop, bytes]:
    transport = _TRANSPORTS[packed[0] & ~(_IPV6 | _FLOW)]
    end = 17 if packed[0] & _IPV6 else 5
    address = str(ipaddress.ip_address(packed[1:end]))
    port = int.from_bytes(packed[end : end + 2], "big")
    end += 2
    flow = 0
    if packed[0] & _FLOW:
        flow = int.from_bytes(packed[end : end + 2], "big")
        end += 2
    label_end = end + 1 + packed[end]
    label = packed[end + 1 : label_end].decode()
    return Hop(transport, address, port, label, flow), packed[label_end:]
