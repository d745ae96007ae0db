"""What a proxy has changed of a message, read without the code that is tested.

It may put its own Via on top, add Record-Route or Path, count a hop, and write into the
topmost Via where the message came from (RFC 3261 sections 16.6 and 18.2.1). All else is
the sender's, byte for byte and in its order.
"""

import re
from collections.abc import Collection

_FIELD = re.compile(rb"\r\n(?![ \t])")
_NAME = re.compile(rb"[ \t]*:")
_WHITE = re.compile(rb"[ \t\r\n]+")
_NOTED = re.compile(rb";received=[^;,]*|(?<=;rport)=\d+", re.IGNORECASE)
_OWN = (b"via", b"v", b"max-forwards")


def is_forwarded(came: bytes, sent: bytes, places: Collection[bytes]) -> bool:
    """Whether `sent` is the request `came` as a proxy at these places forwards it.

    A place is an address and a port; every line that the proxy adds names one.
    """
    before, after = _Parts(came), _Parts(sent)
    others = [line for line in after.others if not _is_added(line, places)]
    return (
        before.start == after.start
        and before.others == others
        and before.body == after.body
        and any(place in after.vias[0] for place in places)
        and before.vias == after.vias[1:]
        and after.hops == (70 if before.hops is None else before.hops - 1)
    )


def is_passed_back(came: bytes, sent: bytes) -> bool:
    """Whether `sent` is the response `came` without its topmost Via."""
    before, after = _Parts(came), _Parts(sent)
    return (
        before.start == after.start
        and before.others == after.others
        and before.hops == after.hops
        and before.body == after.body
        and before.vias[1:] == after.vias
    )


def _is_added(line: bytes, places: Collection[bytes]) -> bool:
    is_named = any(place in line for place in places)
    return is_named and _name(line) in (b"record-route", b"path")


class _Parts:
    """A message, its lines sorted by whose they are."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        self.start, *lines = _FIELD.split(head)
        self.others = [line for line in lines if _name(line) not in _OWN]
        vias = [_value(line) for line in lines if _name(line) in (b"via", b"v")]
        # One that was taken out of a list stands on a line of its own.
        self.vias = _NOTED.sub(b"", _WHITE.sub(b"", b",".join(vias))).split(b",")
        hops = [_value(line) for line in lines if _name(line) == b"max-forwards"]
        self.hops = int(hops[0]) if hops else None
        lengths = [_value(x) for x in lines if _name(x) in (b"content-length", b"l")]
        if lengths and lengths[0].strip().isdigit():
            self.body = self.body[: int(lengths[0])]


def _name(line: bytes) -> bytes:
    return _NAME.split(line, maxsplit=1)[0].lower()


def _value(line: bytes) -> bytes:
    return line.partition(b":")[2]
