"""What is wrong with a message, as far as the message itself tells.

`check` is for requests that make a transaction, and for responses that are to be passed
on. What takes knowledge of a proxy is not looked at: hops left (483), extensions (420),
schemes that it routes on (416), methods.

RFC 4475 leaves much of this to the reader: to repair or to refuse. Nothing is repaired
here, since a proxy and the hops around it must not read one message in two ways; and
nothing is refused that the proxy does not read.
"""

import re

from protocols.sip.headers import parse_cseq, parse_uri, parse_via, tag_of
from protocols.sip.message import Message, MessageError, content_length

FIELDS = 256
"Header fields of one message, at most."
_ONCE = (b"from", b"to", b"call-id", b"cseq")
_VERSION = re.compile(rb"[Ss][Ii][Pp]/2\.0")


def check(message: Message) -> None:
    """Raise MessageError if the message is not sound.

    Its status is what to answer a request with, and None for a response and for a
    request without Via, which nobody can answer.
    """
    if b"via" not in message.names:
        raise MessageError(None, "no Via")
    if not message.status:
        _check_request(message)
        _check_fields(message)
        return
    try:
        _check_fields(message)
    except MessageError as error:
        raise MessageError(None, error.reason) from None


def _check_request(message: Message) -> None:
    _check_start(message)
    # RFC 3261 section 20.22: "an integer in the range 0-255". None at all is what
    # RFC 2543 sent: section 16.6 step 3 has the proxy add one.
    hops = message.first(b"max-forwards")
    if hops is not None and (
        not _is_octet(hops) or message.names.count(b"max-forwards") > 1
    ):
        raise MessageError(400, "malformed Max-Forwards")
    length = content_length(message)
    # RFC 3261 section 18.3: "If the transport packet ends before the end of the message
    # body, this is considered an error."
    if length is not None and len(message.body) < length:
        raise MessageError(400, "body shorter than Content-Length")


def _check_start(message: Message) -> None:
    """RFC 3261 section 7.1: single spaces, and none within the Request-URI."""
    start = message.start.rstrip(b" \t")
    if not _VERSION.fullmatch(start.rpartition(b" ")[2]):
        raise MessageError(505, "unknown version of SIP")
    if len(start) < len(message.start):
        raise MessageError(400, "space behind the start line")
    uri = parse_uri(message.uri)
    # RFC 3261 section 19.1.1: headers are not allowed in a Request-URI.
    if uri.host and b"?" in message.uri.rpartition(b"@")[2]:
        raise MessageError(400, "headers in the Request-URI")


def _check_fields(message: Message) -> None:
    names = message.names
    if len(names) > FIELDS:
        raise MessageError(513, "too many header fields")
    for name in _ONCE:
        if names.count(name) != 1:
            raise MessageError(400, f"not exactly one {name.decode()}")
    if not message.first(b"call-id"):
        raise MessageError(400, "empty call-id")
    parse_via(message.first(b"via") or b"")
    tag_of(message.first(b"from") or b"")
    tag_of(message.first(b"to") or b"")
    cseq = parse_cseq(message.first(b"cseq") or b"")
    # RFC 3261 section 8.1.1.5: "The method MUST match that of the request."
    if cseq.method != message.method and not message.status:
        raise MessageError(400, "CSeq of another method")


def _is_octet(value: bytes) -> bool:
    return value.isdigit() and len(value) <= 20 and int(value) <= 255
