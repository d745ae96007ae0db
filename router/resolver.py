"""Look names up in the DNS, again and again, and tell what changed.

What an answer means and when to ask next is decided in `router.names`; this module
asks. The data path never waits for it.
"""

import asyncio
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from protocols.net.tasks import Tasks
from router import names
from router.location import Location
from router.lookup import Lookup, Sources
from router.names import Answer, Memory
from router.saved import MAX_NAMES

OnAnswer = Callable[[str, Answer], None]
"Told of a name's first answer and of each that differs from the one before."


class Resolver:
    """Follows a set of names for as long as it runs; the only state is per name."""

    def __init__(
        self,
        on_answer: OnAnswer,
        sources: Sources | None = None,
        *,
        known: Mapping[str, Collection[Location]] = MappingProxyType({}),
    ) -> None:
        """`known` is from before a restart, to be used until there is better."""
        self._on_answer = on_answer
        self._sources = sources or Sources()
        self._lookup = Lookup(self._sources)
        self._known = {names.canonical(name): them for name, them in known.items()}
        self._followed: dict[str, _Followed] = {}
        self._tasks = Tasks()

    def change(self, sources: Sources) -> None:
        """Ask here from now on, and if that is elsewhere, for all names at once."""
        if sources != self._sources:
            self._sources = sources
            self._lookup = Lookup(sources)
            for name in self._followed:
                self.hurry(name)

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What is known of each watched name; an empty answer before the first one."""
        return {name: known.memory.answer for name, known in self._followed.items()}

    def watch(self, wanted: Collection[str]) -> None:
        """Follow these names, and no others any more.

        Literals and restored addresses are told of before this returns.
        """
        wanted = {names.canonical(name) for name in wanted}
        assert len(wanted) <= MAX_NAMES, "more names than a configuration may have"
        for name in self._followed.keys() - wanted:
            self._followed.pop(name).task.cancel()
        for name in sorted(wanted - self._followed.keys()):
            memory, waker = self._recall(name), asyncio.Event()
            task = self._tasks.start(self._follow(name), name=f"resolve {name}")
            self._followed[name] = _Followed(memory, waker, task)
            if memory.answer.locations:
                self._on_answer(name, memory.answer)

    def hurry(self, name: str) -> None:
        """Look the name up at once, or as soon as the limit per name allows."""
        if (known := self._followed.get(names.canonical(name))) is not None:
            self._hurry(known)
            known.waker.set()

    async def close(self) -> None:
        """Stop following; nothing is told of any more."""
        await self._tasks.close()

    def _hurry(self, known: "_Followed") -> None:
        limit = self._sources.hurry
        known.memory = names.hurry(known.memory, now=_now(), limit=limit)

    def _recall(self, name: str) -> Memory:
        if (address := names.literal(name)) is not None:
            findings = names.settled([address], ttl=math.inf)
            return names.learn(Memory(), findings, now=_now())
        return names.recall(self._known.get(name, ()))

    async def _follow(self, name: str) -> None:
        known = self._followed[name]
        while True:
            await _until_due(known)
            known.waker.clear()
            before = known.memory.answer
            served = any(one.port for one in before.locations)
            findings = await self._lookup.find(name, served=served)
            known.memory = names.learn(known.memory, findings, now=_now())
            if known.waker.is_set():  # the wish for an answer newer than this one
                self._hurry(known)
            if known.memory.answer.differs(before):
                self._on_answer(name, known.memory.answer)


@dataclasses.dataclass(slots=True)
class _Followed:
    memory: Memory
    waker: asyncio.Event
    task: asyncio.Task[None]


async def _until_due(known: _Followed) -> None:
    while (wait := known.memory.due - _now()) > 0:
        known.waker.clear()
        try:
            async with asyncio.timeout(min(wait, 86400.0)):
                await known.waker.wait()
        except TimeoutError:
            pass


def _now() -> float:
    return asyncio.get_running_loop().time()
