"""The proxy: finds what a message belongs to, and has it taken there.

A pure core (RFC 3261 section 16): messages and times go in, actions come out. There is
no table of dialogs; what a dialog needs is in its route set (`protocols.sip.token`).
"""

import hashlib
import re
from collections.abc import Callable, Iterator

from protocols.record import UnderWay
from protocols.sip import replies
from protocols.sip.answering import Answering
from protocols.sip.branch import COOKIE
from protocols.sip.context import Context
from protocols.sip.headers import Via, branch_in, sent_by, via_in
from protocols.sip.machines import T1
from protocols.sip.message import Message, MessageError, parse, value_of
from protocols.sip.peers import Action, Dropped, Peer, Send, Side, TurnedDown
from protocols.sip.settings import Settings
from protocols.sip.shared import Key, Meter, Names, Shared, Standing
from protocols.sip.token import Hop
from protocols.sip.validity import check
from protocols.sip.ways import Refused, Ways, count_hop
from protocols.target import Choose, Result, Target, Transport

_RPORT = re.compile(rb";[ \t]*rport(?=[ \t]*(?:=|;|$))(?:[ \t]*=[ \t]*[0-9]*)?", re.I)
_RECEIVED = re.compile(rb"[ \t]*;[ \t]*received[ \t]*=[^;]*", re.IGNORECASE)

LARGEST = 56 << 10
"""Bytes of a request that is forwarded.

What we and others add to its copies and to their answers has to fit into a datagram,
and into what is read from a connection that others share: else the next hop would seem
to be broken, and every other one, too.
"""
ACK_TIME = 2 * T1
"Seconds in which the ACK to a 2xx comes by: twice what is taken for a round trip."


