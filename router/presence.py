"""Look whether the addresses and interfaces of links are on this machine."""

import errno
import socket
from collections.abc import Iterator

from router.addresses import IPAddress
from router.config import Loaded
from router.problem import Problem, Severity


def check_presence(loaded: Loaded, *, insist: bool = False) -> Iterator[Problem]:
    """Yield what is not here: warnings, or errors with `insist`.

    The daemon starts in spite of it. An interface that has lost its carrier may have
    lost its addresses, too, and then the other edges are needed most.
    """
    severity = Severity.ERROR if insist else Severity.WARNING
    for name, link in loaded.config.provider.links.items():
        path = ("provider", "links", name)
        if link.interface is not None and not _is_interface(link.interface):
            yield loaded.document.problem(
                (*path, "interface"),
                f"no interface {link.interface} on this machine",
                "one that `ip link` shows",
                severity=severity,
            )
        for index, source in enumerate(link.sources):
            if not is_here(source):
                yield loaded.document.problem(
                    (*path, "sources", index),
                    f"{source} is no address of this machine",
                    "one that `ip address` shows",
                    severity=severity,
                )


def is_here(address: IPAddress) -> bool:
    """Whether connections can be made from an address: whether it can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((str(address), 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def _is_interface(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True
