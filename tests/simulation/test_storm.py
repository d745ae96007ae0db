"""Answers, failures and CANCELs in any order: what must hold, and that nothing stays.

The worlds of `test_sip` are made of peers that behave. Here nobody does: any answer may
come at any time to any copy of any kind of request, over any transport.
"""

import collections
import dataclasses
import random
from collections.abc import Sequence

import pytest

from protocols.sip.message import Message, parse
from protocols.sip.peers import Action, Peer, Send, Side
from protocols.target import Result
from tests.protocols.sip.stage import (
    PBX,
    SETTINGS,
    TCP,
    TLS,
    UDP,
    Stage,
    ack,
    edge,
    peer_of,
    request,
    response,
    within,
)

SEEDS = 1_600
STEP = 400
ANSWERS = (
    "100", "100", "180", "183", "200", "202", "302", "401", "407", "408", "481", "482",
    "486", "487", "491", "500", "503", "503 Limit exceeded", "504", "603",
)  # fmt: skip
METHODS = ("INVITE",) * 5 + ("MESSAGE", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE")
RESULTS = (Result.BAD_ANSWER, Result.REFUSED, Result.RESET, Result.TIMEOUT)
PAUSES = (0.01, 0.3, 1.0, 2.0, 4.0, 10.0, 30.0, 190.0)
VIA = "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKa1"
OVER_TCP = Peer(Side.SITE, TCP, "10.0.0.10", 5060, 9)


class Storm(Stage):
    """A stage on which each message that leaves is judged."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        some = self.random.choice((UDP, TCP, TLS))
        count = self.random.randint(1, 5)
        edges = [
            edge(n + 1, self.random.choice((UDP, TCP, TLS, some))) for n in range(count)
        ]
        mtu = self.random.choice((0, 0, 10))
        super().__init__(edges, settings=dataclasses.replace(SETTINGS, mtu=mtu))
        self.copies: list[Send] = []
        self.accepted: list[Send] = []
        self.finals: dict[tuple[bytes, bytes], int] = {}
        self._first: dict[tuple[bytes, bytes], float] = {}
        self._sent: collections.Counter[tuple[bytes, bytes]] = collections.Counter()

    def blow(self) -> None:
        """Let everything happen, and then nothing more."""
        method = self.random.choice(METHODS)
        source = self.random.choice((PBX, OVER_TCP))
        via = VIA if source is PBX else VIA.replace("UDP", "TCP")
        asked = request(method, via=via)
        self.receive(asked, source)
        for step in range(self.random.randint(3, 40)):
            chance = self.random.random()
            if chance < 0.3:
                self.wait(self.random.choice(PAUSES))
            elif chance < 0.35:
                if source is PBX and self.now < 131.0 and not self.finals:
                    self.receive(asked, source)
            elif chance < 0.4 and method == "INVITE":
                if self.now < 131.0:
                    self.receive(request("CANCEL", via=via), source)
            elif chance < 0.45 and method == "INVITE":
                self.receive(ack(via=via), source)
            elif chance < 0.55:
                self.fail(self.random.choice(self.copies), self.random.choice(RESULTS))
            elif chance < 0.6 and self.accepted:
                follows = self.random.choice(("ACK", "BYE", "INFO", "INVITE", "REFER"))
                last = self.accepted[-1].data
                self.receive(within(follows, last, cseq=step + 2, branch=f"b{step}"))
            else:
                copy = self.random.choice(self.copies)
                words = f"{self.random.choice(ANSWERS)} As You Like It"
                tag = self.random.choice(("t1", "t2"))
                self.receive(response(copy, words, tag=tag), peer_of(copy))
        self.wait(1_000.0)

    def judge_end(self) -> None:
        """Nothing is left in any table."""
        shared = self.proxy._shared
        assert not shared.contexts, "a server transaction never ended"
        assert not shared.branches, "a client transaction never ended"
        assert not shared.attempts
        assert not shared.cancels, "a CANCEL never ended"
        assert len(shared.timers) == 0, "a timer is left"

    def _do(self, actions: list[Action]) -> list[Send]:
        sent = super()._do(actions)
        self._judge(sent)
        return sent

    def _judge(self, sent: Sequence[Send]) -> None:
        for one in sent:
            said = parse(one.data)
            if said.status:
                self._judge_answer(one, said)
            elif said.method != b"ACK":
                self._judge_copy(one, said)

    def _judge_answer(self, sent: Send, said: Message) -> None:
        """One final answer, and nothing but a 2xx to an INVITE after it."""
        method = said.line(b"cseq").split()[-1]
        key = (said.all(b"via")[0], method)
        given = self.finals.get(key, 0)
        if method == b"INVITE" and 200 <= said.status < 300:
            self.accepted.append(sent)
        elif method != b"CANCEL":
            assert given in (0, said.status), f"{said.status} after {given} {method!r}"
        if said.status >= 200 and method != b"CANCEL":
            self.finals.setdefault(key, said.status)

    def _judge_copy(self, sent: Send, said: Message) -> None:
        """Not too late, not too often, on a stream once.

        Timers A, B, E and F; twice these where a copy was waited for again.
        """
        key = (said.all(b"via")[0], said.method)
        if not self._sent[key]:
            self.copies.append(sent)
        self._sent[key] += 1
        began = self._first.setdefault(key, self.now)
        assert self.now <= began + 64.0, f"{said.method!r} sent again too late"
        most = 22 if sent.to.transport is UDP else 1
        assert self._sent[key] <= most, f"{said.method!r} sent too often"


@pytest.mark.parametrize("first", range(0, SEEDS, STEP))
def test_nothing_stays_whatever_comes_in_whatever_order(first: int) -> None:
    for seed in range(first, first + STEP):
        try:
            storm = Storm(seed)
            storm.blow()
            storm.judge_end()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
