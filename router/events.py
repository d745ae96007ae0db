"""All that the daemon ever logs: the names, levels and fields are an interface.

An event is `noun.verb_past`. Its fields carry their unit in the name where they have
one: `_ms` milliseconds, `_s` seconds, `_bytes` bytes. docs/operations.md holds the same
list for readers; a test keeps the two equal.
"""

import dataclasses
import enum
from collections.abc import Iterable


class Level(enum.IntEnum):
    """How much an event matters; the numbers are those of Python's logging."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40

    @property
    def priority(self) -> int:
        """The same as syslog severity (RFC 5424 section 6.2.1)."""
        return {10: 7, 20: 6, 30: 4, 40: 3}[self]


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One piece of data that an event carries."""

    name: str
    "Its key in JSON; in the journal the same in capitals."
    meaning: str
    "What it says, in one line."


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One kind of line in the log."""

    name: str
    "What happened, as `noun.verb_past`."
    level: Level
    "How much it matters."
    meaning: str
    "What happened, in one sentence."
    advice: str
    "What the operator should do about it."
    fields: tuple[Field, ...]
    "The data it may carry."
    once_per: tuple[str, ...] = ()
    "Fields that make two of them the same, so that repeats are counted; none: never."

    def check(self, given: Iterable[str]) -> None:
        """Raise AssertionError when a field is not one of this event's."""
        unknown = {*given} - {field.name for field in self.fields}
        assert not unknown, f"{self.name} has no field {', '.join(sorted(unknown))}"


_registry: dict[str, Event] = {}


def _event(
    name: str,
    level: Level,
    meaning: str,
    advice: str,
    *fields: Field,
    once_per: tuple[str, ...] = (),
) -> Event:
    event = Event(name, level, meaning, advice, fields, once_per)
    assert name not in _registry, f"{name} is there twice"
    _registry[name] = event
    return event


def registered() -> tuple[Event, ...]:
    """Every event there is, in the order of this file."""
    return tuple(_registry.values())


ADDRESS = Field("address", "IP address, with the port where there is one")
BEFORE = Field("before", "the same until now")
CLIENT = Field("client", "address of the client")
COUNT = Field("count", "how many")
EDGE = Field("edge", "name of the edge, or of the site's receiver")
ERROR = Field("error", "the cause, in words")
HELD_S = Field("held_s", "seconds for which the state before had held")
LINK = Field("link", "direct link that leads to that edge, if one does")
LISTENER = Field("listener", "name of the listener in the configuration")
NAME = Field("name", "DNS name")
PATH = Field("path", "the file")
PRODUCT = Field(
    "product",
    "product in the catalogue, or listener for a receiver; several are joined by"
    " commas; absent for all",
)
REASON = Field("reason", "the cause, in words")
REGION = Field("region", "the provider's region")
RESULT = Field("result", "the finding: alive, refused, timeout, certificate, ...")
STATE = Field("state", "`up`, `suspect` or `down`")
TRACEBACK = Field("traceback", "where in the program it went wrong")

# The daemon

