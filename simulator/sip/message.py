"""SIP messages as the simulator reads and writes them.

Reading is strict, on the library sipmessage: what it does not take is no message. But
what has to be given back as it came (Via, Record-Route, Contact) is kept as text.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence

import sipmessage

Fields = Sequence[tuple[str, str]]
"Header fields, in order."

_ITEM = re.compile(r'(?:[^,"<]|"(?:[^"\\]|\\.)*"|<[^>]*>)+')
_BRACKETS = re.compile(r"<([^>]*)>")
_URI = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>[^@;?]*)@)?"
    r"(?P<host>\[[^\]]*\]|[^:;?]+)(?::(?P<port>\d{1,5}))?(?P<rest>[;?].*)?",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Uri:
    """What is needed of a SIP URI to find its host."""

    user: str
    "User part; empty without one."
    host: str
    "Host in lower case, IPv6 without brackets."
    port: int
    "Port; 0 without one."
    transport: str
    "`udp`, `tcp` or `tls`."
    parameters: frozenset[str]
    "Parameters as written, in lower case."

    @property
    def hop(self) -> tuple[str, str, int]:
        """Transport, host and port to send to (RFC 3263 section 4, without a DNS)."""
        return self.transport, self.host, self.port or default_port(self.transport)


def default_port(transport: str) -> int:
    """The port of a transport (RFC 3261 section 19.1.2)."""
    return 5061 if transport == "tls" else 5060


def parse_uri(text: str) -> Uri:
    """Read a URI, in angle brackets or not; raises ValueError.

    More lenient than sipmessage: parameters may hold anything.
    """
    inner = _BRACKETS.search(text)
    match = _URI.fullmatch(inner[1] if inner else text.strip())
    if match is None:
        raise ValueError(f"no SIP URI: {text!r}")
    rest = (match["rest"] or "").partition("?")[0].lower()
    parameters = frozenset(filter(None, rest.split(";")))
    given = {one.partition("=")[0]: one.partition("=")[2] for one in parameters}
    secure = match["scheme"].lower() == "sips"
    return Uri(
        match["user"] or "",
        match["host"].strip("[]").lower(),
        int(match["port"] or 0),
        "tls" if secure else given.get("transport", "udp"),
        parameters,
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Received:
    """One message as it came."""

    method: str
    "Method of a request; of a response, that of its CSeq."
    uri: str
    "Request-URI as text; empty for a response."
    code: int
    "Status of a response; 0 for a request."
    phrase: str
    "Reason phrase of a response."
    call_id: str
    "Call-ID."
    sequence: int
    "Number in CSeq."
    sender: str
    "From, as text."
    recipient: str
    "To, as text."
    from_tag: str
    "Tag of From."
    to_tag: str
    "Tag of To; empty outside a dialog."
    vias: tuple[str, ...]
    "Via values as text, the newest first."
    via: sipmessage.Via
    "The newest Via."
    headers: sipmessage.Headers
    "All header fields."
    body: bytes
    "Body."
    forwards: int
    "Max-Forwards; 70 without one."

    @property
    def branch(self) -> str:
        """Branch parameter of the newest Via."""
        return self.via.parameters.get("branch") or ""

    @property
    def transaction(self) -> tuple[str, str, str]:
        """What tells server transactions apart (RFC 3261 section 17.2.3)."""
        method = "INVITE" if self.method == "ACK" else self.method
        return self.branch, f"{self.via.host}:{self.via.port}", method

    @property
    def routes(self) -> list[str]:
        """Route values as text."""
        return items(self.headers.getlist("Route"))

    @property
    def record_routes(self) -> list[str]:
        """Record-Route values as text."""
        return items(self.headers.getlist("Record-Route"))

    @property
    def contact(self) -> str:
        """URI of the first Contact as text; empty without one."""
        values = items(self.headers.getlist("Contact"))
        inner = _BRACKETS.search(values[0]) if values else None
        return inner[1] if inner else "".join(values[:1]).partition(";")[0].strip()


def items(values: Iterable[str]) -> list[str]:
    """The single values of a field that may be a list, or several lines."""
    return [one.strip() for value in values for one in _ITEM.findall(value)]


def read(data: bytes, source: tuple[str, int] | None = None) -> Received:
    """Read one message; raises ValueError for what is none.

    With `source`, the newest Via gets `received` and `rport` (RFC 3581 section 4).
    """
    try:
        message = sipmessage.Message.parse(data)
        cseq = message.cseq
        sender, recipient = message.from_address, message.to_address
        headers = message.headers
        vias = items(headers.getlist("Via"))
        call_id = headers["Call-ID"]
        via = sipmessage.Via.parse(vias[0])
        length, forwards = message.content_length, message.max_forwards
    except (KeyError, IndexError) as error:
        raise ValueError(f"no message: {error!r}") from None
    if isinstance(message, sipmessage.Request) and cseq.method != message.method:
        raise ValueError("CSeq names another method")
    if source is not None and isinstance(message, sipmessage.Request):
        vias[0] = _stamp(vias[0], *source)
    received = Received(
        method=cseq.method,
        uri=_target(data) if isinstance(message, sipmessage.Request) else "",
        code=message.code if isinstance(message, sipmessage.Response) else 0,
        phrase=message.phrase if isinstance(message, sipmessage.Response) else "",
        call_id=call_id,
        sequence=cseq.sequence,
        sender=headers["From"],
        recipient=headers["To"],
        from_tag=sender.parameters.get("tag") or "",
        to_tag=recipient.parameters.get("tag") or "",
        vias=tuple(vias),
        via=via,
        headers=headers,
        body=message.body if length is None else message.body[:length],
        forwards=70 if forwards is None else forwards,
    )
    for uri in (received.uri, received.contact):
        if uri:
            parse_uri(uri)
    for route in (*received.routes, *received.record_routes):
        parse_uri(route)
    return received


def _target(data: bytes) -> str:
    return data.split(b" ", 2)[1].decode()


def _stamp(via: str, host: str, port: int) -> str:
    stamped = re.sub(r";\s*rport(?=[;\s]|$)", f";rport={port}", via)
    return f"{stamped};received={host}"


def back(request: Received, source: tuple[str, int]) -> tuple[str, int]:
    """Where a response to a datagram goes (RFC 3581 section 4)."""
    if "rport" in request.via.parameters:
        return source
    return source[0], request.via.port or 5060


def compose(start: str, fields: Fields, body: bytes = b"") -> bytes:
    """A message on the wire; the length of its body is added."""
    headers = sipmessage.Headers()
    for name, value in fields:
        headers.add(name, value)
    if body:
        headers.set("Content-Type", "application/sdp")
    headers.set("Content-Length", str(len(body)))
    return f"{start}\r\n{headers}".encode() + body


def reply(
    request: Received,
    code: int,
    phrase: str = "",
    *,
    tag: str = "",
    fields: Fields = (),
    body: bytes = b"",
) -> bytes:
    """A response on the wire; `tag` is put to To if it has none (RFC 3261 8.2.6.2)."""
    recipient = request.recipient
    if tag and not request.to_tag:
        recipient = f"{recipient};tag={tag}"
    return compose(
        f"SIP/2.0 {code} {phrase or PHRASES.get(code, 'Answer')}",
        [
            *(("Via", via) for via in request.vias),
            ("From", request.sender),
            ("To", recipient),
            ("Call-ID", request.call_id),
            ("CSeq", f"{request.sequence} {request.method}"),
            *fields,
        ],
        body,
    )


G711 = "RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
"What telephones have always spoken."
OPUS = "RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 maxaveragebitrate=32000\r\n"
"Opus at 32 kbit/s at most (RFC 7587)."


@functools.cache
def description(address: str, port: int = 10_000, formats: str = G711) -> bytes:
    """A session description of one audio stream (RFC 8866)."""
    return (
        f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
        f"m=audio {port} {formats}"
    ).encode()


PHRASES = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    302: "Moved Temporarily",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Merged Request",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    504: "Server Time-out",
    603: "Decline",
}
"Reason phrases of the statuses that the simulator gives."
