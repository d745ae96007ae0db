"""Asks BIRD, if there is one, what it knows of the links: evidence to show in status.

Nothing is decided by it and nothing waits for it: the kernel's routes decide
(`router.egress`). A BIRD that is silent, gone or talks nonsense is told of once.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Collection

from protocols.net.tasks import Tasks
from router.birdc import (
    RESTRICT,
    BirdError,
    Evidence,
    Replies,
    Reply,
    ask_route,
    ask_session,
    route,
    session,
)

TIMEOUT = 2.0
"Seconds that all questions together may take."
INTERVAL = 10.0
"Seconds between two rounds of questions."
_READ = 1 << 14


@dataclasses.dataclass(frozen=True, slots=True)
class Questions:
    """What BIRD is asked. Raises ValueError for what cannot be asked."""

    path: str
    "Its control socket: /run/bird/bird.ctl on Debian."
    sessions: Collection[str] = ()
    "Names of BGP sessions, as in its configuration."
    addresses: Collection[str] = ()
    "Addresses whose routes are wanted."

    def __post_init__(self) -> None:
        for one in self.sessions:
            ask_session(one)
        for one in self.addresses:
            ask_route(one)


async def look(questions: Questions, *, timeout: float = TIMEOUT) -> Evidence:
    """Ask once. Never raises: what goes wrong is in the evidence."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(questions.path)
            try:
                return await _ask(questions, reader, writer)
            finally:
                writer.close()
    except TimeoutError:
        return Evidence(trouble=f"no answer within {timeout:g} s")
    except OSError as error:
        return Evidence(trouble=error.strerror or str(error))
    except BirdError as error:
        return Evidence(trouble=str(error)[:200])


async def _ask(
    questions: Questions, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Evidence:
    replies = Replies()

    async def next_reply(question: bytes) -> Reply:
        writer.write(question)
        while True:
            data = await reader.read(_READ)
            if not data:
                raise BirdError("hung up")
            for reply in replies.feed(data):
                return reply

    await next_reply(b"")  # its greeting
    restricted = await next_reply(RESTRICT)
    if restricted.code >= 8000:
        raise BirdError("does not know the command 'restrict'")
    return Evidence(
        {
            one: session(await next_reply(ask_session(one)))
            for one in questions.sessions
        },
        {one: route(await next_reply(ask_route(one))) for one in questions.addresses},
    )


class Bird:
    """Asks again and again, and keeps what was said last."""

    def __init__(
        self,
        questions: Questions,
        on_trouble: Callable[[str], None],
        *,
        interval: float = INTERVAL,
        timeout: float = TIMEOUT,
    ) -> None:
        """`on_trouble` is told why nothing is known; empty once something is."""
        self.evidence = Evidence(trouble="not yet asked")
        "What was said last."
        self.questions = questions
        "What to ask from the next round on."
        self._on_trouble = on_trouble
        self._interval = interval
        self._timeout = timeout
        self._trouble = ""
        self._tasks = Tasks()

    def start(self) -> None:
        """Begin to ask."""
        self._tasks.start(self._go(), name="ask BIRD")

    async def close(self) -> None:
        """Stop asking."""
        await self._tasks.close()

    async def _go(self) -> None:
        while True:
            self.evidence = await look(self.questions, timeout=self._timeout)
            if self.evidence.trouble != self._trouble:
                self._trouble = self.evidence.trouble
                self._on_trouble(self._trouble)
            await asyncio.sleep(self._interval)
