"""One SIP listener: the sockets of both sides around one proxy core.

Messages go in with the time, actions come out and are carried out; one timer wakes the
core. Nothing here waits, but for the dialling of connections and for probes.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from protocols.net.admission import Limits
from protocols.net.listen import Listener, Serving
from protocols.net.tasks import Tasks
from protocols.record import UnderWay
from protocols.sip import replies
from protocols.sip.bound import Bound
from protocols.sip.connection import Patience
from protocols.sip.guard import Drop, begins, is_scanner
from protocols.sip.message import Message, MessageError, parse
from protocols.sip.peers import Action, Ended, Observed, Peer, Send, Side, TurnedDown
from protocols.sip.places import Places
from protocols.sip.probe import Probes
from protocols.sip.proxy import Proxy
from protocols.sip.records import CallRecord
from protocols.sip.streams import Streams
from protocols.sip.terms import Terms
from protocols.sip.token import Hop
from protocols.sip.udp import Udp
from protocols.target import Outcome, Report, Result, Target, Transport

REASONS = 128
"Reasons that are counted apart; further ones count as others."

LIMITS = Limits(per_client=1_000)
"Some PBXs make a connection for each call, and leave them all open."

REMOVED = 10.0
"Seconds in which requests that came by a removed socket are answered there."

_LOOK = 1.0  # seconds between two looks at connections
_BLANK = b"\r\n\0"

Refused = Callable[[str, str, str], None]
"Tell of what was turned away: address, reason, detail. Never raises."

TellRefusal = Callable[[str, int, str], None]
"Tell of a request that was refused: client, status, reason. Never raises."

RecordCall = Callable[[CallRecord], None]
"Take the record of a call. Never raises, never waits."


class Endpoint:
    """Serves one listener from `start` until `drain` or `close`."""

    def __init__(
        self,
        terms: Terms,
        *,
        token: Callable[[], bytes],
        report: Report,
        record: RecordCall,
        refused: Refused,
        turned_down: TellRefusal,
        tasks: Tasks,
        loop: asyncio.AbstractEventLoop,
        limits: Limits = LIMITS,
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> None:
        """`limits` are those of each stream socket."""
        self._proxy = Proxy(
            terms.settings,
            terms.choose_edge,
            terms.choose_site,
            terms.names,
            token,
            self._standing,
            terms.meter,
        )
        self._guards = terms.by_side
        self._strays = terms.strays
        self._report = report
        self._record = record
        self._refused = refused
        self._turned_down = turned_down
        self._clock = loop.time
        self._loop = loop
        self._tasks = tasks
        self._limits = limits
        self._udp = Udp(self, terms.datagram_sockets)
        self._streams = Streams(
            self,
            terms.contexts,
            terms.sources,
            tasks=tasks,
            loop=loop,
            patience=patience,
        )
        self._listeners: dict[Bound, Listener] = {}
        self._probes = Probes(
            Places(terms.settings), self._send, self._streams.find, token
        )
        self._listen(terms)
        self._failures: deque[tuple[int, Result, str]] = deque()
        self._busy = False
        self._closed = False
        self._armed = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._over = asyncio.Event()
        self.dropped: dict[str, int] = {}
        "Messages and connections turned away, by reason."

    def start(self) -> None:
        """Receive and accept from now on."""
        self._receive()
        self._looking = self._loop.call_later(_LOOK, self._look)

    def change(self, terms: Terms) -> None:
        """Work by these from now on; calls, and connections that stand, go on.

        UDP sockets that are not among them still serve what they received, for a while.
        """
        self._proxy.change(
            terms.settings,
            terms.choose_edge,
            terms.choose_site,
            terms.names,
            terms.meter,
        )
        self._guards = terms.by_side
        self._strays = terms.strays
        removed = self._udp.change(terms.datagram_sockets)
        if removed:
            self._loop.call_later(REMOVED, self._udp.drop, removed)
        self._streams.change(terms.contexts, terms.sources)
        self._probes.change(Places(terms.settings))
        self._listen(terms)
        self._receive()

    async def probe(self, side: Side, target: Target, timeout: float) -> Outcome:
        """Ask a target by OPTIONS from this listener's sockets; never raises."""
        return await self._probes.ask(side, target, timeout)

    async def drain(self, seconds: float, *, handed_on: bool = False) -> int:
        """Take no new calls, and close once all requests are answered.

        Calls that stand outlive it. Where the sockets are `handed_on` to another
        process, new calls over UDP are left to it: they come again after half a second.
        Returns how many requests were given up.
        """
        proxy = self._proxy
        proxy.accepting = False
        proxy.handed_on = handed_on
        try:
            async with asyncio.timeout(seconds):
                while proxy.unanswered or self._clock() < proxy.quiet_at:
                    if proxy.unanswered:
                        self._over.clear()
                        await self._over.wait()
                    await asyncio.sleep(proxy.quiet_at - self._clock())
        except TimeoutError:
            pass
        cut = proxy.unanswered
        self.close()
        return cut

    def close(self) -> None:
        """End everything now."""
        for handle in (self._timer, self._looking):
            if handle is not None:
                handle.cancel()
        self._closed = True
        self._armed = -math.inf
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        self._streams.close()
        self._udp.close()

    def look(self, now: float) -> None:
        """Give up connections that take too long; called every second by itself."""
        self._streams.look(now)

    @property
    def pending(self) -> int:
        """Requests under way, or not yet forgotten."""
        return self._proxy.pending

    def lead(self, leads: bool) -> None:
        """Take new requests of the site from now on, or refuse them."""
        self._proxy.leading = leads

    def under_way(self, listener: str) -> Iterator[UnderWay]:
        """The requests that wait for their final answer."""
        return self._proxy.under_way(listener)

    @property
    def open(self) -> list[tuple[str, int]]:
        """Addresses and ports of its sockets."""
        streams = (one.sock.getsockname()[:2] for one in self._listeners)
        return [*self._udp.open, *streams]

    def _listen(self, terms: Terms) -> None:
        """Have a listener for each socket of streams, and no others."""
        for gone in self._listeners.keys() - set(terms.streams):
            self._listeners.pop(gone).close()
        for one in terms.streams:
            serving = Serving(
                self._streams.accepting(one.side, one.transport),
                self._turned_away,
                terms.guards[one.side].networks,
                self._limits,
                terms.certificates[one.side]
                if one.transport is Transport.TLS
                else None,
                strays=terms.strays if one.side is Side.EDGE else None,
            )
            if one in self._listeners:
                self._listeners[one].change(serving)
            else:
                self._listeners[one] = Listener(one.sock, serving, self._tasks)

    def _receive(self) -> None:
        self._udp.start()
        for listener in self._listeners.values():
            listener.start()

    # ---- What sockets tell ---------------------------------------------------------

    def datagram(self, data: bytes, source: Peer) -> None:
        """A datagram came."""
        now = self._clock()
        drop = self._guards[source.side].look(source.address, data, now)
        if drop is not None and not self._is_awaited(drop, data, source):
            self._drop(source.address, drop)
            return
        if len(data) <= 4 and not data.strip(_BLANK):
            return  # keeps a NAT's mapping open
        try:
            message = parse(data)
        except MessageError as error:
            self._drop(source.address, error.reason)
            return
        self._take(message, source, now)

    def received(self, message: Message, source: Peer, asked: bool) -> None:
        """A message came on a connection; `asked` if on one that we dialled."""
        now = self._clock()
        drop = self._guards[source.side].look(source.address, message.start, now)
        if drop is Drop.NOT_ALLOWED and asked and message.status:
            drop = None
        if drop is not None:
            self._drop(source.address, drop)
            return
        self._take(message, source, now)

    def garbled(
        self, source: Peer, error: MessageError, refused: Message | None
    ) -> bytes:
        """What came on a connection is no message; returns what to answer."""
        self._drop(source.address, error.reason)
        if error.status is None or refused is None:
            return b""
        return replies.reply(refused, error.status, error.reason.encode())

    def broken(self, attempts: Iterable[int], result: Result, detail: str) -> None:
        """Requests could not be sent, or their connection broke."""
        if self._closed:
            return  # that it broke is our own doing, and nobody is to be told
        self._failures.extend((attempt, result, detail) for attempt in attempts)
        if not self._busy:
            self._do(())

    def _is_awaited(self, drop: Drop, data: bytes, source: Peer) -> bool:
        """Whether it looks like an answer from where a request was sent."""
        return (
            drop is Drop.NOT_ALLOWED
            and data.startswith(b"SIP/2.0 ")
            and self._udp.has_asked(source.address, source.port)
        )

    def _astray(self, message: Message, source: Peer) -> str:
        """Why a datagram that begins something at the provider cannot have come by its
        way. What comes on a connection has been looked at as that was accepted."""
        if source.side is Side.SITE or source.transport is not Transport.UDP:
            return ""
        assert self._strays is not None
        reason = self._strays(source.address, *self._udp.way_of(source))
        return reason if reason and begins(message) else ""

    def _take(self, message: Message, source: Peer, now: float) -> None:
        if message.status:
            if self._probes.answered(message):
                return
        elif is_scanner(message):
            self._drop(source.address, Drop.SCANNER)
            return
        elif self._strays is not None and (reason := self._astray(message, source)):
            # Without a word, as with strangers: who would get it, nobody knows.
            self._drop(source.address, Drop.ASTRAY, reason)
            return
        self._do(self._proxy.received(message, source, now), source.address)

    # ---- What the core has done ----------------------------------------------------

    def _do(self, actions: Iterable[Action], client: str = "") -> None:
        """Carry out actions, and what follows where sending fails."""
        self._busy = True
        try:
            for action in actions:
                self._act(action, client)
            while self._failures:
                for action in self._next_failure(*self._failures.popleft()):
                    self._act(action, client)
        finally:
            self._busy = False
        when = self._proxy.next_timer()
        if when < self._armed:
            self._arm(when)
        if not self._proxy.accepting and not self._proxy.unanswered:
            self._over.set()

    def _next_failure(self, attempt: int, result: Result, detail: str) -> list[Action]:
        if attempt < 0:
            self._probes.failed(attempt, result, detail)
            return []
        return self._proxy.failed(attempt, detail, result, self._clock())

    def _act(self, action: Action, client: str) -> None:
        if isinstance(action, Send):
            if isinstance(action.to, Target):
                self._send(action.side, action.to, action.data, action.attempt)
            else:
                self._answer(action.to, action.data)
        elif isinstance(action, Observed):
            self._report(action.target, action.outcome)
        elif isinstance(action, Ended):
            self._record(action.record)
        elif isinstance(action, TurnedDown):
            self._turned_down(client, action.status, action.reason)
        else:
            self._drop(client, action.reason)

    def _send(self, side: Side, target: Target, data: bytes, attempt: int) -> None:
        if target.transport is Transport.UDP:
            self._udp.send(side, target, data, attempt)
        else:
            self._streams.send(side, target, data, attempt)

    def _answer(self, peer: Peer, data: bytes) -> None:
        if peer.transport is Transport.UDP:
            sent = self._udp.answer(peer, data)
        else:
            sent = self._streams.answer(peer, data) or self._answer_anew(peer, data)
        if not sent:
            self._drop(peer.address, "answer could not be sent")

    def _answer_anew(self, peer: Peer, data: bytes) -> bool:
        """RFC 3261 section 18.2.2: if the connection is gone, "the server SHOULD open a
        connection to the IP address in the "received" parameter ... using the port in
        the "sent-by" value"."""
        try:
            target = self._proxy.way_back(peer)
        except MessageError:
            return False
        return self._streams.send(peer.side, target, data, 0)

    def _standing(self, hop: Hop) -> int:
        return self._streams.standing(hop)

    # ---- Time, and counts ----------------------------------------------------------

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = when
        self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._armed = math.inf
        self._do(self._proxy.tick(self._clock()))

    def _look(self) -> None:
        self._looking = self._loop.call_later(_LOOK, self._look)
        self.look(self._clock())

    def _turned_away(self, address: str, reason: str, detail: str) -> None:
        self._drop(address, reason, detail)

    def _drop(self, address: str, reason: str, detail: str = "") -> None:
        counts = self.dropped
        if reason not in counts and len(counts) >= REASONS:
            reason = "others"
        counts[reason] = counts.get(reason, 0) + 1
        self._refused(address, reason, detail)
