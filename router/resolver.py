"""Look names up in the DNS, again and again, and tell what changed.

What an answer means and when to ask next is decided in `router.names`; this module
asks. The data path never waits for it.
"""

import asyncio
import dataclasses
import math
import os
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver

from protocols.net.tasks import Tasks
from router import names
from router.names import Answer, Finding, Memory

MAX_NAMES = 1024
"Names watched at most; a catalogue's edges times its products stay far below."
MAX_HOSTS_BYTES = 1 << 20
"Bytes read of the hosts file at most."
HOSTS_TTL = 10.0
"Seconds until a name found in the hosts file is looked up there again."
CONCURRENT = 16
"Look-ups at a time, so that a start with many names is no burst."

OnAnswer = Callable[[str, Answer], None]
"Told of a name's first answer and of each that differs from the one before."


@dataclasses.dataclass(frozen=True, slots=True)
class Sources:
    """Where names are looked up, and with how much patience."""

    nameservers: Sequence[tuple[str, int]] = ()
    "IP address and port of each; empty for those of resolv.conf."
    timeout: float = 1.0
    "Seconds to wait for one nameserver before the next is asked."
    lifetime: float = 4.0
    "Seconds to wait for all of them together, repetitions included."
    hurry: float = names.HURRY
    "Seconds between two look-ups of one name at least, however often asked for."
    hosts: pathlib.Path = pathlib.Path("/etc/hosts")
    "Names answered without the DNS; read again when it changes."
    resolv_conf: pathlib.Path = pathlib.Path("/etc/resolv.conf")
    "The system's nameservers; read again when it changes."


class Resolver:
    """Follows a set of names for as long as it runs; the only state is per name."""

    def __init__(
        self,
        on_answer: OnAnswer,
        sources: Sources | None = None,
        *,
        known: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        """`known` are addresses from before a restart, to be used until better ones."""
        self._on_answer = on_answer
        self._sources = sources or Sources()
        self._source = _Source(self._sources)
        self._known = {names.canonical(name): ips for name, ips in known.items()}
        self._followed: dict[str, _Followed] = {}
        self._tasks = Tasks()
        self._slots = asyncio.Semaphore(CONCURRENT)

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What is known of each watched name; an empty answer before the first one."""
        return {name: known.memory.answer for name, known in self._followed.items()}

    def watch(self, wanted: Collection[str]) -> None:
        """Follow these names, and no others any more.

        Literals and restored addresses are told of before this returns.
        """
        wanted = {names.canonical(name) for name in wanted}
        assert len(wanted) <= MAX_NAMES, "more names than any catalogue has"
        for name in self._followed.keys() - wanted:
            self._followed.pop(name).task.cancel()
        for name in sorted(wanted - self._followed.keys()):
            memory, waker = self._recall(name), asyncio.Event()
            task = self._tasks.start(self._follow(name), name=f"resolve {name}")
            self._followed[name] = _Followed(memory, waker, task)
            if memory.answer.addresses:
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
            async with self._slots:
                known.waker.clear()
                findings = await self._source.look_up(name)
            before = known.memory.answer
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


class _Source:
    """One look-up: hosts file, then DNS. Files are read again when they change."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._hosts: dict[str, tuple[str, ...]] = {}
        self._hosts_seen: object = None
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver_seen: object = None

    async def look_up(self, name: str) -> tuple[Finding, Finding]:
        """What IPv4 and IPv6 have to say about the name.

        Bad names, bad answers and broken nameservers are findings, too.
        """
        self._read_hosts()
        if addresses := self._hosts.get(name):
            return names.settled(addresses, ttl=HOSTS_TTL)
        self._read_nameservers()
        four, six = await asyncio.gather(
            self._ask(name, dns.rdatatype.A), self._ask(name, dns.rdatatype.AAAA)
        )
        return four, six

    async def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> Finding:
        try:
            # dnspython reckons with the wall clock; ours is the guard against a clock
            # that is set back in the middle of a look-up.
            async with asyncio.timeout(self._sources.lifetime + 1.0):
                answer = await self._resolver.resolve(
                    name,
                    kind,
                    raise_on_no_answer=False,
                    lifetime=self._sources.lifetime,
                    # Names of providers are absolute. A bare name is one of the site,
                    # and completed as the site's resolv.conf says.
                    search="." not in name,
                )
        except dns.resolver.NXDOMAIN:
            return names.GONE
        except (dns.exception.Timeout, TimeoutError):
            return names.failed("timeout")
        except dns.resolver.NoNameservers as error:
            return names.failed(_last_error(error))
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            return names.failed(type(error).__name__)
        ttl = float(answer.chaining_result.minimum_ttl)
        return names.found([record.address for record in answer], ttl)

    def _read_hosts(self) -> None:
        seen = _stamp(self._sources.hosts)
        if seen == self._hosts_seen:
            return
        self._hosts_seen = seen
        try:
            with self._sources.hosts.open("rb") as file:
                text = file.read(MAX_HOSTS_BYTES).decode("utf-8", "replace")
        except OSError:
            text = ""
        self._hosts = names.parse_hosts(text)

    def _read_nameservers(self) -> None:
        configured = self._sources.nameservers
        seen = configured or _stamp(self._sources.resolv_conf)
        if self._resolver_seen is not None and seen == self._resolver_seen:
            return
        self._resolver_seen = seen
        resolver = dns.asyncresolver.Resolver(configure=False)
        if configured:
            resolver.nameservers = [
                dns.nameserver.Do53Nameserver(address, port)
                for address, port in configured
            ]
        else:
            try:
                resolver.read_resolv_conf(str(self._sources.resolv_conf))
            except (dns.resolver.NoResolverConfiguration, OSError, ValueError):
                # resolv.conf(5): without it, "the name server on the local machine".
                resolver.nameservers = ["127.0.0.1"]
        resolver.timeout = self._sources.timeout
        resolver.lifetime = self._sources.lifetime
        self._resolver = resolver


def _last_error(error: dns.resolver.NoNameservers) -> str:
    """Why the last nameserver was given up: response code, or kind of trouble."""
    errors = error.kwargs.get("errors") or [(None, None, None, "no nameserver", None)]
    cause = errors[-1][3]
    return cause if isinstance(cause, str) else type(cause).__name__


def _stamp(path: pathlib.Path) -> tuple[int, int, int]:
    """What changes when the file does; zeros while there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_size, status.st_ino


def _now() -> float:
    return asyncio.get_running_loop().time()
