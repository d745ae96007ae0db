"""Certificates, authorities and signing keys: read from files, again when they change.

What is renewed serves the next handshake; connections that stand keep what they have.
"""

import dataclasses
import functools
import os
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, cast

from protocols.net.handshake import Contexts
from protocols.net.tls import HTTP_1_1, Certificates, TLSFileError
from router.keys import KeyFileError, read_keys
from router.listeners import Tls

T = TypeVar("T", bound="Renewable")

Stamp = tuple[int, int, int] | None
"What differs when a file was written anew; None for one that is not there."


class Renewable(Protocol):
    """Something that was read from files."""

    def reload(self) -> None:
        """Read them again, or raise TLSFileError or KeyFileError and change nothing."""


@dataclasses.dataclass(slots=True)
class _Held:
    """What was read, for as long as somebody uses it."""

    value: weakref.ref[Renewable]
    files: tuple[Path, ...]
    stamps: tuple[Stamp, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Renewal:
    """What became of files that were found changed."""

    files: tuple[Path, ...]
    "Those that belong together."
    error: str = ""
    "Why they cannot be used, so that the old ones stay in use; empty if they are."


class Keyring:
    """All that was read from such files, and is in use."""

    def __init__(self) -> None:
        self._held: dict[object, _Held] = {}

    def certificates(self, tls: Tls, *, alpn: Sequence[str] = HTTP_1_1) -> Certificates:
        """What clients are shown. Raises TLSFileError."""
        files = (tls.certificate, tls.key)
        make = functools.partial(Certificates, *files, alpn=alpn)
        return self._get(("certificates", tuple(alpn)), files, make)

    def trust(
        self, ca_file: Path | None, *, alpn: Sequence[str] = HTTP_1_1
    ) -> Contexts:
        """Trust in far sides. Raises TLSFileError."""
        files = () if ca_file is None else (ca_file,)
        make = functools.partial(Contexts, ca_file, alpn=alpn)
        return self._get(("trust", tuple(alpn)), files, make)

    def keys(self, path: Path) -> "Keys":
        """The keys that sign. Raises KeyFileError."""
        return self._get("keys", (path,), functools.partial(Keys, path))

    def renew(self) -> tuple[Renewal, ...]:
        """Read what has changed; what cannot be used is told once, and stays."""
        renewals = []
        for name, held in list(self._held.items()):
            value = held.value()
            stamps = tuple(map(stamp, held.files))
            if value is None:
                del self._held[name]
            elif stamps != held.stamps:
                held.stamps = stamps
                renewals.append(Renewal(held.files, _reload(value)))
        return tuple(renewals)

    def _get(self, kind: object, files: tuple[Path, ...], make: Callable[[], T]) -> T:
        """The same value for the same files."""
        held = self._held.get((kind, files))
        value = held.value() if held is not None else None
        if value is None:
            # The stamps first: what is written meanwhile is read once more.
            stamps = tuple(map(stamp, files))
            value = make()
            self._held[kind, files] = _Held(weakref.ref(value), files, stamps)
        return cast(T, value)


class Keys:
    """The keys of one file; mutable by `reload` alone."""

    def __init__(self, path: Path | None) -> None:
        """Read them; without a file they are new ones. Raises KeyFileError."""
        self._path = path
        self.values = read_keys(path)
        "The first one signs, all of them verify."

    def reload(self) -> None:
        """Read them again. On KeyFileError the old ones stay in use."""
        self.values = read_keys(self._path)


def _reload(value: Renewable) -> str:
    """Read it again; why that cannot be, or nothing."""
    try:
        value.reload()
    except (TLSFileError, KeyFileError, OSError) as error:  # gone in the midst of it
        return str(error)
    return ""


def stamp(path: Path) -> Stamp:
    """What tells a file from the one that was there before."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
