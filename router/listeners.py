"""The listeners of a configuration: one model for each way to accept flows."""

import enum
from typing import Annotated, Any, ClassVar

import pydantic

from protocols.target import Transport
from router.addresses import (
    Address,
    BindAddress,
    HostName,
    HttpReceiver,
    Network,
    Receiver,
    SipBind,
    SipReceiver,
    WebsocketReceiver,
    everyone,
)
from router.endpoint import Protocol
from router.problem import nearest
from router.units import Octets, Rate, Seconds, between, within
from router.validation import FilePath, Name, Section

_Count = Annotated[int, pydantic.Strict(), pydantic.Field(ge=1, le=1_000_000)]
_Networks = Annotated[tuple[Network, ...], pydantic.Field(min_length=1)]
_Flag = Annotated[bool, pydantic.Strict()]


def _fixed(value: str) -> pydantic.WithJsonSchema:
    """For editors: in this model the key has one value, which chose the model."""
    return pydantic.WithJsonSchema({"const": value})


class Direction(enum.StrEnum):
    """Who opens the flows of a listener."""

    TO_PROVIDER = "to_provider"
    FROM_PROVIDER = "from_provider"


class Mode(enum.StrEnum):
    """How a listener takes HTTPS to the provider."""

    TERMINATE = "terminate"
    "The client speaks TLS with the router, under the site's certificate."
    PASSTHROUGH = "passthrough"
    "The client speaks TLS with the provider; the router reads the server name only."
    CONNECT = "connect"
    "The client uses the router as its proxy (HTTPS_PROXY)."


class Demand(enum.StrEnum):
    """Whether a listener may use public edges."""

    PREFERRED = "preferred"
    "Private edges first, as the policy says; public ones when that is better."
    REQUIRED = "required"
    "Private edges alone, and only while they are really private."


Demanded = Annotated[
    Demand | None, pydantic.WithJsonSchema({"enum": [one.value for one in Demand]})
]


class Tls(Section):
    """The certificate that a listener shows."""

    certificate: FilePath
    "PEM file of the certificate, followed by its intermediate ones."
    key: FilePath
    "PEM file of the private key, without a passphrase."


class Limits(Section):
    """How much a listener bears."""

    connections: _Count = 10_000
    "Connections at a time."
    connections_per_client: _Count = 100
    "Connections at a time from one client address."
    header_size: Annotated[Octets, within("1KiB", "1MiB")] = 64 << 10
    "Size of a request line and its header fields."


class RequestLimits(Limits):
    """How much a listener bears that reads requests."""

    body_rate: Rate = 240
    "Slowest body that is borne, once `deadlines.body_grace` is over."


class Deadlines(Section):
    """How long a listener waits."""

    header: Annotated[Seconds, between("1s", "5m")] = 10.0
    "For a whole request header, from its first byte or from the connection on."
    connect: Annotated[Seconds, between("50ms", "30s")] = 1.0
    "For a connection to an edge or receiver."
    tls: Annotated[Seconds, between("100ms", "30s")] = 3.0
    "For a TLS handshake, on either side."
    first_byte: Annotated[Seconds, between("1s", "1h")] = 30.0
    "For the first byte of an answer, once the request is written."


class RequestDeadlines(Deadlines):
    """How long a listener waits that reads requests."""

    body_grace: Annotated[Seconds, between("1s", "10m")] = 20.0
    "Before a body must keep up `limits.body_rate`."
    idle: Annotated[Seconds, between("1s", "1h")] = 75.0
    "For the next request on a connection."


class SocketDeadlines(Deadlines):
    """How long a listener for WebSockets waits."""

    silence: Annotated[Seconds, between("1s", "24h")] = 3_600.0
    "Without a byte either way."
    closing: Annotated[Seconds, between("100ms", "1m")] = 5.0
    "For the end of a connection on which a Close was said."


class Draining(Section):
    """How WebSockets are ended when the daemon stops."""

    wait: Annotated[Seconds, between("0s", "1h")] | None = None
    """Time that they have to end by themselves. Omitted: none with to_provider; with
    from_provider a minute, since a media stream lasts as long as its call."""
    spread: Annotated[Seconds, between("0s", "10m")] = 5.0
    "Time over which the others are asked to come back."


class Stream(Section):
    """What all listeners for HTTPS and WebSocket have."""

    protocol: Protocol
    "What is spoken."
    direction: Direction
    "Who opens the flows."
    bind: BindAddress
    "IP address and port to listen on."
    limits: Limits = Limits()
    "How much the listener bears."
    deadlines: Deadlines = Deadlines()
    "How long the listener waits."


