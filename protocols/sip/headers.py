"""Values of SIP header fields, read and never rewritten (RFC 3261 section 25.1).

What a proxy decides on is read here, each from bytes to a small value; what it forwards
are the bytes that came. Every function raises MessageError with status 400 for what is
no such value. Patterns are possessive wherever two of their parts could share white
space, so that no text takes more than one pass.
"""

import functools
import re
from typing import NamedTuple

from protocols.sip.message import VALUE, MessageError, value_of

# Groups are never possessive: CPython before 3.11.5 does not go back to where one began
# when it fails half-way (python/cpython#106052), and takes "a:" for "a".
_TOKEN = rb"[A-Za-z0-9.!%*_+`'~-]++"
_QUOTED = rb'"(?:[^"\\]++|\\.)*"'
# Names may hold underscores and end in a dot; both are met. Within brackets everything
# made of an address's characters passes: RFC 5118 section 4.10 asks to tolerate the
# ":::" that the grammar of RFC 3261 once made.
SHORT = 256
"Bytes of a value that is remembered once read: most are read more than once."
REMEMBERED = 1_024
"How many values are remembered, of each kind."
_HOST = rb"(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9_.-]++)"
# generic-param. Its value may be more than a token: peers write addresses with and
# without brackets (RFC 5118 section 4.5), "=" and "/".
_PARAMETER = re.compile(
    rb"[ \t]*+;[ \t]*+(" + _TOKEN + rb")"
    rb"(?:[ \t]*+=[ \t]*+(" + _QUOTED + rb'|[^\s",;<>?]*+))?',
    re.DOTALL,
)
_VIA = re.compile(
    rb"SIP[ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+(" + _TOKEN + rb")[ \t]++"
    + _HOST + rb"[ \t]*+(?::[ \t]*+([0-9]{1,5}))?",
    re.IGNORECASE,
)  # fmt: skip
# What of a malformed Via tells who sent it: any version, and nothing behind the port.
_SENT_BY = re.compile(
    _TOKEN + rb"[ \t]*+/[ \t]*+" + _TOKEN + rb"[ \t]*+/[ \t]*+(" + _TOKEN
    + rb")[ \t]++" + _HOST + rb"[ \t]*+(?::[ \t]*+([0-9]{1,5}))?",
)  # fmt: skip
_ASKS_FOR_PORT = re.compile(rb";[ \t]*+rport[ \t]*+(?:[=;,]|\Z)", re.IGNORECASE)
# Whole lines as nearly all write them: read in one step.
_USUAL_VIA = re.compile(
    rb"(?:Via|v): SIP/2\.0/(" + _TOKEN + rb") " + _HOST + rb"(?::([0-9]{1,5}))?"
    rb"((?:;" + _TOKEN + rb'(?:=[^\s",;<>?]*+)?)*)'
)
_BRANCH = re.compile(
    rb";[ \t\r\n]*branch[ \t\r\n]*=[ \t\r\n]*([^;, \t\r\n]+)", re.IGNORECASE
)
_CSEQ = re.compile(rb"([0-9]{1,20})[ \t]++(" + _TOKEN + rb")")
# What stands before the angle bracket: a quoted string, or words. The words are taken
# generously, since peers write names in UTF-8 or Latin-1 there without quotes.
_BRACKETED = re.compile(
    rb"(?:" + _QUOTED + rb'[ \t]*+|[^"<>,;:@\\]*+)<([^<>"\s]++)>', re.DOTALL
)
_USUAL_TAG = re.compile(
    rb"(?:From|To|f|t): " + _BRACKETED.pattern + rb'(?:;tag=([^\s",;<>?]*+))?',
    re.DOTALL,
)
# RFC 3261 section 20: without brackets, what follows a ";" belongs to the field.
_BARE = re.compile(rb'[A-Za-z][A-Za-z0-9+.-]*+:[^\s"<>,;?]++')
_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*+):([\x21-\x7e]++)")
# RFC 3261 section 25.1: userinfo; its user part may hold ";" and "?".
_SIP_URI = re.compile(
    rb"(?:([^\x00-\x20\x7f\"<>@:]++)(?::[^\x00-\x20\x7f\"<>@]*+)?@)?"
    + _HOST + rb"(?::([0-9]{1,5}))?((?:;[^;?@\"<>]*+)*)(?:\?([^?@]*+))?",
)  # fmt: skip


