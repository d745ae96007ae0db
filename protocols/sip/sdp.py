"""What session descriptions say of their media (RFC 4566, RFC 3264), read alone.

Bodies are forwarded as they came: this is for who has to know how much a call will
send. Read strictly as far as it is read at all; lines that say nothing of that may say
what they like.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Mapping

from protocols.sip.message import Message

MAX_BYTES = 65_535
"Longest description, as long as a datagram."
MAX_LINES = 2_000
"Most lines of one."
MAX_MEDIA = 32
"Most media of one."
MAX_FORMATS = 128
"Most formats of all media together: a call is remembered with what it has offered."
TELLING = frozenset(("maxaveragebitrate", "maxplaybackrate", "stereo"))
"Parameters that tell how much is sent: all that is kept of them."
TOLD = 16
"Longest value of one; they are numbers."

SHORT = 2_048
"Bytes of a description that is remembered once read."
REMEMBERED = 64
"How many are remembered."

_TYPE = re.compile(rb"[ \t]*application[ \t]*/[ \t]*sdp[ \t]*(?:;|\Z)", re.IGNORECASE)
_MEDIA = re.compile(
    r"([!-~]{1,64}) ([0-9]{1,5})(?:/[1-9][0-9]{0,3})? ([!-~]{1,64})((?: [!-~]{1,64})+)"
)
_CONNECTION = re.compile(r"IN (IP4|IP6) [!-~]{1,255}")
_BANDWIDTH = re.compile(r"([A-Za-z0-9-]{1,32}):([0-9]{1,12})")
_RTPMAP = re.compile(
    r"([0-9]{1,3}) ([!-.0-~]{1,64})/([1-9][0-9]{0,6})(?:/([1-9][0-9]?))?"
)
_FMTP = re.compile(r"([!-~]{1,64}) (.{1,4096})")
_MILLISECONDS = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,6})?)")


class SdpError(Exception):
    """This is no sound session description; our own text says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Format:
    """One way to encode a medium."""

    name: str
    "Encoding name in lower case; what stands in the line of the medium if it has none."
    clock: int = 0
    "Clock rate in Hz; 0 if it is not told."
    channels: int = 1
    "Channels of audio."
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    "What `fmtp` says of how much is sent (TELLING), by names in lower case."


@dataclasses.dataclass(frozen=True, slots=True)
class Media:
    """One medium."""

    kind: str
    "audio, video, image and so on, in lower case."
    port: int
    "Port to send it to; 0 for one that is refused."
    protocol: str
    "What carries it, in upper case: RTP/AVP, RTP/SAVP, UDPTL."
    formats: tuple[Format, ...]
    "Its formats, the preferred one first."
    ipv6: bool = False
    "Whether it goes to an IPv6 address."
    ptime: float | None = None
    "Seconds of media wanted in each packet."
    maxptime: float | None = None
    "Most of them."
    bandwidth: int | None = None
    "Bits per second that it may take without the headers of IP, if that is told."
    tag: int = 0
    "Bytes by which SRTP makes each packet longer."


@dataclasses.dataclass(frozen=True, slots=True)
class Description:
    """One session description."""

    media: tuple[Media, ...]
    "Its media, in their order."


def described(message: Message) -> Description | None:
    """The description in the body of a message; None without one.

    One within a multipart body is not looked for. Raises SdpError for one that is
    malformed.
    """
    if not message.body:
        return None
    kind = message.first(b"content-type")
    if kind is None or not _TYPE.match(kind):
        return None
    return (_remembered if len(message.body) <= SHORT else parse)(message.body)


def parse(data: bytes) -> Description:
    """Read a description. Raises SdpError for one that is malformed or too large."""
    sections = _sections(_lines(data))
    common = next(sections)
    ipv6 = _ipv6(common, otherwise=False)
    media: list[Media] = []
    for section in sections:
        if len(media) == MAX_MEDIA:
            raise SdpError(f"more than {MAX_MEDIA} media")
        media.append(_media(section, ipv6))
        if sum(len(one.formats) for one in media) > MAX_FORMATS:
            raise SdpError(f"more than {MAX_FORMATS} formats")
    return Description(tuple(media))


# Who asks for room, and then takes it, reads the same body twice.
_remembered = functools.lru_cache(maxsize=REMEMBERED)(parse)

Line = tuple[str, str]
"The letter of a line, and what it says."


def _lines(data: bytes) -> Iterator[Line]:
    if len(data) > MAX_BYTES:
        raise SdpError(f"more than {MAX_BYTES} bytes")
    # RFC 4566 section 5: "parsers SHOULD be tolerant and also accept records terminated
    # with a single newline character". Text may be in any character set.
    text = data.decode("latin-1").replace("\r\n", "\n").removesuffix("\n")
    if "\r" in text or "\0" in text:
        raise SdpError("a line that does not end as lines do")
    if text.count("\n") >= MAX_LINES:
        raise SdpError(f"more than {MAX_LINES} lines")
    for number, line in enumerate(text.split("\n")):
        if line[1:2] != "=" or not "a" <= line[0] <= "z":
            raise SdpError("a line that is none of SDP")
        if (line == "v=0") != (number == 0):
            raise SdpError("no version 0 at the beginning, or one elsewhere")
        yield line[0], line[2:]