class ToProvider(Stream):
    """What all listeners towards the provider have."""

    direction: Annotated[Direction, _fixed("to_provider")]
    "Who opens the flows."
    allow: _Networks
    "Networks of the clients that may use the listener."
    privacy: Demanded = None
    """With `required` nothing of this listener, no probe either, leaves but by a direct
    link with an `interface`; without one that works, flows are refused. Only names are
    looked up as ever. Omitted: `preferred`, or as `policy.prefer_private.allow_public`
    says."""


class FromProvider(Stream):
    """What all listeners towards the site have."""

    direction: Annotated[Direction, _fixed("from_provider")]
    "Who opens the flows."
    tls: Tls
    "The certificate that the provider sees."
    to: tuple[Receiver, ...]
    "The site's receivers, the preferred one first."
    ca_file: FilePath | None = None
    "Authorities that receivers' certificates may come from. Omitted: the system's."
    allow: _Networks = everyone()
    """Networks that may connect. The default is everyone: providers connect from
    anywhere, and the receiver checks their signature."""


class HttpsTerminate(ToProvider):
    """HTTPS to the provider, decrypted here under the site's certificate."""

    called: ClassVar[str] = "protocol https, direction to_provider, mode terminate"
    protocol: Annotated[Protocol, _fixed("https")]
    "What is spoken."
    mode: Annotated[Mode, _fixed("terminate")] = Mode.TERMINATE
    "How HTTPS is taken in."
    product: Name
    "The product of the catalogue that requests go to."
    tls: Tls
    "The certificate that clients see."
    retry: _Flag = True
    """Whether an idempotent request without a body, broken before its answer began, is
    sent again to the next target, at most twice."""
    limits: RequestLimits = RequestLimits()
    "How much the listener bears."
    deadlines: RequestDeadlines = RequestDeadlines()
    "How long the listener waits."


class HttpsPassthrough(ToProvider):
    """HTTPS to the provider, spliced by its TLS server name."""

    called: ClassVar[str] = "protocol https, direction to_provider, mode passthrough"
    protocol: Annotated[Protocol, _fixed("https")]
    "What is spoken."
    mode: Annotated[Mode, _fixed("passthrough")]
    "How HTTPS is taken in."
    product: Name
    "The product of the catalogue that the server name must be of."


class HttpsConnect(ToProvider):
    """HTTPS to the provider through CONNECT, as a forward proxy."""

    called: ClassVar[str] = "protocol https, direction to_provider, mode connect"
    protocol: Annotated[Protocol, _fixed("https")]
    "What is spoken."
    mode: Annotated[Mode, _fixed("connect")]
    "How HTTPS is taken in."
    products: Annotated[tuple[Name, ...], pydantic.Field(min_length=1)] | None = None
    """The products of the catalogue that may be reached. Omitted: every HTTPS product
    that has an edge in its name."""


class HttpsFromProvider(FromProvider):
    """Webhooks: HTTPS from the provider to the site."""

    called: ClassVar[str] = "protocol https, direction from_provider"
    protocol: Annotated[Protocol, _fixed("https")]
    "What is spoken."
    to: Annotated[tuple[HttpReceiver, ...], pydantic.Field(min_length=1)]
    "The site's receivers, the preferred one first."
    retry: _Flag = True
    """Whether an idempotent request without a body, broken before its answer began, is
    sent again to the next receiver, at most twice."""
    limits: RequestLimits = RequestLimits()
    "How much the listener bears."
    deadlines: RequestDeadlines = RequestDeadlines()
    "How long the listener waits."


class WebsocketToProvider(ToProvider):
    """WebSockets of the site's clients to the provider."""

    called: ClassVar[str] = "protocol websocket, direction to_provider"
    protocol: Annotated[Protocol, _fixed("websocket")]
    "What is spoken."
    product: Name
    "The product of the catalogue that sockets go to."
    tls: Tls
    "The certificate that clients see."
    deadlines: SocketDeadlines = SocketDeadlines()
    "How long the listener waits."
    drain: Draining = Draining()
    "How sockets are ended when the daemon stops."


