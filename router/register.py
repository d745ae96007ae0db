"""Which endpoints there are, at which addresses, and who shares what is known of them.

Products of one edge mostly lead to the same addresses. What is found out about such an
address holds for all of them, so that they share one record and one probe.
"""

import dataclasses
from collections.abc import Iterable, Iterator

from protocols.target import Target, Transport
from router.endpoint import Endpoint, Protocol
from router.health import Health
from router.location import Location
from router.records import EndpointRecord, Record
from router.routes import patience
from router.saved import is_address

_Key = tuple[Protocol, str, str, int, Transport, str | None, str | None]
"""Protocol, edge, address, port, transport, source, device: the names are all that may
differ."""


UNSEEN = "the way there is not yet known"
"Why an address behind a link is barred until somebody has looked at its route."


@dataclasses.dataclass(frozen=True, slots=True)
class Moved:
    """What a new look-up changed."""

    new: tuple[Record, ...]
    "Records of addresses that nobody had before."
    gone: tuple[Record, ...]
    "Records of addresses that nobody has any more."


class Register:
    """All endpoints and receivers, and the records of their addresses."""

    def __init__(self) -> None:
        self.endpoints: list[EndpointRecord] = []
        "In the order in which they were added."
        self.products: dict[str, list[EndpointRecord]] = {}
        "The same by product or listener."
        self._by_target: dict[Target, Record] = {}
        self._by_key: dict[_Key, Record] = {}

    def __getitem__(self, target: Target) -> Record:
        """The record of a target. Raises KeyError for one that is not in use."""
        return self._by_target[target]

    def get(self, target: Target) -> Record | None:
        """The record of a target; None for one that is not in use."""
        return self._by_target.get(target)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._by_key.values())

    def arrange(
        self, wanted: Iterable[tuple[Endpoint, bool]], now: float
    ) -> tuple[Record, ...]:
        """Have these endpoints and no others; each says whether it is a receiver.

        Addresses of new ones come with `resolve`. Returns the records of addresses that
        nobody has any more.
        """
        left = {(known.endpoint, known.receiver): known for known in self.endpoints}
        self.endpoints, self.products = [], {}
        for endpoint, receiver in wanted:
            known = left.pop((endpoint, receiver), None) or EndpointRecord(
                endpoint, receiver, now
            )
            self.endpoints.append(known)
            self.products.setdefault(endpoint.product, []).append(known)
        targets = [target for known in left.values() for target in known.targets]
        return tuple(self._forget(dict.fromkeys(targets)))

    def resolve(
        self, known: EndpointRecord, wanted: Iterable[Location], now: float
    ) -> Moved:
        """Give an endpoint these addresses in place of those that it has."""
        before, known.targets = known.targets, {}
        known.locations = {}
        new = []
        for location in wanted:
            target = known.endpoint.target(location, patience=patience(None))
            record = self._record(known, target)
            if record is None:
                record = self._create(known, target, now)
                new.append(record)
            known.targets[target] = record
            known.locations[target] = location
        known.resolved = True
        return Moved(tuple(new), tuple(self._forget(before)))

    def owners(self, record: Record) -> list[EndpointRecord]:
        """The endpoints that have an address."""
        return [known for known in self.endpoints if record in known.records]

    def users(self, target: Target) -> list[EndpointRecord]:
        """The endpoints that have a target: the address by just this name."""
        return [known for known in self.endpoints if target in known.targets]

    def names(self) -> tuple[str, ...]:
        """The names to look up in the DNS."""
        return _names(self.endpoints)

    def names_of(self, target: Target) -> tuple[str, ...]:
        """The names whose look-up gave the address of a target."""
        record = self._by_target.get(target)
        return _names(self.owners(record)) if record is not None else ()

    def _record(self, known: EndpointRecord, target: Target) -> Record | None:
        record = self._by_target.get(target)
        if record is None:
            record = self._by_key.get(_key(known.endpoint.protocol, target))
            if record is not None:
                record.share(target)
                self._by_target[target] = record
        return record

    def _create(self, known: EndpointRecord, target: Target, now: float) -> Record:
        protocol = known.endpoint.protocol
        health = Health(since=now)
        if target.device is not None:
            health = Health(since=now, reason=UNSEEN, barred=True)
        record = Record.of(target, protocol, known.receiver, health)
        self._by_target[target] = self._by_key[_key(protocol, target)] = record
        return record

    def _forget(self, targets: Iterable[Target]) -> Iterator[Record]:
        """Forget the targets that nobody has any more, and then their records."""
        for target in targets:
            if self.users(target):
                continue
            record = self._by_target.pop(target)
            if not record.leave(target):
                del self._by_key[_key(record.protocol, target)]
                yield record


def _key(protocol: Protocol, target: Target) -> _Key:
    return (
        protocol,
        target.label,
        target.address,
        target.port,
        target.transport,
        target.source,
        target.device,
    )


def _names(endpoints: Iterable[EndpointRecord]) -> tuple[str, ...]:
    names = (known.endpoint.resolve for known in endpoints)
    return tuple(dict.fromkeys(name for name in names if not is_address(name)))