DAEMON_STARTED = _event(
    "daemon.started",
    Level.INFO,
    "The daemon has read its configuration and bound its listeners.",
    "Nothing.",
    Field("version", "version of edge-router"),
    Field("config", "the configuration file"),
    Field("listeners", "how many listeners are bound"),
    Field("edges", "names of the edges to choose from"),
)
DAEMON_READY = _event(
    "daemon.ready",
    Level.INFO,
    "Edges are ranked, by measurement or, failing that, by default.",
    "Nothing; with `measured` 0, look at the way to the provider.",
    Field("home", "the edge that new flows use"),
    Field("measured", "how many edges have answered"),
    Field("waited_s", "seconds since the start"),
)
DAEMON_STOPPING = _event(
    "daemon.stopping",
    Level.INFO,
    "Asked to stop: no new flows, those that run may end.",
    "Nothing.",
    REASON,
    Field("flows", "how many flows still run"),
)
DAEMON_STOPPED = _event(
    "daemon.stopped",
    Level.INFO,
    "The daemon has ended.",
    "With `flows` above 0, allow more time for stopping.",
    Field("flows", "how many flows were cut"),
    Field("ran_s", "seconds since the start"),
)
CONTROL_OPENED = _event(
    "control.opened",
    Level.DEBUG,
    "Commands can ask the daemon at its control socket.",
    "Nothing.",
    PATH,
)
ADMIN_BOUND = _event(
    "admin.bound",
    Level.INFO,
    "The status page and the metrics are served.",
    "Nothing.",
    ADDRESS,
)
ADMIN_FAILED = _event(
    "admin.failed",
    Level.WARNING,
    "The status page and the metrics are not served. Flows are not concerned.",
    "See who holds the address: `ss -ltnp`; then restart, or change `admin.http`.",
    ERROR,
)
CONTROL_FAILED = _event(
    "control.failed",
    Level.WARNING,
    "The control socket could not be opened: `edge-router status` and all other "
    "commands that ask the daemon will not reach it. Flows are not concerned.",
    "Cure the cause, or set `admin.socket` to a path that this user may write, or off.",
    PATH,
    ERROR,
)
CONTROL_COMMANDED = _event(
    "control.commanded",
    Level.INFO,
    "Somebody has changed something by a command.",
    "Nothing; it says who, by the credentials that the kernel gives.",
    Field("command", "the command with its arguments"),
    Field("pid", "process that sent it"),
    Field("uid", "user of that process"),
    Field("gid", "group of that process"),
    Field("result", "what came of it, in words"),
)
CONTROL_REFUSED = _event(
    "control.refused",
    Level.WARNING,
    "Something that is no command came over the control socket, or too many clients.",
    "Look for what speaks to the socket, beside `edge-router`.",
    Field("pid", "process that sent it"),
    Field("uid", "user of that process"),
    REASON,
    once_per=("reason",),
)
WATCHDOG_WITHHELD = _event(
    "watchdog.withheld",
    Level.ERROR,
    "The daemon does not work as it should, and has not told systemd that it is alive.",
    "Nothing at once: if it goes on, systemd starts the daemon anew (`WatchdogSec=`)."
    " A busy machine shows here as a late event loop.",
    REASON,
)
SOCKET_UNUSED = _event(
    "socket.unused",
    Level.WARNING,
    "systemd handed over a socket to which no listener of the configuration belongs.",
    "After a change of the configuration nothing; else compare the `.socket` unit with"
    " the listener: kind, address and port must be the same.",
    Field("socket", "its name, and what it is bound to"),
)
CONFIG_REJECTED = _event(
    "config.rejected",
    Level.ERROR,
    "The configuration cannot be used: nothing was started, or nothing has changed.",
    "Mend what `first` says; `edge-router check` shows every error with its place.",
    PATH,
    Field("errors", "how many"),
    Field("first", "the first one, with line and column if it is in the file"),
)
CONFIG_RELOADED = _event(
    "config.reloaded",
    Level.INFO,
    "The configuration was read again and taken over.",
    "Restart the daemon for the settings that `restart` names.",
    Field("path", "the file"),
    Field("changed", "the settings that differ, with what they were and are"),
    Field("restart", "those of them that only a restart takes over"),
)
CERTIFICATE_RENEWED = _event(
    "certificate.renewed",
    Level.INFO,
    "Files of a certificate, of authorities or of keys were found changed, and read.",
    "Nothing; new connections use them.",
    Field("path", "the files"),
)
CERTIFICATE_REJECTED = _event(
    "certificate.rejected",
    Level.ERROR,
    "Such files were found changed and cannot be used; the old ones stay in use.",
    "Write them anew: the certificate and its key both, and readable by the service.",
    Field("path", "the files"),
    ERROR,
)
LISTENER_BOUND = _event(
    "listener.bound",
    Level.INFO,
    "A listener accepts connections.",
    "Nothing.",
    LISTENER,
    ADDRESS,
    Field("protocol", "what is spoken there"),
    Field("direction", "`to_provider` or `from_provider`"),
    Field("mode", "how HTTPS is taken in: terminate, passthrough, connect"),
)
LISTENER_CLOSED = _event(
    "listener.closed",
    Level.INFO,
    "A listener is no longer in the configuration: it accepts nothing more.",
    "Nothing; its flows have 10 s to end.",
    LISTENER,
    Field("flows", "flows that it had at that moment"),
)
LISTENER_FAILED = _event(
    "listener.failed",
    Level.ERROR,
    "A listener could not be bound; the daemon does not start.",
    "See who holds the address: `ss -ltnup`.",
    ERROR,
)

