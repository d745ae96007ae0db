"""The signed parameters of one router: made, read, and known by heart for a while.

The ACK and most requests of a dialog follow soon: what was signed or verified lately
is not computed again.
"""

from collections.abc import Sequence

from protocols.sip.token import Hops, Kind, seal, unseal

REMEMBERED = 4_096
"Parameters that are known by heart."


class Seals:
    """Signs and verifies with a list of keys: the first signs, all verify."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys
        self._known: dict[tuple[bytes, bytes], Hops] = {}

    def seal(self, hops: Hops, kind: Kind, call_id: bytes) -> bytes:
        """The parameter's value, as `token.seal` makes it."""
        value = seal(hops, kind, call_id, self._keys)
        self._remember(value, call_id, hops)
        return value

    def unseal(self, value: bytes, call_id: bytes) -> Hops | None:
        """What was sealed; None for what none of the keys has signed for this call."""
        hops = self._known.get((value, call_id))
        if hops is None:
            hops = unseal(value, call_id, self._keys)
            if hops is not None:
                self._remember(value, call_id, hops)
        return hops

    def __len__(self) -> int:
        """How many are known by heart."""
        return len(self._known)

    def _remember(self, value: bytes, call_id: bytes, hops: Hops) -> None:
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[value, call_id] = hops
