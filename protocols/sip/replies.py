"""Messages of the router's own: answers, the ACK to a failure, and CANCEL."""

import hashlib
from collections.abc import Iterable

from protocols.sip.headers import tag_in
from protocols.sip.message import Message, MessageError

REASONS = {
    100: b"Trying",
    200: b"OK",
    408: b"Request Timeout",
    480: b"Temporarily Unavailable",
    481: b"Call/Transaction Does Not Exist",
    482: b"Loop Detected",
    483: b"Too Many Hops",
    487: b"Request Terminated",
    500: b"Server Internal Error",
    503: b"Service Unavailable",
}
"Reason phrases of RFC 3261 section 21 for what the router answers by itself."

_COPIED = frozenset((b"via", b"from", b"to", b"call-id", b"cseq"))
_COPIED_TO_100 = _COPIED | {b"timestamp"}
_EMPTY = b"Content-Length: 0\r\n\r\n"
_HOPS = b"Max-Forwards: 70"


def reply(
    request: Message, status: int, reason: bytes = b"", extra: Iterable[bytes] = ()
) -> bytes:
    """An answer to a request, with further lines if there are any.

    RFC 3261 section 8.2.6.2: From, Call-ID, CSeq and To are those of the request, and
    so is Via, with "the same ordering". Only a 100 has no tag added to To.
    """
    text = reason or REASONS.get(status, b"")
    fields = zip(request.names, request.lines, strict=True)
    if status == 100:
        lines = [line for name, line in fields if name in _COPIED_TO_100]
    else:
        lines = [
            _tagged(line, request) if name == b"to" else line
            for name, line in fields
            if name in _COPIED
        ]
    return b"\r\n".join((b"SIP/2.0 %d %b" % (status, text), *lines, *extra, _EMPTY))


def ack(request: Message, via: bytes, response: Message) -> bytes:
    """The ACK to a failure (RFC 3261 section 17.1.1.3), along the request's route.

    "The To header field in the ACK MUST equal the To header field in the response being
    acknowledged". `via` is the whole line under which the request was sent.
    """
    return _follow(b"ACK", request, via, response.lines_of(b"to"))


def cancel(request: Message, via: bytes, reasons: Iterable[bytes]) -> bytes:
    """The CANCEL of a request (RFC 3261 section 9.1), with lines of Reason (RFC 3326).

    "The Request-URI, Call-ID, To, the numeric part of CSeq, and From header fields in
    the CANCEL request MUST be identical to those in the request being cancelled".
    """
    return _follow(b"CANCEL", request, via, request.lines_of(b"to"), reasons)


def restate(response: Message, status: int) -> None:
    """Give an answer of somebody else another status."""
    response.status = status
    response.start = b"SIP/2.0 %d %b" % (status, REASONS[status])


def reason_of(response: Message) -> bytes:
    """The reason phrase of an answer."""
    return response.start[12:]


def _follow(
    method: bytes,
    request: Message,
    via: bytes,
    to: Iterable[bytes],
    extra: Iterable[bytes] = (),
) -> bytes:
    number = (request.first(b"cseq") or b"").split()[0]
    return b"\r\n".join(
        (
            method + b" " + request.uri + b" SIP/2.0",
            via,
            _HOPS,
            *request.lines_of(b"route"),
            *request.lines_of(b"from"),
            *to,
            *request.lines_of(b"call-id"),
            b"CSeq: " + number + b" " + method,
            *extra,
            _EMPTY,
        )
    )


def _tagged(line: bytes, request: Message) -> bytes:
    """The To line with a tag. RFC 3261 section 8.2.7: the same one each time."""
    try:
        if tag_in(line):
            return line
    except MessageError:
        return line
    seed = b"|".join((*request.lines_of(b"via")[:1], *request.lines_of(b"call-id")))
    digest = hashlib.blake2b(seed, digest_size=6).hexdigest().encode()
    return line.rstrip(b" \t\r\n") + b";tag=" + digest
