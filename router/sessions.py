"""What calls take of links, by the messages of theirs that pass.

This is the `Meter` of the SIP listeners. An INVITE opens a slot at the rate of what it
offers, the answer settles it, later offers and answers adjust it, a BYE or a failing
answer closes it. Nothing is changed in a message, and what is wrong with one is the
proxy's affair. A description that cannot be read counts as `ASSUMED`.
"""

import dataclasses
import hashlib
import math
from collections.abc import Mapping

from protocols.sip import rates
from protocols.sip.headers import tag_in
from protocols.sip.message import Message, MessageError
from protocols.sip.records import CallRecord
from protocols.sip.sdp import Description, SdpError, described
from protocols.target import Choose
from router.bandwidth import Bandwidth, Slot
from router.spilling import Spilling

ASSUMED = 100_000.0
"""Bits per second of a call that has not said what it sends: G.711 with SRTP over IPv6,
and some more."""
GRACE = 32.0
"Seconds that a session may outlive its timer: those of the BYE that ends it."
SHORTEST = 90
"Seconds that a session timer has at least (RFC 4028 section 4)."
OFFERING = (b"INVITE", b"UPDATE", b"PRACK")
"Methods whose requests may bear an offer (RFC 6337 section 2.2)."
DIALOG = (b"INVITE", b"UPDATE", b"OPTIONS")
"Methods whose refusal with GONE ends the call."
CHALLENGES = (401, 407)
"Answers after which the call comes again, with credentials."
CHALLENGED = 5.0
"Seconds for which it keeps its slot then: there would be no room else."
GONE = (408, 481)
"""RFC 3261 section 12.2.1.2: "If the response for a request within a dialog is a 481
(Call/Transaction Does Not Exist) or a 408 (Request Timeout), the UAC SHOULD terminate
the dialog." """


@dataclasses.dataclass(slots=True)
class _Talk:
    """What the two sides of a call have said of their media."""

    invite: bytes = b""
    "CSeq of the INVITE that began the call; empty if that was before a restart."
    cseq: bytes = b""
    "CSeq of the request that bore the latest offer, or asked for one."
    before: float = 0.0
    "Rate of the call when that came."
    offer: Description | None = None
    "What was offered; None if nothing was, or nothing that could be read."
    late: bool = False
    "Whether the offer came with the answer, so that the ACK bears what is agreed."


