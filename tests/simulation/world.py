"""A PBX, the proxy and three edges on a bad network, in virtual time, by one seed.

Packets are lost, doubled and delayed, so that they overtake each other. Edges freeze
and thaw, refuse, fail and answer late; the proxy restarts. Each step is judged.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Collection, Sequence

from protocols.sip.message import Message, parse
from protocols.sip.peers import Action, Ended, Peer, Send, Side
from protocols.sip.proxy import Proxy
from protocols.sip.records import CallRecord
from protocols.sip.settings import Place, Settings
from protocols.sip.validity import check
from protocols.target import Result, Target, Transport
from tests.simulation.agent import Agent

UDP = Transport.UDP
EDGES = tuple(
    Target(f"192.0.2.{n}", 5060, UDP, "trunk.test", label=f"edge{n}") for n in (1, 2, 3)
)
PBX = Target("10.0.0.10", 5060, UDP, "pbx.test", label="pbx")
SETTINGS = Settings(
    places=(
        Place(Side.SITE, UDP, "10.0.0.2", 5060),
        Place(Side.EDGE, UDP, "203.0.113.5", 5060),
    ),
    keys=(b"simulated" * 4,),
    host="trunk.test",
    mtu=0,
)
TEMPERS = (
    "abrupt", "answers", "answers", "answers", "breaks", "busy", "dead", "fails",
    "frozen", "late", "refuses", "rings",
)  # fmt: skip
"What an edge may be like."
CROSSING = 0.25
"""Seconds in which what one edge answers cannot be known to another: two telephones may
be picked up then, where one does without having rung."""
END = 3_000.0
"Virtual seconds by which all must be quiet."


class Names:
    """The places of this world."""

    def label(self, side: Side, address: str) -> str:
        return next((one.label for one in EDGES if one.address == address), "")

    def target(self, side: Side, label: str) -> Target | None:
        return next((one for one in (*EDGES, PBX) if one.label == label), None)


class World:
    """All that there is, and what happened so far."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.loss = self.random.choice((0.0, 0.0, 0.05, 0.2))
        self.restarts = 0
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._tokens = itertools.count(seed * 1_000_000)
        self._finals: dict[tuple[bytes, bytes], int] = {}
        self._rung: dict[bytes, set[bytes]] = {}
        self._copies: dict[bytes, set[bytes]] = {}
        self._ended: set[str] = set()
        merged = self.random.random() < 0.5
        self.core: dict[bytes, str] | None = {} if merged else None
        self.pbx = Agent(self, Side.SITE, PBX.address, "answers")
        self.edges = [
            Agent(self, Side.EDGE, one.address, self._temper()) for one in EDGES
        ]
        self._agents = {agent.address: agent for agent in (self.pbx, *self.edges)}
        self.proxy = self._started()

    def run(self) -> None:
        """Let everything happen, until nothing can."""
        for _ in range(self.random.randint(1, 2)):
            self.later(self.random.random() * 3, self.pbx.call)
        if self.random.random() < 0.3:
            caller = self.random.choice(self.edges)
            self.later(self.random.random() * 3, caller.call)
        if self.random.random() < 0.25:
            self.later(self.random.random() * 20, self._restart)
        while self._step():
            assert self.now < END, "something never ends"
        self._judge_end()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have something done after so many seconds."""
        event = (self.now + seconds, next(self._order), call)
        heapq.heappush(self._events, event)

    def token(self) -> bytes:
        """A name that nobody else has."""
        return b"%08x" % next(self._tokens)

    def to_router(self, agent: Agent, data: bytes) -> None:
        """Carry a datagram from an agent."""
        source = Peer(agent.side, UDP, agent.address, 5060)
        for delay in self._ways():
            self.later(
                delay, lambda: self._do(self.proxy.received(data, source, self.now))
            )

    def _temper(self) -> str:
        return self.random.choice(TEMPERS)

    def _started(self) -> Proxy:
        self._turn = self.random.randrange(3)
        return Proxy(
            SETTINGS, self._choose_edge, self._choose_site, Names(), self.token
        )

    def _choose_edge(self, tried: Collection[Target]) -> Target | None:
        order = EDGES[self._turn :] + EDGES[: self._turn]
        return next((one for one in order if one not in tried), None)

    def _choose_site(self, tried: Collection[Target]) -> Target | None:
        return None if tried else PBX

    def _restart(self) -> None:
        self.restarts += 1
        for judged in (self._finals, self._rung, self._copies, self._ended):
            judged.clear()
        self.proxy = self._started()

    def _step(self) -> bool:
        timer = self.proxy.next_timer()
        if self._events and self._events[0][0] <= timer:
            self.now, _, call = heapq.heappop(self._events)
            call()
        elif timer < END * 2:
            self.now = max(self.now, timer)
            self._do(self.proxy.tick(self.now))
        else:
            return False
        return True

    def _ways(self) -> Sequence[float]:
        """Delays of the copies that arrive."""
        if self.random.random() < self.loss:
            return ()
        copies = 2 if self.random.random() < self.loss else 1
        return [0.001 + self.random.random() * 0.05 for _ in range(copies)]

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._carry(action)
            elif isinstance(action, Ended) and action.record.method == "INVITE":
                self._judge_record(action.record)

    def _carry(self, sent: Send) -> None:
        message = parse(sent.data)
        check(message)
        assert bytes(message) == sent.data
        assert sent.to.address in self._agents, "sent where nobody is"
        agent = self._agents[sent.to.address]
        assert agent.side is sent.side
        if message.status:
            self._judge_answer(message)
        elif message.method == b"INVITE":
            self._judge_copy(message)
        if agent.temper == "refuses" and sent.attempt:
            proxy = self.proxy
            self.later(0.001, lambda: self._refused(proxy, sent.attempt))
            return
        for delay in self._ways():
            self.later(delay, lambda: agent.received(parse(sent.data)))

    def _refused(self, proxy: Proxy, attempt: int) -> None:
        if proxy is self.proxy:
            self._do(proxy.failed(attempt, "refused", Result.REFUSED, self.now))

    # The judge.

    def _judge_answer(self, answer: Message) -> None:
        """One final answer per server transaction, and nothing but 2xx after it."""
        method = (answer.first(b"cseq") or b"").split()[1]
        key = (answer.all(b"via")[0], method)
        given = self._finals.get(key, 0)
        if answer.status < 200:
            assert not given, f"{answer.status} after {given}"
            if answer.status > 100:
                call_id = answer.first(b"call-id") or b""
                self._rung.setdefault(call_id, {*self._copies.get(call_id, ())})
            return
        late_2xx = method == b"INVITE" and 200 <= answer.status < 300
        assert given in (0, answer.status) or late_2xx, f"{answer.status} after {given}"
        self._finals.setdefault(key, answer.status)

    def _judge_copy(self, invite: Message) -> None:
        """Nobody else is asked once it has rung."""
        call_id, via = invite.first(b"call-id") or b"", invite.all(b"via")[0]
        copies = self._copies.setdefault(call_id, set())
        copies.add(via)
        assert copies <= self._rung.get(call_id, copies), "asked on after it rang"

    def _judge_record(self, record: CallRecord) -> None:
        """A call is written down once, but for another telephone that was picked up."""
        again = record.call_id in self._ended
        assert not again or 200 <= record.status < 300, "written down twice"
        self._ended.add(record.call_id)

    def _judge_end(self) -> None:
        shared = self.proxy._shared
        assert not shared.contexts, "a server transaction never ended"
        assert not shared.branches, "a client transaction never ended"
        assert not shared.attempts
        assert not shared.cancels, "a CANCEL never ended"
        assert len(shared.timers) == 0, "a timer is left"
        if self.restarts:
            return
        for agent in self._agents.values():
            agent.judge_end()
        if not self.loss:
            self._judge_calls()

    def _judge_telephones(self) -> None:
        picked_up: dict[bytes, float] = {}
        for one in (one for edge in self.edges for one in edge.asked.values()):
            if one.final == 200:
                gap = abs(one.ended - picked_up.setdefault(one.call_id, one.ended))
                assert gap < CROSSING, "two telephones were picked up"

    def _judge_calls(self) -> None:
        """On a network without loss nobody picks up twice, or is refused in vain."""
        tempers = [edge.temper for edge in self.edges]
        # Who says nothing before picking up cannot be told in time (RFC 3261 section
        # 9.1); with two of them nobody can prevent that both do.
        if tempers.count("abrupt") < 2:
            self._judge_telephones()
        for call in self.pbx.calls.values():
            assert call.final != 482, "told of copies that were none of its own"
            if "answers" in tempers and "breaks" not in tempers and self.core is None:
                assert call.final in (200, 408, 486, 487), f"refused with {call.final}"
