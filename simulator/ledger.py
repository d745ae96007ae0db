"""The ledger: what arrived where, one event a line; the judge of every test.

Times are seconds of the monotonic clock, which all processes of a machine share.
"""

import asyncio
import collections
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO


class LedgerFullError(Exception):
    """The ledger has forgotten its oldest events and can judge no more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened at the provider."""

    time: float
    "Monotonic clock, in seconds."
    event: str
    "`accepted`, `tls`, `request`, `answered`, `aborted`, `fault`, `dns`, `webhook` ..."
    edge: str = ""
    "Edge at which it happened, whatever the host name says."
    address: str = ""
    "Address of the edge."
    product: str = ""
    "Product that the host name is for."
    region: str = ""
    "Region that processes it."
    transport: str = ""
    "`https`, or `udp`, `tcp`, `tls` of SIP."
    source: str = ""
    "Far address and port."
    request: str = ""
    "Identifier that ties a request to its end."
    method: str = ""
    "Method of HTTP or SIP."
    target: str = ""
    "Request target as received; the URL of a webhook; the name asked of the DNS."
    host: str = ""
    "HTTP Host as received."
    server_name: str = ""
    "Name indicated in the TLS handshake."
    call: str = ""
    "Call-ID of SIP."
    marker: str = ""
    "Value of the Idempotency-Key header: how a test tells its requests apart."
    status: int = 0
    "Status answered, of HTTP or SIP."
    size: int = 0
    "Length of the request body in bytes, where it was read."
    digest: str = ""
    "SHA-256 of the request body, where it was read."
    round_trip: float = 0.0
    "Delay injected into the connection, in seconds there and back."
    detail: str = ""
    "The rest in words."

    def line(self) -> str:
        """The event as one line of JSON; empty fields are left out."""
        fields = ((name, getattr(self, name)) for name in _FIELDS)
        return json.dumps({name: value for name, value in fields if value})


_FIELDS = tuple(field.name for field in dataclasses.fields(Event))


def _fits(entry: Event, event: str | None, fields: Mapping[str, object]) -> bool:
    return event in (None, entry.event) and all(
        getattr(entry, name) == value for name, value in fields.items()
    )


class Ledger:
    """Events in the order in which they happened, in memory and in a file."""

    def __init__(
        self,
        clock: Callable[[], float],
        file: Path | None = None,
        *,
        limit: int = 100_000,
    ) -> None:
        """Keep at most `limit` events in memory; append all of them to `file`."""
        self._clock = clock
        self._events: collections.deque[Event] = collections.deque(maxlen=limit)
        self._count = 0
        self._awaited: list[tuple[asyncio.Future[Event], str, dict[str, object]]] = []
        self._file: IO[str] | None = None
        if file is not None:
            self._file = file.open("a", encoding="utf-8", buffering=1)

    def record(self, event: str, **fields: str | int | float) -> Event:
        """Write down an event that happens now."""
        entry = Event(self._clock(), event, **fields)  # type: ignore[arg-type]
        self._events.append(entry)
        self._count += 1
        if self._file is not None:
            self._file.write(f"{entry.line()}\n")
        for future, kind, wanted in self._awaited:
            if not future.done() and _fits(entry, kind, wanted):
                future.set_result(entry)
        return entry

    async def wait(self, event: str, **fields: object) -> Event:
        """Wait for an event whose fields have the given values, past or to come."""
        for entry in self.events(event, **fields):
            return entry
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        awaited = (future, event, fields)
        self._awaited.append(awaited)
        try:
            return await future
        finally:
            self._awaited.remove(awaited)

    def events(self, event: str | None = None, **fields: object) -> list[Event]:
        """Events of a kind whose fields have the given values.

        Raises LedgerFullError once the oldest are forgotten.
        """
        if self._count > len(self._events):
            raise LedgerFullError(f"{self._count} events, {len(self._events)} kept")
        return [entry for entry in self._events if _fits(entry, event, fields)]

    def requests(self, **fields: object) -> list[Event]:
        """Requests received, each noted when its head was complete."""
        return self.events("request", **fields)

    def markers(self, **fields: object) -> collections.Counter[str]:
        """How often each marked request was received."""
        return collections.Counter(
            entry.marker for entry in self.requests(**fields) if entry.marker
        )

    def duplicates(self, **fields: object) -> dict[str, int]:
        """Markers received more than once, and how often."""
        counts = self.markers(**fields)
        return {marker: count for marker, count in counts.items() if count > 1}

    def clear(self) -> None:
        """Forget all events in memory; the file keeps them."""
        self._events.clear()
        self._count = 0

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
