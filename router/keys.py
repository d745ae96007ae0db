"""The keys that sign what a listener writes into Record-Route.

A key file holds one key a line: the first one signs, all of them verify, so that a key
can be replaced while calls stand that an earlier one has signed.
"""

import secrets
from pathlib import Path

from protocols.net.reading import read_file

SHORTEST = 16
"Characters that a key must have."
MOST = 8
"Keys in a file."
_LARGEST = 65_536  # bytes of a key file


class KeyFileError(Exception):
    """A key file that cannot be used; the text says which, and why."""


def read_keys(path: Path | None) -> tuple[bytes, ...]:
    """The keys in a file, or a fresh one without a file. Raises KeyFileError."""
    if path is None:
        return (secrets.token_bytes(32),)
    try:
        data = read_file(path, _LARGEST)
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from None
    keys = tuple(line.strip() for line in data.splitlines() if line.strip())
    if not 0 < len(keys) <= MOST:
        raise KeyFileError(f"{path} holds {len(keys)} keys; it needs 1 to {MOST}")
    if min(map(len, keys)) < SHORTEST:
        raise KeyFileError(f"{path}: a key has less than {SHORTEST} characters")
    return keys
