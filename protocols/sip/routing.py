"""Where a request of a dialog goes: our own Route out, the next hop from what is left.

No open relay: a route set comes from peers, and peers may write anything. What is sent
to is the hop that we signed, or what the route set names as long as it is a literal
address within the networks of that side.
"""

import ipaddress
import re
from collections.abc import Sequence

from protocols.sip.headers import Uri, address_of, parse_uri, split_list
from protocols.sip.message import Message, MessageError
from protocols.sip.peers import Side
from protocols.sip.places import Places
from protocols.sip.seals import Seals
from protocols.sip.settings import Network, Place, Settings
from protocols.sip.token import Hop, Hops
from protocols.target import Transport, hostport

PARAMETER = b"er"
"Name of the signed parameter of Record-Route and Path."
REMEMBERED = 4_096
"Addresses of which is remembered whether the networks hold them."
_IN_URI = b";" + PARAMETER + b"="


class Routes:
    """Reads route sets. It holds what it has been asked about addresses, no more."""

    def __init__(self, settings: Settings, places: Places, seals: Seals) -> None:
        self._places = places
        self._seals = seals
        self._networks = settings.networks
        self._known: dict[tuple[Side, bytes], bool] = {}
        self._as_written = _as_written(settings.places)

    def take_own(self, message: Message) -> Hops | None:
        """Take our own Route out; returns what we had signed in it, None if none is.

        Raises MessageError with status 403 for a signature that is not ours, and for a
        route set that begins elsewhere without one.
        """
        value = self._repair(message)
        while b"route" in message.names:
            found = self._pop_own(message)
            if found is None:
                break
            value = found or value
        if value is None:
            if message.first(b"route"):
                raise MessageError(403, "Route Is Not Ours")
            return None  # none, or our address alone: an outbound proxy was set
        hops = self._seals.unseal(value, message.first(b"call-id") or b"")
        if hops is None:
            raise MessageError(403, "Route Is Not Signed")
        return hops

    def next_hop(self, message: Message, side: Side, signed: Hop) -> Hop:
        """Where to send, our own Route being gone, and ready the message for it."""
        route = message.first(b"route")
        if not route:
            return self._allowed(parse_uri(message.uri), side, signed)
        uri = parse_uri(address_of(route))
        if b"lr" not in uri.parameters:
            _meet_strict(message)
        return self._allowed(uri, side, signed)

    def _pop_own(self, message: Message) -> bytes | None:
        """Take the first Route out if it is ours.

        Returns its signed parameter, empty without one; None if it is not ours.
        """
        match = self._as_written.fullmatch(message.line(b"route"))
        if match is not None:
            message.pop_line(b"route")
            return match[1] or b""
        uri = parse_uri(address_of(message.first(b"route") or b""))
        if not self._places.is_own(uri):
            return None
        message.pop_first_value(b"route")
        return uri.parameters.get(PARAMETER, b"")

    def _repair(self, message: Message) -> bytes | None:
        """Undo what a strict router did; returns the signed parameter found there.

        RFC 3261 section 16.4: "If the Request-URI of the request contains a value this
        proxy previously placed into a Record-Route header field ..., the proxy MUST
        replace the Request-URI in the request with the last value from the Route header
        field, and remove that value from the Route header field."
        """
        # Of two lines of ours one is not signed; it names nobody here all the same.
        if _IN_URI not in message.uri and b";lr" not in message.uri:
            return None
        uri = parse_uri(message.uri)
        values = [one for line in message.all(b"route") for one in split_list(line)]
        if not values or uri.user or not self._places.is_own(uri):
            return None
        message.retarget(address_of(values.pop()))
        _set_routes(message, values)
        return uri.parameters.get(PARAMETER)

    def _allowed(self, uri: Uri, side: Side, signed: Hop) -> Hop:
        host = uri.host.decode("latin-1")
        if uri.port == signed.port and host == signed.address:
            return signed
        transport = _transport(uri)
        port = uri.port or (5061 if transport is Transport.TLS else 5060)
        if port == signed.port and host == signed.address:
            return signed
        if not self._is_allowed(side, uri.host):
            return signed
        return Hop(transport, host, port, signed.label)

    def _is_allowed(self, side: Side, host: bytes) -> bool:
        known = self._known.get((side, host))
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = _is_within(host, self._networks.get(side, ()))
            self._known[side, host] = known
        return known


def _as_written(places: Sequence[Place]) -> re.Pattern[bytes]:
    """Matches a line of Route as most peers give it back: just as we wrote it."""
    known = (hostport(host, one.port) for one in places for host in one.hosts)
    own = b"|".join(re.escape(one.encode()) for one in known)
    return re.compile(
        rb"Route: <sip:(?:" + own + rb")(?:;transport=(?:tcp|tls))?;lr"
        rb"(?:;" + PARAMETER + rb"=([A-Za-z0-9_-]+))?>"
    )


def _is_within(host: bytes, networks: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(host.decode("latin-1"))
    except ValueError:
        return False
    return any(address in network for network in networks)


def _transport(uri: Uri) -> Transport:
    if uri.scheme == b"sips":
        return Transport.TLS
    named = uri.parameters.get(b"transport", b"udp").lower()
    return {b"tcp": Transport.TCP, b"tls": Transport.TLS}.get(named, Transport.UDP)


def _meet_strict(message: Message) -> None:
    """Ready a request for a strict router (RFC 3261 section 16.6 step 6).

    "The proxy MUST place the Request-URI into the Route header field as the last value"
    and "then place the first Route header field value into the Request-URI".
    """
    values = [one for line in message.all(b"route") for one in split_list(line)]
    first = address_of(values[0])
    _set_routes(message, [*values[1:], b"<" + message.uri + b">"])
    message.retarget(first)


def _set_routes(message: Message, values: list[bytes]) -> None:
    if values:
        message.set(b"route", b", ".join(values))
    else:
        message.remove(b"route")
