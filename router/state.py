"""The state file: what the daemon had learnt, kept over a restart.

What is in it, and what of it can be believed, is its owner's business; here it is one
JSON object. The file is a help, never a need: whatever is wrong with it is a reason to
tell, not an error.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import stat
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from protocols.net.tasks import Tasks

NAME = "state.json"
"Name of the file in the state directory."
MAX_BYTES = 2 << 20
"""Size of a state file at most: a thousand names need a twentieth of it, as many calls
as links can have, the half."""
INTERVAL = 30.0
"Seconds between two times that the file is written at least."

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    """What came of reading the state file."""

    value: T | None = None
    "What it held; None when it is missing or of no use."
    age: float = 0.0
    "Seconds since it was written."
    reason: str = ""
    "Why it is of no use; empty when it is of use, or missing."


def directory(
    configured: pathlib.Path | None, environ: Mapping[str, str]
) -> pathlib.Path | None:
    """The state directory: the configured one, else systemd's, else None."""
    # systemd.exec(5): several directories are separated by a colon; ours is the first.
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if configured is None and given:
        return pathlib.Path(given)
    return configured


def load(path: pathlib.Path, parse: Callable[[object], T], *, now: float) -> Loaded[T]:
    """Read the file at seconds `now` since 1970; `parse` raises ValueError on doubt."""
    try:
        data, written = _read(path)
        # ValueError covers wrong UTF-8 and wrong JSON; nesting ends in RecursionError.
        return Loaded(parse(json.loads(data, parse_constant=_no_number)), now - written)
    except FileNotFoundError:
        return Loaded()
    except OSError as error:
        return Loaded(reason=error.strerror or str(error))
    except (ValueError, RecursionError) as error:
        return Loaded(reason=str(error)[:200])


def save(path: pathlib.Path, data: Mapping[str, object]) -> str:
    """Replace the file, all or nothing; the reason if that fails, else empty.

    A crash at any moment leaves the old file or the new one.
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > MAX_BYTES:
        return f"{len(text)} bytes, more than {MAX_BYTES}"
    try:
        _replace(path, text)
    except OSError as error:
        return error.strerror or str(error)
    return ""


class Keeper:
    """Saves the state soon after it changed, but not too often, and at the end."""

    def __init__(
        self,
        path: pathlib.Path,
        collect: Callable[[], Mapping[str, object]],
        on_trouble: Callable[[str], None],
        *,
        interval: float = INTERVAL,
    ) -> None:
        """`collect` gives what to save; `on_trouble` is told why saving failed."""
        self._path = path
        self._collect = collect
        self._on_trouble = on_trouble
        self._interval = interval
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._tasks = Tasks()
        self._keeping: asyncio.Task[None] | None = None

    def write(self) -> bool:
        """Save at once, and wait for the disk; whether that worked."""
        reason = save(self._path, self._collect())
        if reason:
            self._on_trouble(reason)
        return not reason

    def start(self) -> None:
        """Begin to save what `changed` tells of."""
        self._keeping = self._tasks.start(self._keep(), name="save state")

    def changed(self) -> None:
        """Note that there is something new to save."""
        self._changed.set()

    async def close(self) -> None:
        """Save a last time, and end."""
        self._closing.set()
        self._changed.set()
        if self._keeping is not None:
            await self._keeping  # not cancelled: a thread that writes would go on
        if self._changed.is_set():
            await self._save()

    async def _keep(self) -> None:
        while not self._closing.is_set():
            await self._changed.wait()
            await self._save()
            try:
                async with asyncio.timeout(self._interval):
                    await self._closing.wait()
            except TimeoutError:
                pass

    async def _save(self) -> None:
        self._changed.clear()
        # In a thread, since a disk may take its time for fsync.
        reason = await asyncio.to_thread(save, self._path, self._collect())
        if reason:
            if not self._closing.is_set():
                self._changed.set()  # to be tried again
            self._on_trouble(reason)


def _read(path: pathlib.Path) -> tuple[bytes, float]:
    # Neither a link to elsewhere nor a pipe that nobody writes to is a state file.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return data, status.st_mtime


def _replace(path: pathlib.Path, text: bytes) -> None:
    # In the same directory, so that the rename is atomic; of one name, so that a crash
    # leaves no more than one such file, which the next time overwrites.
    new = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        with open(os.open(new, flags, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: pathlib.Path) -> None:
    """Make the rename itself last over a power failure."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")
