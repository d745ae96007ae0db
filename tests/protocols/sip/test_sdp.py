"""What session descriptions say of their media."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip.message import Message
from protocols.sip.message import parse as parse_message
from protocols.sip.sdp import (
    MAX_BYTES,
    MAX_FORMATS,
    MAX_LINES,
    MAX_MEDIA,
    Description,
    Format,
    Media,
    SdpError,
    described,
    parse,
)

HEAD = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"
AUDIO = "m=audio 4000 RTP/AVP 0 96\n"


def medium(lines: str) -> Media:
    [found] = parse((HEAD + lines).encode()).media
    return found


def test_description_of_an_ordinary_call_is_read() -> None:
    text = HEAD + (
        "m=audio 4000 RTP/AVP 0 96 101\n"
        "a=rtpmap:96 opus/48000/2\n"
        "a=fmtp:96 maxaveragebitrate=24000; useinbandfec=1\n"
        "a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\n"
        "a=ptime:30\na=maxptime:60.5\na=sendrecv\n"
    )
    assert parse(text.replace("\n", "\r\n").encode()) == Description(
        (
            Media(
                "audio",
                4000,
                "RTP/AVP",
                (
                    Format("pcmu", 8000),
                    Format(
                        "opus",
                        48000,
                        2,
                        {"maxaveragebitrate": "24000"},
                    ),
                    Format("telephone-event", 8000, 1),
                ),
                ptime=0.030,
                maxptime=0.0605,
            ),
        )
    )


def test_little_is_kept_of_a_large_description() -> None:
    many = "a=fmtp:0 " + ";".join(f"x{n}" for n in range(700)) + "\n"
    long = f"a=fmtp:0 maxaveragebitrate={'1' * 4000};Stereo=1\n"
    assert medium(AUDIO + many).formats[0].parameters == {}
    assert medium(AUDIO + long).formats[0].parameters == {"stereo": "1"}


def test_mapping_of_a_static_number_counts_before_the_usual_one() -> None:
    assert medium(AUDIO + "a=rtpmap:0 L16/16000\n").formats[0] == Format("l16", 16000)


def test_dynamic_number_without_mapping_is_its_own_name() -> None:
    assert medium("m=audio 4000/2 RTP/AVP 97\n").formats == (Format("97"),)


def test_each_medium_has_its_own_lines() -> None:
    first, second = parse(
        (
            HEAD + "b=AS:900\n" + AUDIO + "c=IN IP6 2001:db8::1\nb=AS:70\n"
            "m=image 0 udptl t38\nb=TIAS:8000\nb=AS:90\n"
        ).encode()
    ).media
    assert (first.ipv6, first.bandwidth, first.port) == (True, 70_000, 4000)
    assert (second.ipv6, second.bandwidth, second.port) == (False, 8_000, 0)
    assert (second.kind, second.protocol) == ("image", "UDPTL")


def test_bandwidth_of_another_kind_tells_nothing() -> None:
    assert medium(AUDIO + "b=RS:0\n").bandwidth is None


def test_address_of_the_session_counts_for_its_media() -> None:
    text = HEAD.replace("c=IN IP4", "c=IN IP6") + AUDIO
    assert parse(text.encode()).media[0].ipv6


@pytest.mark.parametrize(
    ("protocol", "lines", "tag"),
    [
        ("RTP/AVP", "", 0),
        ("RTP/SAVP", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\n", 10),
        ("RTP/SAVP", "a=crypto:1 AEAD_AES_128_GCM inline:x\n", 16),
        ("UDP/TLS/RTP/SAVPF", "", 16),
    ],
)
def test_tag_of_srtp_is_the_longest_that_may_be_agreed_on(
    protocol: str, lines: str, tag: int
) -> None:
    assert medium(f"m=audio 4000 {protocol} 0\n{lines}").tag == tag


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=1\n",
        "s=-\nv=0\n",
        "v=0\nv=0\n",
        "v=0\n\n",
        "v=0\nno line\n",
        "v=0\nM=audio 1 RTP/AVP 0\n",
        "v=0\rs=-\n",
        "v=0\ns=\0\n",
        "v=0\nc=IN IP5 1\n",
        "v=0\nm=audio\n",
        "v=0\nm=audio 65536 RTP/AVP 0\n",
        "v=0\nm=audio 1 RTP/AVP\n",
        "v=0\nm=audio 1 RTP/AVP 0\nb=AS\n",
        "v=0\nm=audio 1 RTP/AVP 0\na=rtpmap:0 pcmu\n",
        "v=0\nm=audio 1 RTP/AVP 0\na=rtpmap:0 pcmu/0\n",
        "v=0\nm=audio 1 RTP/AVP 0\na=fmtp:0\n",
        "v=0\nm=audio 1 RTP/AVP 0\na=ptime:0\n",
        "v=0\nm=audio 1 RTP/AVP 0\na=ptime:x\n",
        "v=0\nm=audio 1 RTP/AVP 0\na=maxptime:-20\n",
        "v=0\nm=audio 1 RTP/AVP" + " 0" * (MAX_FORMATS + 1) + "\n",
        "v=0\n" + ("m=audio 1 RTP/AVP" + " 0" * (MAX_FORMATS // 2 + 1) + "\n") * 2,
        "v=0\n" + "m=audio 1 RTP/AVP 0\n" * (MAX_MEDIA + 1),
        "v=0\n" + "a=x\n" * MAX_LINES,
        "v=0\na=" + "x" * MAX_BYTES + "\n",
    ],
)
def test_malformed_description_is_refused(text: str) -> None:
    with pytest.raises(SdpError):
        parse(text.encode())


def message(kind: str, body: bytes) -> Message:
    head = f"INVITE sip:a@b SIP/2.0\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
    return parse_message(head.encode() + body)


def test_body_that_is_a_description_is_read_and_stays_as_it_is() -> None:
    body = (HEAD + AUDIO).encode()
    request = message("c: Application/SDP ;charset=x\r\n", body)
    before = bytes(request)
    assert described(request) == parse(body)
    assert bytes(request) == before


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Content-Type: application/sdp\r\n", b""),
        ("", b"v=0\n"),
        ("Content-Type: application/sdpx\r\n", b"v=0\n"),
        ("Content-Type: multipart/mixed;boundary=x\r\n", b"v=0\n"),
    ],
)
def test_other_bodies_are_no_descriptions(kind: str, body: bytes) -> None:
    assert described(message(kind, body)) is None


PIECES = st.sampled_from(
    [
        "v=0", "s=-", "m=audio 4000 RTP/AVP 0 8", "m=video 0 RTP/SAVP 96", "a=ptime:20",
        "a=rtpmap:96 opus/48000/2", "a=fmtp:96 a=b", "c=IN IP6 ::1", "b=AS:1", "x", "",
    ]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=300), st.lists(PIECES).map("\r\n".join)))
def test_no_bytes_do_harm(data: bytes | str) -> None:
    data = data.encode() if isinstance(data, str) else data
    try:
        found = parse(data)
    except SdpError:
        return
    assert data.startswith(b"v=0")
    assert len(found.media) <= MAX_MEDIA
