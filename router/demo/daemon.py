"""The daemon as a process of its own, and its log as it is written."""

import asyncio
import collections
import contextlib
import datetime
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from protocols.net.tasks import Tasks

Line = dict[str, Any]
"One line of the log: `event`, `time` and the event's fields."


class DaemonError(Exception):
    """The daemon ended before its time, or did not say what it should have said."""


class Daemon:
    """A running `edge-router run`; `start` makes one."""

    def __init__(self, config: Path, log: Path) -> None:
        self._config = config
        self._file = log.open("wb")
        self._tasks = Tasks()
        self._news = asyncio.Condition()
        self._ended = True
        self._garbage: collections.deque[str] = collections.deque(maxlen=10)
        self.lines: list[Line] = []
        "The log so far; `at` is a line's monotonic time in seconds."

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, config: Path, log: Path) -> AsyncIterator["Daemon"]:
        """Run the daemon until the context ends, then ask it to stop.

        Its log goes to the file `log` as well.
        """
        daemon = cls(config, log)
        await daemon._begin()
        try:
            yield daemon
        finally:
            await daemon._end()
            daemon._file.close()

    async def restart(self) -> None:
        """Ask it to stop, and start another one once it has; the log goes on."""
        await self._end()
        await self._begin()

    async def wait(
        self,
        event: str,
        *,
        seconds: float,
        count: int = 1,
        since: float = 0.0,
        **fields: object,
    ) -> list[Line]:
        """The first `count` lines of that event with these fields, past or to come.

        Lines from before `since` do not count. Raises DaemonError if there are not so
        many within so many seconds.
        """
        try:
            async with asyncio.timeout(seconds), self._news:
                while len(found := self.said(event, since=since, **fields)) < count:
                    if self._ended:
                        raise DaemonError(f"the daemon ended: {self._last_words()}")
                    await self._news.wait()
        except TimeoutError:
            wanted = " ".join([event, *(f"{k}={v}" for k, v in fields.items())])
            text = f"no {wanted} in the daemon's log within {seconds:g} s"
            raise DaemonError(text) from None
        return found[:count]

    def said(self, event: str, *, since: float = 0.0, **fields: object) -> list[Line]:
        """All lines so far of that event with these fields, from `since` on."""
        return [
            line
            for line in self.lines
            if line["event"] == event
            and line["at"] >= since
            and all(line.get(name) == value for name, value in fields.items())
        ]

    async def _begin(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "router", "run", "--config", str(self._config)),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        self._ended = False
        self._reading = self._tasks.start(self._read(), name="read the daemon's log")

    async def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        await self._reading

    async def _read(self) -> None:
        assert self._process.stderr is not None
        wall = datetime.datetime.now(datetime.UTC).timestamp()
        offset = wall - asyncio.get_running_loop().time()
        async for raw in self._process.stderr:
            self._file.write(raw)
            try:
                line = json.loads(raw)
            except ValueError:
                self._garbage.append(raw.decode(errors="replace").rstrip())
                continue
            when = datetime.datetime.fromisoformat(line["time"])
            line["at"] = when.timestamp() - offset
            async with self._news:
                self.lines.append(line)
                self._news.notify_all()
        await self._process.wait()
        self._file.flush()
        async with self._news:
            self._ended = True
            self._news.notify_all()

    def _last_words(self) -> str:
        if self._garbage:
            return "\n".join(self._garbage)
        return json.dumps(self.lines[-1]) if self.lines else "without a word"
