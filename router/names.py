"""What to make of the answers about a name, and when to ask again.

A resolver that fails says nothing about the name: the last good addresses stay in use
for ever, marked stale. Only NXDOMAIN says that a name is gone (RFC 8020).
"""

import dataclasses
import enum
import ipaddress
import math
from collections.abc import Iterable, Mapping

from router.location import Location, plain

MIN_TTL = 5.0
"Seconds between regular look-ups at least, whatever the answer's TTL says."
MAX_TTL = 600.0
"Seconds between regular look-ups at most, so that no TTL hides a move for a day."
FIRST_RETRY = 1.0
"Seconds until the next look-up after a first failure; doubled for each further one."
LAST_RETRY = 60.0
"Seconds between look-ups at most while the resolver fails."
GONE_RETRY = 30.0
"Seconds until a name that did not exist is looked up again."
HURRY = 1.0
"Seconds between two look-ups of one name at least, however often one is asked for."
MAX_ADDRESSES = 32
"Addresses of one family used per name; a longer answer is cut."
MAX_HOSTS = 10_000
"Names read from a hosts file at most."


FAMILIES = ("A", "AAAA")
"The questions for the addresses of a name, by the types of their records."


class Verdict(enum.Enum):
    """What the answer to one question says about the name."""

    FOUND = "found"
    "It has these addresses."
    EMPTY = "empty"
    "It exists and has nothing usable of what was asked for."
    GONE = "gone"
    "It does not exist (NXDOMAIN)."
    FAILED = "failed"
    "Nothing: no answer, or one that is the resolver's own trouble."


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What one question found."""

    verdict: Verdict
    "What the answer says."
    locations: tuple[Location, ...] = ()
    "Where the name leads, in numeric order; empty unless found."
    ttl: float = 0.0
    "Seconds for which the answer holds, over the whole CNAME chain."
    error: str = ""
    "Why it failed, in a few words of our own."


EMPTY = Finding(Verdict.EMPTY)
GONE = Finding(Verdict.GONE)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a name at present."""

    locations: tuple[Location, ...] = ()
    "What to use, by priority; then IPv4 first, each family in numeric order."
    ttl: float = 0.0
    "Seconds until the next look-up."
    stale: bool = False
    "Whether some of the addresses outlived a failed look-up or a restart."
    gone: bool = False
    "Whether the name does not exist."
    error: str = ""
    "Why the last look-up failed; empty when it did not."
    learnt: float | None = None
    "Loop time of the last good answer; None before the first since the start."

    @property
    def addresses(self) -> tuple[str, ...]:
        """The locations as text."""
        return tuple(map(str, self.locations))

    @property
    def failed(self) -> bool:
        """Whether a look-up failed, so that what there is is old, or nothing."""
        return bool(self.error) and (self.stale or not self.locations)

    def differs(self, other: "Answer") -> bool:
        """Whether a user of the locations has to hear of the change."""
        return (self.locations, self.stale, self.gone, bool(self.error)) != (
            other.locations,
            other.stale,
            other.gone,
            bool(other.error),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """All that is kept of one name between two look-ups."""

    parts: Mapping[str, tuple[Location, ...]] = dataclasses.field(default_factory=dict)
    "The last good locations by the question that found them."
    answer: Answer = Answer()
    "What the last look-up made of them."
    failures: int = 0
    "Look-ups failed in a row."
    asked: float = -math.inf
    "Loop time at which the last look-up ended."
    due: float = -math.inf
    "Loop time of the next look-up."


def recall(locations: Iterable[Location]) -> Memory:
    """The memory of a name whose locations were saved before a restart.

    They are to be used, marked stale, until the first look-up ends.
    """
    parts = _split(locations)
    kept = _joined(parts)
    return Memory(parts, Answer(kept, stale=bool(kept)))


def settled(addresses: Iterable[str], *, ttl: float) -> dict[str, Finding]:
    """Findings for addresses known without asking: a literal, a hosts file."""
    return {
        family: Finding(Verdict.FOUND, found[:MAX_ADDRESSES], ttl) if found else EMPTY
        for family, found in _split(plain(addresses)).items()
    }


def found(addresses: Iterable[str], ttl: float) -> Finding:
    """The finding of an answer: only what can be connected to, in numeric order.

    The order of an answer means nothing (RFC 1794 rotates it), so it must not look
    like a change.
    """
    ips = sorted({ip for text in addresses if (ip := usable(text))}, key=int)
    if not ips:
        return EMPTY
    return Finding(Verdict.FOUND, plain(map(str, ips[:MAX_ADDRESSES])), ttl)


def failed(error: str) -> Finding:
    """The finding of a look-up that brought nothing, for the reason given."""
    return Finding(Verdict.FAILED, error=error)


def usable(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, unless no provider can be there: an answer that says so is false.

    Link-local holds the metadata services of clouds (169.254.169.254), which an answer
    must not make us talk to. Loopback and private addresses are the site's business.
    Raises ValueError for what is no address.
    """
    ip = ipaddress.ip_address(text)
    mapped = isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None
    broadcast = str(ip) == "255.255.255.255"
    if ip.is_unspecified or ip.is_multicast or ip.is_link_local or mapped or broadcast:
        return None
    return ip


def learn(memory: Memory, findings: Mapping[str, Finding], *, now: float) -> Memory:
    """The memory after a look-up that ended at loop time `now`.

    `findings` are by question. What an earlier look-up asked for and this one does not
    is of the past.
    """
    if all(finding.verdict is Verdict.GONE for finding in findings.values()):
        answer = Answer(gone=True, ttl=GONE_RETRY, learnt=now)
        return Memory(answer=answer, asked=now, due=now + GONE_RETRY)
    error = next((finding.error for finding in findings.values() if finding.error), "")
    ttls = [f.ttl for f in findings.values() if f.verdict is Verdict.FOUND]
    if not ttls:
        return _failed(memory, error or "empty answer", now)
    # What could not be asked for keeps what it had. The others were answered, so one
    # that was denied is believed.
    kept = {
        question: memory.parts.get(question, ())
        for question, finding in findings.items()
        if finding.verdict is Verdict.FAILED
    }
    parts = {question: one.locations for question, one in findings.items()} | kept
    ttl = _clamp(min(ttls))
    if kept:
        ttl = min(ttl, LAST_RETRY)
    return Memory(
        parts,
        Answer(_joined(parts), ttl, any(kept.values()), error=error, learnt=now),
        asked=now,
        due=now + ttl,
    )


def hurry(memory: Memory, *, now: float, limit: float = HURRY) -> Memory:
    """The memory once somebody could not connect: due as soon as allowed.

    There are `limit` seconds between two look-ups. A literal, never due, stays so.
    """
    if memory.due == math.inf:
        return memory
    return dataclasses.replace(
        memory, due=min(memory.due, max(now, memory.asked + limit))
    )


def literal(name: str) -> str | None:
    """The address if the name is an IP address literal, brackets allowed."""
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return None


def canonical(name: str) -> str:
    """The name as table key: lower case, no final dot (RFC 4343)."""
    return name.lower().removesuffix(".")


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """The addresses per name of a hosts file; lines that are not understood are not
    used (hosts(5))."""
    hosts: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        text, *names = line.partition("#")[0].split() or [""]
        address = literal(text)
        if address is None:
            continue
        for name in map(canonical, names):
            known = hosts.get(name, ())
            if (known or len(hosts) < MAX_HOSTS) and len(known) < MAX_ADDRESSES:
                hosts[name] = (*known, address)
    return hosts


def _failed(memory: Memory, error: str, now: float) -> Memory:
    retry = min(LAST_RETRY, FIRST_RETRY * 2 ** min(memory.failures, 16))
    kept = _joined(memory.parts)
    return Memory(
        memory.parts,
        Answer(kept, retry, bool(kept), error=error, learnt=memory.answer.learnt),
        memory.failures + 1,
        asked=now,
        due=now + retry,
    )


def _clamp(ttl: float) -> float:
    if math.isinf(ttl):
        return ttl  # a literal: nothing to ask for, ever
    return min(max(ttl, MIN_TTL), MAX_TTL)


def _split(locations: Iterable[Location]) -> dict[str, tuple[Location, ...]]:
    """Locations by the family that they are of, each family in order."""
    every = sorted(set(locations), key=_order)
    return {
        family: tuple(one for one in every if (":" in one.address) is six)
        for family, six in zip(FAMILIES, (False, True), strict=True)
    }


def _joined(parts: Mapping[str, tuple[Location, ...]]) -> tuple[Location, ...]:
    """All locations in the order to use, each address and port once."""
    first: dict[tuple[str, int], Location] = {}
    for one in sorted((one for part in parts.values() for one in part), key=_order):
        first.setdefault((one.address, one.port), one)
    return tuple(first.values())


def _order(location: Location) -> tuple[int, int, int, int]:
    ip = ipaddress.ip_address(location.address)
    return location.priority, ip.version, int(ip), location.port
