"""One look-up: the hosts file, then the DNS; of a host, or of a service of SIP.

What the answers mean is decided in `router.names` and `router.services`.
"""

import asyncio
import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from router import names, services
from router.names import FAMILIES, Finding, Verdict
from router.services import Pointer, Server, Service

MAX_HOSTS_BYTES = 1 << 20
"Bytes read of the hosts file at most."
HOSTS_TTL = 10.0
"Seconds until a name found in the hosts file is looked up there again."
CONCURRENT = 32
"Questions at a time, so that a start with many names is no burst."


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


@dataclasses.dataclass(frozen=True, slots=True)
class _Reply:
    """What a nameserver said to one question."""

    verdict: Verdict
    "What it says."
    records: tuple[Any, ...] = ()
    "The records, as dnspython reads them; none unless found."
    ttl: float = 0.0
    "Seconds for which they hold, over the whole CNAME chain."
    error: str = ""
    "Why it failed."

    @property
    def finding(self) -> Finding:
        """The same where the records are addresses."""
        if self.verdict is Verdict.FOUND:
            return names.found([record.address for record in self.records], self.ttl)
        return Finding(self.verdict, error=self.error)


class Lookup:
    """Looks names up. Files are read again when they change."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._hosts: dict[str, tuple[str, ...]] = {}
        self._hosts_seen: object = None
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver_seen: object = None
        self._slots = asyncio.Semaphore(CONCURRENT)

    async def find(self, name: str, *, served: bool = False) -> dict[str, Finding]:
        """What there is to say about a name, by question.

        `served` is whether SRV records were found last time: then they are not taken
        for missing because nobody answers. Bad names, bad answers and broken
        nameservers are findings, too.
        """
        self._read_hosts()
        self._read_nameservers()
        service = services.service_of(name)
        if service is None:
            return await self._find_host(name)
        if service.host in self._hosts:
            return await self._find_host(service.host)
        reply = await self._find_servers(service, served)
        if reply.verdict is Verdict.FOUND:
            return await self._find_hosts(reply)
        failed = {"SRV": reply.finding} if reply.verdict is Verdict.FAILED else {}
        if failed and served:
            return failed
        # RFC 3263 section 4.2: "If no SRV records were found, the client performs an A
        # or AAAA record lookup of the domain name."
        return failed | await self._find_host(service.host)

    async def _find_servers(self, service: Service, served: bool) -> _Reply:
        """The SRV records of a service, by its NAPTR record if it has one."""
        pointers, usual = await asyncio.gather(
            self._ask(service.host, dns.rdatatype.NAPTR),
            self._ask(service.name, dns.rdatatype.SRV),
        )
        name = services.pointed(service, map(_pointer, pointers.records))
        if name != service.name:
            reply = await self._ask(name, dns.rdatatype.SRV)
            return dataclasses.replace(reply, ttl=min(reply.ttl, pointers.ttl))
        lost = pointers.verdict is Verdict.FAILED and usual.verdict is not Verdict.FOUND
        return pointers if lost and served else usual

    async def _find_hosts(self, reply: _Reply) -> dict[str, Finding]:
        """The addresses of the hosts that SRV records name."""
        servers = services.used(map(_server, reply.records))
        if not servers:
            return {"SRV": names.GONE}
        hosts = list(dict.fromkeys(one.host for one in servers))
        found = await asyncio.gather(*map(self._find_host, hosts))
        return services.placed(servers, dict(zip(hosts, found, strict=True)), reply.ttl)

    async def _find_host(self, name: str) -> dict[str, Finding]:
        """The addresses of a host, by family."""
        if addresses := self._hosts.get(name):
            return names.settled(addresses, ttl=HOSTS_TTL)
        replies = await asyncio.gather(
            self._ask(name, dns.rdatatype.A), self._ask(name, dns.rdatatype.AAAA)
        )
        return {
            family: reply.finding
            for family, reply in zip(FAMILIES, replies, strict=True)
        }

    async def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> _Reply:
        async with self._slots:
            return await self._answer(name, kind)

    async def _answer(self, name: str, kind: dns.rdatatype.RdataType) -> _Reply:
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
                    search=_is_bare(name),
                )
        except dns.resolver.NXDOMAIN:
            return _Reply(Verdict.GONE)
        except (dns.exception.Timeout, TimeoutError):
            return _Reply(Verdict.FAILED, error="timeout")
        except dns.resolver.NoNameservers as error:
            return _Reply(Verdict.FAILED, error=_last_error(error))
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            return _Reply(Verdict.FAILED, error=type(error).__name__)
        ttl = float(answer.chaining_result.minimum_ttl)
        records = tuple(answer)
        return _Reply(Verdict.FOUND if records else Verdict.EMPTY, records, ttl)

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


def _is_bare(name: str) -> bool:
    service = services.service_of(name)
    return "." not in (service.host if service is not None else name)


def _pointer(record: Any) -> Pointer:
    return Pointer(
        record.order,
        record.preference,
        record.flags.decode("latin-1"),
        record.service.decode("latin-1"),
        _text(record.replacement),
    )


def _server(record: Any) -> Server:
    host = _text(record.target)
    return Server(record.priority, record.weight, record.port, host)


def _text(name: dns.name.Name) -> str:
    """A name as we write it; empty for the root."""
    return names.canonical(name.to_text())
