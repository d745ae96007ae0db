"""A proxy between a PBX and two edges, in virtual time, spoken to in plain text."""

import itertools
from collections.abc import Collection, Sequence

from protocols.sip.message import Message, parse
from protocols.sip.peers import (
    Action,
    Dropped,
    Ended,
    Observed,
    Peer,
    Send,
    Side,
    TurnedDown,
)
from protocols.sip.proxy import Proxy
from protocols.sip.records import CallRecord
from protocols.sip.settings import Place, Settings
from protocols.sip.shared import Meter
from protocols.target import Choose, Result, Target, Transport

UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS
PLACES = (
    Place(Side.SITE, UDP, "10.0.0.2", 5060),
    Place(Side.SITE, TCP, "10.0.0.2", 5060),
    Place(Side.EDGE, UDP, "203.0.113.5", 5060),
    Place(Side.EDGE, TCP, "203.0.113.5", 5060),
    Place(Side.EDGE, TLS, "203.0.113.5", 5061),
)
KEYS = (b"k" * 32,)
SETTINGS = Settings(places=PLACES, keys=KEYS, host="trunk.pstn.test", mtu=0)
PBX = Peer(Side.SITE, UDP, "10.0.0.10", 5060)
EDGE = Peer(Side.EDGE, UDP, "192.0.2.1", 5060)


def edge(number: int, transport: Transport = UDP) -> Target:
    """The target at an edge: 192.0.2.1 and so on."""
    return Target(
        f"192.0.2.{number}",
        5061 if transport is TLS else 5060,
        transport,
        "trunk.pstn.test",
        verify_name="trunk.pstn.test" if transport is TLS else "",
        label=f"edge{number}",
    )


def pbx(number: int, transport: Transport = UDP) -> Target:
    """The target at a PBX: 10.0.0.10 and so on."""
    return Target(
        f"10.0.0.{number}",
        5060,
        transport,
        "pbx.test",
        verify_name="pbx.test" if transport is TLS else "",
        label=f"pbx{number}",
    )


ASHBURN, DUBLIN = edge(1), edge(2)
SITE = pbx(10)


def in_order(targets: Sequence[Target]) -> Choose:
    def choose(tried: Collection[Target]) -> Target | None:
        return next((one for one in targets if one not in tried), None)

    return choose


