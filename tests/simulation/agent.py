"""A user agent: calls, answers, cancels and hangs up, repeating itself until heard."""

import random
from collections.abc import Callable
from typing import Protocol

from protocols.sip.headers import tag_of
from protocols.sip.message import Message
from protocols.sip.peers import Side

SLOW = ("abrupt", "late")
"Tempers of those whose first word comes late."
LIFE = 32.0
"Seconds for which a message is repeated."


class Surroundings(Protocol):
    """What an agent needs of its world."""

    random: random.Random
    now: float
    core: dict[bytes, str] | None

    def later(self, seconds: float, call: Callable[[], None]) -> None: ...

    def to_router(self, agent: "Agent", data: bytes) -> None: ...

    def token(self) -> bytes: ...


class Call:
    """A call that an agent made."""

    def __init__(self, call_id: bytes, tag: bytes, branch: bytes) -> None:
        self.call_id = call_id
        self.tag = tag
        self.branch = branch
        self.final = 0
        self.rung = False
        self.given_up = False
        self.acks: dict[bytes, bytes] = {}


class Asked:
    """An INVITE that an agent got."""

    def __init__(self, invite: Message, tag: bytes) -> None:
        self.invite = invite
        self.call_id = invite.first(b"call-id") or b""
        self.tag = tag
        self.last = b""
        self.final = 0
        self.ended = 0.0
        self.acked = False
        self.rang = False


