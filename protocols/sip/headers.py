"""Values of SIP header fields, read and never rewritten (RFC 3261 section 25.1).

What a proxy decides on is read here, each from bytes to a small value; what it forwards
are the bytes that came. All raise MessageError with status 400 for what is no such
value. Patterns are possessive where two of their parts could share white space, so that
no text takes more than one pass.
"""

import re
from typing import NamedTuple

from protocols.sip.message import VALUE, MessageError

_HOST = rb"\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9_.-]++"
# RFC 3261 section 25.1: generic-param. A value may hold more here than a token, since
# peers write addresses (RFC 5118 section 4.5), "=" and "/" there.
_PARAMETER = (
    rb"[ \t]*+;[ \t]*+([A-Za-z0-9.!%*_+`'~-]++)"
    rb'(?:[ \t]*+=[ \t]*+("(?:[^"\\]++|\\.)*+"|[^\s",;<>?]*+))?+'
)
_PARAMETERS = re.compile(_PARAMETER, re.DOTALL)
_VIA = re.compile(
    rb"[Ss][Ii][Pp][ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+([A-Za-z0-9.!%*_+`'~-]++)[ \t]++"
    rb"(" + _HOST + rb")[ \t]*+(?::[ \t]*+([0-9]{1,5}+)[ \t]*+)?+"
    rb"((?:" + _PARAMETER.replace(rb"++)", rb"++)", 1) + rb")*+)[ \t]*+(?:,|$)",
    re.DOTALL,
)
