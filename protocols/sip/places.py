"""The router's own addresses, as it writes them and as peers name it."""

from typing import NamedTuple

from protocols.sip.headers import Uri
from protocols.sip.peers import Side
from protocols.sip.settings import Place, Settings
from protocols.target import Transport, hostport


class Face(NamedTuple):
    """How the router names itself to one side over one transport."""

    via: bytes
    "The Via line up to the value of its branch."
    uri: bytes
    "The URI for Record-Route, without angle brackets and the signed parameter."
    is_bound: bool
    "Whether the far side finds somebody there who listens."


class Places:
    """All places at which the router receives."""

    def __init__(self, settings: Settings) -> None:
        self._places = settings.places
        self._names = settings.names
        known = {(n, p.port) for p in settings.places for n in p.hosts}
        self._own = {(host.lower(), port) for host, port in known}
        self._as_written = {(host.encode(), port) for host, port in known}
        self._hosts = {host for host, _ in self._own}
        self._faces: dict[tuple[Side, Transport, bool, str | None], Face] = {}

    def is_own(self, uri: Uri) -> bool:
        """Whether a URI names the router, and no program beside it on its host."""
        if (uri.host, uri.port) in self._as_written:
            return True
        host = uri.host.decode("latin-1").lower().rstrip(".")
        if host in self._names:
            return True
        if uri.port is None:
            return host in self._hosts
        return (host, uri.port) in self._own

    def face(
        self, side: Side, transport: Transport, address: str, source: str | None = None
    ) -> Face:
        """How to name the router towards an address, sending from that source."""
        # RFC 5658 section 3: what is named must be reachable over the family in use.
        key = (side, transport, ":" in address, source)
        face = self._faces.get(key)
        if face is None:
            face = self._faces[key] = self._made(*key)
        return face

    def _made(
        self, side: Side, transport: Transport, ipv6: bool, source: str | None
    ) -> Face:
        def distance(place: Place) -> tuple[bool, bool, bool, bool]:
            return (
                place.side is not side,
                source is not None and place.host != source,
                (":" in place.host) is not ipv6,
                place.transport is not transport,
            )

        place = min(self._places, key=distance)
        is_bound = not any(distance(place))
        named = hostport(source or place.named or place.host, place.port)
        kind = "" if transport is Transport.UDP else f";transport={transport}"
        return Face(
            f"Via: SIP/2.0/{transport.upper()} {named};rport;branch=".encode(),
            f"sip:{named}{kind};lr".encode(),
            is_bound,
        )