class Sessions:
    """The calls that are counted, and what each has offered."""

    def __init__(self, bandwidth: Bandwidth, behind: Mapping[str, str]) -> None:
        """`behind` has the links, by the edges behind them."""
        self._bandwidth = bandwidth
        self._behind = behind
        self._talks: dict[str, _Talk] = {}

    def change(self, behind: Mapping[str, str]) -> None:
        """Other edges are behind links from now on."""
        self._behind = behind

    def choosing(
        self, invite: Message, choose: Choose, record: CallRecord, now: float
    ) -> Choose:
        """Who is next for a new call: those of `choose` whose link has room for it."""
        return Spilling(
            choose,
            record,
            self._bandwidth,
            link_of=lambda edge: self._behind.get(edge),  # those of then
            needed=lambda link: self._needed(invite, link),
            now=now,
        )

    def began(self, invite: Message, label: str, now: float) -> None:
        """Note that the INVITE of a new call went to an edge, or came from it.

        Once more when the next one is tried: the slot moves with the call.
        """
        call, link = _call(invite, b"from"), self._behind.get(label)
        if link is None:
            self.close(call)
            return
        offer = _offered(invite)
        self._bandwidth.open(call, link, self._rate(link, offer), now)
        if self._bandwidth.slot(call) is None:
            self._talks.pop(call, None)
        else:
            cseq = invite.first(b"cseq") or b""
            self._talks[call] = _Talk(cseq, cseq, offer=offer)

    def passed(self, message: Message, now: float) -> None:
        """Note that another message of a call was passed on, to either side."""
        call, slot = self._known(message)
        if slot is None:
            return
        self._bandwidth.hear(call, now)
        if message.status:
            self._answered(call, slot, message, now)
        else:
            self._asked(call, slot, message)

    def refused(self, request: Message, status: int, now: float) -> None:
        """Note that a request was turned down, by whom it was for or by us."""
        call, slot = self._known(request)
        if slot is None:
            return
        talk = self._talks.get(call, _Talk())
        cseq = request.first(b"cseq") or b""
        if not slot.answered and request.method == b"INVITE":
            if talk.invite not in (b"", cseq):
                return  # an earlier one, which was challenged
            if status in CHALLENGES:
                self._bandwidth.keep(call, now, CHALLENGED)
            else:
                self.close(call)
        elif request.method == b"INVITE" and cseq == talk.invite:
            return  # another branch of it: this one was answered
        elif slot.answered and status in GONE and request.method in DIALOG:
            self.close(call)
        elif cseq == talk.cseq:
            self._bandwidth.adjust(call, talk.before)

    def expire(self, now: float) -> list[str]:
        """Take back the slots of calls whose time is over; which those were."""
        over = self._bandwidth.expire(now)
        if len(self._talks) > len(self._bandwidth):
            known = self._bandwidth.slot
            self._talks = {c: t for c, t in self._talks.items() if known(c) is not None}
        return over

    def close(self, call: str) -> None:
        """Take back the slot of a call."""
        self._bandwidth.close(call)
        self._talks.pop(call, None)

    def _needed(self, invite: Message, link: str) -> tuple[str, float]:
        """What a new call is known by, and what it would take of a link."""
        return _call(invite, b"from"), self._rate(link, _offered(invite))

    def _known(self, message: Message) -> tuple[str, Slot | None]:
        """The call that a message belongs to, and its slot if it is counted."""
        if len(self._bandwidth):
            # Whoever was called sends requests with the tags exchanged.
            for field in (b"from", b"to"):
                call = _call(message, field)
                slot = self._bandwidth.slot(call)
                if slot is not None:
                    return call, slot
        return "", None

    def _asked(self, call: str, slot: Slot, request: Message) -> None:
        if request.method == b"BYE":
            # RFC 3261 section 15.1.1: "The UAC MUST consider the session terminated
            # (and therefore stop sending or listening for media) as soon as the BYE
            # request is passed to the client transaction."
            self.close(call)
        elif request.method == b"ACK":
            talk = self._talks.get(call)
            if talk is not None and talk.late:
                self._settle(call, slot, _offered(request))
        elif request.method in OFFERING:
            offer = _offered(request)
            if offer is None and request.method != b"INVITE":
                return
            invite = self._talks.get(call, _Talk()).invite
            cseq = request.first(b"cseq") or b""
            self._talks[call] = _Talk(invite, cseq, slot.rate, offer)
            if offer is not None:
                more = self._rate(slot.link, offer)
                self._bandwidth.adjust(call, max(slot.rate, more))

    def _answered(self, call: str, slot: Slot, response: Message, now: float) -> None:
        cseq = response.first(b"cseq") or b""
        talk = self._talks.setdefault(call, _Talk())
        method = cseq.rpartition(b" ")[2]
        if response.status < 200:
            self._bandwidth.ring(call, now)
        elif method == b"INVITE" or (method == b"UPDATE" and slot.answered):
            # RFC 4028: no other method refreshes a session, or ends its timer.
            self._bandwidth.stand(call, now, expires=_expires(response))
        if cseq != talk.cseq:
            return
        said = _offered(response)
        if talk.offer is not None and not talk.late:
            self._settle(call, slot, said)
        elif said is not None:
            talk.offer, talk.late = said, True
            self._bandwidth.adjust(call, self._rate(slot.link, said))

    def _settle(self, call: str, slot: Slot, answer: Description | None) -> None:
        """Go by what was agreed on."""
        offer = self._talks[call].offer
        if offer is not None and answer is not None:
            self._bandwidth.adjust(call, self._rate(slot.link, offer, answer))

    def _rate(
        self, link: str, offer: Description | None, answer: Description | None = None
    ) -> float:
        if offer is None:
            return ASSUMED
        capacity = self._bandwidth.capacity(link)
        assert capacity is not None, "edges and links change together"
        return rates.of_call(offer, answer, overhead=capacity.overhead)


def _call(message: Message, field: bytes) -> str:
    """What a call is known by: its Call-ID and the caller's tag, in a short form.

    Both come from peers and may be of any length; what is saved on the disk should not
    tell them.
    """
    try:
        tag = tag_in(message.line(field))
    except MessageError:
        tag = b""
    named = (message.first(b"call-id") or b"") + b"\0" + tag
    return hashlib.blake2b(named, digest_size=12).hexdigest()


def _offered(message: Message) -> Description | None:
    """The description in a message; None without one that can be read."""
    try:
        return described(message)
    except SdpError:
        return None


def _expires(response: Message) -> float:
    """Seconds that a session lasts unless it is refreshed (RFC 4028)."""
    text = (response.first(b"session-expires") or b"").partition(b";")[0].strip()
    if not text.isdigit() or len(text) > 9:
        return math.inf
    return max(int(text), SHORTEST) + GRACE