LISTENER_CRAMPED = _event(
    "listener.cramped",
    Level.WARNING,
    "The system gives a UDP socket less room than needed to keep what comes during a"
    " restart.",
    "Raise the limit: `sysctl -w net.core.rmem_max=4194304`, and for good in a file of"
    " `/etc/sysctl.d`.",
    LISTENER,
    ADDRESS,
    Field("room_bytes", "what it has"),
    Field("needed_bytes", "what it should have"),
)

SOCKET_UNFIT = _event(
    "socket.unfit",
    Level.WARNING,
    "A link's interface was made anew, and a socket could not be bound to it: calls"
    " over the link fail until it can.",
    "See who holds the address: `ss -ltnup`. It is tried again every 10 s.",
    LISTENER,
    ERROR,
)

# Links

_LINK = Field("link", "name of the link in the configuration")
_INTERFACE = Field("interface", "its interface")
_EDGES = Field("edges", "the edges behind it")
LINK_EXPOSED = _event(
    "link.exposed",
    Level.WARNING,
    "Packets to edges behind a link would not leave by it: none are sent there.",
    "Look at the interface and the route that `reason` names: `ip route get ADDRESS`.",
    _LINK,
    _INTERFACE,
    _EDGES,
    REASON,
)
LINK_PRIVATE = _event(
    "link.private",
    Level.INFO,
    "Packets to edges behind a link leave by it: they are probed, and used again.",
    "Nothing.",
    _LINK,
    _INTERFACE,
    _EDGES,
)
NETLINK_FAILED = _event(
    "netlink.failed",
    Level.WARNING,
    "The kernel cannot be asked which way packets leave. Private edges are used all the"
    " same; their sockets still leave by the link's interface only.",
    "Allow AF_NETLINK, as the unit in `systemd/` does. It is tried again every 10 s.",
    ERROR,
)
NETLINK_RECOVERED = _event(
    "netlink.recovered",
    Level.INFO,
    "The kernel can be asked again.",
    "Nothing.",
)
BIRD_FAILED = _event(
    "bird.failed",
    Level.WARNING,
    "BIRD does not say how a link's BGP session stands. Nothing is decided by that.",
    "See whether BIRD runs, and the daemon's user is in its group; it is asked again"
    " every 10 s.",
    _LINK,
    ERROR,
)
BIRD_RECOVERED = _event(
    "bird.recovered",
    Level.INFO,
    "BIRD answers again.",
    "Nothing.",
    _LINK,
)

# Edges

