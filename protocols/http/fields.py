"""Heads for the next hop: what ends here is taken out, what is ours is put in.

Field lines that stay are forwarded byte for byte and in their order. Where Python's
and other libraries' relays normalise, re-quote or re-order, signatures over the
message stop matching. Only the two fields that frame the body are written anew, in the
one way that nobody misreads: no tab, no leading zero, no other case.
"""

import re

from protocols.http.head import Head, RequestHead, ResponseHead

# A peer must not have these removed by naming them in Connection: the next hop would
# then route, read or trust the message in another way than we did.
_NOT_BY_NOMINATION = frozenset(
    b"authorization content-encoding content-type date expect host "
    b"x-twilio-signature".split()
)
_USUAL = frozenset([b"", b"close", b"keep-alive"])
_ENDS = (b"\r\nVia: 1.0 edge-router\r\n\r\n", b"\r\nVia: 1.1 edge-router\r\n\r\n")
# What a client claims about the hops before us, in every spelling that a receiver may
# take for it: WSGI and CGI read "X_Forwarded_For" and "X-Forwarded-For" as one name.
_CLAIMS = re.compile(
    rb"\r\n(?:forwarded|x[-_](?:forwarded[-_](?:for|host|port|proto)|real[-_]ip)):[^\r]*",
    re.IGNORECASE,
)


def request_to_provider(head: RequestHead, authority: bytes) -> bytes:
    """The request's head as the edge shall get it: Host is the edge's own name."""
    if head.memo[0] == authority:
        return head.memo[1]
    data = b"".join(
        (
            head.method,
            b" ",
            head.target,
            b" HTTP/1.1\r\nHost: ",
            authority,
            _passing(head),
            _framing(head),
            _ENDS[head.minor],
        )
    )
    head.memo = (authority, data)
    return data


def request_to_site(head: RequestHead, forwarded: bytes) -> bytes:
    """The request's head as a receiver of the site shall get it.

    Host, target and all that a signature covers stay as they came. `forwarded` is
    made by `forwarded_lines`, and replaces what the client said of itself.
    """
    return b"%b %b HTTP/1.1\r\nHost: %b%b%b%b\r\nX-Forwarded-Host: %b%b" % (
        head.method,
        head.target,
        head.authority,
        _CLAIMS.sub(b"", _passing(head)),
        _framing(head),
        forwarded,
        head.authority,
        _ENDS[head.minor],
    )


def forwarded_lines(client: str, scheme: str) -> bytes:
    """The part of a forwarded head that is the same for all of a connection."""
    return b"\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b" % (
        client.encode("ascii"),
        scheme.encode("ascii"),
    )


def request_id_pattern(name: str) -> re.Pattern[bytes]:
    """Finds the value of an answer's field of that name that identifies the request."""
    return re.compile(rb"\r\n(?i:%b):[ \t]*([!-~]{1,64})" % re.escape(name).encode())


def request_id(head: ResponseHead, pattern: re.Pattern[bytes]) -> str:
    """What the far side calls the request; empty where it does not say."""
    found = pattern.search(head.lines)
    return found[1].decode("ascii") if found else ""


def response(head: ResponseHead, *, minor: int, close: bool) -> bytes:
    """The response's head for a client of HTTP/1.`minor`.

    `close` tells the client that the connection ends after this response.
    """
    purpose = 2 * minor + close
    if head.memo[0] == purpose:
        return head.memo[1]
    # RFC 9112 section 6.1: "A server MUST NOT send a response containing
    # Transfer-Encoding unless the corresponding request indicates HTTP/1.1".
    # RFC 9110 section 8.6: no Content-Length with status 1xx or 204 either, where some
    # clients would wait for the body that it promises.
    bare = head.status < 200 or head.status == 204
    chunked = b"transfer-encoding" in head.values
    data = b"".join(
        (
            b"HTTP/1.1 %d " % head.status,
            head.reason,
            _passing(head),
            b"" if bare or (chunked and minor == 0) else _framing(head),
            b"\r\nConnection: close\r\n\r\n" if close else b"\r\n\r\n",
        )
    )
    head.memo = (purpose, data)
    return data


def _passing(head: Head) -> bytes:
    """The field lines that go on: those that the peer has not nominated to end here."""
    if head.nominated <= _USUAL:
        return head.lines
    # An empty name is no name, but what stands before the first CR LF.
    doomed = head.nominated - _NOT_BY_NOMINATION - {b""}
    kept = [
        line
        for line in head.lines.split(b"\r\n")
        if line.partition(b":")[0].lower() not in doomed
    ]
    return b"\r\n".join(kept)


def _framing(head: Head) -> bytes:
    """The field that says where the body ends, if it was there."""
    if b"content-length" in head.values:
        return b"\r\nContent-Length: %d" % int(head.values[b"content-length"])
    if b"transfer-encoding" in head.values:
        return b"\r\nTransfer-Encoding: chunked"
    return b""
