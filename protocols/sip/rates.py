"""How much a call sends, by what its session descriptions say.

All rates are bits per second in one direction, the fuller one, as they are on the link:
with the headers of RTP, UDP and IP, and what the link itself adds to each packet. They
are upper bounds: where two formats may be used, the dearer one counts; silence, and a
call that is on hold, still count, for sound may come back at any time. RTCP does not
count: it is 5 % at most (RFC 3550 section 6.2), and seldom 1 %.
"""

import math
from collections.abc import Iterable

from protocols.sip.sdp import Description, Format, Media

ETHERNET = 18
"Bytes that Ethernet adds to a packet: header and check sequence."
_RTP, _UDP, _IPV4, _IPV6 = 12, 8, 20, 40
_USUAL = 0.020
"Seconds of media in a packet where nothing else is said (RFC 3551 section 4.2)."

_CODECS: dict[str, tuple[float, float]] = {
    "pcmu": (64_000, 0),
    "pcma": (64_000, 0),
    "g722": (64_000, 0),
    "clearmode": (64_000, 0),
    "g726-16": (16_000, 0),
    "g726-24": (24_000, 0),
    "g726-32": (32_000, 0),
    "g726-40": (40_000, 0),
    "g728": (16_000, 0.0025),
    "g729": (8_000, 0.010),
    "g729d": (6_400, 0.010),
    "g729e": (11_800, 0.010),
    "g723": (6_400, 0.030),
    "gsm": (13_200, 0.020),
    "gsm-efr": (12_400, 0.020),
    "lpc": (5_600, 0.020),
    "qcelp": (14_000, 0.020),
    "ilbc": (15_200, 0.020),
    "amr": (13_200, 0.020),
    "amr-wb": (24_800, 0.020),
    "evs": (128_800, 0.020),
    "silk": (40_000, 0.020),
    "isac": (56_000, 0.030),
    "speex": (44_000, 0.020),
}
"""Greatest bits per second of payload, and seconds of one frame; a packet holds whole
frames, and a codec without frames (0) any length. RFC 3551, 3952 (iLBC), 4867 (AMR),
5574 (Speex); drafts of SILK and iSAC; 3GPP TS 26.445 (EVS)."""
_BESIDE = {"telephone-event", "cn", "tone"}
"Formats in place of sound, never beside it, and never as much."
_VIDEO, _OTHER = 2_000_000, 64_000
"Bits per second of payload of what is unknown; T.38 and text take less than G.711."


def of_call(
    offer: Description, answer: Description | None = None, *, overhead: int = ETHERNET
) -> float:
    """What a call takes; before there is an answer, what it may take.

    `overhead` are the bytes that the link adds to each packet.
    """
    if answer is None:
        return sum(_dearest(one, one.formats, overhead) for one in offer.media)
    to_offerer = to_answerer = 0.0
    for index, agreed in enumerate(answer.media):
        to_answerer += _dearest(agreed, agreed.formats, overhead)
        if agreed.port and index < len(offer.media):
            # RFC 3264 section 6.1: what the answer lists is what both may send; how
            # each wants to get it, it says itself.
            wanted = offer.media[index]
            to_offerer += _dearest(wanted, _shared(wanted, agreed), overhead)
    return max(to_offerer, to_answerer)


def of_packets(
    payload: float, frame: float, media: Media, overhead: int = ETHERNET
) -> float:
    """What a stream of so many bits per second takes in packets.

    Each packet holds a whole number of frames; `frame` is the seconds of one, or 0.
    """
    length = min(media.ptime or max(_USUAL, frame), media.maxptime or math.inf)
    if frame:
        length = max(1, math.floor(length / frame + 1e-6)) * frame
    body = math.ceil(payload * length / 8 - 1e-6)
    headers = _RTP + media.tag + _UDP + (_IPV6 if media.ipv6 else _IPV4) + overhead
    return (body + headers) * 8 / length


def _dearest(media: Media, formats: Iterable[Format], overhead: int) -> float:
    if not media.port:
        return 0.0
    sound = (one for one in formats if one.name not in _BESIDE)
    rates = (of_packets(*_payload(one, media), media, overhead) for one in sound)
    return max(rates, default=0.0)


def _shared(wanted: Media, agreed: Media) -> list[Format]:
    """The formats that the offer lists and the answer has kept."""
    kept = {(one.name, one.clock) for one in agreed.formats}
    return [one for one in wanted.formats if (one.name, one.clock) in kept]


def _payload(one: Format, media: Media) -> tuple[float, float]:
    """Bits per second of payload, and seconds of one frame."""
    if one.name == "opus":
        return _opus(one), 0.0025
    if one.name in ("l16", "dvi4"):
        bits = 16 if one.name == "l16" else 4
        return bits * one.clock * one.channels, 0.0
    if one.name in _CODECS:
        payload, frame = _CODECS[one.name]
        return payload * one.channels, frame
    return _unknown(one, media), 0.0


def _opus(one: Format) -> float:
    """RFC 7587 section 6.1, maxaveragebitrate and what it is by default."""
    told = _number(one, "maxaveragebitrate")
    # "values outside the range of 6000 to 510000 SHOULD be ignored"
    if told is not None and 6_000 <= told <= 510_000:
        return told
    playback = _number(one, "maxplaybackrate") or 48_000
    stereo = 2 if one.parameters.get("stereo") == "1" else 1
    for rate, bits in ((8_000, 12_000), (16_000, 20_000)):
        if playback <= rate:
            return bits * stereo
    return 64_000 * stereo


def _unknown(one: Format, media: Media) -> float:
    """The most that it can be: what the description says, or sound uncompressed."""
    if media.bandwidth is not None:
        return media.bandwidth
    if media.kind == "audio" and one.clock:
        return 16 * one.clock * one.channels
    return _VIDEO if media.kind == "video" else _OTHER


def _number(one: Format, name: str) -> int | None:
    text = one.parameters.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
