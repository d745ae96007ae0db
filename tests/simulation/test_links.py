"""Calls on a link, through the proxy in virtual time: no slot is kept for ever."""

import functools
import heapq
import itertools
import os
import random
from collections.abc import Callable

from protocols.sip.peers import Send
from router.bandwidth import Bandwidth, Capacity, Limits
from router.sessions import Sessions
from tests.protocols.sip.stage import EDGE, Stage, back, peer_of, request, within

PCMU = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
G711 = 87_200.0
ROOM = 200
"Calls that the link has room for."
SESSION = 600.0
CALLS = int(os.environ.get("EDGE_ROUTER_CALLS", "1000"))
"How many there are; 10,000 is the requirement."
LOST = 0.05
"Share of the BYEs that nobody sees."


class Trunk:
    """A proxy, a link to its first edge, and calls of which each ends somehow."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        limits = Limits(early=240.0, session=SESSION)
        self.bandwidth = Bandwidth({"link1": Capacity(ROOM * G711, limits=limits)})
        self.sessions = Sessions(self.bandwidth, {"edge1": "link1"})
        self.stage = Stage(meter=self.sessions)
        self.lost = self.most = self.limited = 0
        self._number = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def run(self, calls: int) -> None:
        """So many calls, two a second, and all that comes of them."""
        for number in range(calls):
            self.after(number / 2, functools.partial(self.call, number))
        while self._due:
            when, _, do = heapq.heappop(self._due)
            self.stage.wait(when - self.stage.now)
            self.limited += len(self.sessions.expire(self.stage.now))
            do()
            self.most = max(self.most, len(self.bandwidth))

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.stage.now + seconds, next(self._number), do))

    def call(self, number: int) -> None:
        """The PBX calls, and what comes of it is left to chance."""
        via = f"SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKi{number}"
        more = ["Content-Type: application/sdp"]
        named = {"call_id": str(number), "via": via}
        asked = request("INVITE", more=more, body=PCMU, **named)  # type: ignore[arg-type]
        sent = self.stage.begin(asked)
        ends: list[tuple[float, Callable[[], None]]] = [
            (0.88, lambda: self.answered(number, sent)),
            (0.04, lambda: self.refused(sent)),
            (0.04, lambda: self.cancelled(sent, request("CANCEL", **named))),  # type: ignore[arg-type]
            (0.04, lambda: None),  # the edge is silent: it goes to the next one
        ]
        weights = [weight for weight, _ in ends]
        ((_, end),) = self.chance.choices(ends, weights)
        end()

    def refused(self, sent: Send) -> None:
        self.stage.answer(sent, "486 Busy Here")

    def cancelled(self, sent: Send, cancel: bytes) -> None:
        self.stage.answer(sent, "180 Ringing")
        self.stage.receive(cancel)
        self.stage.answer(sent, "487 Request Terminated")

    def answered(self, number: int, sent: Send) -> None:
        answer = self.stage.answer(sent, "200 OK")[-1].data
        self.stage.receive(within("ACK", answer, cseq=1, branch=f"z9hG4bKa{number}"))
        if self.chance.random() < LOST:
            self.lost += 1
        else:
            lasts = self.chance.expovariate(1 / 60)
            self.after(lasts, lambda: self.hung_up(number, sent, answer))

    def hung_up(self, number: int, sent: Send, answer: bytes) -> None:
        """By either side."""
        branch = f"z9hG4bKb{number}"
        if self.chance.random() < 0.5:
            bye = self.stage.begin(within("BYE", answer, branch=branch))
        else:
            bye = self.stage.begin(back("BYE", sent.data, branch=branch), EDGE)
        self.stage.receive(ok(bye), peer_of(bye))


def ok(bye: Send) -> bytes:
    """The answer of whoever got a BYE."""
    kept = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:")
    head = bye.data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    lines = [line for line in head if line.lower().startswith(kept)]
    return b"\r\n".join((b"SIP/2.0 200 OK", *lines, b"Content-Length: 0\r\n\r\n"))


def test_lost_byes_keep_no_slot_beyond_the_limit_of_a_session() -> None:
    trunk = Trunk(seed=6)
    trunk.run(CALLS)
    assert trunk.lost > CALLS / 30
    assert trunk.most <= ROOM
    assert len(trunk.bandwidth) > 0
    stage = trunk.stage
    stage.wait(SESSION)
    trunk.limited += len(trunk.sessions.expire(stage.now))
    # A call that lasts longer than that ends so, too; what has spilled was not counted.
    assert 0 < trunk.limited <= trunk.lost + CALLS / 500
    assert len(trunk.bandwidth) == 0
    assert trunk.bandwidth.use("link1", stage.now).taken == 0
    assert stage.proxy.pending == 0
