"""What no single key of a configuration can tell: keys that contradict each other."""

import itertools
from collections.abc import Iterable, Iterator

from protocols.target import Transport
from router.addresses import Bind, IPNetwork, Receiver
from router.document import Document
from router.endpoint import Protocol
from router.listeners import FromProvider, Listener, Sip, ToProvider
from router.problem import KeyPath, Problem, Severity, key_text, one_of
from router.settings import Config
from router.units import duration

SERVED = frozenset({Protocol.HTTPS, Protocol.SIP})
"Protocols that this version can serve; listeners of others are refused."

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
    if "admin" in document.tree:
        yield document.problem(
            ("admin",),
            "nothing answers there in this version",
            hint="leave it out",
            severity=_WARNING,
        )
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
    taken = {str(bind) for _, bind in binds}
    for name, listener in config.listeners.items():
        for index, to in enumerate(
            listener.to if isinstance(listener, FromProvider) else ()
        ):
            if str(to) in taken:
                path = ("listeners", name, "to", index)
                found = f"found {to}, where the router itself listens"
                yield document.problem(path, found, "a machine of the site")


def _trust(config: Config, document: Document) -> Iterator[Problem]:
    """Listeners that trust one receiver differently: its health is known but once."""
    first: dict[Receiver, tuple[str, FromProvider]] = {}
    for name, listener in config.listeners.items():
        if not isinstance(listener, FromProvider):
            continue
        for to in listener.to:
            before, other = first.setdefault(to, (name, listener))
            if to.tls and listener.ca_file != other.ca_file:
                path = ("listeners", name, "ca_file")
                found = f"found {listener.ca_file or 'none'} for {to}"
                expected = f"that of listeners.{before}: {other.ca_file or 'none'}"
                yield document.problem(path, found, expected)


def _listener(name: str, listener: Listener, document: Document) -> Iterator[Problem]:
    path: KeyPath = ("listeners", name)
    if listener.protocol not in SERVED:
        expected = f"{one_of(sorted(SERVED))}, which this version serves"
        yield document.problem(
            (*path, "protocol"), f"found '{listener.protocol}'", expected
        )
    if isinstance(listener, ToProvider):
        yield from _open((*path, "allow"), listener.allow, document)
    if isinstance(listener, Sip):
        yield from _open((*path, "site", "allow"), listener.site.allow, document)
        yield from _unspecified(path, listener, document)
        over_tls = [b for b in listener.edge.bind if b.transport is Transport.TLS]
        if over_tls and listener.edge.tls is None:
            found = f"no certificate for tls://{over_tls[0]}"
            yield document.problem((*path, "edge", "tls"), found, "certificate and key")


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
