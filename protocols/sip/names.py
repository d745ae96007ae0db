"""Names of header fields, however they are spelled (RFC 3261 section 7.3)."""

import functools
import re

SPELLINGS = 2_048
"Spellings that are remembered."
KNOWN: dict[bytes, bytes] = {}
"""Canonical names by the spellings met: peers repeat themselves.

A canonical name is the long form in lower case.
"""

# RFC 3261 section 25.1: token, and what may stand between a name and its colon. Both
# are bounded, since names are remembered.
_FIELD = re.compile(rb"([A-Za-z0-9.!%*_+`'~-]{1,128})[ \t]{0,128}")
# RFC 3261 section 7.3.3, and the registry of header fields at IANA.
_COMPACT = {
    b"a": b"accept-contact",
    b"b": b"referred-by",
    b"c": b"content-type",
    b"d": b"request-disposition",
    b"e": b"content-encoding",
    b"f": b"from",
    b"i": b"call-id",
    b"j": b"reject-contact",
    b"k": b"supported",
    b"l": b"content-length",
    b"m": b"contact",
    b"n": b"identity-info",
    b"o": b"event",
    b"r": b"refer-to",
    b"s": b"subject",
    b"t": b"to",
    b"u": b"allow-events",
    b"v": b"via",
    b"x": b"session-expires",
    b"y": b"identity",
}
_SPELLED = {b"call-id": b"Call-ID", b"cseq": b"CSeq"}


def learn(field: bytes) -> bytes:
    """The canonical name of what stands before a colon, remembered in KNOWN.

    Empty if it is no name.
    """
    match = _FIELD.fullmatch(field)
    if match is None:
        return b""
    name = match[1].lower()
    name = _COMPACT.get(name, name)
    if len(KNOWN) >= SPELLINGS:
        KNOWN.clear()
    KNOWN[field] = name
    return name


@functools.lru_cache(maxsize=64)
def spelled(name: bytes) -> bytes:
    """The usual spelling of a canonical name."""
    return _SPELLED.get(name) or name.title()