EDGE_SWITCHED = _event(
    "edge.switched",
    Level.WARNING,
    "New flows go to another edge from now on; those that run stay.",
    "Nothing, unless it happens often; the fields are the arithmetic behind it.",
    Field("home", "the edge that new flows use now"),
    BEFORE,
    REASON,
    Field("home_ms", "round trip of the new home in milliseconds, penalties included"),
    Field("before_ms", "round trip of the former home over the same window"),
    Field("gain_ms", "milliseconds gained"),
    Field("needed_ms", "milliseconds that had to be gained; 0 when home went down"),
    Field("window_s", "seconds of measurements that count"),
    HELD_S,
)
EDGE_RANKED = _event(
    "edge.ranked",
    Level.INFO,
    "Where an edge stands when home was chosen anew: one line for each edge.",
    "Nothing; read together they say why home is where it is.",
    EDGE,
    PRODUCT,
    Field("place", "1 for the best"),
    Field("kind", "`public` or `private`"),
    STATE,
    Field("tier", "0 for a private edge that is fast enough, 1 otherwise"),
    Field("score_ms", "round trip in milliseconds, penalties included; absent if none"),
    Field("gain_ms", "milliseconds by which it beats home; below 0 if it does not"),
    Field("needed_ms", "milliseconds to gain for home to move soon"),
    REASON,
)
EDGE_FLIPPED = _event(
    "edge.flipped",
    Level.WARNING,
    "The health of an edge as a whole has changed; of level info when it is up.",
    "On `down`, look at `reason`; the next edge has taken over already.",
    EDGE,
    STATE,
    BEFORE,
    REASON,
    RESULT,
    HELD_S,
)
PRODUCT_FLIPPED = _event(
    "product.flipped",
    Level.WARNING,
    "The health of one product at an edge, or of a receiver of the site, has changed; "
    "of level info unless it is down. When an edge falls, it stands for all products.",
    "On `down`, look at `reason`; the next edge or receiver has taken over already.",
    EDGE,
    PRODUCT,
    STATE,
    BEFORE,
    REASON,
    RESULT,
    HELD_S,
    once_per=("edge", "state"),
)
ADDRESS_FLIPPED = _event(
    "address.flipped",
    Level.INFO,
    "One address of an edge went down, or is up again; of level debug when it is only "
    "suspected. When an edge falls, it stands for all addresses.",
    "Nothing, as long as the edge has others.",
    EDGE,
    PRODUCT,
    ADDRESS,
    STATE,
    BEFORE,
    REASON,
    RESULT,
    HELD_S,
    once_per=("edge", "state"),
)
LOOP_STALLED = _event(
    "loop.stalled",
    Level.WARNING,
    "The daemon was held up; what seemed to fail meanwhile does not count.",
    "Look at the load of this machine, and whether it was suspended.",
    Field("late_ms", "milliseconds for which it was held up"),
    once_per=("late_ms",),
)
PIN_ENDED = _event(
    "pin.ended",
    Level.INFO,
    "The time is over for which an operator had pinned an edge; home goes by merit.",
    "Nothing; `edge-router pin` pins it again.",
    EDGE,
)
UPLINK_SUSPECT = _event(
    "uplink.suspect",
    Level.WARNING,
    "Most edges failed together: our own side's fault until shown otherwise; home is "
    "kept and no edge is condemned.",
    "Look at the site's Internet connection.",
    Field("failing", "the edges that failed"),
    Field("edges", "how many edges had worked before"),
)
UPLINK_CLEARED = _event(
    "uplink.cleared",
    Level.INFO,
    "The doubt about our own side has ended.",
    "Nothing.",
    REASON,
    HELD_S,
)
REGION_FAILED = _event(
    "region.failed",
    Level.ERROR,
    "No edge is of use any more: each is down, or answers with failures of its own. "
    "Home is kept, and flows still try the edges as a last resort.",
    "Look at the provider's status page, then at the site's Internet connection.",
    REGION,
    Field("edges", "how many edges there are"),
    REASON,
    RESULT,
    once_per=("region",),
)
REGION_RECOVERED = _event(
    "region.recovered",
    Level.INFO,
    "An edge is of use again after `region.failed`.",
    "Nothing.",
    REGION,
    EDGE,
    HELD_S,
    once_per=("region",),
)
PROBE_FAILED = _event(
    "probe.failed",
    Level.DEBUG,
    "A probe had no good answer; what health makes of that is told by the flips.",
    "Nothing, unless it goes on: then `result` and `error` say where to look.",
    EDGE,
    ADDRESS,
    NAME,
    RESULT,
    ERROR,
    once_per=("edge", "result"),
)

# Names

_ADDRESSES = Field("addresses", "the addresses in use now")
NAME_RESOLVED = _event(
    "name.resolved",
    Level.INFO,
    "A name has other addresses than before; of level debug when they are the same, or "
    "the first.",
    "Nothing.",
    NAME,
    _ADDRESSES,
    BEFORE,
    Field("ttl_s", "seconds until the next look-up"),
    once_per=("name",),
)
NAME_STALE = _event(
    "name.stale",
    Level.WARNING,
    "The resolver fails; the last good addresses stay in use, for as long as it takes.",
    "Look at the nameservers; traffic goes on.",
    NAME,
    _ADDRESSES,
    ERROR,
    once_per=("error",),
)
NAME_UNRESOLVED = _event(
    "name.unresolved",
    Level.WARNING,
    "The resolver fails for a name of which no address was ever known.",
    "Look at the nameservers, and at the name.",
    NAME,
    ERROR,
    once_per=("error",),
)
RESOLVER_RECOVERED = _event(
    "resolver.recovered",
    Level.INFO,
    "Every name for which the resolver failed is answered for again.",
    "Nothing.",
    Field("names", "how many names it had failed for"),
    HELD_S,
)
NAME_GONE = _event(
    "name.gone",
    Level.WARNING,
    "The DNS says that there is no such name, or no such service; its addresses are "
    "no longer used.",
    "Look at the edges and the region in the configuration, then at the nameservers.",
    NAME,
    BEFORE,
)

# State on disk

