"""Heads for the next hop: what ends here is taken out, what is ours is put in.

Field lines that stay are forwarded byte for byte and in their order. Where Python's
and other libraries' relays normalise, re-quote or re-order, signatures over the
message stop matching.
"""

from protocols.http.head import Body, Head, RequestHead, ResponseHead

# RFC 9110 section 7.6.1: intermediaries remove Connection, the fields that it names,
# and these, "since they are not intended to be forwarded". Transfer-Encoding is dealt
# with by the framing; Expect goes on to the server, which alone can answer it.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authentication-info "
    b"proxy-authorization proxy-connection te upgrade http2-settings".split()
)
# A peer must not have these removed by naming them in Connection: the next hop would
# then frame or route the message in another way than we did.
_NOT_BY_NOMINATION = frozenset(
    b"host content-length transfer-encoding expect date content-type "
    b"authorization x-twilio-signature".split()
)
_USUAL = frozenset([b"", b"close", b"keep-alive"])
_VIA = b"\r\nVia: 1.%d edge-router"
# What a client claims about the hops before us, in every spelling that a receiver may
# take for it: WSGI and CGI read "X_Forwarded_For" and "X-Forwarded-For" as one name.
_FORWARDED = frozenset(
    b"forwarded x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto "
    b"x-real-ip".split()
)


def request_to_provider(head: RequestHead, authority: bytes) -> bytes:
    """The request's head as the edge shall get it: Host is the edge's own name."""
    if head.memo[0] == authority:
        return head.memo[1]
    lines = _without(head, _doomed(head) | {b"host"})
    data = b"%b %b HTTP/1.1\r\nHost: %b%b%b\r\n\r\n" % (
        head.method,
        head.target,
        authority,
        lines,
        _VIA % head.minor,
    )
    head.memo = (authority, data)
    return data


def request_to_site(head: RequestHead, forwarded: bytes) -> bytes:
    """The request's head as a receiver of the site shall get it.

    Host, target and all that a signature covers stay as they came. `forwarded` is
    made by `forwarded_lines`, and replaces what the client said of itself.
    """
    claims = [key for key in head.values if key.replace(b"_", b"-") in _FORWARDED]
    lines = _without(head, _doomed(head) | {b"host", *claims})
    return b"%b %b HTTP/1.1\r\nHost: %b%b%b\r\nX-Forwarded-Host: %b%b\r\n\r\n" % (
        head.method,
        head.target,
        head.authority,
        lines,
        forwarded,
        head.authority,
        _VIA % head.minor,
    )


def forwarded_lines(client: str, scheme: str) -> bytes:
    """The part of a forwarded head that is the same for all of a connection."""
    return b"\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b" % (
        client.encode("ascii"),
        scheme.encode("ascii"),
    )


def response(head: ResponseHead, *, minor: int, close: bool) -> bytes:
    """The response's head for a client of HTTP/1.`minor`.

    `close` tells the client that the connection ends after this response.
    """
    purpose = 2 * minor + close
    if head.memo[0] == purpose:
        return head.memo[1]
    doomed = _doomed(head)
    if minor == 0 and head.body is Body.CHUNKED:
        # RFC 9112 section 6.1: "A server MUST NOT send a response containing
        # Transfer-Encoding unless the corresponding request indicates HTTP/1.1".
        doomed |= {b"transfer-encoding"}
    data = b"HTTP/1.1 %d %b%b%b\r\n\r\n" % (
        head.status,
        head.reason,
        _without(head, doomed),
        b"\r\nConnection: close" if close else b"",
    )
    head.memo = (purpose, data)
    return data


def _doomed(head: Head) -> frozenset[bytes]:
    """The names in `head` that end at this hop."""
    doomed = _HOP_BY_HOP
    if not head.nominated <= _USUAL:
        doomed |= head.nominated - _NOT_BY_NOMINATION
    return doomed


def _without(head: Head, doomed: frozenset[bytes]) -> bytes:
    """The field lines of `head` except those with a name in `doomed`."""
    lines = head.lines
    for key in doomed & head.values.keys():
        start = -1 if head.repeats else lines.find(b"\r\n%b:" % key.title())
        if start < 0:
            lines = _without_line(lines, key)
            continue
        end = lines.find(b"\r\n", start + 2)
        lines = lines[:start] + (lines[end:] if end >= 0 else b"")
    return lines


def _without_line(lines: bytes, key: bytes) -> bytes:
    """Whatever the case of the name is, and however often it occurs."""
    kept = [
        line for line in lines.split(b"\r\n") if line.partition(b":")[0].lower() != key
    ]
    return b"\r\n".join(kept)
