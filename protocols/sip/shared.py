"""What all requests under way share: tables, timers, and what is to be done."""

import dataclasses
import math
from collections.abc import Callable
from typing import Protocol

from protocols.record import UnderWay
from protocols.sip.message import Message, MessageError
from protocols.sip.peers import Action, Side
from protocols.sip.pins import Pins
from protocols.sip.places import Places
from protocols.sip.records import CallRecord
from protocols.sip.settings import Settings
from protocols.sip.timers import Timers
from protocols.sip.token import Hop
from protocols.target import Choose, Result, Target, Transport

REMEMBERED = 1_024
"Hops, and targets that speak UDP alone, that are remembered."
UDP_ONLY_SECONDS = 300.0
"How long a target is taken to have no TCP after it failed there."

Key = tuple[bytes | int | None, ...]
"What a server transaction is found by (RFC 3261 section 17.2.3)."


class Asked(Protocol):
    """A server transaction, to those who find it in the table."""

    is_invite: bool
    "Whether it is that of an INVITE."
    given: int
    "Status of the final answer that was given; 0 before."

    def again(self, now: float) -> None:
        """Take that the same request came once more."""

    def acked(self, now: float) -> bool:
        """Take an ACK; returns whether it is to be passed on."""

    def under_way(self, listener: str) -> UnderWay | None:
        """What there is to tell of it while it goes somewhere; else None."""

    def cancelled(self, request: Message, now: float) -> None:
        """Take a CANCEL for it."""


class Asking(Protocol):
    """A client transaction, to those who find it in the table."""

    method: bytes
    "Method of the request."

    def received(self, response: Message, now: float) -> None:
        """Take an answer."""

    def failed(self, result: Result, detail: str, now: float) -> None:
        """Take that the transport failed."""


Standing = Callable[[Hop], int]
"""The port that a connection of the site comes from which a hop made, or else one of
the same far side, as long as that stands; 0 if there is none."""


class Names(Protocol):
    """What the policy knows of places. Asked per message: both must be quick."""

    def label(self, side: Side, address: str) -> str:
        """Name of the place that an address belongs to; empty if unknown."""

    def target(self, side: Side, label: str) -> Target | None:
        """Any target of that place, for its names and its source; None if unknown."""


class Meter(Protocol):
    """Who counts what calls take, by the messages that pass on.

    Called for most messages of a call: all must be quick, and none may raise.
    """

    def choosing(
        self, invite: Message, choose: Choose, record: CallRecord, now: float
    ) -> Choose:
        """Who is next for a new call: those of `choose` that have room for it.

        What has none is noted in the record; where nobody is left, its reason too.
        """

    def began(self, invite: Message, label: str, now: float) -> None:
        """Take that the INVITE of a new call went to a place at the far side, or came
        from there; or that the call is at that place after all."""

    def passed(self, message: Message, now: float) -> None:
        """Take that another message of a call was passed on, but for a refusal."""

    def refused(self, request: Message, status: int, now: float) -> None:
        """Take that a request got a final answer of 300 or above, or none (408)."""


class Shared:
    """Tables and timers of one proxy."""

    def __init__(
        self,
        settings: Settings,
        choose: tuple[Choose, Choose],
        names: Names,
        token: Callable[[], bytes],
        standing: Standing = lambda _: 0,
        meter: Meter | None = None,
    ) -> None:
        self.settings: Settings
        self.choose: tuple[Choose, Choose]
        "Who is next, by the side that it is on."
        self.names: Names
        self.places: Places
        self.meter: Meter | None
        "Who counts what calls take; None where nobody does."
        self.change(settings, choose, names, meter)
        self.token = token
        "Gives 8 to 32 unguessable letters or digits, new ones each time."
        self.timers = Timers()
        self.pins = Pins(settings.pins)
        self.contexts: dict[Key, Asked] = {}
        self.branches: dict[bytes, Asking] = {}
        self.attempts: dict[int, Asking] = {}
        self.cancels: dict[bytes, Asking] = {}
        self.actions: list[Action] = []
        self.under_way = [0, 0]
        "How many of the contexts came from each side."
        self.held = 0
        "Bytes of the messages in these tables."
        self.accepted = -math.inf
        "When the latest 2xx to an INVITE was passed on."
        self._standing = standing
        self._number = 0
        self._targets: dict[tuple[Side, Hop], tuple[Target | None, Target]] = {}
        self._udp_only: dict[str, float] = {}

    def change(
        self,
        settings: Settings,
        choose: tuple[Choose, Choose],
        names: Names,
        meter: Meter | None = None,
    ) -> None:
        """Go by these from now on."""
        self.settings = settings
        self.choose = choose
        self.names = names
        self.meter = meter
        self.places = Places(settings)

    def number(self) -> int:
        """A number for the next attempt."""
        self._number += 1
        return self._number

    def take(self) -> list[Action]:
        """What is to be done, in this order."""
        actions, self.actions = self.actions, []
        return actions

    def next(self, side: Side, hop: Hop, signed: Hop) -> Target:
        """The target of a request in a dialog: who is signed, or the hop of its route.

        A machine of the site that has connected to us is reached by its connection,
        for many cannot be reached otherwise: what their Contact says does not matter
        then. Raises MessageError as `target_of` does.
        """
        if side is Side.SITE and _is_by_flow(hop, signed):
            port = self._standing(signed)
            if port:
                address = signed.address
                return Target(address, port, signed.transport, host=address)
        return self.target_of(side, hop)

    def target_of(self, side: Side, hop: Hop) -> Target:
        """The target at a hop of a dialog, with the names of its place.

        Raises MessageError for TLS with a place of unknown name: that is what its
        certificate would be verified against.
        """
        known = self.names.target(side, hop.label)
        remembered = self._targets.get((side, hop))
        if remembered is not None and remembered[0] is known:
            return remembered[1]
        if len(self._targets) >= REMEMBERED:
            self._targets.clear()
        target = _at(hop, known)
        self._targets[side, hop] = (known, target)
        return target

    def is_udp_only(self, target: Target, now: float) -> bool:
        """Whether TCP failed lately where this UDP target is."""
        return now < self._udp_only.get(target.key, now)

    def note_udp_only(self, target: Target, now: float) -> None:
        """Remember that TCP fails where this UDP target is."""
        if len(self._udp_only) >= REMEMBERED:
            self._udp_only.clear()
        self._udp_only[target.key] = now + UDP_ONLY_SECONDS


def _is_by_flow(hop: Hop, signed: Hop) -> bool:
    """Whether a hop is better reached by the connection that it made.

    One of another address is another machine, which may be dialled but over TLS.
    """
    same = hop.address == signed.address
    return signed.flow > 0 and (same or hop.transport is Transport.TLS)


def _at(hop: Hop, known: Target | None) -> Target:
    if hop.transport is Transport.TLS and not (known and known.verify_name):
        # The answer of RFC 5626 for a flow that is gone: no other one can be made, for
        # want of a name to verify.
        raise MessageError(430, "Flow Failed")
    if known is None:
        known = Target("", 0, hop.transport, host=hop.label, label=hop.label)
    return dataclasses.replace(
        known, address=hop.address, port=hop.port, transport=hop.transport
    )