STATE_RESTORED = _event(
    "state.restored",
    Level.INFO,
    "Addresses of the last run, and scores less than a day old, are in use for now.",
    "Nothing.",
    PATH,
    Field("names", "how many names have addresses"),
    Field("calls", "how many calls are counted on links, if any"),
    Field("age_s", "seconds since they were saved"),
)
STATE_IGNORED = _event(
    "state.ignored",
    Level.WARNING,
    "The state file cannot be used; the daemon starts without it and replaces it.",
    "Nothing, if it happens once.",
    PATH,
    REASON,
)
STATE_UNSAVED = _event(
    "state.unsaved",
    Level.WARNING,
    "The state could not be saved; a restart would begin with an older one.",
    "Look at space and rights of the state directory.",
    PATH,
    REASON,
    once_per=("path",),
)

# Flows

CLIENT_REFUSED = _event(
    "client.refused",
    Level.WARNING,
    "A client was turned away before it could ask for anything.",
    "If it should be let in, extend `allow` or the limits of the listener.",
    LISTENER,
    CLIENT,
    REASON,
    once_per=("listener", "reason"),
)
TLS_FAILED = _event(
    "tls.failed",
    Level.INFO,
    "A client's TLS handshake failed.",
    "For a client of yours, see `error`; for others nothing: scanners do that.",
    LISTENER,
    CLIENT,
    ERROR,
    once_per=("listener", "error"),
)
REQUEST_REFUSED = _event(
    "request.refused",
    Level.WARNING,
    "A request was malformed, ambiguous or not to be served; it was answered here.",
    "For a client of yours, correct it; `reason` says what is wrong.",
    LISTENER,
    CLIENT,
    Field("status", "the status answered"),
    REASON,
    once_per=("listener", "reason"),
)
FLOW_ENDED = _event(
    "flow.ended",
    Level.INFO,
    "The access record: one request or tunnel has ended.",
    'Nothing; "Why did this request go there?" below reads one.',
    LISTENER,
    Field("protocol", "`https`, `connect` or `passthrough`"),
    Field("direction", "`to_provider` or `from_provider`"),
    CLIENT,
    Field("method", "method of the request"),
    Field("host", "host that the client asked for"),
    Field("path", "path of the request, without its query, which may hold secrets"),
    Field("status", "status given to the client"),
    Field("edge", "edge that served, or the site's receiver; absent if none did"),
    Field("address", "its IP address"),
    Field("region", "the provider's region, if an edge served"),
    Field("kind", "`public` or `private`: how that edge is reached"),
    Field("origin", "edge that it came from, if its address tells; then `kind` is its"),
    LINK,
    Field("request_id", "what the provider calls the request; needs `log.request_id`"),
    Field(
        "reused", "true if the connection stood already: no handshake was waited for"
    ),
    Field("resumed", "true if a new TLS connection resumed a session"),
    Field("attempts", "how many targets were turned to, if not just the one"),
    Field(
        "tried",
        "those that did not serve: edge, address, why, after how many milliseconds;"
        " `unfinished` if still under way",
    ),
    Field(
        "waited_ms",
        "milliseconds from arrival to a connection, all attempts included; absent if"
        " one was at hand",
    ),
    Field("connect_ms", "milliseconds for the connection, if one was made for this"),
    Field("tls_ms", "milliseconds for its TLS handshake, if one was made for this"),
    Field("first_byte_ms", "milliseconds from arrival to the answer's first byte"),
    Field("total_ms", "milliseconds from arrival to the end"),
    Field("received_bytes", "bytes of body taken from the client"),
    Field("sent_bytes", "bytes of body given to the client"),
    Field("received_messages", "of a WebSocket: whole messages taken from the client"),
    Field("sent_messages", "of a WebSocket: whole messages given to the client"),
    Field("close_code", "of a WebSocket: code of the first Close, whoever said it"),
    Field("closed_by", "of a WebSocket: who said it; `client`, `far_side` or `router`"),
    Field("ended", "two letters: who ended it, in which phase; see below"),
    REASON,
)
CALL_ENDED = _event(
    "call.ended",
    Level.INFO,
    "The call record: an INVITE, or another request that makes a dialog, got its final"
    " answer; or a BYE did.",
    'Nothing; "Why did this call go there?" below reads one.',
    LISTENER,
    Field("direction", "`to_provider` or `from_provider`"),
    CLIENT,
    Field("method", "INVITE, SUBSCRIBE, REFER or BYE"),
    Field("call_id", "Call-ID, the same in all records of a call"),
    Field("from_tag", "tag of whoever sent the request"),
    Field("to_tag", "tag of whoever answered it"),
    Field("cseq", "number in CSeq"),
    Field("status", "status of the final answer given; absent if there was none"),
    Field("edge", "edge of the call; from the provider, the one that it came from"),
    LINK,
    Field("spilled", "links that had no room for the call, so that it went elsewhere"),
    Field("target", "where the final answer came from; absent if from the router"),
    Field("attempts", "how many targets were turned to, if not just the one"),
    Field("tried", "those that did not serve: which, why, after how many milliseconds"),
    Field("trying_ms", "milliseconds to the far side's first answer"),
    Field("ringing_ms", "milliseconds to the first of 101 to 199"),
    Field(
        "failover_ms",
        "milliseconds until it went where the answer came from, if not at once",
    ),
    Field("total_ms", "milliseconds to the final answer"),
    REASON,
)
MESSAGE_DROPPED = _event(
    "message.dropped",
    Level.INFO,
    "A SIP message was neither forwarded nor answered.",
    "For a peer of yours, see `reason`; for others nothing: scanners send such.",
    LISTENER,
    CLIENT,
    REASON,
    once_per=("listener", "reason"),
)
FLOW_STRAYED = _event(
    "flow.strayed",
    Level.WARNING,
    "A flow with the source of a private edge came in beside its link: refused.",
    "Look at routes and at what is announced; or somebody forges the source.",
    LISTENER,
    CLIENT,
    EDGE,
    REASON,
    once_per=("listener", "edge"),
)
ADVICE_CONTRADICTED = _event(
    "advice.contradicted",
    Level.WARNING,
    "Flows from the provider keep coming from another edge than the policy likes best.",
    "Run `edge-router advise`, and set at the provider what it prints.",
    LISTENER,
    Field("advised", "the edge that comes first in the advice"),
    Field("edge", "the edge that most of the others come from"),
    Field("flows", "how many of the latest flows came from another edge"),
    Field("looked", "how many were looked at"),
)
ADVICE_FOLLOWED = _event(
    "advice.followed",
    Level.INFO,
    "Flows from the provider come from the advised edge again.",
    "Nothing.",
    LISTENER,
    Field("advised", "the edge that comes first in the advice"),
)
FLOW_CRASHED = _event(
    "flow.crashed",
    Level.ERROR,
    "A fault in this program ended a flow; the others are not concerned.",
    "Report it, with this line.",
    LISTENER,
    ERROR,
    TRACEBACK,
    once_per=("error",),
)

