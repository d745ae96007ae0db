"""Header fields read by their whole lines, and remembered: most lines come again.

A From is the same in all messages of a call, a CSeq or Max-Forwards in those of all
calls. Long lines are read anew each time, so that what is remembered stays small. Every
function raises MessageError with status 400 for what is no such value.
"""

import functools
from collections.abc import Callable
from typing import TypeVar

from protocols.sip.headers import parse_cseq, parse_via, tag_of
from protocols.sip.message import MessageError, value_of

SHORT = 256
"Bytes of a line that is remembered once read."
REMEMBERED = 1_024
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


def _hops(value: bytes) -> int:
    """RFC 3261 section 20.22: "an integer in the range 0-255"."""
    if not value.isdigit() or len(value) > 20 or int(value) > 255:
        raise MessageError(400, "malformed Max-Forwards")
    return int(value)


via_in = _by_line(parse_via)
"The first Via of a line."
tag_in = _by_line(tag_of)
"The tag in a line of From or To; empty if it has none."
cseq_in = _by_line(parse_cseq)
"The CSeq of a line."
hops_in = _by_line(_hops)
"The number of hops in a line of Max-Forwards."
