"""Asks the kernel which way packets leave, and hears of changes of it.

Netlink answers a look-up within the call that sends it: so nothing here waits.
"""

import dataclasses
import errno
import socket

from router.egress import Found, Way
from router.rtnetlink import (
    ADD_MEMBERSHIP,
    BLACKHOLE,
    GROUPS,
    LOCAL,
    MAX_REPLY,
    NOWHERE,
    PROHIBIT,
    ROUTE,
    SOL_NETLINK,
    UNREACHABLE,
    Link,
    NetlinkError,
    Refusal,
    Reply,
    Route,
    ask_link,
    ask_route,
    read,
)

_BACKLOG = 1 << 16
"Bytes of notices that the kernel keeps for us: so little that reading them is cheap."
_NOTICES = 1_000
"Notices read in one go at most."

_REFUSED = {
    errno.ENETUNREACH: NOWHERE,
    errno.EINVAL: BLACKHOLE,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.EACCES: PROHIBIT,
}
"What the kernel means when it refuses to look a route up (fib_props in its source)."
_NO_LINK = {errno.ENODEV, errno.EINVAL, errno.ERANGE}
"How it refuses a name that no interface has, or could have."


class Kernel:
    """Two netlink sockets: one to ask, one to be told of changes.

    Raises OSError where there is no netlink.
    """

    def __init__(self) -> None:
        family = getattr(socket, "AF_NETLINK", None)
        if family is None:
            raise OSError(errno.EAFNOSUPPORT, "this system has no netlink")
        self._asking = socket.socket(family, socket.SOCK_RAW, ROUTE)
        try:
            self._notices = socket.socket(family, socket.SOCK_RAW, ROUTE)
        except OSError:
            self._asking.close()
            raise
        try:
            for one in (self._asking, self._notices):
                one.setblocking(False)
            self._notices.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BACKLOG)
            # Who has no port of its own is told nothing: it would be the sender's, 0.
            self._notices.bind((0, 0))
            for group in GROUPS:
                self._notices.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
        except OSError:
            self.close()
            raise
        self._number = 0
        self._links: dict[str | int, Link | None] = {}

    def fileno(self) -> int:
        """The descriptor that is readable once something has changed."""
        return self._notices.fileno()

    def close(self) -> None:
        """Close both sockets."""
        self._asking.close()
        self._notices.close()

    def forget(self) -> None:
        """Take the notices, whose contents do not matter: all is asked anew."""
        self._links.clear()
        for _ in range(_NOTICES):
            try:
                self._notices.recv(1)
            except BlockingIOError:
                return
            except OSError as error:
                # netlink(7): ENOBUFS says that notices were lost, and no more.
                if error.errno != errno.ENOBUFS:
                    raise

    def find(self, way: Way) -> Found:
        """What the kernel says of a way.

        Raises OSError and NetlinkError when it cannot be asked.
        """
        link = self._link(way.interface)
        if link is None:
            return Found(exists=False)
        found = Found(link.index, up=link.up, running=link.running)
        if way.source is not None and self._route(way.source).kind != LOCAL:
            # Packets to an address of this machine go to the machine itself.
            return dataclasses.replace(found, ours=False)
        taken = self._route(way.address, way.source)
        entry = self._route(way.address, way.source, entry=True)
        both = dict.fromkeys((*taken.interfaces, *entry.interfaces))
        return dataclasses.replace(
            found,
            kind=taken.kind,
            leaves=tuple(map(self._name, both)),
            source=taken.source,
        )

    def _route(
        self, address: str, source: str | None = None, *, entry: bool = False
    ) -> Route:
        self._number += 1
        reply = self._ask(ask_route(self._number, address, source, entry=entry))
        if isinstance(reply, Refusal) and reply.number in _REFUSED:
            return Route(_REFUSED[reply.number], (), "")
        if not isinstance(reply, Route):
            raise NetlinkError(f"{reply} in place of a route")
        return reply

    def _link(self, link: str | int) -> Link | None:
        """An interface by name or number, remembered until the notices are taken."""
        if link not in self._links:
            self._number += 1
            reply = self._ask(ask_link(self._number, link))
            if isinstance(reply, Refusal) and reply.number in _NO_LINK:
                self._links[link] = None
            elif isinstance(reply, Link):
                self._links[link] = reply
            else:
                raise NetlinkError(f"{reply} in place of an interface")
        return self._links[link]

    def _name(self, index: int) -> str:
        link = self._link(index)
        return link.name if link is not None else f"interface {index}"

    def _ask(self, request: bytes) -> Reply:
        self._asking.send(request)
        return read(self._asking.recv(MAX_REPLY), self._number)
