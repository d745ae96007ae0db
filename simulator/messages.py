"""The messages that passed one way through a WebSocket, summed up.

Both ends of a WebSocket keep such a sum. If they agree, each message arrived once, in
its order and unaltered; a sum takes no more memory for a million messages than for one.
"""

import hashlib


class Messages:
    """What passed one way so far."""

    def __init__(self) -> None:
        self.count = 0
        "How many messages."
        self.size = 0
        "Bytes of all of them, text as UTF-8."
        self._hash = hashlib.sha256()

    def add(self, message: str | bytes) -> None:
        """Add the next message."""
        kind, data = (
            (b"t", message.encode()) if isinstance(message, str) else (b"b", message)
        )
        self.count += 1
        self.size += len(data)
        # The length keeps two messages apart from one that is both together.
        self._hash.update(kind + len(data).to_bytes(8, "big") + data)

    @property
    def digest(self) -> str:
        """SHA-256 of all messages, their kinds, boundaries and order."""
        return self._hash.hexdigest()
