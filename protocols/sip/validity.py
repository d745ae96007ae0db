"""What is wrong with a message, as far as the message itself tells.

`check` is for requests that make a transaction, and for responses that are to be passed
on. What takes knowledge of a proxy is not looked at: hops left (483), extensions (420),
schemes that it routes on (416), methods.

RFC 4475 leaves much of this to the reader: to repair or to refuse. Nothing is repaired
here, since a proxy and the hops around it must not read one message in two ways; and
nothing is refused that the proxy does not read.
"""

import functools
import re
from typing import NamedTuple

from protocols.sip.fields import cseq_in, one_hop_less
from protocols.sip.headers import parse_uri, tag_in, via_in
from protocols.sip.message import Message, MessageError, content_length, value_of

FIELDS = 256
"Header fields of one message, at most."
SHAPES = 128
"How many orders of header fields are remembered: each peer has but a few."
_ONCE = (b"from", b"to", b"call-id", b"cseq")
_Places = tuple[int, ...]
"Where the topmost Via, and the one From, To, Call-ID and CSeq are."
_VERSION = re.compile(rb"[Ss][Ii][Pp]/2\.0")


class Call(NamedTuple):
    """What a sound message says of the call that it is part of."""

    id: bytes
    "Call-ID, as it came."
    from_tag: bytes
    "Tag of whoever sent the request; empty if it has none."
    to_tag: bytes
    "Tag of whoever answers; empty before."
    number: int
    "Number in CSeq."


def check(message: Message, *, via_is_read: bool = False) -> Call:
    """Raise MessageError if the message is not sound.

    `via_is_read` tells that its first Via was found sound, or to be our own. The
    error's status is what to answer a request with, and None for a response and for a
    request without Via, which nobody can answer.
    """
    if b"via" not in message.names:
        raise MessageError(None, "no Via")
    if not message.status:
        _check_request(message)
        return _check_fields(message, via_is_read)
    try:
        return _check_fields(message, via_is_read)
    except MessageError as error:
        raise MessageError(None, error.reason) from None


def _check_request(message: Message) -> None:
    _check_start(message)
    names = message.names
    # None at all is what RFC 2543 sent: RFC 3261 section 16.6 step 3 has the proxy add
    # one.
    given = names.count(b"max-forwards")
    if given:
        one_hop_less(message.lines[names.index(b"max-forwards")])
    if given > 1:
        raise MessageError(400, "two of Max-Forwards")
    length = content_length(message)
    # RFC 3261 section 18.3: "If the transport packet ends before the end of the message
    # body, this is considered an error."
    if length is not None and len(message.body) < length:
        raise MessageError(400, "body shorter than Content-Length")


def _check_start(message: Message) -> None:
    """RFC 3261 section 7.1: single spaces, and none within the Request-URI."""
    if not message.start.endswith(b" SIP/2.0"):
        start = message.start.rstrip(b" \t")
        if not _VERSION.fullmatch(start.rpartition(b" ")[2]):
            raise MessageError(505, "unknown version of SIP")
        if len(start) < len(message.start):
            raise MessageError(400, "space behind the start line")
    uri = parse_uri(message.uri)
    # RFC 3261 section 19.1.1: headers are not allowed in a Request-URI.
    if b"?" in message.uri and uri.host and b"?" in message.uri.rpartition(b"@")[2]:
        raise MessageError(400, "headers in the Request-URI")


@functools.lru_cache(maxsize=SHAPES)
def _places(names: tuple[bytes, ...]) -> _Places:
    if len(names) > FIELDS:
        raise MessageError(513, "too many header fields")
    for name in _ONCE:
        if names.count(name) != 1:
            raise MessageError(400, f"not exactly one {name.decode()}")
    return tuple(names.index(name) for name in (b"via", *_ONCE))


def _check_fields(message: Message, via_is_read: bool) -> Call:
    lines = message.lines
    via, from_, to, call_id, cseq = _places(tuple(message.names))
    call = value_of(lines[call_id])
    if not call:
        raise MessageError(400, "empty call-id")
    if not via_is_read:
        via_in(lines[via])
    from_tag = tag_in(lines[from_])
    to_tag = tag_in(lines[to])
    number, method = cseq_in(lines[cseq])
    # RFC 3261 section 8.1.1.5: "The method MUST match that of the request."
    if method != message.method and not message.status:
        raise MessageError(400, "CSeq of another method")
    return Call(call, from_tag, to_tag, number)
