"""What there is to know of: which edges and endpoints, and by which rules."""

import dataclasses
from collections.abc import Mapping

from router import health, snapshot
from router.endpoint import Endpoint, Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """All that a configuration tells the table; another one may follow."""

    kinds: Mapping[str, Kind]
    "The edges, in configured order."
    endpoints: tuple[Endpoint, ...]
    "The endpoints at these edges."
    receivers: tuple[Endpoint, ...]
    "The receivers of the site; the product of each is its listener."
    settings: health.Settings
    "When something is in health."
    preference: snapshot.Settings
    "What is preferred among the healthy."
