"""Lines of header fields that come again with other calls, remembered once read.

Lines that are long are read anew each time, so that what is remembered stays small.
"""

import functools
from collections.abc import Callable
from typing import TypeVar

from protocols.sip.headers import parse_cseq
from protocols.sip.message import MessageError, value_of

SHORT = 64
"Bytes of a line that is remembered."
REMEMBERED = 512
"How many lines are remembered, of each kind."

Value = TypeVar("Value")


def _by_line(read: Callable[[bytes], Value]) -> Callable[[bytes], Value]:
    """The same reading, of a whole line."""

    @functools.lru_cache(maxsize=REMEMBERED)
    def remembered(line: bytes) -> Value:
        return read(value_of(line))

    def of_line(line: bytes) -> Value:
        return remembered(line) if len(line) <= SHORT else read(value_of(line))

    return of_line


def _one_less(value: bytes) -> bytes:
    # RFC 3261 section 20.22: "an integer in the range 0-255".
    if not value.isdigit() or len(value) > 20 or int(value) > 255:
        raise MessageError(400, "malformed Max-Forwards")
    return b"Max-Forwards: %d" % (int(value) - 1) if int(value) else b""


cseq_in = _by_line(parse_cseq)
"The CSeq of a line; raises MessageError with status 400 if it is none."
one_hop_less = _by_line(_one_less)
"""The line of Max-Forwards to forward instead of this one; empty if no hop is left.

Raises MessageError with status 400 for what is no Max-Forwards.
"""