class Via(NamedTuple):
    """One hop of the way back (RFC 3261 section 20.42)."""

    transport: bytes
    "Transport in upper case, known or not."
    host: bytes
    "Host of sent-by, an IPv6 address without its brackets."
    port: int | None
    "Port of sent-by, if it was given."
    parameters: dict[bytes, bytes]
    "All parameters by their names in lower case; empty where one has no value."

    @property
    def branch(self) -> bytes:
        """Transaction id of the sender; empty if there is none."""
        return self.parameters.get(b"branch", b"")

    @property
    def received(self) -> bytes:
        """Address that the next hop saw, without brackets; empty if not noted.

        RFC 5118 section 4.5: an IPv6 address comes with brackets and without.
        """
        return self.parameters.get(b"received", b"").strip(b"[]")

    @property
    def rport(self) -> bytes | None:
        """Port that the next hop saw; empty where it is asked for (RFC 3581)."""
        return self.parameters.get(b"rport")

    @property
    def maddr(self) -> bytes:
        """Address to send responses to instead; without brackets, empty if none."""
        return self.parameters.get(b"maddr", b"").strip(b"[]")


class CSeq(NamedTuple):
    """Place of a request in its dialog (RFC 3261 section 20.16)."""

    number: int
    "Sequence number, below 2**31."
    method: bytes
    "Method, in its own case."


class Uri(NamedTuple):
    """A SIP URI, or the frame of another one (RFC 3261 section 19.1)."""

    scheme: bytes
    "Scheme in lower case."
    user: bytes
    "User part as it came, without password; empty if none or if not a SIP URI."
    host: bytes
    "Host as it came, an IPv6 address without brackets; empty if not a SIP URI."
    port: int | None
    "Port, if it was given."
    parameters: dict[bytes, bytes]
    "Parameters by their names in lower case; empty where one has no value."
    headers: bytes
    "What stands behind the question mark, as it came."


def split_list(value: bytes) -> list[bytes]:
    """Values of a comma list, stripped. Of an empty field, none."""
    if not value:
        return []
    values = []
    end = -1
    while end < len(value):
        match = VALUE.match(value, end + 1)
        assert match is not None, "the pattern matches nothing, too"
        end = match.end()
        values.append(match[0].strip(b" \t"))
        if not values[-1] or value[end : end + 1] not in (b",", b""):
            raise MessageError(400, "malformed comma list")
    return values


def parse_via(value: bytes) -> Via:
    """Read a Via; of a comma list, the first."""
    match = _VIA.match(value)
    if match is None:
        raise MessageError(400, "malformed Via")
    transport, host, port = match.groups()
    found, end = _parameters(value, match.end())
    if value[end:].lstrip(b" \t")[:1] not in (b"", b","):
        raise MessageError(400, "malformed Via")
    return Via(transport.upper(), host.strip(b"[]"), _port(port), found)


def via_in(line: bytes) -> Via:
    """Read a line of Via, like `parse_via`."""
    usual = _USUAL_VIA.fullmatch(line)
    if usual is None:
        return parse_via(value_of(line))
    transport, host, port, text = usual.groups()
    found = _separate(text, "parameter given twice")
    return Via(transport.upper(), host.strip(b"[]"), _port(port), found)


def branch_in(line: bytes) -> bytes:
    """The branch of the first Via of a line, by a look for it; empty without one."""
    found = _BRANCH.search(line)
    return found[1] if found is not None else b""


def sent_by(value: bytes) -> Via:
    """Who sent a request, by a Via that is malformed otherwise.

    Enough to answer that it is: of the parameters, `rport` alone is looked for.
    """
    match = _SENT_BY.match(value)
    if match is None:
        raise MessageError(400, "malformed Via")
    transport, host, port = match.groups()
    asks = _ASKS_FOR_PORT.search(value, match.end()) is not None
    found = {b"rport": b""} if asks else {}
    return Via(transport.upper(), host.strip(b"[]"), _port(port), found)


