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
    try:
        _check_fields(message)
        if not message.status:
            _check_request(message)
    except MessageError as error:
        if message.status:
            raise MessageError(None, error.reason) from None
        raise


def _check_fields(message: Message) -> None:
    names = message.names
    if len(names) > FIELDS:
        raise MessageError(513, "too many header fields")
    for name in _ONCE:
        # RFC 3261 section 7.3.1: of what is not a comma list, there is one.
        if names.count(name) != 1:
            raise MessageError(400, f"not exactly one {name.decode()}")
    parse_via(message.first(b"via") or b"")
    tag_of(message.first(b"from") or b"")
    tag_of(message.first(b"to") or b"")
    if not message.first(b"call-id"):
        raise MessageError(400, "empty call-id")
    cseq = parse_cseq(message.first(b"cseq") or b"")
    # RFC 3261 section 8.1.1.5: "The method MUST match that of the request."
    if not message.status and cseq.method != message.method:
        raise MessageError(400, "cseq of another method")


def _check_request(message: Message) -> None:
    _check_start(message)
    hops = message.all(b"max-forwards")
    # RFC 3261 section 20.22: "an integer in the range 0-255". None at all is what
    # RFC 2543 sent: section 16.6 step 3 has the proxy add one.
    if len(hops) > 1 or (hops and not _is_octet(hops[0])):
        raise MessageError(400, "malformed max-forwards")
    length = content_length(message)
    # RFC 3261 section 18.3: "If the transport packet ends before the end of the message
    # body, this is considered an error."
    if length is not None and len(message.body) < length:
        raise MessageError(400, "body shorter than content-length")


def _check_start(message: Message) -> None:
    """RFC 3261 section 7.1: single spaces, and none within the Request-URI."""
    before, _, version = message.start.rstrip(b" \t").rpartition(b" ")
    if not _VERSION.fullmatch(version):
        raise MessageError(505, "unknown version of SIP")
    if before != message.method + b" " + message.uri or (
        message.start[-len(version) :] != version
    ):
        raise MessageError(400, "malformed start line")
    uri = parse_uri(message.uri)
    # RFC 3261 section 19.1.1: a Request-URI holds no headers.
    if uri.headers or (uri.host and b"?" in message.uri.rpartition(b"@")[2]):
        raise MessageError(400, "headers in the request-uri")


def _is_octet(value: bytes) -> bool:
    return value.isdigit() and len(value) <= 3 and int(value) <= 255
