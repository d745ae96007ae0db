"""Flows that the provider opens: where they come from, and whether they may.

Beside it, whether they come from where the provider was advised to open them.
"""

import functools
import ipaddress

from protocols.record import FlowRecord
from protocols.sip.records import CallRecord
from router.addresses import IPAddress
from router.advice import advised, live
from router.config import Loaded
from router.contradiction import Arrivals
from router.listeners import Direction
from router.logs import Log
from router.origins import Arrival, Origin, Origins
from router.snapshot import Snapshot
from router.telling import tell_arrivals

KNOWN = 4_096
"Sources whose edge is remembered, and ways that were looked at."
_NOWHERE = Origin()


class Incoming:
    """What is known of the provider's own flows. Times are monotonic seconds."""

    def __init__(self, loaded: Loaded, log: Log) -> None:
        self._log = log
        self._arrivals = Arrivals()
        self._loaded = loaded
        self.change(loaded)

    def change(self, loaded: Loaded) -> None:
        """Go by another configuration from now on."""
        origins = Origins(loaded.catalogue, loaded.config.provider.links)

        @functools.lru_cache(KNOWN)
        def origin(source: str) -> Origin:
            address = _address(source)
            return (origins.find(address) if address else None) or _NOWHERE

        @functools.lru_cache(KNOWN)
        def strays(source: str, local: str, interface: str) -> str:
            address = ipaddress.ip_address(source)
            arrival = Arrival(address, _address(local), interface or None)
            return origins.judge(arrival).reason

        for name in self._loaded.config.listeners.keys() - loaded.config.listeners:
            self._arrivals.forget(name)
        self._loaded = loaded
        self._origin = origin
        self._strays = strays

    def strays(self, source: str, local: str, interface: str) -> str:
        """Why what comes from an address cannot have come its way; empty if it may."""
        return self._strays(source, local.partition("%")[0], interface)

    def edge_of(self, source: str) -> str:
        """The edge that an address belongs to; empty if none, or several."""
        return self._origin(source).edge

    def ranked(self, snapshot: Snapshot, now: float) -> None:
        """The edges are liked in another order."""
        config, catalogue = self._loaded.config, self._loaded.catalogue
        best = advised(config, catalogue, live(snapshot, now=now))
        for listener in config.listeners:
            self._arrivals.advise(listener, best.get(listener, ""), now)

    def flow(self, record: FlowRecord, now: float) -> None:
        """A flow of the provider has ended: note in its record where it came from."""
        if record.direction == Direction.FROM_PROVIDER:
            record.origin = self.edge_of(record.client)
            self._arrived(record.listener, record.origin, now)

    def call(self, listener: str, record: CallRecord, now: float) -> None:
        """A request of a call has its answer."""
        if record.direction == Direction.FROM_PROVIDER and record.method == "INVITE":
            self._arrived(listener, record.edge, now)

    def _arrived(self, listener: str, edge: str, now: float) -> None:
        found = self._arrivals.arrived(listener, edge, now)
        if found is not None:
            tell_arrivals(self._log, found)


def _address(text: str) -> IPAddress | None:
    """Empty for who left before anybody looked, and for what a socket does not tell."""
    return ipaddress.ip_address(text) if text else None
