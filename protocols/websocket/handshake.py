"""The opening handshake (RFC 6455 section 4): what is one, and what accepts it.

Both ends do the handshake with each other: key, subprotocols and extensions pass from
one to the other as they came. The relay reads along, since bytes may pass unread only
once both ends agree that no HTTP follows: an Upgrade that is no WebSocket, or a 101
that answers something else, is how requests are smuggled past a proxy.
"""

import dataclasses
import re

from websockets.exceptions import InvalidHeader
from websockets.headers import parse_extension, parse_subprotocol
from websockets.utils import accept_key

from protocols.http import fields
from protocols.http.head import HeadError, RequestHead, ResponseHead

_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
_LIST = 4_096  # bytes of a list; more would take longer to read than TLS does
# RFC 6455 section 4.1: "a nonce consisting of a randomly selected 16-byte value that
# has been base64-encoded".
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")


@dataclasses.dataclass(frozen=True, slots=True)
class Opening:
    """What of a handshake its answer must fit."""

    accept: bytes
    "The Sec-WebSocket-Accept that the key asks for."
    subprotocols: frozenset[str]
    "Those offered."
    extensions: frozenset[str]
    "Names of those offered."


def opening(head: bytes, request: RequestHead) -> Opening:
    """Read an opening handshake; `head` is what `request` was parsed from.

    Raises HeadError with the status to answer with.
    """
    _check_request(head, request)
    # RFC 6455 section 4.2.1 item 6: "A |Sec-WebSocket-Version| header field, with a
    # value of 13".
    versions = _values(head, b"sec-websocket-version")
    if len(versions) != 1:
        raise HeadError(400, "exactly one Sec-WebSocket-Version is needed")
    if versions[0] != b"13":
        # Section 4.4: the answer to another version names those that are understood.
        raise HeadError(426, "only version 13 is spoken here")
    keys = _values(head, b"sec-websocket-key")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise HeadError(400, "exactly one Sec-WebSocket-Key of 16 bytes is needed")
    return Opening(
        accept_key(keys[0].decode("ascii")).encode("ascii"),
        _subprotocols(head, 400),
        _extensions(head, 400),
    )


def _check_request(head: bytes, request: RequestHead) -> None:
    """Whether it asks for a WebSocket and nothing else."""
    if request.method != b"GET":
        raise HeadError(405, "this listener serves WebSockets only")
    if not request.minor:
        raise HeadError(505, "a WebSocket needs HTTP/1.1")
    # A body behind a request that asks to leave HTTP: one parser reads a body, another
    # frames. Not even an empty one passes.
    if {b"content-length", b"transfer-encoding", b"expect"} & request.values.keys():
        raise HeadError(400, "an opening handshake has no body")
    upgrades = _values(head, b"upgrade")
    if not upgrades:
        raise HeadError(426, "this listener serves WebSockets only")
    # Section 4.2.1 items 3 and 4. Departs from them: they allow other protocols beside
    # this one, and then the far side might choose one of those.
    if [value.lower() for value in upgrades] != [b"websocket"]:
        raise HeadError(400, "Upgrade must name websocket, and it alone")
    if b"upgrade" not in request.nominated:
        raise HeadError(400, "Connection does not name Upgrade")
    if any(name.startswith(b"sec-websocket-") for name in request.nominated):
        raise HeadError(400, "Connection names a field of the handshake")


def to_provider(request: RequestHead, authority: bytes) -> bytes:
    """The handshake as the edge shall get it: Host is the edge's own name."""
    return fields.request_to_provider(request, authority)[:-2] + _UPGRADE


def to_site(request: RequestHead, forwarded: bytes) -> bytes:
    """The handshake as a receiver of the site shall get it; see `fields`."""
    return fields.request_to_site(request, forwarded)[:-2] + _UPGRADE


def is_accepted(head: bytes, response: ResponseHead, offer: Opening) -> bool:
    """Whether the far side agreed; if not, the response is an ordinary one.

    `head` is what `response` was parsed from. Raises HeadError with status 502 where it
    says that it switches protocols, and does not agree to this handshake: whoever
    opened it would have to end the connection (section 4.1).
    """
    if response.status != 101:
        return False
    if not response.minor:
        raise HeadError(502, "101 in HTTP/1.0")
    if {b"content-length", b"transfer-encoding"} & response.values.keys():
        raise HeadError(502, "101 with a body")
    if [value.lower() for value in _values(head, b"upgrade")] != [b"websocket"]:
        raise HeadError(502, "101 to another protocol")
    # That Connection names Upgrade, too, is llhttp's condition for any 101.
    if _values(head, b"sec-websocket-accept") != [offer.accept]:
        raise HeadError(502, "101 with a wrong Sec-WebSocket-Accept")
    chosen = _subprotocols(head, 502)
    if len(chosen) > 1 or not chosen <= offer.subprotocols:
        raise HeadError(502, "101 with a subprotocol that was not offered")
    if not _extensions(head, 502) <= offer.extensions:
        raise HeadError(502, "101 with an extension that was not offered")
    return True


def _values(head: bytes, name: bytes) -> list[bytes]:
    """All values of a field."""
    found = re.findall(rb"\r\n(?i:%b):[ \t]*([^\r]*)" % name, head)
    return [value.rstrip(b" \t") for value in found]


def _subprotocols(head: bytes, status: int) -> frozenset[str]:
    values = _list(head, b"Sec-WebSocket-Protocol", status)
    try:
        return frozenset(name for value in values for name in parse_subprotocol(value))
    except InvalidHeader:
        raise HeadError(status, "malformed Sec-WebSocket-Protocol") from None


def _extensions(head: bytes, status: int) -> frozenset[str]:
    values = _list(head, b"Sec-WebSocket-Extensions", status)
    try:
        return frozenset(name for value in values for name, _ in parse_extension(value))
    except InvalidHeader:
        raise HeadError(status, "malformed Sec-WebSocket-Extensions") from None


def _list(head: bytes, name: bytes, status: int) -> list[str]:
    """All values of a field whose items are to be read, one after the other."""
    values = _values(head, name)
    if sum(map(len, values)) > _LIST:
        raise HeadError(status, f"{name.decode()} too long")
    return [value.decode("latin-1") for value in values]