class Known:
    """Places by the targets that are there."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = targets

    def label(self, side: Side, address: str) -> str:
        named = (one.label for one in self.targets if one.address == address)
        return next(named, "")

    def target(self, side: Side, label: str) -> Target | None:
        return next((one for one in self.targets if one.label == label), None)


class Counting:
    """A `Meter` that writes down what it is told; places that are `full` are none."""

    def __init__(self, *full: str) -> None:
        self.full = full
        self.told: list[str] = []

    def choosing(
        self, invite: Message, choose: Choose, record: CallRecord, now: float
    ) -> Choose:
        record.spilled = ", ".join(self.full)

        def roomy(tried: Collection[Target]) -> Target | None:
            found = choose(tried)
            while found is not None and found.label in self.full:
                tried = (*tried, found)
                found = choose(tried)
            if found is None:
                record.reason = "all is full"
            return found

        return roomy

    def began(self, invite: Message, label: str, now: float) -> None:
        self.told.append(f"began {label}")

    def passed(self, message: Message, now: float) -> None:
        self.told.append(f"{message.status or message.method.decode()}")

    def refused(self, request: Message, status: int, now: float) -> None:
        self.told.append(f"{request.method.decode()} refused {status}")


class Stage:
    """The proxy, the time, and what it has had done."""

    def __init__(
        self,
        edges: Sequence[Target] = (ASHBURN, DUBLIN),
        site: Sequence[Target] = (SITE,),
        settings: Settings = SETTINGS,
        meter: Meter | None = None,
    ) -> None:
        counter = itertools.count(1)
        self.proxy = Proxy(
            settings,
            in_order(edges),
            in_order(site),
            Known([*edges, *site]),
            lambda: b"token%d" % next(counter),
            meter=meter,
        )
        self.now = 100.0
        self.done: list[Action] = []
        self.records: list[CallRecord] = []
        self.observed: list[Observed] = []
        self.dropped: list[str] = []
        self.turned_down: list[TurnedDown] = []

    def receive(self, data: bytes, source: Peer = PBX) -> list[Send]:
        """Let a message come; returns what was sent for it."""
        return self._do(self.proxy.received(data, source, self.now))

    def fail(self, sent: Send, result: Result = Result.REFUSED) -> list[Send]:
        """Let a message fail to be sent."""
        return self._do(self.proxy.failed(sent.attempt, "refused", result, self.now))

    def wait(self, seconds: float) -> list[Send]:
        """Let time pass; returns what was sent meanwhile."""
        end = self.now + seconds
        sent = []
        while (soonest := self.proxy.next_timer()) <= end:
            self.now = max(self.now, soonest)
            sent += self._do(self.proxy.tick(self.now))
        self.now = end
        return sent

    def begin(self, data: bytes = b"", source: Peer = PBX) -> Send:
        """Let a request come; returns its first copy."""
        return self.receive(data or INVITE, source)[-1]

    def answer(self, sent: Send, text: str, tag: str = "t1") -> list[Send]:
        """Let whoever got a request answer it."""
        return self.receive(response(sent, text, tag=tag), peer_of(sent))

    def results(self) -> list[tuple[str, Result]]:
        return [(one.target.label, one.outcome.result) for one in self.observed]

    def _do(self, actions: list[Action]) -> list[Send]:
        for action in actions:
            if isinstance(action, Ended):
                self.records.append(action.record)
            elif isinstance(action, Observed):
                self.observed.append(action)
            elif isinstance(action, Dropped):
                self.dropped.append(action.reason)
            elif isinstance(action, TurnedDown):
                self.turned_down.append(action)
        return [action for action in actions if isinstance(action, Send)]


def text(*lines: str, body: str = "") -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def request(
    method: str,
    *,
    uri: str = "sip:+15551234567@10.0.0.2",
    via: str = "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKa1",
    to: str = "<sip:+15551234567@10.0.0.2>",
    call_id: str = "call1@10.0.0.10",
    cseq: int = 1,
    hops: int | None = 70,
    more: Sequence[str] = (),
    body: str = "",
) -> bytes:
    """A request of the PBX."""
    return text(
        f"{method} {uri} SIP/2.0",
        f"Via: {via}",
        "From: <sip:100@10.0.0.10>;tag=f1",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        "Contact: <sip:100@10.0.0.10:5060>",
        *([] if hops is None else [f"Max-Forwards: {hops}"]),
        *more,
        f"Content-Length: {len(body)}",
        body=body,
    )


INVITE = request("INVITE")
CANCEL = request("CANCEL")
FROM_EDGE = request(
    "INVITE",
    uri="sip:+15551234567@203.0.113.5",
    via="SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKe9",
)
"An INVITE of the provider."


def ack(
    tag: str = "t1", via: str = "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKa1"
) -> bytes:
    """The ACK of the PBX to a failure."""
    return request("ACK", to=f"<sip:+15551234567@10.0.0.2>;tag={tag}", via=via)


def response(
    sent: Send | bytes,
    status: str,
    *,
    tag: str = "t1",
    more: Sequence[str] = (),
    contact: str = "<sip:edge@172.25.0.1:5060>",
) -> bytes:
    """What an edge or a PBX answers to a request that it got."""
    asked = parse(sent.data if isinstance(sent, Send) else sent)
    lines = [
        line.decode()
        for name, line in zip(asked.names, asked.lines, strict=True)
        if name in (b"via", b"record-route", b"from", b"call-id", b"cseq")
    ]
    to = (asked.first(b"to") or b"").decode()
    if ";tag=" not in to and not status.startswith("100"):
        to += f";tag={tag}"
    return text(
        f"SIP/2.0 {status}",
        *lines,
        f"To: {to}",
        f"Contact: {contact}",
        *more,
        "Content-Length: 0",
    )


def within(
    method: str,
    answer: bytes,
    *,
    cseq: int = 2,
    branch: str = "z9hG4bKb2",
    uri: str = "sip:edge@172.25.0.1:5060",
    more: Sequence[str] = (),
) -> bytes:
    """What the PBX sends in the dialog that an answer made."""
    message = parse(answer)
    route = [v.decode() for v in reversed(message.all(b"record-route"))]
    return text(
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 10.0.0.10:5060;branch={branch}",
        *(f"Route: {one}" for one in route),
        *(line.decode() for line in message.lines_of(b"from")),
        *(line.decode() for line in message.lines_of(b"to")),
        *(line.decode() for line in message.lines_of(b"call-id")),
        f"CSeq: {cseq} {method}",
        "Max-Forwards: 70",
        *more,
        "Content-Length: 0",
    )


def back(
    method: str, asked: bytes, tag: str = "t1", branch: str = "z9hG4bKe1", cseq: int = 1
) -> bytes:
    """What an edge sends in the dialog of an INVITE that it got and accepted."""
    message = parse(asked)
    return text(
        f"{method} sip:100@10.0.0.10:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}",
        *(f"Route: {one.decode()}" for one in message.all(b"record-route")),
        f"From: {(message.first(b'to') or b'').decode()};tag={tag}",
        f"To: {(message.first(b'from') or b'').decode()}",
        *(line.decode() for line in message.lines_of(b"call-id")),
        f"CSeq: {cseq} {method}",
        "Max-Forwards: 70",
        "Content-Length: 0",
    )


def peer_of(sent: Send) -> Peer:
    """Whoever got what was sent, as the source of the answer."""
    to = sent.to
    if isinstance(to, Peer):
        return to
    return Peer(
        sent.side,
        to.transport,
        to.address,
        to.port,
        7 if to.transport is not UDP else 0,
    )


def status(sent: Send) -> int:
    return parse(sent.data).status


def method(sent: Send) -> str:
    return parse(sent.data).method.decode()


def told(sent: Sequence[Send]) -> list[str]:
    """Each message sent: status or method, and the address that it went to."""
    return [f"{status(one) or method(one)} {one.to.address}" for one in sent]


def one(sent: Sequence[Send]) -> Send:
    """The one message that was sent."""
    assert len(sent) == 1, told(sent)
    return sent[0]


def message(sent: Send) -> Message:
    return parse(sent.data)