class WebsocketFromProvider(FromProvider):
    """WebSockets from the provider to the site, such as media streams."""

    called: ClassVar[str] = "protocol websocket, direction from_provider"
    protocol: Annotated[Protocol, _fixed("websocket")]
    "What is spoken."
    to: Annotated[tuple[WebsocketReceiver, ...], pydantic.Field(min_length=1)]
    "The site's receivers, the preferred one first."
    deadlines: SocketDeadlines = SocketDeadlines()
    "How long the listener waits."
    drain: Draining = Draining()
    "How sockets are ended when the daemon stops."


class SipSite(Section):
    """The side of a SIP listener that faces the PBX."""

    bind: Annotated[tuple[SipBind, ...], pydantic.Field(min_length=1)]
    "Addresses to listen on, such as udp://10.0.0.2:5060."
    to: Annotated[tuple[SipReceiver, ...], pydantic.Field(min_length=1)]
    "The PBXs that calls from the provider go to, the preferred one first."
    allow: _Networks
    "Networks of the PBXs that may send calls."
    tls: Tls | None = None
    """The certificate that the PBXs see where a tls:// address is bound. Omitted: that
    of the other side, `edge.tls`."""
    ca_file: FilePath | None = None
    "Authorities that PBXs' certificates may come from. Omitted: the system's."


class SipEdge(Section):
    """The side of a SIP listener that faces the provider."""

    bind: Annotated[tuple[SipBind, ...], pydantic.Field(min_length=1)]
    "Addresses to listen on, such as tls://203.0.113.5:5061."
    advertise: Address | None = None
    """The address by which the provider reaches them, if a NAT leads it here with the
    ports as they are."""
    transport: Transport = Transport.TLS
    "What calls to the provider are carried by."
    tls: Tls | None = None
    "The certificate that the provider sees; needed where a tls:// address is bound."


class Sip(Section):
    """SIP, both directions on one listener."""

    called: ClassVar[str] = "protocol sip"
    protocol: Annotated[Protocol, _fixed("sip")]
    "What is spoken."
    product: Name
    "The product of the catalogue that calls go to."
    host: HostName
    "The Request-URI host by which the provider knows this trunk or domain."
    site: SipSite
    "The side that faces the PBX."
    edge: SipEdge
    "The side that faces the provider."
    no_response: Annotated[Seconds, between("500ms", "30s")] = 2.0
    "Silence of an edge after which a call to the provider tries the next target."
    site_no_response: Annotated[Seconds, between("500ms", "4s")] = 3.5
    """Silence of the PBXs after which a call from the provider is answered 503, so that
    the provider tries its next address; a provider may give up after 4 s."""
    privacy: Demanded = None
    """With `required` nothing of this listener, no probe either, leaves but by a direct
    link with an `interface`, and calls of other edges are not taken; without one that
    works, calls are refused. Only names are looked up as ever. Omitted: `preferred`, or
    as `policy.prefer_private.allow_public` says."""
    key_file: FilePath | None = None
    """File with the secret that signs what is written into Record-Route. Omitted: a new
    one at each start, so that calls do not survive a restart."""


def _chosen(value: Any) -> str:
    """The name of the model that a mapping is meant for, however wrong it may be."""
    if not isinstance(value, dict):
        return type(value).__name__ if isinstance(value, Section) else "HttpsTerminate"
    protocol = nearest(value.get("protocol"), Protocol)
    direction = nearest(value.get("direction"), Direction)
    if protocol == Protocol.SIP:
        return "Sip"
    receives = direction == Direction.FROM_PROVIDER
    if protocol == Protocol.WEBSOCKET:
        return "WebsocketFromProvider" if receives else "WebsocketToProvider"
    if receives:
        return "HttpsFromProvider"
    mode = nearest(value.get("mode"), Mode)
    return f"Https{(mode or Mode.TERMINATE).capitalize()}"


Listener = Annotated[
    Annotated[HttpsTerminate, pydantic.Tag("HttpsTerminate")]
    | Annotated[HttpsPassthrough, pydantic.Tag("HttpsPassthrough")]
    | Annotated[HttpsConnect, pydantic.Tag("HttpsConnect")]
    | Annotated[HttpsFromProvider, pydantic.Tag("HttpsFromProvider")]
    | Annotated[WebsocketToProvider, pydantic.Tag("WebsocketToProvider")]
    | Annotated[WebsocketFromProvider, pydantic.Tag("WebsocketFromProvider")]
    | Annotated[Sip, pydantic.Tag("Sip")],
    pydantic.Discriminator(_chosen),
]
"One listener; protocol, direction and mode decide which keys it has."