class Proxy:
    """Forwards between a site and its provider's edges.

    Times are seconds on any one clock. Call `tick` at `next_timer`; carry out the
    actions that each call returns, in their order.
    """

    def __init__(
        self,
        settings: Settings,
        choose_edge: Choose,
        choose_site: Choose,
        names: Names,
        token: Callable[[], bytes],
        standing: Standing = lambda _: 0,
        meter: Meter | None = None,
    ) -> None:
        """`standing` knows the connections that the site has made."""
        self._shared = Shared(
            settings, (choose_site, choose_edge), names, token, standing, meter
        )
        self._ways = Ways(self._shared)
        self.accepting = True
        "Whether new requests are taken; established dialogs go on without it."
        self.leading = True
        "Whether those of the site are: an operator may want none at any edge."
        self.handed_on = False
        "Whether those not taken over UDP are left to another process, and not refused."

    def change(
        self,
        settings: Settings,
        choose_edge: Choose,
        choose_site: Choose,
        names: Names,
        meter: Meter | None = None,
    ) -> None:
        """Go by these from now on; a request under way ends as it began.

        Requests of dialogs are routed by what is signed into them: they need a key that
        is still among the keys.
        """
        self._shared.change(settings, (choose_site, choose_edge), names, meter)
        self._ways = Ways(self._shared)

    def received(self, data: bytes | Message, source: Peer, now: float) -> list[Action]:
        """Take a datagram, or one message out of a stream."""
        try:
            message = parse(data) if isinstance(data, bytes) else data
            if message.status:
                self._response(message, now)
            else:
                self._request(message, source, now)
        except MessageError as error:
            self._drop(error.reason)
        return self._shared.take()

    def failed(
        self, attempt: int, detail: str, result: Result, now: float
    ) -> list[Action]:
        """Take that an attempt could not be sent, or that its connection broke."""
        branch = self._shared.attempts.get(attempt)
        if branch is not None:
            branch.failed(result, detail, now)
        return self._shared.take()

    def way_back(self, peer: Peer) -> Target:
        """Where to bring an answer whose connection is gone (RFC 3261 section 18.2.2).

        Raises MessageError if there is no way.
        """
        shared, port = self._shared, peer.port
        label = shared.names.label(peer.side, peer.address)
        hop = Hop(peer.transport, peer.address, port, label, flow=port)
        return shared.next(peer.side, hop, hop)

    def tick(self, now: float) -> list[Action]:
        """Let timers run out."""
        self._shared.timers.expire(now)
        return self._shared.take()

    def next_timer(self) -> float:
        """When to call `tick`; infinity for never."""
        return self._shared.timers.next()

    @property
    def pending(self) -> int:
        """How many requests are under way, or not yet forgotten."""
        return len(self._shared.contexts)

    def under_way(self, listener: str) -> Iterator[UnderWay]:
        """The requests that wait for their final answer. Looks at each."""
        found = (one.under_way(listener) for one in self._shared.contexts.values())
        return (one for one in found if one is not None)

    @property
    def unanswered(self) -> int:
        """How many of them have no final answer yet. Looks at each."""
        return sum(not one.given for one in self._shared.contexts.values())

    @property
    def held(self) -> int:
        """Bytes of the requests that `pending` counts, and of their copies."""
        return self._shared.held

    @property
    def quiet_at(self) -> float:
        """When the call answered last will have had its ACK.

        An ACK has nobody to repeat it over TCP, and without it the far side hangs up.
        """
        return self._shared.accepted + ACK_TIME

    def _response(self, message: Message, now: float) -> None:
        via = message.line(b"via")
        key = branch_in(via)
        words = message.line(b"cseq").rsplit(None, 1)
        method = words[-1] if words else b""
        shared = self._shared
        asking = (shared.cancels if method == b"CANCEL" else shared.branches).get(key)
        # RFC 6026 section 8.9 has stray responses dropped, a 2xx to an INVITE among
        # them; RFC 3261 section 18.1.2 those whose Via is not ours.
        if asking is None or asking.method != method:
            self._drop("response to nothing")
            return
        if message.status > 100:  # a 100 is for us alone
            check(message, via_is_read=True)
        if b"," in via:
            message.pop_first_value(b"via")
        else:
            message.pop_line(b"via")
        if b"via" not in message.names and method != b"CANCEL":
            self._drop("response for nobody")
            return
        asking.received(message, now)

    def _request(self, message: Message, source: Peer, now: float) -> None:
        try:
            via = via_in(message.line(b"via"))
        except MessageError as error:
            self._malformed(message, source, error)
            return
        key = _key(message, via)
        asked = self._shared.contexts.get(key)
        if message.method == b"ACK":
            if asked is None or asked.acked(now):
                self._acknowledge(message, via, source, now)
        elif asked is not None:
            asked.again(now)
        elif (
            self._shared.under_way[source.side]
            >= 2 * self._shared.settings.transactions
        ):
            self._drop("table of transactions is full")
        elif self._shared.held >= 2 * self._shared.settings.memory:
            self._drop("memory for requests is full")
        else:
            self._new(message, via, key, source, now)

    def _new(
        self, message: Message, via: Via, key: Key, source: Peer, now: float
    ) -> None:
        peer = _answer_to(source, via)
        try:
            _note_source(message, via, source)
            call = check(message, via_is_read=True)
            if message.method == b"CANCEL":
                self._cancel(message, key, peer, now)
                return
            if len(message) > LARGEST:
                raise MessageError(513, "message too large")
            has_room = self._has_room(source.side)
            way = self._ways.find(message, call, via, source, has_room, now)
        except MessageError as error:
            self._refuse(message, peer, error.status or 400, error.reason.encode())
        except Refused as refused:
            if self._is_left(message, refused.status, source):
                self._drop("left to the next run")
                return
            self._refuse(message, peer, refused.status, refused.reason, *refused.extra)
        else:
            Context(self._shared, key, message, peer, way, now)

    def _is_left(self, message: Message, status: int, source: Peer) -> bool:
        """Whether a refused request is to come again, to the process after this one.

        RFC 3261 section 17.1.1.2: over an unreliable transport, who gets no answer
        sends again after T1. OPTIONS ask about this process.
        """
        return (
            self.handed_on
            and status == 503
            and source.transport is Transport.UDP
            and message.method != b"OPTIONS"
        )

    def _malformed(self, message: Message, source: Peer, error: MessageError) -> None:
        """Answer a request whose Via is malformed, if that says who sent it.

        RFC 4475 sections 3.1.2.1 and 3.1.2.16 ask for it. Raises MessageError if it
        does not, and for an ACK.
        """
        via = sent_by(value_of(message.line(b"via")))
        if message.method == b"ACK":
            raise error
        try:
            check(message, via_is_read=True)
        except MessageError as found:
            error = found  # what else is wrong with it says more
        peer = _answer_to(source, via)
        self._refuse(message, peer, error.status or 400, error.reason.encode())

    def _has_room(self, side: Side) -> bool:
        """Whether new requests of a side are taken.

        Those that were abandoned take room, too.
        """
        bound = self._shared.settings.transactions
        return (
            self.accepting
            and (self.leading or side is Side.EDGE)
            and self._shared.under_way[side] < bound
            and len(self._shared.branches) < 8 * bound
            and self._shared.held < self._shared.settings.memory
        )

    def _cancel(self, message: Message, key: Key, peer: Peer, now: float) -> None:
        """Answer a CANCEL here (RFC 3261 section 9.2), and stop what it is for."""
        invite = self._shared.contexts.get((*key[:-1], b"INVITE"))
        if invite is None:
            # Without a transaction: anybody can send any number of them.
            self._refuse(message, peer, 481, b"")
            return
        Answering(self._shared, key, message, peer, now).answer(200, now)
        invite.cancelled(message, now)

    def _acknowledge(
        self, message: Message, via: Via, source: Peer, now: float
    ) -> None:
        """Pass the ACK to a 2xx on, without remembering it.

        RFC 3261 section 16.11 has the branch made from the message, so that one that
        comes again has the same.
        """
        try:
            check(message, via_is_read=True)
            side, target = self._ways.within(message, source)
            count_hop(message)
        except (MessageError, Refused):
            self._drop("ACK to nothing")
            return
        if self._shared.meter is not None:
            self._shared.meter.passed(message, now)
        face = self._shared.places.face(
            side, target.transport, target.address, target.source
        )
        if target.transport is not Transport.UDP:
            message.ensure_length()
        seed = message.line(b"via") + message.line(b"call-id")
        branch = COOKIE + hashlib.blake2b(seed, digest_size=8).hexdigest().encode()
        data = b"\r\n".join(
            (message.start, face.via + branch, *message.lines, b"", message.body)
        )
        self._shared.actions.append(Send(side, target, data))

    def _refuse(
        self, message: Message, peer: Peer, status: int, reason: bytes, *extra: bytes
    ) -> None:
        """Answer without a transaction: the same again if it comes again."""
        data = replies.reply(message, status, reason, extra)
        self._shared.actions.append(Send(peer.side, peer, data))
        if status >= 300:
            why = reason or replies.REASONS[status]
            self._shared.actions.append(TurnedDown(status, why.decode()))

    def _drop(self, reason: str) -> None:
        self._shared.actions.append(Dropped(reason))


