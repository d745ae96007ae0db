"""The configuration is read again when somebody asks: each time the log says so."""

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path

from protocols.net.listen import BindError
from protocols.net.tls import TLSFileError
from router import events
from router.config import Loaded
from router.differences import Difference, differences
from router.files import read
from router.keys import KeyFileError
from router.logs import Log
from router.problem import ConfigError
from router.telling import tell_rejection


class Stopping(Exception):
    """The daemon ends: nothing is taken over any more."""

    def __init__(self) -> None:
        super().__init__("the daemon is stopping")


Unusable = (BindError, TLSFileError, KeyFileError, Stopping)
"What keeps a configuration that reads well from being served."

TakeOver = Callable[[Loaded], Collection[Path]]
"""Serve by a configuration from now on; returns which files were written anew. Raises
one of Unusable, and then nothing has changed."""


class Reloads:
    """Takes over what the file says by now, whole or not at all."""

    def __init__(
        self, loaded: Loaded, path: Path, log: Log, take_over: TakeOver
    ) -> None:
        """`loaded` is what the daemon has started with, from the file `path`."""
        self._first = self._loaded = loaded
        self._path = path
        self._log = log
        self._take_over = take_over
        self._lock = asyncio.Lock()
        self._closed = False
        self.waiting = False
        "Whether one was asked for that is yet to read what is in the file by then."

    async def reload(self) -> tuple[Difference, ...]:
        """Read the configuration again and take it over; returns what differs.

        Raises ConfigError, or one of Unusable, and then nothing has changed.
        """
        try:
            async with self._lock:
                self.waiting = False
                changed = await self._read()
        except ConfigError as error:
            tell_rejection(self._log, self._path, error)
            raise
        except Unusable as error:
            self._log.say(
                events.CONFIG_REJECTED,
                path=str(self._path),
                errors=1,
                first=str(error),
            )
            raise
        self._log.say(
            events.CONFIG_RELOADED,
            path=str(self._path),
            changed="; ".join(map(str, changed)) or "nothing",
            restart="; ".join(".".join(one.path) for one in changed if one.restart),
        )
        return changed

    def close(self) -> None:
        """Take nothing over any more."""
        self._closed = True

    async def _read(self) -> tuple[Difference, ...]:
        loop = asyncio.get_running_loop()
        # In a thread: a long file would hold up the flows.
        loaded = await loop.run_in_executor(None, read, self._path)
        if self._closed:
            raise Stopping
        rewritten = self._take_over(loaded)
        before, self._loaded = self._loaded, loaded
        return self._differences(before, rewritten)

    def _differences(
        self, before: Loaded, rewritten: Collection[Path]
    ) -> tuple[Difference, ...]:
        """What differs, and what has since the start for want of a restart."""
        changed = differences(before, self._loaded, rewritten)
        waiting = differences(self._first, self._loaded)
        return (
            *(one for one in changed if not one.restart),
            *(one for one in waiting if one.restart),
        )
