"""What a SIP listener works by: it may be given other terms while calls pass."""

import dataclasses
from collections.abc import Mapping, Sequence

from protocols.net.handshake import Contexts
from protocols.net.listen import Strays
from protocols.net.tls import Certificates
from protocols.sip.bound import Bound
from protocols.sip.guard import Guard
from protocols.sip.peers import Side
from protocols.sip.settings import Settings
from protocols.sip.shared import Meter, Names
from protocols.sip.streams import Sources, dials_from
from protocols.target import Choose, Transport


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """All that an endpoint is told, and may be told anew."""

    bound: Sequence[Bound]
    "Where it receives; the sockets are the endpoint's own."
    settings: Settings
    "Addresses, keys, clocks."
    choose_edge: Choose
    "Who is next at the provider."
    choose_site: Choose
    "Who is next at the site."
    names: Names
    "What the policy knows of places."
    guards: Mapping[Side, Guard]
    "Whom each side listens to."
    contexts: Mapping[Side, Contexts]
    "Trust in the far side, by side."
    certificates: Mapping[Side, Certificates]
    "What is shown; needed for the sides that TLS is bound on."
    meter: Meter | None = None
    "Who counts what calls take; None where nobody does."
    strays: Strays | None = None
    "Looks at the way that what the provider begins came; None where any way is right."

    @property
    def by_side(self) -> tuple[Guard, Guard]:
        """The guards, by side."""
        return self.guards[Side.SITE], self.guards[Side.EDGE]

    @property
    def datagram_sockets(self) -> list[Bound]:
        """The sockets for UDP."""
        return [one for one in self.bound if one.transport is Transport.UDP]

    @property
    def streams(self) -> list[Bound]:
        """The others."""
        return [one for one in self.bound if one.transport is not Transport.UDP]

    @property
    def sources(self) -> Sources:
        """Where to dial from."""
        return dials_from(
            (one.side, one.transport, one.sock.getsockname()[0], one.device)
            for one in self.bound
        )
