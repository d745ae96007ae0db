"""What no single key of a configuration can tell: keys that contradict each other."""

import dataclasses
import ipaddress
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from protocols.target import Transport
from router.addresses import Bind, IPNetwork, Receiver, version_of
from router.document import Document
from router.endpoints import receivers_of, transport_to
from router.listeners import FromProvider, Listener, Sip, ToProvider
from router.problem import KeyPath, Problem, Severity, key_text
from router.settings import Config
from router.units import duration

_WARNING = Severity.WARNING


def check_alone(config: Config, document: Document) -> Iterator[Problem]:
    """Contradictions within a configuration, whatever its catalogue says."""
    yield from _health(config, document)
    yield from _binds(config, document)
    yield from _trust(config, document)
    if not document.tree["listeners"]:
        yield document.problem(("listeners",), "no listener", "at least one")
    for name, listener in config.listeners.items():
        yield from _listener(name, listener, document)
    http = config.admin.http
    if http is not None and not http.address.is_loopback:
        found = f"found {http}, which others can reach"
        yield document.problem(
            ("admin", "http"), found, "a loopback address", severity=_WARNING
        )


def _health(config: Config, document: Document) -> Iterator[Problem]:
    health = config.health
    if health.fast_interval > health.interval:
        found = f"found {duration(health.fast_interval)}"
        expected = f"at most health.interval ({duration(health.interval)})"
        yield document.problem(("health", "fast_interval"), found, expected)
    if health.timeout > health.interval:
        found = f"found {duration(health.timeout)}, so that probes overlap"
        expected = f"at most health.interval ({duration(health.interval)})"
        path = ("health", "timeout")
        yield document.problem(path, found, expected, severity=_WARNING)
    if config.policy.window < 5 * health.interval:
        found = f"found {duration(config.policy.window)}"
        expected = f"five times health.interval ({duration(health.interval)}) or more"
        yield document.problem(("policy", "window"), found, expected)


def _bound(config: Config) -> Iterator[tuple[KeyPath, Bind]]:
    for name, listener in config.listeners.items():
        if isinstance(listener, Sip):
            for side in ("site", "edge"):
                for index, bind in enumerate(getattr(listener, side).bind):
                    yield ("listeners", name, side, "bind", index), bind
        else:
            yield ("listeners", name, "bind"), listener.bind
    if config.admin.http is not None:
        yield ("admin", "http"), config.admin.http


def _binds(config: Config, document: Document) -> Iterator[Problem]:
    """Two listeners on one address, and a listener whose receiver is the router."""
    binds = list(_bound(config))
    for (first, one), (second, other) in itertools.combinations(binds, 2):
        if one.meets(other):
            found = f"found {other}, which meets {one} of {key_text(first)}"
            yield document.problem(second, found, "another address or port")
    taken = {(bind.transport is Transport.UDP, str(bind)) for _, bind in binds}
    for name, listener in config.listeners.items():
        path, _ = _towards_site(name, listener)
        for index, to in enumerate(receivers_of(listener)):
            over_udp = transport_to(listener, to) is Transport.UDP
            place = str(dataclasses.replace(to, transport=None))
            if (over_udp, place) in taken:
                found = f"found {to}, where the router itself listens"
                yield document.problem(
                    (*path, "to", index), found, "a machine of the site"
                )


def _trust(config: Config, document: Document) -> Iterator[Problem]:
    """Listeners that trust one receiver differently: its health is known but once."""
    first: dict[Receiver, tuple[KeyPath, Path | None]] = {}
    for name, listener in config.listeners.items():
        path, ca_file = _towards_site(name, listener)
        for to in receivers_of(listener):
            before, other = first.setdefault(to, (path, ca_file))
            if to.tls and ca_file != other:
                found = f"found {ca_file or 'none'} for {to}"
                expected = f"that of {key_text(before)}: {other or 'none'}"
                yield document.problem((*path, "ca_file"), found, expected)


