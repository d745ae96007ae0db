"""Who may connect, and how often: decided from the address alone, before any byte.

A pure core. Every table is bounded by the total of connections admitted.
"""

import dataclasses
import enum
import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Refusal(enum.StrEnum):
    """Why a connection was closed before its first byte of use."""

    NOT_ALLOWED = "not_allowed"
    "Its address is in none of the allowed networks."
    ASTRAY = "astray"
    "It did not come by the way by which its address is reached."
    CLIENT_LIMIT = "client_limit"
    "Its address has as many connections as one may have."
    TOTAL_LIMIT = "total_limit"
    "The listener has as many connections as it may have."
    HANDSHAKE_LIMIT = "handshake_limit"
    "Too many clients are within their TLS handshake."
    HANDSHAKE_FAILED = "handshake_failed"
    "It sent no proper TLS handshake, or not in time."
    NO_RESOURCES = "no_resources"
    "The system could not accept it; the listener pauses for a moment."


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How many connections a listener bears."""

    total: int = 10_000
    "At once, in all."
    per_client: int = 100
    "At once, from one client address."
    handshakes: int = 1_000
    "At once, within their TLS handshake, when each costs memory and is worth nothing."


class Admission:
    """Counts connections per client address; mutable by its own methods alone."""

    def __init__(
        self, allow: Sequence[Network] | None = None, limits: Limits = Limits()
    ) -> None:
        """Allow clients of these networks only; None allows everybody."""
        self._allow = allow
        self._limits = limits
        self._clients: dict[str, int] = {}
        self.total = 0
        "Connections admitted and not yet gone."
        self.handshakes = 0
        "Those of them within their TLS handshake."

    def change(self, allow: Sequence[Network] | None, limits: Limits) -> None:
        """Decide by these from now on; whoever is in stays, and counts."""
        self._allow = allow
        self._limits = limits

    def admit(self, address: str) -> Refusal | None:
        """Admit a connection, or say why not. If admitted, `leave` must follow."""
        count = self._clients.get(address, 0)
        if not self._allows(address):
            return Refusal.NOT_ALLOWED
        if self.total >= self._limits.total:
            return Refusal.TOTAL_LIMIT
        if count >= self._limits.per_client:
            return Refusal.CLIENT_LIMIT
        if self.handshakes >= self._limits.handshakes:
            return Refusal.HANDSHAKE_LIMIT
        self._clients[address] = count + 1
        self.total += 1
        return None

    def leave(self, address: str) -> None:
        """An admitted connection is gone."""
        self.total -= 1
        count = self._clients[address] - 1
        if count:
            self._clients[address] = count
        else:
            del self._clients[address]

    def _allows(self, address: str) -> bool:
        if self._allow is None:
            return True
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._allow)
