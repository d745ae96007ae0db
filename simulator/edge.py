"""An edge of the provider: several addresses, some distance away, faults included."""

from collections.abc import Sequence

from simulator.delay import Line
from simulator.faults import Active, Place
from simulator.front import Front, Site
from simulator.ledger import Ledger
from simulator.plan import EdgePlan


class Address(Place):
    """One address of an edge, with all that listens there."""

    def __init__(self, edge: "Edge", address: str, ledger: Ledger) -> None:
        super().__init__(address, ledger)
        self.edge = edge
        self.address = address
        self._fronts: list[Front] = []

    @property
    def effective(self) -> Active | None:
        """The fault at work here: its own, or else the edge's."""
        return self.active or self.edge.active

    def open(self, site: Site, port: int) -> None:
        """Bind a port; raises OSError."""
        self._fronts.append(Front(site, self.address, port, (self, self.edge)))

    def changed(self) -> None:
        """Have every front follow the fault at work."""
        effective = self.effective
        for front in self._fronts:
            front.apply(effective.fault if effective else None)

    async def stop(self) -> None:
        """Close everything that listens here, and every connection."""
        while self._fronts:
            await self._fronts.pop().stop()


class Edge(Place):
    """One edge; its fault is that of all its addresses."""

    def __init__(
        self, plan: EdgePlan, addresses: Sequence[str], line: Line, ledger: Ledger
    ) -> None:
        super().__init__(plan.name, ledger)
        self.plan = plan
        self.line = line
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
        """Heal the edge and each of its addresses."""
        for address in self.addresses:
            address.active = None
        super().heal()