class Agent:
    """A PBX or an edge with all that is behind it, over UDP."""

    def __init__(
        self, world: Surroundings, side: Side, address: str, temper: str
    ) -> None:
        self.world = world
        self.side = side
        self.address = address
        self.temper = temper
        """What it is like.

        It answers, is busy, dead, frozen, late or abrupt (late, and picked up without
        ringing), breaks (rings, then fails), fails, refuses or rings.
        """
        self.calls: dict[bytes, Call] = {}
        self.asked: dict[bytes, Asked] = {}
        self.dialogs: set[tuple[bytes, bytes]] = set()
        self._stopped: set[bytes] = set()
        self._queue: list[Message] = []
        self._thawed = False
        if temper == "frozen":
            world.later(10 + world.random.random() * 40, self._thaw)

    # Calling.

    def call(self) -> None:
        """Call somebody on the other side."""
        token = self.world.token()
        call = Call(b"call-" + token, b"from-" + token, b"z9hG4bK" + token)
        self.calls[call.call_id] = call
        self._repeat(call.branch, self._request(b"INVITE", call, call.branch, b""), 1e9)
        self.world.later(LIFE, lambda: self._give_up(call))
        if self.world.random.random() < 0.2:
            self.world.later(
                self.world.random.random() * 15, lambda: self._cancel(call)
            )

    def received(self, message: Message) -> None:
        """Take a datagram."""
        if self.temper == "frozen" and not self._thawed:
            self._queue.append(message)
        elif self.temper == "dead":
            pass
        elif message.status:
            self._answered(message)
        else:
            self._requested(message)

    def judge_end(self) -> None:
        """Judge how calls ended, in a world whose proxy was never restarted."""
        for call in self.calls.values():
            assert call.final or call.given_up, "a caller never got an answer"
        for asked in self.asked.values():
            assert asked.final, f"{self.address} rings for ever"

    def _give_up(self, call: Call) -> None:
        if not call.final and not call.rung:
            self._stopped.add(call.branch)
            call.given_up = True

    def _cancel(self, call: Call) -> None:
        if call.rung and not call.final:
            data = self._request(b"CANCEL", call, call.branch, b"")
            self._repeat(b"cancel" + call.branch, data, LIFE)

    def _answered(self, message: Message) -> None:
        call = self.calls.get(message.first(b"call-id") or b"")
        method = (message.first(b"cseq") or b"").split()[1]
        if method != b"INVITE":
            if message.status >= 200:
                branch = (message.first(b"via") or b"").partition(b"branch=")[2]
                self._stopped.add(branch)
                self._stopped.add(b"cancel" + branch)
            return
        assert call is not None, "an answer to a call that nobody made"
        self._stopped.add(call.branch)
        if message.status < 200:
            call.rung = True
            return
        call.final = call.final or message.status
        if message.status < 300:
            self._accepted(call, message)
        else:
            to = message.first(b"to") or b""
            self._send(self._request(b"ACK", call, call.branch, to))

    def _accepted(self, call: Call, message: Message) -> None:
        to = message.first(b"to") or b""
        tag = tag_of(to)
        if tag not in call.acks:
            branch = b"z9hG4bKack" + self.world.token()
            call.acks[tag] = self._request(b"ACK", call, branch, to, message)
            self.dialogs.add((call.call_id, call.tag))
            if self.world.random.random() < 0.7 or len(call.acks) > 1:
                wait = self.world.random.random() * 60
                self.world.later(wait, lambda: self._bye(call, message))
        self._send(call.acks[tag])

    def _bye(self, call: Call, message: Message) -> None:
        branch = b"z9hG4bKbye" + self.world.token()
        to = message.first(b"to") or b""
        self._repeat(branch, self._request(b"BYE", call, branch, to, message), LIFE)

    # Being called.

    def _requested(self, message: Message) -> None:
        via = message.all(b"via")[0]
        call_id = message.first(b"call-id") or b""
        if message.method == b"INVITE":
            self._invited(message, via, call_id)
        elif message.method == b"CANCEL":
            self._send(self._response(message, 200, b""))
            self._cancelled(self.asked.get(via))
        elif message.method == b"ACK":
            for asked in self.asked.values():
                if asked.call_id == call_id:
                    asked.acked = True
        else:
            tag = tag_of(message.first(b"to") or b"")
            assert (call_id, tag) in self.dialogs, "a dialog moved"
            self._send(self._response(message, 200, b""))

    def _invited(self, message: Message, via: bytes, call_id: bytes) -> None:
        asked = self.asked.get(via)
        if asked is not None:
            if asked.last and not asked.acked:
                self._send(asked.last)
            return
        asked = self.asked[via] = Asked(message, b"to-" + self.world.token())
        core = self.world.core
        if core is not None and core.setdefault(call_id, self.address) != self.address:
            self._answer(asked, 482)
            return
        if self.world.random.random() < 0.9 and self.temper not in SLOW:
            self._answer(asked, 100)
        self._decide(asked)

    def _decide(self, asked: Asked) -> None:
        chance = self.world.random.random
        slow = 2.5 if self.temper in SLOW else 0.2
        ring = slow + chance()
        if self.temper == "fails":
            self.world.later(chance(), lambda: self._answer(asked, 503))
        elif self.temper == "busy":
            self.world.later(chance(), lambda: self._answer(asked, 486))
        elif self.temper == "abrupt":
            self.world.later(ring, lambda: self._answer(asked, 200))
        else:
            self.world.later(ring, lambda: self._ring(asked))
            if self.temper == "breaks":
                self.world.later(ring + chance(), lambda: self._answer(asked, 503))
                return
            if self.temper != "rings":
                pick_up = ring + 1 + chance() * 20
                self.world.later(pick_up, lambda: self._answer(asked, 200))

    def _ring(self, asked: Asked, times: int = 20) -> None:
        """Ring, and say so every minute (RFC 3261 section 13.3.1.1)."""
        if not asked.final and times:
            self._answer(asked, 180)
            self.world.later(60.0, lambda: self._ring(asked, times - 1))

    def _cancelled(self, asked: Asked | None) -> None:
        if asked is not None:
            self._answer(asked, 487)

    def _answer(self, asked: Asked, status: int) -> None:
        if asked.final:
            return
        asked.last = self._response(asked.invite, status, asked.tag)
        self._send(asked.last)
        if status < 200:
            return
        asked.final, asked.ended = status, self.world.now
        if status < 300:
            self.dialogs.add((asked.call_id, asked.tag))
            if self.world.random.random() < 0.2:
                self.world.later(30, lambda: self._bye_back(asked))
        self._again(asked, 0.5, self.world.now + LIFE)

    def _bye_back(self, asked: Asked) -> None:
        if not asked.acked:
            return
        invite = asked.invite
        branch = b"z9hG4bKbye" + self.world.token()
        lines = [
            b"BYE sip:peer@172.25.0.1 SIP/2.0",
            self._via(branch),
            *(b"Route: " + one for one in invite.all(b"record-route")),
            b"From: " + (invite.first(b"to") or b"") + b";tag=" + asked.tag,
            b"To: " + (invite.first(b"from") or b""),
            b"Call-ID: " + asked.call_id,
            b"CSeq: 9 BYE",
        ]
        self._repeat(branch, _joined(lines), LIFE)

    def _again(self, asked: Asked, gap: float, end: float) -> None:
        """Send a final answer again until its ACK."""
        if self.world.now + gap > end:
            return

        def send() -> None:
            if not asked.acked:
                self._send(asked.last)
                self._again(asked, min(2 * gap, 4.0), end)

        self.world.later(gap, send)

    # Messages.

    def _thaw(self) -> None:
        self._thawed = True
        for message in self._queue:
            self.received(message)

    def _send(self, data: bytes) -> None:
        self.world.to_router(self, data)

    def _repeat(self, key: bytes, data: bytes, life: float, gap: float = 0.5) -> None:
        """Send, and send again until it is answered."""
        if key in self._stopped or life <= 0:
            return
        self._send(data)
        self.world.later(
            gap, lambda: self._repeat(key, data, life - gap, min(2 * gap, 4.0))
        )

    def _via(self, branch: bytes) -> bytes:
        return b"Via: SIP/2.0/UDP %b;branch=%b" % (self.address.encode(), branch)

    def _request(
        self,
        method: bytes,
        call: Call,
        branch: bytes,
        to: bytes,
        answer: Message | None = None,
    ) -> bytes:
        number = 2 if method == b"BYE" else 1
        routes = [] if answer is None else reversed(answer.all(b"record-route"))
        lines = [
            method + b" sip:callee@172.25.0.1 SIP/2.0",
            self._via(branch),
            *(b"Route: " + one for one in routes),
            b"From: <sip:caller@test>;tag=" + call.tag,
            b"To: " + (to or b"<sip:callee@test>"),
            b"Call-ID: " + call.call_id,
            b"CSeq: %d %b" % (number, method),
        ]
        return _joined(lines)

    def _response(self, asked: Message, status: int, tag: bytes) -> bytes:
        pairs = zip(asked.names, asked.lines, strict=True)
        lines = [
            line + b";tag=" + tag if name == b"to" and tag and status > 100 else line
            for name, line in pairs
            if name in (b"via", b"record-route", b"from", b"to", b"call-id", b"cseq")
        ]
        return _joined([b"SIP/2.0 %d Reason" % status, *lines])


def _joined(lines: list[bytes]) -> bytes:
    return b"\r\n".join((*lines, b"Max-Forwards: 70", b"Content-Length: 0", b"", b""))
