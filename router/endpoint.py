"""What there is to choose from: a product at an edge, or a receiver of the site."""

import dataclasses
import enum

from protocols.target import Target, Transport
from router.location import Location


class Protocol(enum.StrEnum):
    """What is spoken with an endpoint."""

    HTTPS = "https"
    SIP = "sip"
    WEBSOCKET = "websocket"


class Kind(enum.StrEnum):
    """How an edge is reached."""

    PUBLIC = "public"
    "Over the Internet."
    PRIVATE = "private"
    "Over a direct link to the provider."


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """One product at one edge: what all its addresses have in common.

    A receiver at the site is an endpoint, too: its product is the listener it
    serves, and its edge the name that the configuration gives it.
    """

    product: str
    "Name of the product in the catalogue, or of the listener for a receiver."
    edge: str
    "Name of the edge, or the receiver's host and port."
    protocol: Protocol
    "What is spoken with it."
    transport: Transport
    "What carries that."
    resolve: str
    "Name to look up in the DNS, of a host or a service; or an IP address literal."
    port: int
    "Port to connect to where the look-up gives none."
    host: str
    "Name by which the far side knows itself: the HTTP Host, the SIP domain."
    server_name: str = ""
    "TLS server name to indicate; empty without TLS."
    verify_name: str = ""
    "Name that the certificate must bear; empty without TLS."
    source: str | None = None
    """Local address to connect from; None, as for the other version of IP, leaves it to
    the system."""
    device: str | None = None
    "Interface of the direct link that it is behind; None where any will do."

    def target(
        self,
        location: Location,
        *,
        patience: float = 1.0,
        round_trip: float | None = None,
    ) -> Target:
        """The target at one of this endpoint's addresses; times in seconds."""
        source = self.source
        if source is not None and (":" in source) is not (":" in location.address):
            source = None
        return Target(
            address=location.address,
            port=location.port or self.port,
            transport=self.transport,
            host=self.host,
            server_name=self.server_name,
            verify_name=self.verify_name,
            source=source,
            device=self.device,
            label=self.edge,
            patience=patience,
            round_trip=round_trip,
        )