def _towards_site(name: str, listener: Listener) -> tuple[KeyPath, Path | None]:
    """Where a listener names its receivers, and the authorities it trusts there."""
    path: KeyPath = ("listeners", name)
    if isinstance(listener, Sip):
        return (*path, "site"), listener.site.ca_file
    return path, listener.ca_file if isinstance(listener, FromProvider) else None


def _listener(name: str, listener: Listener, document: Document) -> Iterator[Problem]:
    path: KeyPath = ("listeners", name)
    if isinstance(listener, ToProvider):
        yield from _open((*path, "allow"), listener.allow, document)
    if isinstance(listener, Sip):
        yield from _open((*path, "site", "allow"), listener.site.allow, document)
        yield from _unspecified(path, listener, document)
        yield from _unreachable(path, listener, document)
        yield from _certificates(path, listener, document)


def _open(
    path: KeyPath, allow: Iterable[IPNetwork], document: Document
) -> Iterator[Problem]:
    for index, network in enumerate(allow):
        if network.prefixlen == 0:
            found = f"found {network}, everyone"
            hint = "whoever reaches this listener can act in your name"
            yield document.problem(
                (*path, index), found, "your own networks", hint, severity=_WARNING
            )


def _unspecified(path: KeyPath, listener: Sip, document: Document) -> Iterator[Problem]:
    """Addresses that no peer could be told to answer to."""
    for side in ("site", "edge"):
        for index, bind in enumerate(getattr(listener, side).bind):
            if bind.address.is_unspecified:
                yield document.problem(
                    (*path, side, "bind", index),
                    f"found {bind}",
                    "an address that peers can reach",
                    "it is written into every message",
                )


def _unreachable(path: KeyPath, listener: Sip, document: Document) -> Iterator[Problem]:
    """Who is spoken to by what the router does not listen to itself.

    UDP could not be sent. Over a connection, requests of the far side would have no way
    back: what Record-Route names is where they go.
    """
    seen: set[str] = set()
    for index, to in enumerate(listener.site.to):
        at = (*path, "site", "to", index)
        transport, version = transport_to(listener, to), version_of(to.host)
        if str(to) in seen:
            yield document.problem(at, f"found {to} a second time", "each PBX once")
        elif not _is_bound(listener.site.bind, transport, version):
            family = f" of IPv{version}" if version else ""
            binds = key_text((*path, "site", "bind"))
            yield document.problem(
                at,
                f"found {to} over {transport}",
                f"an address {transport}://{family} in {binds}",
                "the PBX sends requests there",
            )
        elif version and not _is_allowed(to.host, listener.site.allow):
            yield document.problem(
                at,
                f"found {to}, which is not in {key_text((*path, 'site', 'allow'))}",
                "a machine that is",
                "its calls, and its BYE, would be dropped",
                severity=_WARNING,
            )
        seen.add(str(to))
    transport = listener.edge.transport
    if not _is_bound(listener.edge.bind, transport):
        yield document.problem(
            (*path, "edge", "bind"),
            f"no address {transport}://, though edge.transport is {transport}",
            f"one {transport}://, or another edge.transport",
            "the provider sends requests there",
        )


def _is_allowed(host: str, allow: Iterable[IPNetwork]) -> bool:
    address = ipaddress.ip_address(host)
    return any(address in network for network in allow)


def _is_bound(
    binds: Iterable[Bind], transport: Transport, version: int | None = None
) -> bool:
    """Whether a transport is listened to, over that version of IP if it matters."""
    return any(
        bind.transport is transport and version in (None, bind.address.version)
        for bind in binds
    )


def _certificates(
    path: KeyPath, listener: Sip, document: Document
) -> Iterator[Problem]:
    """Addresses for TLS without a certificate to show there."""
    edge = listener.edge.tls
    for side, binds, tls in (
        ("site", listener.site.bind, listener.site.tls or edge),
        ("edge", listener.edge.bind, edge),
    ):
        over_tls = [bind for bind in binds if bind.transport is Transport.TLS]
        if over_tls and tls is None:
            found = f"no certificate for tls://{over_tls[0]}"
            yield document.problem((*path, side, "tls"), found, "certificate and key")