def _key(message: Message, via: Via) -> Key:
    """What a request is matched to its server transaction by.

    RFC 3261 section 17.2.3: branch, sent-by and method, where an ACK counts as the
    INVITE; from those who do not know branches, the fields that RFC 2543 had.
    """
    method = b"INVITE" if message.method == b"ACK" else message.method
    branch = via.branch
    if branch.startswith(COOKIE) and branch != COOKIE:
        return (branch, via.host, via.port, method)
    number = (message.first(b"cseq") or b"").partition(b" ")[0]
    return (
        message.first(b"via") or b"",
        message.uri,
        message.first(b"from") or b"",
        message.first(b"call-id") or b"",
        number,
        method,
    )


def _answer_to(source: Peer, via: Via) -> Peer:
    """Where the answers go (RFC 3261 section 18.2.2, RFC 3581 section 4).

    Always to the address that the request came from; `maddr` would have the router send
    where a stranger says.
    """
    default = 5061 if source.transport is Transport.TLS else 5060
    if source.transport is Transport.UDP:
        port = source.port if via.rport is not None else via.port or default
    else:
        port = via.port or default
    if port == source.port:
        return source
    return Peer(source.side, source.transport, source.address, port, source.connection)


def _note_source(message: Message, via: Via, source: Peer) -> None:
    """Write into the topmost Via where the request came from.

    RFC 3261 section 18.2.1: "If the host portion of the "sent-by" parameter contains a
    domain name, or if it contains an IP address that differs from the packet source
    address, the server MUST add a "received" parameter". RFC 3581 section 4: where
    `rport` is asked for, both.
    """
    if via.rport is None and via.host.decode("latin-1") == source.address:
        return
    line = message.line(b"via")
    if b"," in line or b"\n" in line:
        value = message.pop_first_value(b"via") or b""
        message.push_first(b"via", _noted(value, via, source))
    else:
        message.replace_line(b"via", _noted(line, via, source))


def _noted(text: bytes, via: Via, source: Peer) -> bytes:
    """A Via, or the line of one, with `rport` filled and `received` at its end."""
    if via.received:
        text = _RECEIVED.sub(b"", text)
    if via.rport is not None:
        text = _RPORT.sub(b";rport=%d" % source.port, text, count=1)
    return text + b";received=" + source.address.encode()
