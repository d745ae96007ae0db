"""The configuration as frozen values: what may be written, its units and its defaults.

Times are seconds as float, sizes are bytes as int. What depends on the catalogue (the
edges, the region, the default edge) is filled in by `router.config.load`.
"""

import enum
from pathlib import Path
from typing import Annotated

import pydantic

from router.addresses import Address, BindAddress, Nameserver
from router.links import Link
from router.listeners import Listener
from router.units import Seconds, between
from router.validation import (
    OR_OFF,
    FieldName,
    FilePath,
    Name,
    Section,
    SocketPath,
    Text,
    Version,
)

SOCKET = Path("/run/edge-router/control.sock")
"Where the daemon can be asked, unless the configuration says otherwise."


class Provider(Section):
    """Which provider, and which parts of it."""

    catalogue: Text
    """A bundled catalogue, such as `twilio`, or the path of a catalogue file, which
    contains a slash or ends in .yaml."""
    region: str = ""
    "Where the provider processes data. Omitted: the catalogue's default region."
    edges: Annotated[tuple[Name, ...], pydantic.Field(min_length=1)] = ()
    """The edges to use, in any order. Omitted: every public edge of the catalogue, and
    those of the links."""
    source_addresses: dict[Name, Address] = pydantic.Field(default_factory=dict)
    """The local address from which to connect to an edge. A private edge answers only
    addresses that were announced to the provider. Omitted: that of the edge's link."""
    links: Annotated[dict[Name, Link], pydantic.Field(max_length=32)] = pydantic.Field(
        default_factory=dict
    )
    "Direct links to the provider, by names of your own."
    ca_file: FilePath | None = None
    "Authorities that the provider's certificates may come from. Omitted: the system's."


class PreferPrivate(Section):
    """How much slower a private edge may be and still win."""

    max_extra: Annotated[Seconds, between("0s", "1s")] = 0.04
    "A private edge wins unless it is this much slower than the best public one."
    allow_public: Annotated[bool, pydantic.Strict()] = True
    """Whether public edges may be used by listeners that do not say what `privacy` they
    want. With `false` it is `required` for them."""


class Switch(Section):
    """What a move of home must be worth."""

    min_gain: Annotated[Seconds, between("0s", "1s")] = 0.01
    "Smallest gain in round trip for which home moves."
    min_gain_ratio: Annotated[float, pydantic.Strict(), pydantic.Field(ge=0, lt=1)] = (
        0.2
    )
    "Smallest gain as a share of home's round trip; the larger of the two counts."
    dwell: Annotated[Seconds, between("0s", "1h")] = 60.0
    """How long home is held, and how long a candidate must have been healthy, before
    home moves. An edge that is down is left at once."""


class Policy(Section):
    """Which edge is liked best among those that work."""

    default_edge: str = ""
    """The edge to start with, until something is measured. Omitted: the home edge of
    the region, else the catalogue's default edge, else the first of the edges."""
    prefer_private: PreferPrivate = PreferPrivate()
    "How much slower a private edge may be and still win."
    switch: Switch = Switch()
    "What a move of home must be worth."
    window: Annotated[Seconds, between("30s", "30m")] = 120.0
    "How far back samples count in the score of an edge."


class Health(Section):
    """When an edge counts as working."""

    interval: Annotated[Seconds, between("100ms", "5m")] = 2.0
    "Time between probes of home and of its best alternates."
    fast_interval: Annotated[Seconds, between("50ms", "1m")] = 0.25
    "Time between probes of what is in doubt."
    timeout: Annotated[Seconds, between("50ms", "30s")] = 1.0
    "How long a probe waits for its answer."
    fall: Annotated[int, pydantic.Strict(), pydantic.Field(ge=1, le=100)] = 3
    "Failures in a row after which an address is down."
    rise: Annotated[int, pydantic.Strict(), pydantic.Field(ge=1, le=100)] = 3
    "Answers in a row that an address which was down needs."
    recovery: Annotated[Seconds, between("0s", "1h")] = 60.0
    "How long an address that was down must answer before it counts as up."
    sip_options_interval: Annotated[Seconds, between("100ms", "10m")] = 15.0
    "Least time between two SIP OPTIONS to one address. Providers ban faster senders."


class Resolver(Section):
    """Where names are looked up."""

    nameservers: Annotated[tuple[Nameserver, ...], pydantic.Field(max_length=8)] = ()
    "DNS servers to ask, with a port if it is not 53. Omitted: the system's."


class Admin(Section):
    """Where the running daemon can be asked."""

    socket: SocketPath = SOCKET
    """Unix socket of the commands `status`, `explain`, `drain` and so on; `off` for
    none. Omitted: `control.sock` in the runtime directory that systemd gives, else
    `/run/edge-router/control.sock`."""
    http: Annotated[BindAddress | None, OR_OFF] = None
    "Address for status and metrics over HTTP, or `off`. Omitted: none."


class LogFormat(enum.StrEnum):
    """How log records are written."""

    AUTO = "auto"
    "Journald under systemd, console on a terminal, else JSON."
    JSON = "json"
    JOURNALD = "journald"
    CONSOLE = "console"


class LogLevel(enum.StrEnum):
    """Which log records are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Log(Section):
    """How and what to log."""

    format: LogFormat = LogFormat.AUTO
    "How records are written: `auto` is journald, console or JSON by surroundings."
    level: LogLevel = LogLevel.INFO
    "The least severe records that are written."
    request_id: FieldName | None = None
    """Field of the provider's answers that identifies a request, for access records of
    `terminate` listeners. Omitted: none is looked for."""


class Config(Section):
    """A whole configuration file."""

    version: Version
    "Version of this format: 1."
    provider: Provider
    "Which provider, and which parts of it."
    policy: Policy = Policy()
    "Which edge is liked best among those that work."
    health: Health = Health()
    "When an edge counts as working."
    listeners: dict[Name, Listener]
    "Where flows are accepted; each has a name, which the logs repeat."
    resolver: Resolver = Resolver()
    "Where names are looked up."
    admin: Admin = Admin()
    "Where the running daemon can be asked."
    log: Log = Log()
    "How and what to log."
    state_directory: FilePath | None = None
    """Where scores and addresses outlive a restart. Omitted: the state directory that
    systemd gives, else nowhere."""
