"""What becomes of a new request: the way that it goes, or the answer that refuses it.

In the order of RFC 3261 section 16.3 to 16.5, its own Route first: that tells a request
of a dialog, which is never chosen for, from a new one.
"""

import hashlib
from collections.abc import Collection

from protocols.sip.fields import one_hop_less
from protocols.sip.headers import Via, parse_uri
from protocols.sip.message import Message, MessageError
from protocols.sip.peers import Peer, Side
from protocols.sip.records import CallRecord
from protocols.sip.routing import Routes
from protocols.sip.seals import Seals
from protocols.sip.settings import Limits
from protocols.sip.shared import Shared
from protocols.sip.stamp import PATH, RECORD_ROUTE, STAMPED, Stamp
from protocols.sip.token import Hop, Hops
from protocols.sip.validity import Call
from protocols.sip.way import Way
from protocols.target import Choose, Target, Transport

RECORDED = frozenset((b"INVITE", b"SUBSCRIBE", b"REFER"))
"Methods that make a dialog; BYE is written down, too."
_SIP = (b"sip", b"sips")
_SCHEMES = (*_SIP, b"tel", b"urn")
_MARKED = (b"route", b"proxy-require", b"proxy-authorization")


class Refused(Exception):
    """A request is answered here; with the lines that the answer needs."""

    def __init__(self, status: int, reason: bytes = b"", *extra: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.reason = reason
        self.extra = extra


class Ways:
    """Finds the way of each new request."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._trunk = shared.settings.host.encode()
        self._seals = Seals(shared.settings.keys)
        self._routes = Routes(shared.settings, shared.places, self._seals)

    def within(self, message: Message, source: Peer) -> tuple[Side, Target]:
        """Side and next hop of a request with our signed Route, which is taken out.

        Raises MessageError with the status to answer; 481 without such a Route.
        """
        hops = self._routes.take_own(message)
        if hops is None:
            raise MessageError(481, "Dialog Is Not Known Here")
        return source.side.other, self._next(message, source.side.other, hops)

    def find(
        self,
        message: Message,
        call: Call,
        via: Via,
        source: Peer,
        accepting: bool,
        now: float,
    ) -> Way:
        """The way of a request that starts a transaction.

        It may change the message: own Route out, one hop less, another Request-URI.
        Raises Refused or MessageError with what is to be answered.
        """
        hops = self._routes.take_own(message)
        asks = message.method == b"OPTIONS" and not call.to_tag
        if asks and self._is_for_us(message):
            raise self._welcome(accepting)
        if hops is None and not call.to_tag:
            _know_scheme(message)
        count_hop(message)
        _require_nothing(message)
        if asks and source.side is Side.SITE:
            # Departs from RFC 3261 section 16: OPTIONS of the site are not forwarded,
            # whomever they name. What a PBX sends every few seconds would have the
            # provider ban the site.
            raise self._welcome(accepting)
        mark = _mark(message, call, source.side)
        if mark in b"".join(message.lines_of(b"via")):
            raise Refused(482)
        if hops is not None:
            return self._signed(message, call, via, source, hops, mark)
        if call.to_tag:
            raise MessageError(481, "Dialog Is Not Known Here")
        # An emergency call is not refused for the sake of the others.
        if not accepting and not message.uri.startswith(b"urn:"):
            raise self.overloaded()
        return self._chosen(message, call, via, source, mark, now)

    def overloaded(self) -> Refused:
        """What a new request gets while the router takes none."""
        retry_after = b"Retry-After: %d" % self._shared.settings.retry_after
        return Refused(503, b"", retry_after)

    def _signed(
        self,
        message: Message,
        call: Call,
        via: Via,
        source: Peer,
        hops: Hops,
        mark: bytes,
    ) -> Way:
        """A request whose Route we have signed goes where that says."""
        side = source.side.other
        back = hops[source.side]
        if not call.to_tag:
            # By a Path anybody of that side may come, whoever took the REGISTER.
            back = _hop_back(source, via, self._label_of(source))
        edge = back.label if source.side is Side.EDGE else hops.edge.label
        return Way(
            side=side,
            choose=_nobody,
            first=self._next(message, side, hops),
            limits=None if call.to_tag else self._limits(side),
            mark=mark,
            stamp=self._stamp(message, call, source, back),
            record=_record(message, call, source, edge),
        )

    def _chosen(
        self,
        message: Message,
        call: Call,
        via: Via,
        source: Peer,
        mark: bytes,
        now: float,
    ) -> Way:
        """A request that starts something goes where the policy says."""
        side = source.side.other
        shared = self._shared
        back = self._label_of(source)
        first, choose = None, shared.choose[side]
        record = _record(message, call, source, "" if side is Side.EDGE else back)
        if side is Side.EDGE:
            self._name_trunk(message)
            first = self._pinned(call.id, now)
            choose = self._with_room(message, choose, record, now)
        return Way(
            side=side,
            choose=choose,
            limits=self._limits(side),
            mark=mark,
            stamp=self._stamp(message, call, source, _hop_back(source, via, back)),
            first=first,
            needs_tls=message.uri[:5].lower() == b"sips:",
            record=record,
        )

    def _pinned(self, call_id: bytes, now: float) -> Target | None:
        """Who has challenged this call, if calls may go there by now: other terms may
        have come since."""
        found = self._shared.pins.find(call_id, now)
        if found is None or not self._shared.names.target(Side.EDGE, found.label):
            return None
        return found

    def _with_room(
        self, message: Message, choose: Choose, record: CallRecord | None, now: float
    ) -> Choose:
        """Who is next, where a call is to go only where there is room for it.

        An emergency call goes first, whatever is full.
        """
        meter = self._shared.meter
        if meter is None or record is None or message.method != b"INVITE":
            return choose
        if message.uri.startswith(b"urn:"):
            return choose
        return meter.choosing(message, choose, record, now)

    def _label_of(self, source: Peer) -> str:
        """Name of the place of a peer, where more than its address is to be known."""
        if source.side is Side.SITE and source.transport is not Transport.TLS:
            return ""
        return self._shared.names.label(source.side, source.address)

    def _next(self, message: Message, side: Side, hops: Hops) -> Target:
        signed = hops[side]
        hop = self._routes.next_hop(message, side, signed)
        return self._shared.next(side, hop, signed)

    def _limits(self, side: Side) -> Limits:
        settings = self._shared.settings
        return settings.to_edge if side is Side.EDGE else settings.to_site

    def _welcome(self, accepting: bool) -> Refused:
        """What who asks by OPTIONS wants to know: whether calls are taken."""
        return Refused(200) if accepting else self.overloaded()

    def _is_for_us(self, message: Message) -> bool:
        """Whether a request names the router or its trunk, and nobody there."""
        uri = parse_uri(message.uri)
        trunk = self._shared.settings.host.lower().encode()
        is_own = self._shared.places.is_own(uri) or uri.host.lower() == trunk != b""
        return is_own and not uri.user

    def _name_trunk(self, message: Message) -> None:
        """Make a Request-URI that names the router name the trunk.

        RFC 3261 section 16.5: for a domain that the proxy is responsible for, it finds
        the target by itself. Any other Request-URI stays as it came.
        """
        settings = self._shared.settings
        if settings.sips_as_sip and message.uri[:5].lower() == b"sips:":
            message.retarget(b"sip:" + message.uri[5:])
        if not self._trunk:
            return
        uri = parse_uri(message.uri)
        if uri.scheme not in _SIP or not self._shared.places.is_own(uri):
            return
        before, at, _ = message.uri.rpartition(b"@")
        named = (before + at if at else uri.scheme + b":") + self._trunk
        for name, value in uri.parameters.items():
            if name not in (b"transport", b"maddr"):
                named += b";" + name + (b"=" + value if value else b"")
        message.retarget(named)

    def _stamp(
        self, message: Message, call: Call, source: Peer, back: Hop
    ) -> Stamp | None:
        if message.method in STAMPED:
            name = RECORD_ROUTE
        elif message.method == b"REGISTER" and _supports_path(message):
            name = PATH
        else:
            return None
        shared = self._shared
        # An edge that knows us by an address of its own is to send there.
        known = shared.names.target(source.side, back.label) if back.label else None
        face = shared.places.face(
            source.side,
            source.transport,
            source.address,
            known.source if known is not None else None,
        )
        return Stamp(
            shared.places,
            self._seals,
            name,
            source.side.other,
            back,
            face.uri,
            call.id,
        )


def _nobody(tried: Collection[Target]) -> None:
    """Choose nobody else: a request of a dialog never moves."""


def count_hop(message: Message) -> None:
    """One hop less, or 70 where none were counted (RFC 3261 section 16.6 step 3).

    Raises Refused with 483 where no hop is left.
    """
    if b"max-forwards" not in message.names:
        message.set(b"max-forwards", b"70")
        return
    line = one_hop_less(message.line(b"max-forwards"))
    if not line:
        raise Refused(483)
    message.replace_line(b"max-forwards", line)


def _know_scheme(message: Message) -> None:
    """RFC 3261 section 16.3 step 2: 416 for a scheme that is not understood."""
    if parse_uri(message.uri).scheme not in _SCHEMES:
        raise Refused(416, b"Unsupported URI Scheme")


def _require_nothing(message: Message) -> None:
    """RFC 3261 section 16.3 step 5: extensions that a proxy must know; we know none."""
    if b"proxy-require" not in message.names:
        return
    required = message.all(b"proxy-require")
    if any(required):
        unsupported = b"Unsupported: " + b", ".join(required)
        raise Refused(420, b"Bad Extension", unsupported)


def _mark(message: Message, call: Call, side: Side) -> bytes:
    """What shows in our branch that a request comes round unchanged.

    RFC 3261 section 16.6 step 8 has all in it that bears on where the request goes. The
    topmost Via is left out, since each round has another one (RFC 5393).
    """
    numbers = b"%d %d" % (side, call.number)
    parts = [numbers, message.uri, call.id, call.from_tag, call.to_tag]
    for name in _MARKED:
        if name in message.names:
            parts += message.lines_of(name)
    seed = b"\n".join(parts)
    return b"." + hashlib.blake2b(seed, digest_size=6).hexdigest().encode()


def _supports_path(message: Message) -> bool:
    """RFC 3327 section 5.2: a Path is for those who say that they know it."""
    tags = b",".join(message.all(b"supported")).lower().split(b",")
    return b"path" in [tag.strip(b" \t") for tag in tags]


def _hop_back(source: Peer, via: Via, label: str) -> Hop:
    """Where requests in the other direction go.

    Over UDP to the port that this one came from. Over a stream that port is of the
    connection alone; RFC 3261 section 18.2.2 has answers go to the port in sent-by once
    it is gone, and so do requests. To the provider they always do: who connected from
    there, no certificate has told.
    """
    if source.transport is Transport.UDP:
        return Hop(source.transport, source.address, source.port, label)
    port = via.port or (5061 if source.transport is Transport.TLS else 5060)
    flow = source.port if source.side is Side.SITE else 0
    return Hop(source.transport, source.address, port, label, flow)


def _record(message: Message, call: Call, source: Peer, edge: str) -> CallRecord | None:
    method = message.method
    if method != b"BYE" and (method not in RECORDED or call.to_tag):
        return None
    return CallRecord(
        method=method.decode("latin-1"),
        direction="to_provider" if source.side is Side.SITE else "from_provider",
        client=source.address,
        call_id=call.id.decode("latin-1"),
        from_tag=call.from_tag.decode("latin-1"),
        to_tag=call.to_tag.decode("latin-1"),
        cseq=call.number,
        edge=edge,
    )
