"""How much a call sends, by its session descriptions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip.rates import of_call, of_packets
from protocols.sip.sdp import Description, Media, parse

HEAD = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"
G711 = 87_200.0


def said(*lines: str) -> Description:
    return parse((HEAD + "".join(f"{line}\n" for line in lines)).encode())


def audio(formats: str, *lines: str, protocol: str = "RTP/AVP") -> Description:
    return said(f"m=audio 4000 {protocol} {formats}", *lines)


@pytest.mark.parametrize(
    ("lines", "rate"),
    [
        (["m=audio 4000 RTP/AVP 0"], G711),
        (["m=audio 4000 RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000"], G711),
        (["m=audio 4000 RTP/AVP 0", "a=ptime:10"], 110_400),
        (["m=audio 4000 RTP/AVP 0", "a=ptime:30"], 79_466.67),
        (["m=audio 4000 RTP/AVP 0", "a=ptime:60", "a=maxptime:20"], G711),
        (["m=audio 4000 RTP/SAVP 0"], 91_200),
        (["m=audio 4000 RTP/AVP 0", "c=IN IP6 ::1"], 95_200),
        (["m=audio 4000 RTP/AVP 18"], 31_200),
        (["m=audio 4000 RTP/AVP 18", "a=ptime:35"], 23_466.67),
        (["m=audio 4000 RTP/AVP 4"], 21_866.67),
        (["m=audio 4000 RTP/AVP 4", "a=ptime:20"], 21_866.67),
        (["m=audio 4000 RTP/AVP 13"], 0),
        (["m=audio 0 RTP/AVP 0"], 0),
        (["m=audio 4000 RTP/AVP 0", "a=inactive"], G711),
        (["m=audio 4000 RTP/AVP 11"], 728_800),
        (["m=audio 4000 RTP/AVP 5"], 55_200),
        (["m=audio 1 RTP/AVP 96", "a=rtpmap:96 new/16000"], 279_200),
        (["m=audio 1 RTP/AVP 96", "a=rtpmap:96 new/16000", "b=AS:40"], 63_200),
        (["m=audio 1 RTP/AVP 96"], G711),
        (["m=image 4000 udptl t38"], G711),
        (["m=video 4000 RTP/AVP 96"], 2_023_200),
        (["m=audio 4000 RTP/AVP 0", "m=audio 4002 RTP/AVP 18"], G711 + 31_200),
    ],
)
def test_rate_of_an_offer(lines: list[str], rate: float) -> None:
    assert of_call(said(*lines)) == pytest.approx(rate, abs=0.01)


@pytest.mark.parametrize(
    ("parameters", "rate"),
    [
        ("maxaveragebitrate=32000", 55_200),
        ("maxaveragebitrate=20000;stereo=1", 43_200),
        ("maxaveragebitrate=999999", G711),
        ("maxaveragebitrate=x", G711),
        ("maxplaybackrate=8000", 35_200),
        ("maxplaybackrate=16000", 43_200),
        ("maxplaybackrate=16000;stereo=1", 63_200),
        ("stereo=1", 151_200),
        ("useinbandfec=1", G711),
    ],
)
def test_opus_takes_what_its_receiver_allows(parameters: str, rate: float) -> None:
    lines = ["a=rtpmap:96 opus/48000/2", f"a=fmtp:96 {parameters}"]
    assert of_call(audio("96", *lines)) == pytest.approx(rate)


def test_dearest_format_of_an_offer_counts_until_it_is_answered() -> None:
    offer = audio("18 0")
    assert of_call(offer) == G711
    assert of_call(offer, audio("18")) == 31_200


def test_each_side_gets_packets_of_the_length_that_it_wants() -> None:
    longer, shorter = audio("0", "a=ptime:40"), audio("0", "a=ptime:10")
    for offer, answer in ((longer, shorter), (shorter, longer)):
        assert of_call(offer, answer) == 110_400
    assert of_call(longer, longer) == 75_600


def test_number_of_a_format_may_differ_between_the_sides() -> None:
    offer = audio("96", "a=rtpmap:96 opus/48000/2", "a=fmtp:96 maxaveragebitrate=40000")
    answer = audio(
        "111", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 maxaveragebitrate=20000"
    )
    assert of_call(offer, answer) == 63_200


def test_medium_that_is_refused_takes_nothing() -> None:
    offer = said("m=audio 4000 RTP/AVP 0", "m=video 4002 RTP/AVP 96")
    answer = said("m=audio 4000 RTP/AVP 0", "m=video 0 RTP/AVP 96")
    assert of_call(offer, answer) == G711


def test_answer_with_more_media_than_the_offer_counts_whole() -> None:
    assert of_call(said(), audio("0")) == G711


def test_overhead_of_the_link_is_added_to_each_packet() -> None:
    assert of_call(audio("0"), overhead=0) == 80_000
    assert of_call(audio("0"), overhead=38) == 95_200


@given(
    payload=st.floats(1_000, 1_000_000),
    ptime=st.floats(0.001, 1.0),
    frame=st.sampled_from([0.0, 0.0025, 0.01, 0.02, 0.03]),
)
def test_packets_carry_all_of_the_payload(
    payload: float, ptime: float, frame: float
) -> None:
    media = Media("audio", 1, "RTP/AVP", (), ptime=ptime)
    assert of_packets(payload, frame, media) >= payload * (1 - 1e-9)