# The log itself

LOG_SUPPRESSED = _event(
    "log.suppressed",
    Level.INFO,
    "An event happened more often than it was logged.",
    "Nothing; the first of them was logged with all its fields.",
    Field("of", "name of that event"),
    Field("about", "what its repeats have in common"),
    COUNT,
    Field("seconds", "within so many seconds"),
)
LOG_DROPPED = _event(
    "log.dropped",
    Level.WARNING,
    "Lines were lost, since whatever takes the log was too slow or gone.",
    "Look at the journal's rate limit and at the disk.",
    COUNT,
    Field("error", "why the last of them was lost, if it is known"),
)
LIBRARY_LOGGED = _event(
    "library.logged",
    Level.INFO,
    "A library has something to say; the line has the library's own level.",
    "With a traceback: report it, with this line.",
    Field("logger", "name of the logger"),
    Field("text", "what it says"),
    TRACEBACK,
    once_per=("logger", "text"),
)


def reference() -> str:
    """The list of events as Markdown, for docs/operations.md."""
    return "\n".join(_section(event) for event in registered())


def _section(event: Event) -> str:
    rows = "\n".join(f"| `{f.name}` | {f.meaning} |" for f in event.fields)
    repeats = ""
    if event.once_per:
        fields = ", ".join(f"`{name}`" for name in event.once_per)
        repeats = f" Repeats with the same {fields} are counted in `suppressed`."
    return (
        f"### `{event.name}` ({event.level.name.lower()})\n\n"
        f"{event.meaning}{repeats} *To do:* {event.advice}\n\n"
        f"| field | meaning |\n|---|---|\n{rows}\n"
    )
