"""A listener at work, as the daemon sees it, whatever it serves."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from protocols.net.admission import Limits, Refusal
from protocols.net.listen import AcceptNoMore, Factory, Serving, Strays
from protocols.net.tasks import Tasks
from protocols.record import UnderWay
from protocols.sip.shared import Meter
from protocols.target import NOBODY, Target
from router import events
from router.changes import Change
from router.checker import Checker
from router.choice import WITHOUT_LINK, Choice, by_link
from router.config import Loaded
from router.endpoints import is_required
from router.incoming import Incoming
from router.keyring import Keyring
from router.listeners import (
    Direction,
    HttpsConnect,
    HttpsFromProvider,
    HttpsPassthrough,
    HttpsTerminate,
    WebsocketFromProvider,
    WebsocketToProvider,
)
from router.logs import Log
from router.snapshot import Snapshot
from router.usage import Usage

Relayed = HttpsTerminate | HttpsFromProvider
"Listeners whose requests are read."

Tunnelled = HttpsConnect | HttpsPassthrough
"Listeners whose TLS passes unopened."

Sockets = WebsocketToProvider | WebsocketFromProvider
"Listeners for WebSockets."

OverTcp = Relayed | Tunnelled | Sockets
"Listeners whose connections are flows, or carry them one after the other."

KINDS = ("connections", "tunnels", "sockets")
"Kinds of flows over TCP."

DRAIN = 10.0
"Seconds that flows have to end when their listener, or the daemon, stops."


class Relaying(Protocol):
    """The flows of one listener, for as long as its configuration holds."""

    serving: Serving
    "How new connections are served."
    kind: str
    "What its flows are called, one of KINDS."
    lasts: bool
    "Whether a flow may last for hours."
    declines: bool
    "Whether clients who come while it drains are told to come back."

    @property
    def flows(self) -> int:
        """Client connections that stand."""

    def changed(self, snapshot: Snapshot, changes: Iterable[Change]) -> None:
        """The ranking or the health of something changed."""

    def under_way(self) -> Iterator[UnderWay]:
        """The flows that have not ended."""

    async def leave(self, edge: str, targets: Iterable[Target]) -> None:
        """New flows shall go elsewhere than to an edge, which has these targets: end in
        good order what would stay there for long."""

    async def retire(self) -> None:
        """Let clients go on until they leave by themselves; then end."""

    async def drain(self, accept_no_more: AcceptNoMore) -> int:
        """End what can be ended, then everything; how many flows were cut.

        It asks to `accept_no_more` once new clients are of no use.
        """

    def close(self) -> None:
        """End everything now."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ground:
    """What relays are built on."""

    loaded: Loaded
    "The configuration."
    checker: Checker
    "Whom they ask, and tell."
    keyring: Keyring
    "Certificates and trust."
    log: Log
    "Where records go."
    tasks: Tasks
    "Owner of what runs by itself."
    incoming: Incoming
    "Knows where flows of the provider come from."
    usage: Usage
    "Counts what links carry."

    @property
    def meter(self) -> Meter | None:
        """Who counts what calls take; None without links, where nothing is counted.

        The configuration says so: those who count are told of it when all is prepared.
        """
        return self.usage.meter if self.loaded.config.provider.links else None

    @property
    def strays(self) -> Strays | None:
        """Looks at the way that flows of the provider come; None without links."""
        return self.incoming.strays if self.loaded.config.provider.links else None


def chooser(ground: Ground, product: str, listener: OverTcp) -> Choice:
    """Chooses among the targets of a product that a listener may use."""
    only = by_link if is_required(listener) else None
    return Choice(ground.checker, product, only=only)


def nobody(listener: OverTcp) -> str:
    """What to tell clients of a listener that can be taken nowhere."""
    return WITHOUT_LINK if is_required(listener) else NOBODY


def serving(ground: Ground, name: str, listener: OverTcp, factory: Factory) -> Serving:
    """How a listener serves with the protocol of its relay. Raises TLSFileError."""
    tls = None if isinstance(listener, Tunnelled) else listener.tls
    refusals = Refusals(ground.log, name, ground.incoming.edge_of)
    from_provider = listener.direction is Direction.FROM_PROVIDER
    return Serving(
        factory,
        refusals.client,
        listener.allow,
        Limits(
            total=listener.limits.connections,
            per_client=listener.limits.connections_per_client,
        ),
        None if tls is None else ground.keyring.certificates(tls),
        listener.deadlines.tls,
        ground.strays if from_provider else None,
    )


def _nowhere(_: str) -> str:
    return ""


@dataclasses.dataclass(frozen=True, slots=True)
class Refusals:
    """Tells the log of what a listener turned away."""

    log: Log
    listener: str
    edge_of: Callable[[str], str] = _nowhere
    "The edge that an address of the provider belongs to."

    def client(self, client: str, reason: Refusal, detail: str) -> None:
        """A connection was not served."""
        if reason is Refusal.HANDSHAKE_FAILED:
            self.log.say(
                events.TLS_FAILED, listener=self.listener, client=client, error=detail
            )
        elif reason is Refusal.ASTRAY:
            self.log.say(
                events.FLOW_STRAYED,
                listener=self.listener,
                client=client,
                edge=self.edge_of(client),
                reason=detail,
            )
        else:
            self.log.say(
                events.CLIENT_REFUSED,
                listener=self.listener,
                client=client,
                reason=f"{reason}: {detail}" if detail else reason.value,
            )

    def request(self, client: str, status: int, reason: str) -> None:
        """A request was answered with a refusal of our own."""
        self.log.say(
            events.REQUEST_REFUSED,
            listener=self.listener,
            client=client,
            status=status,
            reason=reason,
        )