def _sections(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """What is said of the whole session, then what is said of each medium."""
    section: list[Line] = []
    for line in lines:
        if line[0] == "m":
            yield section
            section = []
        section.append(line)
    yield section


def _media(section: list[Line], ipv6: bool) -> Media:
    head = _MEDIA.fullmatch(section[0][1])
    if head is None or int(head[2]) > 65_535:
        raise SdpError("malformed m=")
    attributes = [value for letter, value in section if letter == "a"]
    protocol = head[3].upper()
    return Media(
        kind=head[1].lower(),
        port=int(head[2]),
        protocol=protocol,
        formats=_formats(head[4].split(), attributes),
        ipv6=_ipv6(section, otherwise=ipv6),
        ptime=_seconds("ptime", attributes),
        maxptime=_seconds("maxptime", attributes),
        bandwidth=_bandwidth(section),
        tag=_tag(protocol, attributes),
    )


def _ipv6(section: list[Line], *, otherwise: bool) -> bool:
    found = [value for letter, value in section if letter == "c"]
    for value in found:
        match = _CONNECTION.fullmatch(value)
        if match is None:
            raise SdpError("malformed c=")
        otherwise = match[1] == "IP6"
    return otherwise


def _bandwidth(section: list[Line]) -> int | None:
    """RFC 3890: TIAS is in bits per second, and AS in thousands of them."""
    found = {}
    for letter, value in section:
        if letter == "b":
            match = _BANDWIDTH.fullmatch(value)
            if match is None:
                raise SdpError("malformed b=")
            found[match[1].upper()] = int(match[2])
    if "TIAS" in found:
        return found["TIAS"]
    return found["AS"] * 1_000 if "AS" in found else None


def _formats(named: list[str], attributes: list[str]) -> tuple[Format, ...]:
    if len(named) > MAX_FORMATS:
        raise SdpError(f"more than {MAX_FORMATS} formats")
    maps = dict(_STATIC)
    for value in _values("rtpmap", attributes):
        match = _RTPMAP.fullmatch(value.strip())
        if match is None:
            raise SdpError("malformed a=rtpmap")
        number, name, clock, channels = match.groups()
        maps[number] = Format(name.lower(), int(clock), int(channels or 1))
    for value in _values("fmtp", attributes):
        match = _FMTP.fullmatch(value)
        if match is None:
            raise SdpError("malformed a=fmtp")
        number, text = match.groups()
        one = maps.get(number) or Format(number.lower())
        maps[number] = dataclasses.replace(one, parameters=_parameters(text))
    return tuple(maps.get(one) or Format(one.lower()) for one in named)


def _parameters(text: str) -> dict[str, str]:
    """RFC 4855 section 3: parameters are separated by semicolons, as a rule."""
    found = {}
    for one in text.split(";"):
        name, value = (part.strip() for part in one.partition("=")[::2])
        if name.lower() in TELLING and len(value) <= TOLD:
            found[name.lower()] = value
    return found


def _seconds(name: str, attributes: list[str]) -> float | None:
    found = None
    for value in _values(name, attributes):
        match = _MILLISECONDS.fullmatch(value.strip())
        if match is None or float(match[1]) < 1:
            raise SdpError(f"malformed a={name}")
        found = float(match[1]) / 1_000
    return found


def _tag(protocol: str, attributes: list[str]) -> int:
    """Bytes of the authentication tag, the longest that may be agreed on.

    RFC 3711 section 5.2: 10 by default. RFC 7714: 16 for AEAD, which DTLS may choose.
    """
    if "SAVP" not in protocol:
        return 0
    aead = any("AEAD" in value for value in _values("crypto", attributes))
    return 16 if aead or "TLS" in protocol else 10


def _values(name: str, attributes: list[str]) -> Iterator[str]:
    start = f"{name}:"
    return (one[len(start) :] for one in attributes if one.startswith(start))


_STATIC: Mapping[str, Format] = {
    str(number): Format(name, clock, channels)
    for number, name, clock, channels in (
        (0, "pcmu", 8_000, 1),
        (3, "gsm", 8_000, 1),
        (4, "g723", 8_000, 1),
        (5, "dvi4", 8_000, 1),
        (6, "dvi4", 16_000, 1),
        (7, "lpc", 8_000, 1),
        (8, "pcma", 8_000, 1),
        (9, "g722", 8_000, 1),
        (10, "l16", 44_100, 2),
        (11, "l16", 44_100, 1),
        (12, "qcelp", 8_000, 1),
        (13, "cn", 8_000, 1),
        (15, "g728", 8_000, 1),
        (16, "dvi4", 11_025, 1),
        (17, "dvi4", 22_050, 1),
        (18, "g729", 8_000, 1),
    )
}
"Payload types that need no `rtpmap` (RFC 3551 section 6)."