def parse_cseq(value: bytes) -> CSeq:
    """Read a CSeq."""
    match = _CSEQ.fullmatch(value)
    # RFC 3261 section 8.1.1.5: "The sequence number value MUST be expressible as a
    # 32-bit unsigned integer and MUST be less than 2**31."
    if match is None or (number := int(match[1])) >= 1 << 31:
        raise MessageError(400, "malformed CSeq")
    return CSeq(number, match[2])


def parse_uri(uri: bytes) -> Uri:
    """Read a URI: a SIP URI to its parts, another one to its scheme."""
    return (_uri if len(uri) <= SHORT else _uri.__wrapped__)(uri)


@functools.lru_cache(maxsize=REMEMBERED)
def _uri(uri: bytes) -> Uri:
    match = _SCHEME.fullmatch(uri)
    if match is None:
        raise MessageError(400, "malformed URI")
    scheme, rest = match[1].lower(), match[2]
    if scheme not in (b"sip", b"sips"):
        return Uri(scheme, b"", b"", None, {}, b"")
    sip = _SIP_URI.fullmatch(rest)
    if sip is None:
        raise MessageError(400, "malformed SIP URI")
    user, host, port, parameters, headers = sip.groups(b"")
    found = _separate(parameters, "malformed parameters of a URI")
    return Uri(scheme, user, host.strip(b"[]"), _port(port), found, headers)


def address_of(value: bytes) -> bytes:
    """The URI in a From, To, Contact, Route or Record-Route, as it came.

    Of a comma list, the first.
    """
    return _address(value)[0]


def tag_of(value: bytes) -> bytes:
    """The tag of a From or To; empty if it has none."""
    return parameters_of(value).get(b"tag", b"")


def tag_in(line: bytes) -> bytes:
    """The tag in a line of From or To, like `tag_of`."""
    return (_tag if len(line) <= SHORT else _tag.__wrapped__)(line)


@functools.lru_cache(maxsize=REMEMBERED)
def _tag(line: bytes) -> bytes:
    usual = _USUAL_TAG.fullmatch(line)
    return tag_of(value_of(line)) if usual is None else usual[2] or b""


def parameters_of(value: bytes) -> dict[bytes, bytes]:
    """Parameters behind the address in a From, To, Contact or Route."""
    found, end = _parameters(value, _address(value)[1])
    if value[end:].lstrip(b" \t")[:1] not in (b"", b","):
        raise MessageError(400, "malformed parameters")
    return found


def _address(value: bytes) -> tuple[bytes, int]:
    """The URI in a value, and the place behind it."""
    bracketed = _BRACKETED.match(value)
    if bracketed is not None:
        return bracketed[1], bracketed.end()
    bare = _BARE.match(value)
    if bare is None:
        raise MessageError(400, "malformed address")
    return bare[0], bare.end()


def _parameters(value: bytes, start: int) -> tuple[dict[bytes, bytes], int]:
    """All parameters from a place on, and the place behind the last."""
    found: dict[bytes, bytes] = {}
    while match := _PARAMETER.match(value, start):
        name = match[1].lower()
        # RFC 3261 section 7.3.1: "any given parameter-name MUST NOT appear more than
        # once."
        if name in found:
            raise MessageError(400, "parameter given twice")
        found[name] = match[2] or b""
        start = match.end()
    return found, start


def _separate(text: bytes, otherwise: str) -> dict[bytes, bytes]:
    """Parameters without white space and quotes, a semicolon before the first."""
    found: dict[bytes, bytes] = {}
    for parameter in text.split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        found[name.lower()] = value
    if b"" in found or len(found) < text.count(b";"):
        raise MessageError(400, otherwise)
    return found


def _port(digits: bytes | None) -> int | None:
    if not digits:
        return None
    port = int(digits)
    if port > 65_535:
        raise MessageError(400, "port out of range")
    return port
