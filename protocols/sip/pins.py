"""Which target a call's retry with credentials belongs to.

A challenge (401, 407) holds a nonce of the edge that made it. The retry is a request
of its own, with the same Call-ID and no tag in To; it goes where its nonce is known.
"""

from protocols.target import Target

SECONDS = 32.0
"How long a retry is waited for: as long as a transaction lasts."


class Pins:
    """The latest challenges, by Call-ID. Times in seconds on any one clock."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._pins: dict[bytes, tuple[Target, float]] = {}

    def pin(self, call_id: bytes, target: Target, now: float) -> None:
        """Remember who challenged. With the table full, the oldest is forgotten."""
        self._pins.pop(call_id, None)
        while self._pins and self._is_stale(next(iter(self._pins)), now):
            del self._pins[next(iter(self._pins))]
        if len(self._pins) < self._bound:
            self._pins[call_id] = (target, now)

    def find(self, call_id: bytes, now: float) -> Target | None:
        """Who challenged this call lately."""
        target, since = self._pins.get(call_id, (None, 0.0))
        return target if now < since + SECONDS else None

    def __len__(self) -> int:
        return len(self._pins)

    def _is_stale(self, call_id: bytes, now: float) -> bool:
        since = self._pins[call_id][1]
        return len(self._pins) >= self._bound or now >= since + SECONDS
