"""An edge of the provider: several addresses, some distance away, faults included."""

from collections.abc import Sequence
from typing import Protocol

from simulator.delay import Line
from simulator.faults import Active, Fault, Place
from simulator.front import Front, Site
from simulator.ledger import Ledger
from simulator.plan import EdgePlan

TRANSPORTS = ("https", "udp", "tcp", "tls")
"What an edge speaks: HTTPS, and SIP in three ways."


class Opening(Protocol):
    """A way into an edge address, or out of it."""

    @property
    def transport(self) -> str:
        """What is spoken there, of `TRANSPORTS`."""

    def apply(self, fault: Fault | None) -> None:
        """Put a fault into effect, in place of the former one."""

    async def stop(self) -> None:
        """Close it."""


class Address(Place):
    """One address of an edge, with all that listens there."""

    def __init__(self, edge: "Edge", address: str, ledger: Ledger) -> None:
        super().__init__(address, ledger)
        self.edge = edge
        self.address = address
        self._openings: list[Opening] = []

    def effective(self, transport: str) -> Active | None:
        """The fault at work: the address's own, or that of its edge's transport."""
        return self.active or self.edge.transports[transport].active or self.edge.active

    def open(self, site: Site, port: int) -> None:
        """Listen on a TCP port; raises OSError."""
        places = (self, self.edge.transports[site.transport], self.edge)
        self.add(Front(site, self.address, port, places))

    def add(self, opening: Opening) -> None:
        """Have something more follow the faults here."""
        self._openings.append(opening)

    def changed(self) -> None:
        """Have everything here follow the fault at work."""
        for opening in self._openings:
            effective = self.effective(opening.transport)
            opening.apply(effective.fault if effective else None)

    async def stop(self) -> None:
        """Close everything that listens here, and every connection."""
        while self._openings:
            await self._openings.pop().stop()


class Transport(Place):
    """One transport at all addresses of an edge."""

    def __init__(self, edge: "Edge", transport: str, ledger: Ledger) -> None:
        super().__init__(f"{edge.name}/{transport}", ledger)
        self._edge = edge

    def changed(self) -> None:
        """Have every address follow."""
        self._edge.changed()


class Edge(Place):
    """One edge; its fault is that of all its addresses."""

    def __init__(
        self, plan: EdgePlan, addresses: Sequence[str], line: Line, ledger: Ledger
    ) -> None:
        super().__init__(plan.name, ledger)
        self.plan = plan
        self.line = line
        self.transports = {one: Transport(self, one, ledger) for one in TRANSPORTS}
        "Places of faults of one transport alone."
        self.addresses = tuple(Address(self, one, ledger) for one in addresses)

    @property
    def round_trip(self) -> float:
        """Seconds to the edge and back."""
        return self.line.round_trip

    @round_trip.setter
    def round_trip(self, seconds: float) -> None:
        self.line.round_trip = seconds
        self._ledger.record("fault", detail=f"{self.name} round-trip={seconds:g}s")

    def changed(self) -> None:
        """Have every address follow."""
        for address in self.addresses:
            address.changed()

    def heal(self) -> None:
        """Heal the edge, each of its addresses and transports."""
        for place in (*self.addresses, *self.transports.values()):
            place.active = None
        super().heal()
