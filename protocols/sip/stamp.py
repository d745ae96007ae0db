"""Record-Route and Path: the lines by which later requests come back through here.

Two lines where the two sides reach the router in different ways (RFC 5658 section 3),
the one towards the next hop above; the signed parameter is in that one alone, since
both come back together.
"""

from protocols.sip.peers import Side
from protocols.sip.places import Places
from protocols.sip.routing import PARAMETER
from protocols.sip.seals import Seals
from protocols.sip.token import Hop, Hops, Kind
from protocols.target import Target, Transport

RECORD_ROUTE = b"Record-Route"
PATH = b"Path"
STAMPED = frozenset((b"INVITE", b"SUBSCRIBE", b"REFER", b"NOTIFY", b"UPDATE"))
"""Methods that make a dialog or refresh its target.

RFC 3261 section 16.6 step 4 has a Record-Route in those that make one, and allows it in
others, where it lets the dialog survive a peer that starts its route set anew.
"""


class Stamp:
    """What makes the lines for one request, whichever target its copies go to."""

    __slots__ = ("_call_id", "_from", "_name", "_places", "_seals", "_side", "_uri")

    def __init__(
        self,
        places: Places,
        seals: Seals,
        name: bytes,
        side: Side,
        came_from: Hop,
        uri: bytes,
        call_id: bytes,
    ) -> None:
        self._places = places
        self._seals = seals
        self._name = name
        self._side = side
        self._from = came_from
        self._uri = uri
        self._call_id = call_id

    def lines(self, target: Target) -> list[bytes]:
        """The lines for the copy that goes to this target."""
        face = self._places.face(
            self._side, target.transport, target.address, target.source
        )
        to = hop_of(self._side, target)
        to_edge = self._side is Side.EDGE
        hops = Hops(self._from, to) if to_edge else Hops(to, self._from)
        kind = Kind.PATH if self._name == PATH else Kind.DIALOG
        token = self._seals.seal(hops, kind, self._call_id)
        above = b"%b: <%b;%b=%b>" % (self._name, face.uri, PARAMETER, token)
        if face.uri == self._uri:
            return [above]
        return [above, b"%b: <%b>" % (self._name, self._uri)]


def hop_of(side: Side, target: Target) -> Hop:
    """A target as a hop to sign; its label where it says more than the address."""
    label = ""
    if side is Side.EDGE or target.transport is Transport.TLS:
        label = target.label
    return Hop(target.transport, target.address, target.port, label)
